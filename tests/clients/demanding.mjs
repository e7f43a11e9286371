// A model's server that demands reasoning and signatures back: three rounds of tools, a reload in the middle
// of the second, and a second question, through each client. `demanding.rs` has the rules of the server.

import assert from 'node:assert/strict';
import { HttpAgent, runHttpRequest, transformHttpEventStream } from '@ag-ui/client';
import { ChatClient, fetchServerSentEvents } from '@tanstack/ai-client';
import OpenAI from 'openai';
import { answers, kinds, of } from './ai_kinds.mjs';
import { BASE, fresh, open as pass, play, until } from './bench.mjs';

console.error = () => {}; // @ag-ui/client writes every failure there, too
process.on('unhandledRejection', (error) => {
  if (error?.message !== 'terminated') throw error;
});

/** The text of the page when the second round is held. */
const HELD = 'I look.I look.';
const WHOLE = 'I look.I look.I look.It is noon.';

const json = async (path) => (await fetch(`${BASE}/demanding/${path}`)).json();
const kept = (id) => until(async () => {
  const response = await fetch(`${BASE}/demanding/kept/${id}`);
  return response.ok && response.json();
}, `${id} is kept`);
const plain = (value) => JSON.parse(JSON.stringify(value));

/** Checks that the model's server answered each turn of so many questions, and refused none. */
async function accepted(word, questions) {
  const { answered, refused } = await json(`seen/${word}`);
  assert.deepEqual(refused, []);
  assert.equal(answered, questions * 4);
}

// useChat

const useChats = (name, { make }) => {
  /** A page that is reloaded in the middle of the second round, and reads on to the end. */
  async function reloaded(word) {
    const before = make({ path: 'demanding/ai' });
    const sent = before.chat.sendMessage({ text: word });
    await until(() => answers(before).some((it) => of(it, 'text') === HELD));
    const user = structuredClone(before.chat.messages.slice(0, 1));
    await before.chat.stop(); // closes its connection, as a page that goes
    await sent;
    const page = make({ id: before.id, path: 'demanding/ai', messages: user });
    const resumed = page.chat.resumeStream();
    await until(() => answers(page).some((it) => of(it, 'text') === HELD));
    await pass(word);
    await resumed;
    assert.deepEqual([page.chat.status, page.chat.error], ['ready', undefined]);
    assert.equal(of(answers(page)[0], 'text'), WHOLE);
    return { page, session: before.sessions[0] };
  }

  async function second(page, word) {
    await page.chat.sendMessage({ text: 'And now?' });
    assert.deepEqual([page.chat.status, page.chat.error], ['ready', undefined]);
    assert.equal(of(page.chat.messages.at(-1), 'text'), WHOLE);
    await accepted(word, 2);
  }

  return {
    [`${name}: a reload, and a second question by that page`]: async () => {
      const word = fresh('word');
      const { page } = await reloaded(word);
      await second(page, word);
    },

    [`${name}: a reload, and a second question by a page with the stored message`]: async () => {
      const word = fresh('word');
      const { page, session } = await reloaded(word);
      const { message } = await kept(session);
      const [user] = page.chat.messages;
      const later = make({ id: page.id, path: 'demanding/ai', messages: plain([user, message]) });
      await second(later, word);
    },
  };
};

// @ag-ui/client

/** An agent that can join a run. */
class DurableAgent extends HttpAgent {
  connect({ runId }) {
    const url = `${this.url}/${runId}`;
    return transformHttpEventStream(runHttpRequest(() => this.fetch(url, { signal: this.abortController.signal })));
  }
}

function agent(messages, threadId) {
  const agent = new DurableAgent({ url: `${BASE}/demanding/ag-ui`, threadId });
  const seen = { runs: [], failures: [] };
  agent.subscribe({
    onEvent: ({ event }) => void (event.type === 'RUN_STARTED' && seen.runs.push(event.runId)),
    onRunFailed: ({ error }) => (seen.failures.push(error.message), { stopPropagation: true }),
    onRunErrorEvent: ({ event }) => void seen.failures.push(event.message),
  });
  agent.messages = plain(messages);
  return { agent, seen };
}

const saidBy = (messages) => messages.filter((it) => it.role === 'assistant').map((it) => it.content ?? '').join('');

