// What the reducer of @ag-ui/client makes of generated answers: live, resumed after every event, joined, and
// compacted by the client's own `compactEvents`.

import assert from 'node:assert/strict';
import { compactEvents, HttpAgent } from '@ag-ui/client';
import { BASE, ended, fresh, open as pass, play, transcript, until } from './bench.mjs';
import { generated, handed, random } from './generated.mjs';

const SEEDS = 12;
const QUESTION = { id: '1', role: 'user', content: 'Tell me.' };
const tools = [{ name: 'map', description: 'Shows a map', parameters: { type: 'object' } }];

const plain = (value) => JSON.parse(JSON.stringify(value));

/** The messages and the custom events of an agent, and what its run told at the end. */
function watched(agent) {
  const seen = { custom: [], failures: [] };
  agent.messages = [QUESTION];
  agent.subscribe({
    onCustomEvent: ({ event }) => void seen.custom.push([event.name, event.value]),
    onRunFinishedEvent: ({ event }) => void (seen.end = event),
    onRunFailed: ({ error }) => (seen.failures.push(error.message), { stopPropagation: true }),
  });
  return () => plain({ messages: agent.messages, ...seen });
}

/** What the client folds the events into: its checks, and its reducer. */
async function folded(events) {
  const body = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
  const agent = new HttpAgent({ url: BASE, fetch: async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }) });
  const result = watched(agent);
  await agent.runAgent();
  return result();
}

/** The frames of a stream of server-sent events: ids and events. */
async function frames(response, into = []) {
  let rest = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const all = (rest + text).split('\n\n');
    rest = all.pop();
    for (const frame of all) {
      const field = (name) => frame.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (field('data')) into.push({ id: field('id'), event: JSON.parse(field('data')) });
    }
  }
  assert.equal(rest, '');
  return into;
}

/** An agent that starts a run, and the frames that it reads. */
function start(forwardedProps) {
  const seen = [];
  const read = async (...asked) => {
    const response = await fetch(...asked);
    const [one, other] = response.body.tee();
    void frames({ body: other }, seen);
    return new Response(one, response);
  };
  const agent = new HttpAgent({ url: `${BASE}/ag-ui`, fetch: read });
  const result = watched(agent);
  const done = agent.runAgent({ tools, forwardedProps });
  return { seen, result, done };
}

const resume = async (run, id) => {
  const response = await fetch(`${BASE}/ag-ui/${run}`, { headers: id ? { 'Last-Event-ID': id } : {} });
  assert.equal(response.status, 200);
  return response;
};

/** With messages and calls by their ids: `compactEvents` moves what comes while a call is open, as one that never becomes whole. */
function sorted({ messages, custom, ...others }) {
  const byId = (list) => list.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const withCalls = messages.map((message) => ({ ...message, ...(message.toolCalls && { toolCalls: byId(message.toolCalls) }) }));
  return { messages: byId(withCalls), custom: custom.map((event) => JSON.stringify(event)).sort(), ...others };
}

/** The content of a result as the protocol has it. */
function given(content) {
  if (!Array.isArray(content)) return content;
  const picture = ({ url, mediaType, name }) => ({ type: 'image', source: { type: 'data', value: url.split(',')[1], mimeType: mediaType }, metadata: { filename: name } });
  return content.map((part) => (part.type === 'media' ? picture(part) : part));
}

