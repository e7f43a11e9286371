// Answers whose server dies, and that another server begins anew: the last state of each client, which has one
// answer, whole, and nothing of the former one. `restarts.rs` has the servers and the course of each question.

import assert from 'node:assert/strict';
import { HttpAgent, runHttpRequest, transformHttpEventStream } from '@ag-ui/client';
import { ChatClient, fetchServerSentEvents } from '@tanstack/ai-client';
import { createDurableChatTransport } from '@durable-streams/aisdk-transport';
import OpenAI from 'openai';
import { answers, kinds, of } from './ai_kinds.mjs';
import { BASE, fresh, play, until } from './bench.mjs';

console.error = () => {}; // @ag-ui/client and the transports write every failure there, too
process.on('unhandledRejection', (error) => {
  if (error?.message !== 'terminated') throw error;
});

/** The text of a client when the first server is killed, and at the end, by the course of the question. */
const COURSES = {
  text: ['Old words', 'The whole answer.'],
  early: ['Old words', 'I look.The whole answer.'],
  late: ['Old look.Old words', 'I look.The whole answer.'],
};

const read = async (path) => (await fetch(`${BASE}/restarts/${path}`)).json();
const plain = (value) => JSON.parse(JSON.stringify(value));

/** Two servers over one store behind a front; `kill` ends the first one. */
async function scene(course) {
  const made = await (await fetch(`${BASE}/restarts/scenes`, { method: 'POST' })).json();
  const [held, whole] = COURSES[course];
  const kill = () => fetch(`${BASE}/restarts/scenes/${made.name}/kill`, { method: 'POST' });
  return { ...made, word: fresh(course), held, whole, kill };
}

const kept = (id) => until(async () => {
  const response = await fetch(`${BASE}/restarts/kept/${id}`);
  return response.ok && response.json();
}, `${id} is kept`);

/** Runs `scenario(at)` for a client of the first server, and for one of the second, which sees the restart live. */
const bothWays = (name, scenario) => ({
  [`${name}, by its own reconnect`]: () => scenario('front'),
  [`${name}, while it reads from the other server`]: () => scenario('second'),
});

// useChat

/** A chat that has asked, and a page that reads the answer from one of the servers, up to the kill. */
async function asked({ make }, path, course, at) {
  const { word, held, whole, kill, ...servers } = await scene(course);
  const first = make({ path, at: servers.front });
  const sent = first.chat.sendMessage({ text: word }, { body: { id: first.id } });
  const reads = (page) => until(() => answers(page).some((it) => of(it, 'text') === held), `${held} in ${JSON.stringify(page.chat.messages)}`);
  await reads(first);
  let page = first;
  let reading = sent;
  if (at === 'second') {
    page = make({ id: first.id, path, at: servers.second, messages: plain(first.chat.messages.slice(0, 1)) });
    reading = page.chat.resumeStream();
    await reads(page);
  }
  await kill();
  await reading;
  // A page resumes where its connection was cut; the answer may not be taken over yet.
  for (let tries = 0; page.chat.status === 'error' && page === first && !page.ended?.() && tries < 50; tries++) {
    if (!/terminated|fetch|network|reset|closed/i.test(page.chat.error.message)) break;
    await page.chat.resumeStream();
  }
  return { page, session: first.sessions[0], held, whole, word };
}

const useChats = (name, kind, path) => Object.assign({}, ...['text', 'early'].map((course) =>
  bothWays(`${name}: ${course}`, async (at) => {
    const { page, session, whole, word } = await asked(kind, path, course, at);
    assert.deepEqual([page.chat.status, page.chat.error], ['ready', undefined]);
    assert.deepEqual(page.chat.messages.map((it) => it.role), ['user', 'assistant']);
    const [answer] = answers(page);
    assert.equal(of(answer, 'text'), whole);
    assert.equal(of(answer, 'reasoning'), course === 'early' ? 'I need the time.' : '');
    const message = await kept(session);
    assert.deepEqual(plain(answer.parts), message.parts);
    assert.equal(await read(`asked/${word}`), course === 'early' ? 3 : 2);
  })));

