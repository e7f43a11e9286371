// @tanstack/ai-client against the dialect of AG-UI.

import assert from 'node:assert/strict';
import { ChatClient, fetchServerSentEvents } from '@tanstack/ai-client';
import { BASE, calls, cutting, ended, fresh, open as pass, play, until } from './bench.mjs';

const TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.';
const THINKING = 'Let me think.';
const script = (more = {}) => ({ script: { text: TEXT, thinking: THINKING, delayMs: 0, ...more } });
/** An answer that pauses in the middle until its gate opens. */
const held = (name, more = {}) => ({ ...script(more), gate: { name, at: 8 } });
const HELD = 'A cat sat on the ';

/** A chat of a page; `seen` is what happened to it. */
function open(asked = {}, { at = BASE, ...options } = {}) {
  const seen = { runs: [], errors: [], chunks: [] };
  const client = new ChatClient({
    connection: fetchServerSentEvents(`${at}/ag-ui`, { reconnect: { delayMs: 1, maxAttempts: 10 } }),
    forwardedProps: asked,
    onChunk: (chunk) => {
      seen.chunks.push(chunk);
      if (chunk.type === 'RUN_STARTED') seen.runs.push(chunk.runId);
    },
    onError: (error) => seen.errors.push(error.message),
    ...options,
  });
  client.attach();
  return { client, seen };
}

/** A client for a given run. */
function join(runId, threadId = fresh('thread')) {
  return open({}, { threadId, initialResumeSnapshot: { resumeState: { threadId, runId } } });
}

const answers = (client) => client.getMessages().filter((message) => message.role === 'assistant');
const said = (client, type) => answers(client).flatMap((message) => message.parts.filter((part) => part.type === type).map((part) => part.content)).join('');
const text = (client) => said(client, 'text');
const idle = (client) => until(() => !client.getIsLoading(), 'the client is done');

async function sameAsTheServer(client, run) {
  const log = await ended(run);
  assert.equal(text(client), log.text);
  assert.equal(said(client, 'thinking'), log.thinking);
  return log;
}

/** The storage of a browser over a reload. */
function storage() {
  const kept = new Map();
  return {
    getItem: (id) => structuredClone(kept.get(id)),
    setItem: (id, value) => void kept.set(id, structuredClone(value)),
    removeItem: (id) => void kept.delete(id),
  };
}

/** An answer that was cut after so many events and bytes, the first `cuts` times, and resumed by the client. */
async function cutAndResumed(after, { more = 0, cuts = 1 } = {}) {
  const proxy = await cutting({ after, more, cuts });
  const tally = fresh('tally');
  const { client, seen } = open(script({ tally }), { at: proxy.url });
  await client.sendMessage('Tell me.');
  assert.equal(proxy.cut, cuts);
  assert.deepEqual(seen.errors, [], `cut after ${after} events and ${more} bytes`);
  const log = await sameAsTheServer(client, seen.runs[0]);
  assert.deepEqual([log.text, log.thinking], [TEXT, THINKING]);
  assert.equal(await calls(tally), 1);
  proxy.close();
  return seen.chunks.map(({ type }) => type);
}