const agUi = {
  '@ag-ui/client: a reload, and a second question': async () => {
    const [word, thread] = [fresh('word'), fresh('thread')];
    const user = { id: '1', role: 'user', content: word };
    const before = agent([user], thread);
    const done = before.agent.runAgent();
    await until(() => saidBy(before.agent.messages) === HELD);
    before.agent.abortRun();
    await done;
    const page = agent([user], thread);
    const joined = page.agent.connectAgent({ runId: before.seen.runs[0] });
    await until(() => saidBy(page.agent.messages) === HELD);
    await pass(word);
    await joined;
    assert.deepEqual(page.seen.failures, []);
    assert.equal(saidBy(page.agent.messages), WHOLE);
    // The messages as an application stores them.
    const later = agent([...page.agent.messages, { id: '2', role: 'user', content: 'And now?' }], thread);
    await later.agent.runAgent();
    await accepted(word, 2);
    assert.deepEqual(later.seen.failures, []);
    assert.equal(saidBy(later.agent.messages), WHOLE + WHOLE);
  },
};

// TanStack AI

function tanstack(asked = {}) {
  const seen = { runs: [], errors: [] };
  const client = new ChatClient({
    connection: fetchServerSentEvents(`${BASE}/demanding/ag-ui`, { reconnect: { delayMs: 1, maxAttempts: 10 } }),
    onChunk: (chunk) => void (chunk.type === 'RUN_STARTED' && seen.runs.push(chunk.runId)),
    onError: (error) => seen.errors.push(error.message),
    ...asked,
  });
  client.attach();
  return { client, seen };
}

const parts = (client) => client.getMessages().filter((it) => it.role === 'assistant').flatMap((it) => it.parts);
const textOf = (client) => parts(client).filter((part) => part.type === 'text').map((part) => part.content).join('');

const tanstacks = {
  // The page has the question and the id of the run. From its own storage, with the beginning of the answer, this
  // client would show the text before a call twice: it takes text for new that comes after a call it knows.
  'TanStack AI: a reload, and a second question': async () => {
    const [word, threadId] = [fresh('word'), fresh('thread')];
    const before = tanstack({ threadId });
    before.client.sendMessage(word);
    await until(() => textOf(before.client) === HELD);
    const initialMessages = plain(before.client.getMessages().slice(0, 1));
    const [runId] = before.seen.runs;
    before.client.dispose();
    const page = tanstack({ threadId, initialMessages, initialResumeSnapshot: { resumeState: { threadId, runId } } });
    await until(() => textOf(page.client) === HELD);
    await pass(word);
    await until(() => !page.client.getIsLoading());
    assert.deepEqual(page.seen.errors, []);
    assert.equal(textOf(page.client), WHOLE);
    // The messages as an application stores them.
    const later = tanstack({ threadId, initialMessages: plain(page.client.getMessages()) });
    await later.client.sendMessage('And now?');
    await accepted(word, 2);
    assert.deepEqual(later.seen.errors, []);
    assert.equal(textOf(later.client), WHOLE + WHOLE);
  },
};

// OpenAI's SDK

const openai = new OpenAI({ baseURL: `${BASE}/demanding/v1`, apiKey: 'none', maxRetries: 0 });
const include = ['reasoning.encrypted_content'];

async function read(stream, events, enough = () => false) {
  for await (const event of await stream) {
    events.push(event);
    if (enough()) break; // which closes the connection
  }
  return events;
}

const delta = (events) => events.filter((it) => it.type === 'response.output_text.delta').map((it) => it.delta).join('');

/** A response that is cut in the middle of its second round, and read on by another client. */
async function cutAndResumed(word) {
  const events = [];
  await read(openai.responses.create({ model: 'stub', input: [{ role: 'user', content: word }], include, stream: true }), events, () => delta(events) === HELD);
  const { id } = events[0].response;
  const after = events.at(-1).sequence_number;
  await pass(word);
  await read(openai.responses.retrieve(id, { stream: true, starting_after: after }), events);
  assert.equal(delta(events), WHOLE);
  assert.equal(events.at(-1).type, 'response.completed');
  return events.at(-1).response;
}

