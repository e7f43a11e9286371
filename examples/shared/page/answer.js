// One answer on the page: folds the events of a session into parts, and draws their changes.

import { bytesOfDataUrl, keepBytes } from './media-store.js';
import { element } from './prose.js';
import { sourcesView } from './sources.js';
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
    this.sources = sourcesView();
    this.meta = element('p', { className: 'meta' });
    this.problem = element('div', { className: 'problem', role: 'alert' });
    this.retry = element('button', { type: 'button', className: 'retry', textContent: 'Try again', onclick: onRetry });
    this.node = element('article', { className: 'answer' }, [
      element('h2', { className: 'unseen', textContent: 'Answer' }),
      this.parts,
      this.sources.node,
      this.problem,
      element('div', { className: 'end' }, [this.meta, this.retry]),
    ]);
    this.drawn = [];
    this.draw();
  }

  /** Adds a record. It is drawn within a frame or two. Resolves once the bytes of a medium are kept. */
  async apply({ lsn, event }, chatId) {
    const { turn } = this;
    const medium = event.type === 'media' && (await kept(event, `${chatId}/${turn.session}.${lsn}`));
    const given = event.type === 'tool_result' && (await resultOf(event.content, `${chatId}/${turn.session}.${lsn}`));
    turn.lsn = lsn;
    delete turn.request; // the server has it
    switch (event.type) {
      case 'text':
      case 'thinking':
        this.#grow(event.type, event.content);
        break;
      case 'media':
        turn.parts.push({ kind: 'media', ...medium });
        break;
      case 'source': {
        const sources = (turn.sources ??= []);
        if (!sources.some(({ id }) => id === event.id)) sources.push(event); // else another place of the text rests on it
        break;
      }
      case 'tool_input':
        this.#write(event);
        break;
      case 'tool_calls':
        for (const call of event.calls) this.#call(call);
        break;
      case 'turn':
        turn.model = event.model ?? turn.model;
        // A call that did not become whole is none.
        for (const part of turn.parts) if (part.written !== undefined) part.dropped = true;
        break;
      case 'tool_progress':
        this.#progress(event);
        break;
      case 'tool_result':
        this.#tool(event.id, event.name, given);
        break;
      case 'tool_error':
        this.#tool(event.id, event.name, { failed: event.message });
        break;
      case 'isomorphic_handoff':
        this.#tool(event.callId, event.toolName, { arguments: event.params, handed: true });
        (turn.handoffs ??= []).push(event);
        break;
      case 'conversation_state':
        turn.state = { messages: event.conversationState.messages?.length > 0 }; // the log has them
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
        turn.sources = [];
        break;
      case 'complete':
        turn.usage = event.usage;
        turn.finishReason = event.finishReason;
        turn.status = 'complete';
        break;
      case 'aborted':
        turn.usage = event.usage;
        turn.note = event.reason;
        turn.status = 'aborted';
        break;
      case 'error':
        turn.usage = event.usage;
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
    this.sources.update(turn);
    const streaming = turn.status === 'streaming';
    this.node.dataset.status = turn.status;
    this.node.setAttribute('aria-busy', streaming);
    this.meta.replaceChildren(...(streaming ? [] : summary(turn)));
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

  #write({ id, name, delta, cut }) {
    let part = this.#written(id);
    if (cut) {
      // The call never comes. An answer that was taken over calls again, under another id.
      if (part) part.dropped = true;
      return;
    }
    if (!part) this.turn.parts.push((part = { kind: 'tool', id, name, written: '' }));
    part.written += delta;
  }

  #call(call) {
    const part = this.#written(call.id);
    if (part) Object.assign(part, call, { written: undefined });
    else this.turn.parts.push({ kind: 'tool', ...call });
  }

  // The call whose arguments are being written.
  #written(id) {
    return this.turn.parts.find((part) => part.kind === 'tool' && part.id === id && part.written !== undefined && !part.dropped);
  }

  #tool(id, name, change) {
    let part = this.turn.parts.find((part) => part.kind === 'tool' && part.id === id);
    if (!part) this.turn.parts.push((part = { kind: 'tool', id, name }));
    Object.assign(part, change);
  }
}

// The result of a tool: its text, and its media as parts.
async function resultOf(content, key) {
  if (typeof content === 'string') return { result: content };
  const media = content.filter(({ type }) => type === 'media').map((part, at) => kept(part, `${key}.${at}`));
  const texts = content.filter(({ type }) => type === 'text').map(({ text }) => text);
  return { result: texts.join('\n'), media: await Promise.all(media) };
}

// A medium as a part: its bytes are kept apart, a link stays as it is.
async function kept({ mediaType, name, url }, key) {
  const bytes = bytesOfDataUrl(url);
  if (!bytes) return { mediaType, name, url };
  await keepBytes(key, bytes);
  return { mediaType, name, key, size: bytes.length };
}

// What became of an answer, in pieces that a line is not broken within.
function summary({ status, code, finishReason, model, lsn, resumed, usage, handoffs }) {
  const ended = status === 'complete' && handoffs?.length ? 'handed over' : ENDED[status];
  const why = code ?? (status === 'complete' && finishReason);
  const facts = [
    why ? `${ended} (${why})` : ended,
    model,
    usage && `${count(usage.inputTokens)} tokens in${more(usage.cachedInputTokens, 'cached')}`,
    usage && `${count(usage.outputTokens)} out${more(usage.reasoningTokens, 'thinking')}`,
    lsn && `lsn 1–${lsn}`,
    resumed > 0 && `resumed ${resumed}×`,
  ];
  const known = facts.filter(Boolean);
  return known.flatMap((fact, at) => (at < known.length - 1 ? [element('span', { textContent: `${fact} ·` }), ' '] : [element('span', { textContent: fact })]));
}

const count = (tokens = 0) => tokens.toLocaleString('en');
const more = (tokens, what) => (tokens > 0 ? ` (${count(tokens)} ${what})` : '');
