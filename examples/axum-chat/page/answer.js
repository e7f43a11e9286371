// One answer on the page: folds the events of a session into parts, and draws what is new of them.

import { element, Prose } from './prose.js';

const ENDED = { complete: 'complete', aborted: 'stopped', error: 'error' };

export class Answer {
  /** `turn` is what history.js stores; `onRetry` is called when the reader asks for another try. */
  constructor(turn, onRetry) {
    this.turn = turn;
    this.parts = element('div', { className: 'parts' });
    this.meta = element('p', { className: 'meta' });
    this.problem = element('div', { className: 'problem', role: 'alert' });
    this.retry = element('button', { type: 'button', className: 'retry', textContent: 'Try again', onclick: onRetry });
    this.node = element('article', { className: 'answer' }, [
      element('h2', { className: 'unseen', textContent: 'Answer' }),
      this.parts,
      this.problem,
      element('div', { className: 'end' }, [this.meta, this.retry]),
    ]);
    this.drawn = [];
    this.draw();
  }

  /** Takes a record. Drawing follows within a frame or two, however fast the tokens come. */
  apply({ lsn, event }) {
    const { turn } = this;
    turn.lsn = lsn;
    delete turn.request; // the server has it
    switch (event.type) {
      case 'text':
      case 'thinking':
        this.#grow(event.type, event.content);
        break;
      case 'tool_calls':
        for (const call of event.calls) turn.parts.push({ kind: 'tool', ...call });
        break;
      case 'tool_result':
      case 'tool_error':
        this.#tool(event.id, event.name, event.type === 'tool_error' ? { failed: event.message } : { result: event.content });
        break;
      case 'isomorphic_handoff':
        this.#tool(event.callId, event.toolName, { arguments: event.params, result: 'Handed to the client; this page has no tools.' });
        break;
      case 'restarted': // drop what there was: what comes is the whole answer
        turn.parts = [];
        break;
      case 'complete':
        turn.usage = event.usage;
        turn.status = 'complete';
        break;
      case 'aborted':
        turn.note = event.reason;
        turn.status = 'aborted';
        break;
      case 'error':
        turn.note = event.message;
        turn.code = event.code;
        turn.status = 'error';
        break;
    }
    this.#timer ??= setTimeout(() => this.draw(), 30);
  }

  /** Ends it here, without a terminal event from the server. */
  end(status, note) {
    Object.assign(this.turn, { status, note });
    this.draw();
  }

  draw() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const { turn } = this;
    if (turn.parts.length < this.drawn.length || this.drawn.some((view, at) => view.part !== turn.parts[at])) {
      this.parts.replaceChildren();
      this.drawn = [];
    }
    turn.parts.forEach((part, at) => {
      if (!this.drawn[at]) {
        this.drawn[at] = part.kind === 'tool' ? toolView(part) : part.kind === 'thinking' ? thinkingView(part) : textView(part);
        this.parts.append(this.drawn[at].node);
      }
      this.drawn[at].update(turn.status === 'streaming' && at === turn.parts.length - 1);
    });
    const streaming = turn.status === 'streaming';
    this.node.dataset.status = turn.status;
    this.node.setAttribute('aria-busy', streaming);
    this.meta.textContent = streaming ? '' : summary(turn);
    this.retry.hidden = streaming || turn.status === 'complete';
    const failed = turn.status === 'error' ? turn.note || 'The answer failed.' : '';
    if (this.problem.textContent !== failed) this.problem.textContent = failed;
    this.problem.hidden = !failed;
    this.onDraw?.();
  }

  #timer = null;

  #grow(kind, text) {
    const last = this.turn.parts.at(-1);
    if (last?.kind === kind) last.text += text;
    else this.turn.parts.push({ kind, text });
  }

  #tool(id, name, change) {
    let part = this.turn.parts.find((part) => part.kind === 'tool' && part.id === id);
    if (!part) this.turn.parts.push((part = { kind: 'tool', id, name }));
    Object.assign(part, change);
  }
}

function summary({ status, code, lsn, resumed, usage }) {
  return [
    code ? `${ENDED[status]} (${code})` : ENDED[status],
    usage?.outputTokens > 0 && `${usage.outputTokens} tokens`,
    lsn && `lsn 1–${lsn}`,
    resumed > 0 && `resumed ${resumed}×`,
  ].filter(Boolean).join(' · ');
}

function textView(part) {
  const node = element('div', { className: 'text' });
  return { part, node, update: grower(part, new Prose(node)) };
}

function thinkingView(part) {
  const label = element('summary');
  const text = element('div', { className: 'thoughts', tabIndex: 0 });
  const grow = grower(part, text);
  const update = (open) => {
    label.textContent = open ? 'Thinking…' : 'Thought';
    label.classList.toggle('busy', open);
    grow();
  };
  return { part, update, node: element('details', { className: 'thinking' }, [label, text]) };
}

function toolView(part) {
  const label = element('summary');
  const text = element('pre', { tabIndex: 0 });
  const update = () => {
    const state = part.failed ? 'failed' : part.result === undefined ? 'called' : 'answered';
    label.replaceChildren(element('code', { textContent: part.name }), ` ${state}`);
    text.textContent = [part.arguments, part.failed ?? part.result].filter((value) => value !== undefined).map(show).join('\n→ ');
  };
  return { part, update, node: element('details', { className: 'tool' }, [label, text]) };
}

const show = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

// Appends to `target` what `part` has and the page has not.
function grower(part, target) {
  let drawn = 0;
  return () => {
    if (part.text.length > drawn) target.append(part.text.slice(drawn));
    drawn = part.text.length;
  };
}