async function second(input, word) {
  const answer = await openai.responses.create({ model: 'stub', input: plain(input), include });
  assert.deepEqual([answer.status, answer.error, answer.output_text], ['completed', null, WHOLE]);
  await accepted(word, 2);
}

const responses = {
  'OpenAI: a reload, and a second question with the items of the stream': async () => {
    const word = fresh('word');
    const { output } = await cutAndResumed(word);
    await second([{ role: 'user', content: word }, ...output, { role: 'user', content: 'And now?' }], word);
  },

  'OpenAI: a reload, and a second question with the items of the stored response': async () => {
    const word = fresh('word');
    const { id } = await cutAndResumed(word);
    const { output } = await openai.responses.retrieve(id);
    await second([{ role: 'user', content: word }, ...output, { role: 'user', content: 'And now?' }], word);
  },

  // The server keeps responses, not conversations: that is the application's.
  'OpenAI: a second question by the id of the first response is refused, not answered without it': async () => {
    const word = fresh('word');
    const { id } = await cutAndResumed(word);
    const asked = openai.responses.create({ model: 'stub', input: 'And now?', previous_response_id: id });
    await assert.rejects(asked, (error) => error.status === 422 && /previous_response_id/.test(error.message));
    await accepted(word, 1);
  },
};

// The native protocol, by hand

/** Sends a request, and reads its events after a number, as far as they are wanted. */
async function* native(body, { id, after } = {}) {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/x-ndjson', 'X-Session-Id': id };
  if (after !== undefined) headers['X-Last-LSN'] = String(after);
  const response = await fetch(`${BASE}/demanding/native`, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(response.status, 200);
  let rest = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}

const natives = {
  'native: a reload, and a second question with the turns that the application keeps': async () => {
    const [word, id] = [fresh('word'), fresh('session')];
    const user = (content) => ({ role: 'user', content });
    const body = { messages: [user(word)], enabledTools: true };
    let [text, last] = ['', 0];
    const take = ({ lsn, event }) => {
      last = lsn;
      if (event.type === 'text') text += event.content;
    };
    for await (const line of native(body, { id })) {
      take(line);
      if (text === HELD) break;
    }
    await pass(word);
    for await (const line of native({}, { id, after: last })) take(line);
    assert.equal(text, WHOLE);
    const { messages } = await kept(id);
    const events = [];
    const again = { messages: [user(word), ...messages, user('And now?')], enabledTools: true };
    for await (const { event } of native(again, { id: fresh('session') })) events.push(event);
    assert.equal(events.at(-1).type, 'complete', JSON.stringify(events.at(-1)));
    await accepted(word, 2);
  },
};

await play({
  ...Object.entries(kinds).filter(([, kind]) => !kind.durable && !kind.workflow).reduce((all, [name, kind]) => ({ ...all, ...useChats(name, kind) }), {}),
  ...agUi,
  ...tanstacks,
  ...responses,
  ...natives,

  'control: the server refuses a conversation that lost something': async () => {
    const word = fresh('word');
    await pass(word);
    const first = [];
    for await (const { event } of native({ messages: [{ role: 'user', content: word }], enabledTools: true }, { id: fresh('session') })) first.push(event);
    assert.equal(first.at(-1).type, 'complete');
    const id = fresh('session');
    await pass(id);
    const ask = { messages: [{ role: 'user', content: id }], enabledTools: true };
    for await (const _ of native(ask, { id }));
    const { messages } = await kept(id);
    const losses = [
      (it) => it.forEach((message) => (message.tool_calls ?? []).forEach((call) => delete call.providerState)),
      (it) => it.forEach((message) => Array.isArray(message.content) && (message.content = message.content.filter((part) => part.type !== 'reasoning'))),
      (it) => ([it[0].content, it[2].content] = [it[2].content, it[0].content]),
    ];
    for (const lose of losses) {
      const less = structuredClone(messages);
      lose(less);
      assert.notDeepEqual(less, messages);
      const events = [];
      const asked = { messages: [{ role: 'user', content: id }, ...less, { role: 'user', content: 'And now?' }], enabledTools: true };
      for await (const { event } of native(asked, { id: fresh('session') })) events.push(event);
      assert.equal(events.at(-1).type, 'error', lose.toString());
    }
  },
});