await play({
  'a whole answer': async () => {
    const { client, seen } = open(script());
    await client.sendMessage('Tell me.');
    const log = await sameAsTheServer(client, seen.runs[0]);
    assert.equal(log.last.type, 'complete');
    assert.equal(client.getStatus(), 'ready');
    assert.deepEqual(seen.errors, []);
  },

  'a connection that is cut after any event, and in the middle of any, is resumed': async () => {
    const { client, seen } = open(script());
    await client.sendMessage('Tell me.');
    const whole = seen.chunks.map(({ type }) => type);
    for (let after = 1; after < whole.length; after++) {
      for (const more of [0, 9]) assert.deepEqual(await cutAndResumed(after, { more }), whole);
    }
    // Cut between the last event and the end of the body, so the end comes once more.
    assert.deepEqual(await cutAndResumed(whole.length), [...whole, 'RUN_FINISHED']);
  },

  'a connection that is cut after each event of its own is resumed each time': async () => {
    await cutAndResumed(1, { cuts: 12 });
  },

  'a page that is reloaded in mid-answer goes on': async () => {
    const [gate, tally, threadId, persistence] = [fresh('gate'), fresh('tally'), fresh('thread'), storage()];
    const before = open(held(gate, { tally }), { threadId, persistence });
    before.client.sendMessage('Tell me.');
    await until(() => text(before.client) === HELD);
    before.client.dispose();
    const after = open({}, { threadId, persistence });
    await until(() => text(after.client) === HELD);
    await pass(gate);
    await idle(after.client);
    const log = await sameAsTheServer(after.client, before.seen.runs[0]);
    assert.equal(log.text, TEXT);
    assert.equal(answers(after.client).length, 1);
    assert.equal(await calls(tally), 1);
  },

  'another device that knows the conversation finds what runs in it': async () => {
    const [gate, threadId] = [fresh('gate'), fresh('thread')];
    const first = open(held(gate), { threadId });
    const done = first.client.sendMessage('Tell me.');
    await until(() => text(first.client) === HELD);
    const second = open({}, { threadId, persistence: true });
    await until(() => text(second.client) === HELD);
    await pass(gate);
    await Promise.all([done, idle(second.client)]);
    for (const { client } of [first, second]) await sameAsTheServer(client, first.seen.runs[0]);
    const found = await fetch(`${BASE}/ag-ui?threadId=${threadId}`);
    assert.deepEqual(await found.json(), { messages: [], activeRun: null, interrupts: null });
  },

  'two clients at once, and a stop that both see': async () => {
    const gate = fresh('gate');
    const first = open(held(gate));
    const done = first.client.sendMessage('Tell me.');
    await until(() => text(first.client) === HELD);
    const [run] = first.seen.runs;
    const second = join(run);
    await until(() => text(second.client) === HELD);
    const stopped = await fetch(`${BASE}/ag-ui/${run}/abort`, { method: 'POST' });
    assert.equal(stopped.status, 202);
    await Promise.all([done, idle(second.client)]);
    for (const { client, seen } of [first, second]) {
      const log = await sameAsTheServer(client, run);
      assert.equal(log.last.type, 'aborted');
      assert.equal(seen.chunks.at(-1).outcome.type, 'cancelled');
      assert.deepEqual(seen.errors, []);
      assert.equal(client.getStatus(), 'ready');
    }
  },

  'its own stop closes its connection and nothing else': async () => {
    const gate = fresh('gate');
    const { client, seen } = open(held(gate));
    client.sendMessage('Tell me.');
    await until(() => text(client) === HELD);
    client.stop();
    await pass(gate);
    const log = await ended(seen.runs[0]);
    assert.equal(log.last.type, 'complete');
    assert.equal(text(client), HELD);
  },

  'a run can be joined after its end': async () => {
    const first = open(script());
    await first.client.sendMessage('Tell me.');
    const second = join(first.seen.runs[0]);
    await until(() => second.seen.runs.length);
    await idle(second.client);
    await sameAsTheServer(second.client, first.seen.runs[0]);
    assert.equal(second.client.getStatus(), 'ready');
  },

  'a provider that fails': async () => {
    const { client, seen } = open(script({ fault: { at: 7, kind: 'error' } }));
    await client.sendMessage('Tell me.');
    const log = await sameAsTheServer(client, seen.runs[0]);
    assert.equal(log.last.type, 'error');
    assert.deepEqual(seen.errors, [log.last.message]);
    assert.equal(client.getStatus(), 'error');
  },

  'a run that nobody knows': async () => {
    const { client, seen } = join('run-1764133345123-unknown');
    await idle(client);
    assert.deepEqual([seen.chunks, seen.errors], [[], []]);
    const connection = fetchServerSentEvents(`${BASE}/ag-ui`);
    const joined = connection.joinRun('run-1764133345123-unknown');
    await assert.rejects(joined.next(), /404/);
  },

  'a tool of the client, there and back': async () => {
    const asked = [];
    const map = { __toolSide: 'client', name: 'map', description: 'Shows a map', execute: (input) => (asked.push(input), { shown: true }) };
    const toolCalls = [{ id: 'call_1', name: 'map', arguments: { zoom: 3 } }];
    const { client, seen } = open(script({ toolCalls }), { tools: [map] });
    await client.sendMessage('Where?');
    await until(() => seen.runs.length === 2 && !client.getIsLoading(), 'the second run is over');
    assert.deepEqual(asked, [{ zoom: 3 }]);
    assert.deepEqual(seen.errors, []);
    const [first, second] = [await ended(seen.runs[0]), await ended(seen.runs[1])];
    assert.match(second.text, /^The tool gave \{"shown":true\}/);
    assert.equal(text(client), first.text + second.text);
    const call = answers(client).flatMap((message) => message.parts).find((part) => part.type === 'tool-call');
    assert.deepEqual(call.output, { shown: true });
  },

  'a call that never came is not run, and does not hinder the one beside it': async () => {
    const asked = {
      events: [
        { type: 'tool_input', id: 'never', name: 'map', delta: '{"zo' },
        { type: 'tool_calls', calls: [{ id: 'call_1', name: 'map', arguments: { zoom: 3 } }] },
        { type: 'complete', finishReason: 'tool_calls' },
      ],
    };
    const inputs = [];
    const execute = (input) => {
      delete asked.events; // of the first run only
      inputs.push(input);
      return { shown: true };
    };
    const { client, seen } = open(asked, { tools: [{ __toolSide: 'client', name: 'map', description: 'Shows a map', execute }] });
    await client.sendMessage('Where?');
    await until(() => seen.runs.length === 2 && !client.getIsLoading(), 'the second run is over');
    assert.deepEqual(inputs, [{ zoom: 3 }]);
    assert.deepEqual(seen.errors, []);
    assert.match((await ended(seen.runs[1])).text, /^The tool gave \{"shown":true\}/);
    const parts = answers(client).flatMap((message) => message.parts);
    assert.equal(parts.find((part) => part.type === 'tool-result' && part.toolCallId === 'never').state, 'error');
  },

  'a picture in the result of a tool arrives, and goes back with the next question': async () => {
    const picture = Buffer.from(Uint8Array.from({ length: 10_000 }, (_, at) => at % 256)).toString('base64');
    const events = [
      { type: 'tool_calls', calls: [{ id: 'call_1', name: 'draw', arguments: {} }] },
      { type: 'tool_result', id: 'call_1', name: 'draw', content: [{ type: 'text', text: 'Before.' }, { type: 'media', mediaType: 'image/png', url: `data:image/png;base64,${picture}` }] },
      { type: 'text', content: 'There.' },
    ];
    const { client, seen } = open({ events });
    await client.sendMessage('Draw.');
    assert.deepEqual(seen.errors, []);
    const result = answers(client).flatMap((message) => message.parts).find((part) => part.type === 'tool-result');
    assert.deepEqual(result.content, [{ type: 'text', text: 'Before.' }, { type: 'image', source: { type: 'data', value: picture, mimeType: 'image/png' } }]);
    const word = fresh('word');
    const next = open({}, { at: `${BASE}/history`, initialMessages: client.getMessages() });
    await next.client.sendMessage(word);
    assert.deepEqual(next.seen.errors, []);
    const [request] = await (await fetch(`${BASE}/upstream/about/${word}`)).json();
    const { content } = request.messages.find(({ role }) => role === 'tool');
    assert.deepEqual(content, [{ type: 'text', text: 'Before.' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } }]);
  },

  'somebody is asked while the run goes on': async () => {
    const inputId = fresh('input');
    const asked = [];
    const events = [
      { type: 'text', content: 'One moment. ' },
      { type: 'input_request', inputId, kind: 'approval', message: 'Pay?', callId: 'call_1', toolName: 'pay', params: { sum: 3 } },
      { type: 'text', content: 'Paid.' },
    ];
    const { client, seen } = open({ events }, { onCustomEvent: (name, value) => asked.push({ name, ...value }) });
    const done = client.sendMessage('Pay!');
    await until(() => asked.length);
    assert.deepEqual([asked[0].name, asked[0].message, asked[0].params], ['input_request', 'Pay?', { sum: 3 }]);
    const answered = await fetch(`${BASE}/ag-ui/${seen.runs[0]}/inputs/${inputId}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ action: 'accept' }),
    });
    assert.equal(answered.status, 202);
    await done;
    assert.equal(asked[1].name, 'input_resolved');
    await sameAsTheServer(client, seen.runs[0]);
    assert.equal(text(client), 'One moment. Paid.');
  },
});
