// One session with four kinds of clients: started by `useChat`, read by the SDK of OpenAI, an
// EventSource and a client of Durable Streams, and stopped by the native route.

import assert from 'node:assert/strict';
import { stream } from '@durable-streams/client';
import * as sdk from 'ai';
import { EventSource } from 'eventsource';
import OpenAI from 'openai';
import { BASE, ended, fresh, open, play, until } from './bench.mjs';
import { State } from './state.mjs';

const TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.';
const HELD = 'A cat sat on the ';

class Chat extends sdk.AbstractChat {
  constructor(init) {
    super({ ...init, state: new State([]) });
  }
}

/** Starts an answer, and lets all clients read up to the gate. Each reader has its text and its ending. */
async function four(gate) {
  let id;
  const watched = async (...asked) => {
    const response = await fetch(...asked);
    id = response.headers.get('x-session-id');
    return response;
  };
  const chat = new Chat({ id: fresh('chat'), transport: new sdk.DefaultChatTransport({ api: `${BASE}/ai`, fetch: watched }) });
  const body = { script: { text: TEXT, delayMs: 0 }, gate: { name: gate, at: 5 } };
  const sent = chat.sendMessage({ text: 'Tell me.' }, { body });
  await until(() => id);
  const answer = () => chat.messages.find(({ role }) => role === 'assistant');
  const useChat = {
    text: () => (answer()?.parts ?? []).filter(({ type }) => type === 'text').map(({ text }) => text).join(''),
    ending: async () => (await sent, [chat.status, answer().parts.find(({ type }) => type === 'text').state]),
  };

  const responses = [];
  const retrieved = (async () => {
    const client = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: 'none', maxRetries: 0 });
    for await (const event of await client.responses.retrieve(id, { stream: true })) responses.push(event);
  })();
  const openai = {
    text: () => responses.filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => delta).join(''),
    ending: async () => (await retrieved, [responses.at(-1).type, responses.at(-1).response.status]),
  };

  const events = [];
  const source = new EventSource(`${BASE}/native/${id}`);
  source.onmessage = ({ data }) => events.push(JSON.parse(data));
  const eventSource = {
    text: () => events.filter(({ type }) => type === 'text').map(({ content }) => content).join(''),
    // The client reconnects once after the end, and gets 204.
    ending: async () => (await until(() => source.readyState === EventSource.CLOSED), [events.at(-1).type, events.length]),
  };

  const items = [];
  const read = await stream({ url: `${BASE}/streams/${id}`, live: 'sse', json: true, warnOnHttp: false });
  let closed = false;
  read.subscribeJson((batch) => {
    items.push(...batch.items);
    closed ||= batch.streamClosed === true;
  });
  const durable = {
    text: () => items.filter(({ type }) => type === 'text').map(({ content }) => content).join(''),
    ending: async () => (await read.closed, [items.at(-1).type, closed]),
  };

  const all = { useChat, openai, eventSource, durable };
  await until(() => Object.values(all).every((watcher) => watcher.text() === HELD), 'everybody has what there is');
  return { id, ...all };
}

await play({
  'stopped by the native route: the same text, and each its own kind of ending': async () => {
    const { id, ...all } = await four(fresh('gate'));
    const stopped = await fetch(`${BASE}/native/${id}/abort`, { method: 'POST' });
    assert.equal(stopped.status, 202);
    const log = await ended(id);
    assert.deepEqual([log.last.type, log.text], ['aborted', HELD]);
    assert.deepEqual(await all.useChat.ending(), ['ready', 'done']);
    assert.deepEqual(await all.openai.ending(), ['response.incomplete', 'cancelled']);
    assert.deepEqual(await all.eventSource.ending(), ['aborted', log.events.length]);
    assert.deepEqual(await all.durable.ending(), ['aborted', true]);
    for (const [name, watcher] of Object.entries(all)) assert.equal(watcher.text(), log.text, name);
  },

  'left alone: the same text, and each its own kind of ending': async () => {
    const gate = fresh('gate');
    const { id, ...all } = await four(gate);
    await open(gate);
    const log = await ended(id);
    assert.deepEqual([log.last.type, log.text], ['complete', TEXT]);
    assert.deepEqual(await all.useChat.ending(), ['ready', 'done']);
    assert.deepEqual(await all.openai.ending(), ['response.completed', 'completed']);
    assert.deepEqual(await all.eventSource.ending(), ['complete', log.events.length]);
    assert.deepEqual(await all.durable.ending(), ['complete', true]);
    for (const [name, watcher] of Object.entries(all)) assert.equal(watcher.text(), log.text, name);
  },
});
