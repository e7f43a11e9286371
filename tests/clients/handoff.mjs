// A client of the native dialect as one writes it by hand, with tools of its own: it reads NDJSON, runs
// the calls of a handoff, and continues with a follow-up. Field by field as in the protocol.

import assert from 'node:assert/strict';
import { BASE, fresh, play } from './bench.mjs';

const API = `${BASE}/tools`;
const TERMINAL = ['complete', 'aborted', 'error'];

/** The declarations of the client's tools. */
const isomorphicTools = [
  { name: 'place', description: 'Where the user is.', parameters: { type: 'object', properties: { exact: { type: 'boolean' } } }, authority: 'client' },
];

class Client {
  /** `tools` are functions by name; `cutAfter` cuts each connection after so many events. */
  constructor(tools, { cutAfter = Infinity } = {}) {
    Object.assign(this, { tools, cutAfter, connections: 0, sessions: [], requests: [] });
  }

  /** Starts an answer, and continues until one ends without a handoff. Returns its events. */
  async ask(request, id = fresh('handoff')) {
    request = { chatId: fresh('chat-of-a-handoff'), ...request }; // the log of the chat confirms the calls
    for (;;) {
      const events = await this.session(id, request);
      this.sessions.push({ id, events });
      this.requests.push(request);
      const last = events.at(-1);
      if (last.type !== 'complete' || last.finishReason !== 'tool_calls') return events;
      request = await this.followUp(request, events);
      id = fresh('handoff');
    }
  }

  /** Reads one session to its end, with resumes. */
  async session(id, request) {
    const events = [];
    let last = 0;
    for (let first = true; ; first = false) {
      const headers = { 'Content-Type': 'application/json', Accept: 'application/x-ndjson', 'X-Session-Id': id };
      if (!first) headers['X-Last-LSN'] = String(last);
      this.connections++;
      const response = await fetch(API, { method: 'POST', headers, body: JSON.stringify(first ? request : {}) });
      if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
      assert.equal(response.headers.get('x-session-id'), id);
      let left = this.cutAfter;
      for await (const { lsn, event } of lines(response.body)) {
        assert.equal(lsn, ++last, 'no gap, no duplicate');
        events.push(event);
        if (TERMINAL.includes(event.type)) return events;
        if (--left === 0) break; // which closes the connection
      }
    }
  }

  /** Runs the calls of a handoff, and sends their results. */
  async followUp(request, events) {
    const { conversationState } = events.find((event) => event.type === 'conversation_state');
    const handoffs = events.filter((event) => event.type === 'isomorphic_handoff');
    const outputs = handoffs.map(async ({ callId, toolName, params, serverOutput, usesHandoff }) => ({
      callId,
      toolName,
      params,
      clientOutput: await this.tools[toolName](params, serverOutput),
      cachedHandoff: serverOutput,
      usesHandoff,
    }));
    const { messages, assistantContent, toolCalls, serverToolResults } = conversationState;
    return {
      ...request,
      messages: [
        ...(messages ?? request.messages),
        { role: 'assistant', content: assistantContent, tool_calls: toolCalls },
        ...serverToolResults.map(({ id, content }) => ({ role: 'tool', tool_call_id: id, content })),
      ],
      isomorphicClientOutputs: await Promise.all(outputs),
    };
  }
}

async function* lines(body) {
  let rest = '';
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + piece).split('\n');
    rest = whole.pop();
    for (const line of whole) if (line) yield JSON.parse(line); // an empty one is a heartbeat
  }
  assert.fail('a body that ends without a terminal event fails');
}

const asking = (toolCalls, more = {}) => ({
  messages: [{ role: 'user', content: 'Go' }],
  enabledTools: true,
  isomorphicTools,
  script: { text: 'Let me see.', delayMs: 0, toolCalls, then: [{ results: true }], ...more },
});
const text = (events) => events.filter((event) => event.type === 'text').map((event) => event.content).join('');
const kinds = (events) => events.map((event) => event.type).filter((type) => type !== 'text');
const of = (events, type) => events.filter((event) => event.type === type);

