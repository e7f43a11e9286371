// The page: a conversation, of which the last answer may be streaming. The address names its session
// (`#s=ID`), so that a reload goes on where it was, and another tab or device follows live.

import { Answer } from './answer.js';
import { addTurns, chatKey, chatOf, messagesOf, prune, saveAnswer } from './history.js';
import { element } from './prose.js';
import { follow, newSessionId, Refused, stop } from './unbroken.js';

const API = '/api/chat';
const $ = (id) => document.getElementById(id);
const scripted = document.documentElement.dataset.provider === 'scripted';

let chat; // what is shown: see history.js
let last = null; // the last Answer
let running = null; // { answer, controller } while one is followed
let atEnd = true; // whether the reader looks at the end, and wants to stay there

// ---- Which conversation

function load() {
  leave();
  const session = new URLSearchParams(location.hash.slice(1)).get('s');
  // Unknown here: it was started elsewhere. We have its answer, not what was asked.
  const elsewhere = { id: newSessionId(), turns: session ? [newAnswer(session)] : [] };
  show(chatOf(session) ?? elsewhere);
  if (session && !chatOf(session)) chat = addTurns({ ...elsewhere, turns: [] }, elsewhere.turns);
}

function show(shown) {
  chat = shown;
  last = null;
  $('log').replaceChildren(...chat.turns.map(draw));
  $('welcome').hidden = chat.turns.length > 0;
  atEnd = true;
  setState('idle');
  footer();
  scroll();
  if (last?.turn.status === 'streaming') run(last);
  else composer();
}

function draw(turn) {
  if (turn.role === 'user') {
    return element('article', { className: 'question' }, [
      element('h2', { className: 'unseen', textContent: 'You' }),
      element('p', { textContent: turn.text }),
    ]);
  }
  const answer = new Answer(turn, retry);
  answer.onDraw = () => {
    if (answer === last) footer();
    scroll();
  };
  last = answer;
  return answer.node;
}

const newAnswer = (session, request) => ({ role: 'assistant', session, request, parts: [], lsn: 0, resumed: 0, status: 'streaming' });

// ---- Ask, follow, stop

function ask(text, script) {
  begin([{ role: 'user', text }], 0, script);
}

function retry() {
  const { fault, ...script } = last.turn.script ?? {}; // a scripted fault happens once
  begin([], 1, last.turn.script && script);
  $('input').focus();
}

function begin(turns, drop, script) {
  const session = newSessionId();
  const before = chat.turns.slice(0, chat.turns.length - drop);
  const request = { messages: messagesOf([...before, ...turns]), chatId: chat.id, ...(script && { script }) };
  // The request is kept until the server is known to have it: a reload before that repeats it.
  chat = addTurns(chat, [...turns, { ...newAnswer(session, request), script }], drop);
  history.replaceState(null, '', `#s=${session}`);
  show(chat);
}

async function run(answer) {
  leave();
  const controller = new AbortController();
  const mine = (running = { answer, controller });
  const { turn } = answer;
  let cut = turn.lsn > 0; // a reload is a cut too
  let saved = 0;
  const onState = (state, why) => {
    if (running !== mine) return;
    if (state === 'live' && cut) turn.resumed += 1;
    cut = state === 'reconnecting' || (cut && state === 'connecting');
    setState(state === 'reconnecting' && !navigator.onLine ? 'offline' : state, why);
    footer();
  };
  composer();
  try {
    const from = { request: turn.request, after: turn.lsn, signal: controller.signal };
    for await (const record of follow(API, turn.session, { ...from, onState })) {
      answer.apply(record);
      if (Date.now() - saved > 300) saved = keep(answer);
    }
    if (turn.status === 'streaming') turn.status = 'complete'; // 204: we had its end
  } catch (error) {
    if (running !== mine) return; // the page moved on
    if (controller.signal.aborted) answer.end('aborted');
    else answer.end('error', explain(error, turn));
  }
  keep(answer);
  if (running !== mine) return;
  running = null;
  answer.draw();
  setState(turn.status === 'error' ? 'error' : 'done', turn.status === 'aborted' ? 'Stopped' : '');
  composer();
}

function explain(error, turn) {
  if (!(error instanceof Refused)) return `Something broke in this page: ${error.message}`;
  if (turn.request) return `The server refused to start (${error.status}): ${error.message}`;
  if (error.status === 404 || error.status === 410) {
    return `The server no longer has this answer (${error.status}).${turn.lsn ? ' What had arrived is above.' : ''}`;
  }
  return `${error.message} (${error.status})`;
}

