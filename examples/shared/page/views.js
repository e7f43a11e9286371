// Views of the parts of an answer: text, thinking, media, tool calls, and questions. A view is
// `{ part, node, update(turn, isLast) }`; `update` draws the changes of the part.

import { formOf } from './form.js';
import { mediaGrid } from './media.js';
import { element, Prose } from './prose.js';
import { Refused } from './unbroken.js';

/** A view of `part`; `say(inputId, answer)` answers its question. */
export function viewOf(part, say) {
  return { text: textView, thinking: thinkingView, media: madeView, tool: toolView, ask: askView }[part.kind](part, say);
}

function textView(part) {
  const node = element('div', { className: 'text' });
  return { part, node, update: grower(part, new Prose(node)) };
}

function thinkingView(part) {
  const label = element('summary');
  const text = element('div', { className: 'thoughts', tabIndex: 0 });
  const grow = grower(part, text);
  const update = (turn, isLast) => {
    const open = turn.status === 'streaming' && isLast;
    label.textContent = open ? 'Thinking…' : 'Thought';
    label.classList.toggle('busy', open);
    grow();
  };
  return { part, update, node: element('details', { className: 'thinking' }, [label, text]) };
}

function madeView(part) {
  return { part, update() {}, node: mediaGrid([part]) };
}

function toolView(part) {
  const label = element('summary');
  const sheet = element('dl');
  const bar = element('progress', { max: 1 });
  const doing = element('span');
  const progress = element('div', { className: 'progress' }, [bar, doing]);
  const details = element('details', {}, [label, sheet]);
  let writing = false; // the arguments are shown while the model writes them, and folded after it
  const text = element('pre', { className: 'writing' });
  const write = () => {
    if (!writing) sheet.replaceChildren(element('dt', { textContent: 'Arguments' }), element('dd', {}, [text]));
    if (!writing) details.open = writing = true;
    text.textContent = part.written;
    text.scrollTop = text.scrollHeight;
  };
  const tell = () => {
    if (writing) details.open = writing = false;
    const rows = [['Arguments', part.arguments ?? part.written], ['Error', part.failed], ['Result', part.result]];
    sheet.replaceChildren(...rows.filter(([, value]) => value !== undefined && value !== '').flatMap(([term, value]) => [element('dt', { textContent: term }), element('dd', {}, [element('pre', { textContent: show(value) })])]));
  };
  const shown = element('div', { hidden: true });
  const update = (turn) => {
    const state = stateOf(part, turn);
    if (part.media?.length > 0 && shown.hidden) {
      shown.append(mediaGrid(part.media));
      shown.hidden = false;
    }
    label.replaceChildren(element('code', { textContent: part.name }), ` ${state}`);
    label.classList.toggle('busy', ['runs', 'is called'].includes(state));
    if (state === 'is called') write();
    else tell();
    const { message = '', done, total } = part.progress ?? {};
    progress.hidden = !part.progress || state !== 'runs';
    doing.textContent = [message, done !== undefined && (total ? `${done} of ${total}` : done)].filter(Boolean).join(' · ');
    bar.setAttribute('aria-label', `Progress of ${part.name}`);
    if (total > 0) Object.assign(bar, { max: total, value: done });
    else bar.removeAttribute('value');
  };
  return { part, update, node: element('div', { className: 'tool' }, [details, progress, shown]) };
}

function stateOf(part, turn) {
  if (part.failed !== undefined) return 'failed';
  if (part.result !== undefined) return 'answered';
  if (part.handed) return 'runs in the browser';
  if (part.dropped) return 'was not called';
  if (turn.status !== 'streaming') return 'did not finish';
  if (part.written !== undefined) return 'is called';
  return turn.parts.some((ask) => ask.kind === 'ask' && ask.callId === part.id && !ask.action) ? 'waits' : 'runs';
}

// The outcome of a question as text.
const BECAME = { accept: 'Answered', decline: 'Declined', cancel: 'Put away', timeout: 'Nobody answered in time' };

let asked = 0;

function askView(part, say) {
  const approval = part.wants === 'approval';
  const message = element('p', { className: 'ask-message', id: `ask-${++asked}`, textContent: part.message });
  const fields = approval ? null : formOf(part.schema);
  const problem = element('p', { className: 'problem', role: 'alert', hidden: true });
  const yes = element('button', { className: 'yes', textContent: approval ? 'Approve' : 'Answer' });
  const no = element('button', { type: 'button', className: 'no', textContent: 'Decline' });
  const note = element('span', { className: 'hint' });
  const what = approval && part.params !== undefined ? [listOf(part.params)] : [];
  const form = element('form', {}, [...what, ...(fields?.nodes ?? []), problem, element('div', { className: 'choices' }, [yes, no, note])]);
  const outcome = element('p', { className: 'outcome', hidden: true });
  const node = element('section', { className: 'ask' }, [message, form, outcome]);
  node.setAttribute('role', 'group');
  node.setAttribute('aria-labelledby', message.id);

  let busy = false; // not `disabled`, which would throw the focus away
  const hold = (held, words = '') => {
    busy = held;
    note.textContent = words;
    for (const button of [yes, no]) button.setAttribute('aria-disabled', held);
  };
  const tell = (words) => {
    problem.textContent = words;
    problem.hidden = !words;
  };
  const send = async (answer) => {
    if (busy) return;
    hold(true, 'Sending …');
    tell('');
    try {
      const counts = await say(part.inputId, answer);
      note.textContent = counts ? 'Sent' : 'Somebody else was faster'; // the log closes the card
    } catch (error) {
      hold(false);
      tell(error instanceof Refused && error.status === 422 ? error.message : `Could not send: ${error.message}`);
      fields?.mark(error.message);
      form.querySelector('[aria-invalid]')?.focus();
      form.lastChild.scrollIntoView({ block: 'nearest' });
    }
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    send(approval ? { action: 'accept' } : { action: 'accept', content: fields.content() });
  };
  no.onclick = () => send({ action: 'decline' });
  hold(false, part.timeoutMs ? `Waits for ${spell(part.timeoutMs)}` : '');

  const update = (turn) => {
    const closed = part.action ?? (turn.status === 'streaming' ? null : 'over');
    node.dataset.state = closed ?? 'open';
    if (!closed || form.hidden) return;
    const held = form.contains(document.activeElement);
    outcome.textContent = closed === 'accept' && approval ? 'Approved' : BECAME[closed] ?? 'No longer asked';
    [form.hidden, outcome.hidden] = [true, false];
    if (held) document.getElementById('input')?.focus();
  };
  return { part, node, update };
}

// The call that needs approval: an object as a list, anything else as it is.
function listOf(params) {
  if (Object(params) !== params || Array.isArray(params)) return element('pre', { textContent: show(params) });
  return element('dl', {}, Object.entries(params).flatMap(([name, value]) => [element('dt', { textContent: name }), element('dd', { textContent: show(value) })]));
}

const spell = (ms) => (ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`);

// Values as JSON; results come as text, and may be JSON too.
function show(value) {
  if (typeof value !== 'string') return JSON.stringify(value, null, 2);
  try {
    return /^[[{]/.test(value) ? JSON.stringify(JSON.parse(value), null, 2) : value;
  } catch {
    return value;
  }
}

// Appends the text of `part` that `target` lacks.
function grower(part, target) {
  let drawn = 0;
  return () => {
    if (part.text.length > drawn) target.append(part.text.slice(drawn));
    drawn = part.text.length;
  };
}