/** A client that isn't told to begin anew keeps what it had, and sees an error. */
const interrupted = (name, kind, path, course, reason) => bothWays(`${name}: ${course} is interrupted`, async (at) => {
  const { page, held, word } = await asked(kind, path, course, at);
  assert.equal(page.chat.status, 'error');
  assert.match(page.chat.error.message, reason);
  assert.deepEqual(answers(page).map((it) => of(it, 'text')), [held]);
  assert.equal(await read(`asked/${word}`), course === 'late' ? 2 : 1, 'and the model is not asked again');
});

const ai7 = kinds['ai 7, default transport'];
const flow7 = kinds['ai 7, workflow transport'];
const ai6 = kinds['ai 6, default transport'];
/** The transport of Durable Streams with `ai` 7. */
const streams7 = { make: (init) => ai7.make({ ...init, transport: (api, fetchClient) => createDurableChatTransport({ api, fetchClient }) }) };

const chats = {
  ...useChats('ai 7, default transport', ai7, 'ai-7'),
  ...useChats('ai 7, workflow transport', flow7, 'ai-7'),
  ...useChats('ai 7, durable streams', streams7, 'streams-ai-7'),
  ...interrupted('ai 7, default transport', ai7, 'ai-7', 'late', /several/),
  ...interrupted('ai 7 without the option', ai7, 'ai', 'text', /stopped before the answer/),
  ...interrupted('ai 6', ai6, 'ai', 'text', /stopped before the answer/),

  'control: ai 6 fails at the chunk': async () => {
    const { page } = await asked(ai6, 'ai-7', 'text', 'second');
    assert.equal(page.chat.status, 'error');
    assert.doesNotMatch(page.chat.error.message, /stopped before the answer/);
    assert.notEqual(of(answers(page)[0], 'text'), 'The whole answer.');
  },
};

// @ag-ui/client

/** An agent that can join a run. */
class DurableAgent extends HttpAgent {
  connect({ runId }) {
    const url = `${this.url}/${runId}`;
    return transformHttpEventStream(runHttpRequest(() => this.fetch(url, { signal: this.abortController.signal })));
  }
}

function agent(url, messages) {
  const agent = new DurableAgent({ url, threadId: fresh('thread') });
  const seen = { runs: [], failures: [], errors: [] };
  agent.subscribe({
    onEvent: ({ event }) => void (event.type === 'RUN_STARTED' && seen.runs.push(event.runId)),
    onRunFailed: ({ error }) => (seen.failures.push(error.message), { stopPropagation: true }),
    onRunErrorEvent: ({ event }) => void seen.errors.push(event.message),
  });
  agent.messages = plain(messages);
  return { agent, seen };
}

/** A conversation with an answer before the question. */
const conversation = (word, earlier) => [
  { id: 'u1', role: 'user', content: [{ type: 'text', text: 'Earlier?' }] },
  { id: 'a1', role: 'assistant', content: earlier },
  { id: 'u2', role: 'user', content: word },
];

const saidBy = (messages) => messages.filter((it) => it.role === 'assistant').map((it) => it.content ?? '').join('');

async function ran(path, course, at, earlier = 'Yes.') {
  const { word, held, whole, kill, ...servers } = await scene(course);
  const before = conversation(word, earlier);
  const first = agent(`${servers.front}/${path}`, before);
  const running = first.agent.runAgent();
  await until(() => saidBy(first.agent.messages.slice(3)) === held);
  const [runId] = first.seen.runs;
  let page = first;
  let joined;
  if (at === 'second') {
    page = agent(`${servers.second}/${path}`, before);
    joined = page.agent.connectAgent({ runId });
    await until(() => saidBy(page.agent.messages.slice(3)) === held);
  }
  await kill();
  await running;
  assert.equal(first.seen.failures.length, 1, 'the first server died');
  if (at === 'front') first.seen.failures.pop();
  await (joined ?? page.agent.connectAgent({ runId }));
  return { page, before, held, whole, word };
}