// Stops following, not the answer: that goes on without us.
function leave() {
  const left = running;
  running = null;
  if (left) keep(left.answer);
  left?.controller.abort();
}

async function halt() {
  if (!running || running.stopping) return;
  const mine = running;
  mine.stopping = true; // not `disabled`, which would throw the focus away
  try {
    const found = await stop(API, mine.answer.turn.session);
    if (!found && running === mine) mine.controller.abort(); // it never began
  } catch (error) {
    if (running === mine) setState('reconnecting', `Could not stop: ${error.message}`);
  }
  mine.stopping = false;
}

function keep(answer) {
  saveAnswer(chat, answer.turn);
  return Date.now();
}

// ---- What the page says of itself

const WORDS = { idle: 'Ready', connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting', offline: 'Offline', done: 'Done', error: 'Failed' };

function setState(state, why) {
  document.body.dataset.state = state;
  const words = (state === 'done' && why) || WORDS[state];
  if ($('state-text').textContent !== words) $('state-text').textContent = words; // announced only on change
  $('state').title = why ?? '';
}

function footer() {
  const turn = last?.turn;
  $('foot-session').textContent = turn ? turn.session.slice(0, 8) : '–';
  $('foot-lsn').textContent = turn?.lsn ?? 0;
  $('foot-status').textContent = turn?.status ?? '–';
  $('foot-resumed').textContent = `${turn?.resumed ?? 0}×`;
  $('share').disabled = !turn;
}

function composer() {
  const held = document.activeElement === $('stop') || document.activeElement === $('send');
  $('stop').hidden = !running;
  $('send').hidden = Boolean(running);
  $('send').disabled = $('input').value.trim() === '';
  if (held) $('input').focus();
}

function scroll() {
  if (atEnd) $('scroll').scrollTop = $('scroll').scrollHeight;
  $('latest').hidden = atEnd;
}

// ---- What the reader does

$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('input').value.trim();
  if (!text || running) return;
  $('input').value = '';
  grow();
  ask(text, scripted ? scriptOfAddress() : undefined);
});

$('input').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('form').requestSubmit();
});

$('input').addEventListener('input', () => (grow(), composer()));
$('stop').addEventListener('click', halt);
$('new').addEventListener('click', () => {
  location.hash = '';
  $('input').focus();
});
$('latest').addEventListener('click', () => ((atEnd = true), scroll(), $('input').focus()));
$('scroll').addEventListener('scroll', () => {
  const { scrollTop, scrollHeight, clientHeight } = $('scroll');
  atEnd = scrollHeight - scrollTop - clientHeight < 48;
  $('latest').hidden = atEnd;
});
$('share').addEventListener('click', async () => {
  await navigator.clipboard?.writeText(location.href);
  $('share').textContent = 'Copied';
  setTimeout(() => ($('share').textContent = 'Copy link'), 1500);
});

addEventListener('keydown', (event) => event.key === 'Escape' && halt());
addEventListener('hashchange', load);
addEventListener('pagehide', () => running && keep(running.answer));
addEventListener('offline', () => running && setState('offline'));
// Another tab of this browser went on with the conversation: go along.
addEventListener('storage', ({ key, newValue }) => {
  if (!newValue || key !== chatKey(chat)) return;
  const stored = JSON.parse(newValue);
  const { session } = stored.turns.at(-1) ?? {};
  if (!session || session === last?.turn.session) return;
  leave();
  history.replaceState(null, '', `#s=${session}`);
  show(stored);
});

function grow() {
  $('input').style.height = 'auto';
  $('input').style.height = `${$('input').scrollHeight}px`;
}

// ---- Examples, for a first look

// `?script={…}` in the address plays a script of your own, where the provider is the scripted one.
function scriptOfAddress() {
  const script = new URLSearchParams(location.search).get('script');
  return script ? JSON.parse(script) : undefined;
}

const EXAMPLES = scripted
  ? [
      { text: 'Tell me what you are' },
      { text: 'Count to a thousand', script: { tokens: 1000, delayMs: 60 } },
      { text: 'Fail half-way', script: { tokens: 120, delayMs: 40, fault: { at: 60, kind: 'error' } } },
    ]
  : ['How does TCP recover a lost segment?', 'Write a haiku about append-only logs', 'Explain fencing tokens to a new colleague'].map((text) => ({ text }));

$('examples').replaceChildren(
  ...EXAMPLES.map(({ text, script }) => element('button', { type: 'button', textContent: text, onclick: () => (ask(text, script), $('input').focus()) })),
);
$('scripted').hidden = !scripted;
prune();
load();
$('input').focus();