/** Checks that the client has what the log has. */
function sameAsTheLog({ messages, custom, end }, log) {
  const of = (type) => log.events.filter((event) => event.type === type);
  const said = (role) => messages.filter((message) => message.role === role).map((message) => message.content ?? '').join('');
  assert.equal(said('assistant'), log.text);
  assert.equal(said('reasoning'), log.thinking);
  const calls = messages.flatMap((message) => message.toolCalls ?? []);
  const whole = new Map(of('tool_calls').flatMap((event) => event.calls).map((call) => [call.id, call.arguments]));
  const told = calls.filter((call) => whole.has(call.id)).map((call) => [call.id, JSON.parse(call.function.arguments)]);
  assert.deepEqual(new Map(told), whole);
  const isCut = (message) => message.role === 'tool' && message.metadata?.unbroken?.incomplete;
  const never = calls.filter((call) => !whole.has(call.id)).map((call) => call.id);
  assert.deepEqual(messages.filter(isCut).map((message) => message.toolCallId).sort(), never.sort());
  const outcomes = log.events.filter((event) => ['tool_result', 'tool_error'].includes(event.type));
  assert.deepEqual(messages.filter((message) => message.role === 'tool' && !isCut(message)).map((message) => [message.toolCallId, message.content]), outcomes.map((event) => [event.id, given(event.content) ?? event.message]));
  const fields = ({ type, ...fields }) => fields;
  for (const type of ['source', 'media']) assert.deepEqual(custom.filter(([name]) => name === type).map(([, value]) => value), of(type).map(fields));
  assert.deepEqual(custom.filter(([name]) => ['mood', 'progress'].includes(name)).map(([name, value]) => [name, value]), of('custom').map((event) => [event.name, event.data]));
  const states = [...of('tool_calls').flatMap((event) => event.calls).filter((call) => call.providerState).map((call) => call.id), ...of('provider_state').map((event) => event.of)];
  const withState = calls.filter((call) => call.encryptedValue).map((call) => call.id);
  assert.deepEqual(withState.sort(), [...new Set(states.filter((of) => of !== 'turn'))].sort());
  const turns = of('provider_state').filter((event) => event.of === 'turn').length;
  assert.equal(messages.filter((message) => message.encryptedValue).length, turns);
  assert.deepEqual(end.outcome, { type: 'success', pendingToolCallIds: ['handed'] });
  const tokens = (name) => of('turn').reduce((sum, turn) => sum + (turn.usage?.[name] ?? 0), 0);
  const [input, output] = [tokens('inputTokens'), tokens('outputTokens')];
  assert.deepEqual(end.usage, [{ inputTokens: input, outputTokens: output, totalTokens: input + output, model: 'm-last' }]);
}

await play({
  'generated answers: folded live, resumed after every event, joined and compacted they are the same messages': async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const events = [...generated(random(seed)), ...handed()];
      const of_seed = `seed ${seed}: ${JSON.stringify(events)}`;
      const gate = fresh('gate');
      const { seen, result, done } = start({ events, gate: { name: gate, at: events.length - 1 } });
      const run = (await until(() => seen[0])).event.runId;
      // The log up to the gate: `session_info`, and all events but the last.
      await until(async () => (await transcript(run)).events.length === events.length);
      await until(() => seen.some(({ event }) => event.type === 'TOOL_CALL_END' && event.toolCallId === 'handed'));
      const had = seen.slice();
      assert.ok(had.length > 5, 'nearly all has come');
      const resumed = await Promise.all([undefined, ...had.map(({ id }) => id)].map((id) => resume(run, id)));
      await pass(gate);
      await done;
      await until(() => seen.at(-1).event.type === 'RUN_FINISHED');
      const live = result();
      assert.deepEqual(live.failures, [], of_seed);
      for (const [at, response] of resumed.entries()) assert.deepEqual(await frames(response), seen.slice(at), `after ${at}, live, ${of_seed}`);

      sameAsTheLog(live, await ended(run));
      const all = seen.map(({ event }) => event);
      assert.deepEqual(await folded(all), live, of_seed);
      const compact = compactEvents(all);
      assert.ok(compact.length <= all.length);
      assert.deepEqual(sorted(await folded(compact)), sorted(live), of_seed);
      const joined = new HttpAgent({ url: `${BASE}/ag-ui`, fetch: () => resume(run) });
      const ofJoined = watched(joined);
      await joined.runAgent();
      assert.deepEqual(ofJoined(), live, of_seed);
      const rests = await Promise.all(seen.map(async ({ id }) => frames(await resume(run, id))));
      for (const [at, rest] of rests.entries()) {
        // A client that has the end gets it once more, without an id.
        const expected = at + 1 < seen.length ? seen.slice(at + 1) : [{ id: undefined, event: seen[at].event }];
        assert.deepEqual(rest, expected, `after ${at}, ${of_seed}`);
        if (at + 1 === seen.length || seed > 3) continue;
        const together = [...seen.slice(0, at + 1), ...rest].map(({ event }) => event);
        assert.deepEqual(await folded(together), live, `after ${at}, ${of_seed}`);
      }
    }
  },
});