const agUi = {
  ...Object.assign({}, ...Object.keys(COURSES).map((course) =>
    bothWays(`@ag-ui/client: ${course}`, async (at) => {
      const { page, before, whole } = await ran('ag-ui-restarts', course, at);
      assert.deepEqual([page.seen.failures, page.seen.errors], [[], []]);
      const { messages } = page.agent;
      assert.deepEqual(plain(messages.slice(0, 3)), before);
      assert.equal(saidBy(messages.slice(3)), whole);
      const roles = messages.slice(3).map((it) => it.role);
      assert.deepEqual(roles, course === 'text' ? ['assistant'] : ['reasoning', 'assistant', 'tool', 'assistant'], JSON.stringify(messages));
    }))),

  ...bothWays('@ag-ui/client: a conversation larger than a record is interrupted', async (at) => {
    const { page, word } = await ran('ag-ui-restarts', 'text', at, 'Yes. '.repeat(60_000));
    assert.equal(page.seen.errors.length, 1);
    assert.match(page.seen.errors[0], /too large/);
    assert.equal(await read(`asked/${word}`), 1);
  }),

  ...bothWays('@ag-ui/client without the option is interrupted', async (at) => {
    const { page, held } = await ran('ag-ui', 'text', at);
    assert.deepEqual(page.seen.errors.length, 1);
    assert.match(page.seen.errors[0], /stopped before the answer/);
    // A client that joins with the beginning of an answer appends to it.
    assert.ok(saidBy(page.agent.messages.slice(3)).startsWith(held));
  }),
};

// TanStack AI

function tanstack(url, init) {
  const seen = { runs: [], errors: [] };
  const client = new ChatClient({
    connection: fetchServerSentEvents(url, { reconnect: { delayMs: 20, maxAttempts: 500 } }),
    onChunk: (chunk) => void (chunk.type === 'RUN_STARTED' && seen.runs.push(chunk.runId)),
    onError: (error) => seen.errors.push(error.message),
    ...init,
  });
  client.attach();
  return { client, seen };
}

const parts = (client) => client.getMessages().slice(3).flatMap((it) => it.parts);
const textOf = (client) => parts(client).filter((part) => part.type === 'text').map((part) => part.content).join('');
const settled = (client) => until(() => !client.getIsLoading());

const tanstacks = Object.assign({}, ...Object.keys(COURSES).map((course) =>
  bothWays(`TanStack AI: ${course}`, async (at) => {
    const { word, held, whole, kill, ...servers } = await scene(course);
    const threadId = fresh('thread');
    const earlier = ['user', 'assistant'].map((role) => ({ id: role, role, parts: [{ type: 'text', content: `Earlier ${role}.` }] }));
    const first = tanstack(`${servers.front}/ag-ui-restarts`, { threadId, initialMessages: plain(earlier) });
    first.client.sendMessage(word);
    await until(() => textOf(first.client) === held, `held in ${JSON.stringify(first.client.getMessages())}`);
    let page = first;
    if (at === 'second') {
      const [runId] = first.seen.runs;
      const initialMessages = plain(first.client.getMessages().slice(0, 3));
      page = tanstack(`${servers.second}/ag-ui-restarts`, { threadId, initialMessages, initialResumeSnapshot: { resumeState: { threadId, runId } } });
      await until(() => textOf(page.client) === held);
    }
    const before = plain(page.client.getMessages().slice(0, 3));
    await kill();
    await settled(page.client);
    assert.deepEqual(page.seen.errors, []);
    assert.equal(textOf(page.client), whole, JSON.stringify(page.client.getMessages()));
    const messages = plain(page.client.getMessages());
    const known = (it) => it.map(({ id, role, parts }) => ({ id, role, parts: parts.map(({ type, content }) => ({ type, content })) }));
    assert.deepEqual(known(messages.slice(0, 3)), known(before));
    const calls = parts(page.client).filter((part) => part.type === 'tool-call');
    assert.deepEqual(calls.map((part) => [part.name, part.state]), course === 'text' ? [] : [['now', 'complete']]);
    const thoughts = parts(page.client).filter((part) => part.type === 'thinking').map((part) => part.content);
    assert.deepEqual(thoughts, course === 'text' ? [] : ['I need the time.']);
    // What it has goes back with the next question.
    await page.client.sendMessage(fresh('next'));
    await settled(page.client);
    assert.deepEqual(page.seen.errors, []);
    assert.equal(textOf(page.client).replace(/next-[-0-9a-f]+/, ''), `${whole}The whole answer.`);
  })));

// OpenAI's SDK

