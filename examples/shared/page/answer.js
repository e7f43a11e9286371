// One answer on the page: folds the events of a session into parts, and draws their changes.

import { element } from './prose.js';
import { viewOf } from './views.js';

const ENDED = { complete: 'complete', aborted: 'stopped', error: 'error' };

export class Answer {
  /**
   * `turn` is the object that history.js stores. `onRetry` is called when the user asks for another try,
   * `say(inputId, answer)` when the user answers the question of a tool.
   */
  constructor(turn, onRetry, say) {
    this.turn = turn;
    this.say = say;
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

  /** Adds a record. It is drawn within a frame or two. */
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
      case 'tool_progress':
        this.#progress(event);
        break;
      case 'tool_result':
      case 'tool_error':
        this.#tool(event.id, event.name, event.type === 'tool_error' ? { failed: event.message } : { result: event.content });
        break;
      case 'isomorphic_handoff':
        this.#tool(event.callId, event.toolName, { arguments: event.params, handed: true });
        (turn.handoffs ??= []).push(event);
        break;
      case 'conversation_state':
        turn.state = event.conversationState;
        break;
      case 'input_request':
        turn.parts.push({ ...event, kind: 'ask', wants: event.kind });
        break;
      case 'input_resolved':
        for (const ask of this.asks) if (ask.inputId === event.inputId) ask.action = event.action;
        break;
      case 'restarted': // drop what there was: what comes is the whole answer
        turn.parts = [];
        turn.handoffs = [];
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

  /** Ends the answer on this page, without a terminal event from the server. */
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
        this.drawn[at] = viewOf(part, this.say);
        this.parts.append(this.drawn[at].node);
      }
      this.drawn[at].update(turn, at === turn.parts.length - 1);
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

  /** The questions that are open. */
  get asks() {
    return this.turn.parts.filter((part) => part.kind === 'ask' && !part.action);
  }

  /** True while a question is open. */
  get isWaiting() {
    return this.turn.status === 'streaming' && this.asks.length > 0;
  }

  #timer = null;

  #grow(kind, text) {
    const last = this.turn.parts.at(-1);
    if (last?.kind === kind) last.text += text;
    else this.turn.parts.push({ kind, text });
  }

  #progress({ id, name, message, progress, total }) {
    if (message === undefined && progress === undefined) return; // it has begun, no more
    const before = this.turn.parts.find((part) => part.kind === 'tool' && part.id === id)?.progress;
    this.#tool(id, name, { progress: { message: message ?? before?.message, done: progress ?? before?.done, total: total ?? before?.total } });
  }

  #tool(id, name, change) {
    let part = this.turn.parts.find((part) => part.kind === 'tool' && part.id === id);
    if (!part) this.turn.parts.push((part = { kind: 'tool', id, name }));
    Object.assign(part, change);
  }
}

function summary({ status, code, lsn, resumed, usage, handoffs }) {
  const ended = status === 'complete' && handoffs?.length ? 'handed over' : ENDED[status];
  return [
    code ? `${ended} (${code})` : ended,
    usage?.outputTokens > 0 && `${usage.outputTokens} tokens`,
    lsn && `lsn 1–${lsn}`,
    resumed > 0 && `resumed ${resumed}×`,
  ].filter(Boolean).join(' · ');
}