/** The number of calls of the model. */
async function calls(tally) {
  const events = await new Client({}).ask({ messages: [{ role: 'user', content: 'How often?' }], script: { tell: tally } });
  return JSON.parse(text(events)).calls;
}

await play({
  'a tool of the client takes two requests': async () => {
    const client = new Client({ place: (params) => ({ city: 'Oslo', params }) });
    const call = { id: 'call_7', name: 'place', arguments: { exact: true } };
    const second = await client.ask(asking([call]));
    const [first] = client.sessions;
    assert.deepEqual(kinds(first.events), ['session_info', 'tool_calls', 'turn', 'isomorphic_handoff', 'conversation_state', 'complete']);
    const [calls, turn, handoff, state, complete] = first.events.slice(-5);
    assert.deepEqual(calls, { type: 'tool_calls', calls: [call], notRun: ['call_7'] });
    assert.equal(turn.finishReason, 'tool_calls');
    assert.deepEqual(handoff, { type: 'isomorphic_handoff', callId: 'call_7', toolName: 'place', params: { exact: true }, serverOutput: null, authority: 'client', usesHandoff: false });
    assert.deepEqual(state, {
      type: 'conversation_state',
      conversationState: { messages: [{ role: 'user', content: 'Go' }], assistantContent: 'Let me see.', toolCalls: [call], serverToolResults: [] },
    });
    assert.deepEqual(Object.keys(complete).sort(), ['finishReason', 'type', 'usage']);
    assert.equal(complete.finishReason, 'tool_calls');

    assert.deepEqual(kinds(second), ['session_info', 'tool_result', 'complete']);
    const content = JSON.stringify({ city: 'Oslo', params: { exact: true } });
    assert.deepEqual(second[1], { type: 'tool_result', id: 'call_7', name: 'place', content });
    assert.equal(text(second), content);
    assert.equal(second.at(-1).finishReason, 'stop');
  },

  'a tool of two halves has the client between': async () => {
    const flight = fresh('flight');
    const client = new Client({ seat: (_, offered) => offered.free[1] });
    const events = await client.ask(asking([{ id: 'call_1', name: 'seat', arguments: { flight } }]));
    const [handoff] = of(client.sessions[0].events, 'isomorphic_handoff');
    const serverOutput = { flight, free: ['1A', '2C'], times: 1 };
    assert.deepEqual(handoff, { type: 'isomorphic_handoff', callId: 'call_1', toolName: 'seat', params: { flight }, serverOutput, authority: 'server', usesHandoff: true });
    const [, { isomorphicClientOutputs }] = client.requests;
    assert.deepEqual(isomorphicClientOutputs, [{ callId: 'call_1', toolName: 'seat', params: { flight }, clientOutput: '2C', cachedHandoff: serverOutput, usesHandoff: true }]);
    assert.deepEqual(of(events, 'tool_result').map(({ id, name, content }) => [id, name, JSON.parse(content)]), [['call_1', 'seat', { booked: '2C', times: 1 }]]);
  },

  'what the client gives for a half may be refused': async () => {
    const client = new Client({ seat: () => '99Z' });
    const events = await client.ask(asking([{ id: 'call_1', name: 'seat', arguments: { flight: fresh('flight') } }]));
    assert.deepEqual(of(events, 'tool_error'), [{ type: 'tool_error', id: 'call_1', name: 'seat', message: 'there is no such seat' }]);
    assert.equal(text(events), 'Error: there is no such seat');
  },

  'tools of both sides in one turn': async () => {
    const [key, flight] = [fresh('key'), fresh('flight')];
    const client = new Client({ place: () => 'Oslo', seat: () => '1A' });
    const toolCalls = [
      { id: 'a', name: 'place', arguments: {} },
      { id: 'b', name: 'lookup', arguments: { key } },
      { id: 'c', name: 'seat', arguments: { flight } },
      { id: 'd', name: 'lookup', arguments: { key: 7 } },
    ];
    const events = await client.ask(asking(toolCalls));
    const { events: first } = client.sessions[0];
    const [{ conversationState }] = of(first, 'conversation_state');
    const looked = JSON.stringify({ key, times: 1 });
    const [{ message }] = of(first, 'tool_error');
    assert.match(message, /\/key/);
    assert.deepEqual(conversationState.toolCalls, toolCalls);
    assert.deepEqual(conversationState.serverToolResults, [
      { id: 'b', name: 'lookup', content: looked },
      { id: 'd', name: 'lookup', content: `Error: ${message}` },
    ]);
    // Each call has its one outcome, in one of the two sessions.
    const outcomes = [...first, ...events].filter(({ type }) => ['tool_result', 'tool_error'].includes(type));
    assert.deepEqual(outcomes.map(({ id }) => id).sort(), ['a', 'b', 'c', 'd']);
    const booked = JSON.stringify({ booked: '1A', times: 1 });
    assert.equal(text(events), `${looked} Error: ${message} Oslo ${booked}`);
  },

  'one handoff after the other': async () => {
    const client = new Client({ place: ({ exact }) => (exact ? 'Karl Johans gate' : 'Oslo') });
    const call = (id, exact) => [{ id, name: 'place', arguments: { exact } }];
    const then = [{ text: 'More.', toolCalls: call('two', true) }, { results: true }];
    const events = await client.ask(asking(call('one', false), { then }));
    assert.equal(client.sessions.length, 3);
    assert.equal(text(events), 'Karl Johans gate');
    const roles = client.requests[2].messages.map(({ role }) => role);
    assert.deepEqual(roles, ['user', 'assistant', 'tool', 'assistant'], 'the state has the whole conversation');
    assert.deepEqual(client.requests[2].isomorphicClientOutputs.map(({ callId }) => callId), ['two']);
  },

  'connections that are cut after any event lose nothing and run nothing twice': async () => {
    for (const cutAfter of [1, 2, 3, 5]) {
      const [key, flight, tally] = [fresh('key'), fresh('flight'), fresh('tally')];
      const client = new Client({ seat: (_, { free }) => free[0] }, { cutAfter });
      const toolCalls = [{ id: 'a', name: 'lookup', arguments: { key } }, { id: 'b', name: 'seat', arguments: { flight } }];
      const events = await client.ask(asking(toolCalls, { tally, text: 'Let me see what there is.' }));
      const results = [...client.sessions[0].events, ...events].filter(({ type }) => type === 'tool_result');
      assert.deepEqual(results.map(({ content }) => JSON.parse(content).times), [1, 1]);
      assert.ok(client.connections > 2, 'control: it was cut');
      assert.equal(await calls(tally), 2, 'the model was asked once for each half');
    }
  },

  'a follow-up whose answer was lost is repeated as the same session': async () => {
    const flight = fresh('flight');
    const client = new Client({ seat: () => '2C' });
    await client.ask(asking([{ id: 'a', name: 'seat', arguments: { flight } }]));
    const [{ id, events }, request] = [client.sessions[1], client.requests[1]];
    const again = await client.session(id, request);
    assert.deepEqual(again, events);
    assert.equal(JSON.parse(of(again, 'tool_result')[0].content).times, 1, 'the second half ran once');
    const other = { ...request, isomorphicClientOutputs: [{ ...request.isomorphicClientOutputs[0], clientOutput: '1A' }] };
    await assert.rejects(client.session(id, other), /409.*id-in-use/);
  },

  'an answer that was handed over is complete, and read again like any other': async () => {
    const client = new Client({ place: () => 'Oslo' });
    await client.ask(asking([{ id: 'a', name: 'place', arguments: {} }]));
    const [{ id, events }] = client.sessions;
    const page = await (await fetch(`${API}/${id}?limit=100`, { headers: { Accept: 'application/json' } })).json();
    assert.equal(page.status, 'complete');
    assert.deepEqual(page.events.map(({ event }) => event), events);
    const headers = { 'X-Session-Id': id, 'X-Last-LSN': String(events.length), 'Content-Type': 'application/json' };
    assert.equal((await fetch(API, { method: 'POST', headers, body: '{}' })).status, 204);
  },
});