const openai = (server, path = 'v1-restarts') => new OpenAI({ baseURL: `${server}/${path}`, apiKey: 'none', maxRetries: 0 });

/** Reads a stream up to its end or its failure. */
function reading(stream) {
  const seen = { text: '', failure: null, created: 0 };
  stream.on('response.output_text.delta', ({ delta }) => (seen.text += delta));
  stream.on('response.created', ({ response }) => (seen.created++, (seen.id = response.id), (seen.text = '')));
  stream.on('event', (event) => (seen.last = event.sequence_number));
  seen.final = stream.finalResponse().catch((error) => void (seen.failure = error));
  return seen;
}

async function streamed(path, course, at) {
  const { word, held, whole, kill, ...servers } = await scene(course);
  const first = reading(openai(servers.front, path).responses.stream({ model: 'stub', input: word }));
  await until(() => first.text === held);
  let page = first;
  if (at === 'second') {
    page = reading(openai(servers.second, path).responses.stream({ response_id: first.id, stream: true }));
    await until(() => page.text === held);
  }
  await kill();
  await first.final;
  assert.ok(first.failure, 'the first server died');
  if (at === 'front') page = reading(openai(servers.front, path).responses.stream({ response_id: first.id, starting_after: first.last }));
  return { page, final: await page.final, whole, client: openai(servers.second, path), id: first.id };
}

const textIn = (response) => response.output.filter((it) => it.type === 'message').map((it) => it.content[0].text).join('');

const responses = {
  ...Object.assign({}, ...Object.keys(COURSES).map((course) =>
    bothWays(`OpenAI: ${course}`, async (at) => {
      const { page, final, whole, client, id } = await streamed('v1-restarts', course, at);
      assert.equal(page.failure, null);
      assert.equal(page.text, whole);
      const items = course === 'text' ? ['message'] : ['reasoning', 'message', 'mcp_call', 'message'];
      for (const response of [final, await client.responses.retrieve(id)]) {
        assert.equal(response.status, 'completed');
        assert.equal(textIn(response), whole);
        assert.deepEqual(response.output.map((it) => it.type), items);
      }
    }))),

  ...bothWays('OpenAI without the option is interrupted', async (at) => {
    const { client, id } = await streamed('v1', 'text', at);
    const response = await client.responses.retrieve(id);
    assert.equal(response.status, 'failed');
    assert.match(response.error.message, /stopped before the answer/);
    assert.equal(textIn(response), 'Old words');
  }),
};

// The native protocol, by hand

async function* native(server, id, { body, after } = {}) {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/x-ndjson', 'X-Session-Id': id };
  if (after !== undefined) headers['X-Last-LSN'] = String(after);
  const response = await fetch(`${server}/native`, { method: 'POST', headers, body: JSON.stringify(body ?? {}) });
  assert.equal(response.status, 200);
  let rest = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}

const natives = Object.assign({}, ...Object.keys(COURSES).map((course) =>
  bothWays(`native: ${course}`, async (at) => {
    const { word, held, whole, kill, ...servers } = await scene(course);
    const id = fresh('session');
    const page = { text: '', last: 0, kinds: [] };
    const take = ({ lsn, event }) => {
      page.last = lsn;
      page.kinds.push(event.type);
      if (event.type === 'restarted') page.text = '';
      if (event.type === 'text') page.text += event.content;
    };
    const body = { messages: [{ role: 'user', content: word }], enabledTools: true };
    const first = (async () => {
      for await (const line of native(servers.front, id, { body })) if (at === 'front') take(line);
    })().catch(() => {});
    let second;
    if (at === 'second') {
      await until(async () => (await fetch(`${servers.second}/native/${id}?limit=1`, { headers: { accept: 'application/json' } })).ok);
      second = (async () => {
        for await (const line of native(servers.second, id, { after: 0 })) take(line);
      })();
    }
    await until(() => page.text === held);
    await kill();
    await first;
    if (at === 'front') for await (const line of native(servers.front, id, { after: page.last })) take(line);
    await second;
    assert.equal(page.text, whole);
    assert.equal(page.kinds.filter((it) => it === 'restarted').length, 1);
    assert.equal(page.kinds.at(-1), 'complete');
  })));

await play({ ...chats, ...agUi, ...tanstacks, ...responses, ...natives });
