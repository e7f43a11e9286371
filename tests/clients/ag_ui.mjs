// @ag-ui/client against the dialect of AG-UI. Its HttpAgent reads a run and doesn't resume; for that it
// offers `connectAgent`, where the application says how to connect.

import assert from 'node:assert/strict';
import { HttpAgent, runHttpRequest, transformHttpEventStream } from '@ag-ui/client';
import { BASE, calls, cutting, ended, fresh, open as pass, play, until } from './bench.mjs';

const TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.';
const THINKING = 'Let me think.';
const script = (more = {}) => ({ script: { text: TEXT, thinking: THINKING, delayMs: 0, ...more } });
/** An answer that pauses in the middle until its gate opens. */
const held = (name, more = {}) => ({ ...script(more), gate: { name, at: 8 } });
const HELD = 'A cat sat on the ';

console.error = () => {}; // it writes every failure there, too
// The client cancels a read of a closed connection, and leaves the rejection unhandled.
process.on('unhandledRejection', (error) => {
  if (error?.message !== 'terminated') throw error;
});

/** An agent that can join a run that it lost, or that another client started. */
class DurableAgent extends HttpAgent {
  connect({ runId }) {
    const url = `${this.url}/${runId}`;
    return transformHttpEventStream(runHttpRequest(() => this.fetch(url, { signal: this.abortController.signal })));
  }
}

function open({ at = BASE } = {}) {
  const agent = new DurableAgent({ url: `${at}/ag-ui` });
  const seen = { events: [], failures: [] };
  agent.subscribe({
    onEvent: ({ event }) => void seen.events.push(event),
    onRunFailed: ({ error }) => (seen.failures.push(error.message), { stopPropagation: true }),
  });
  return { agent, seen };
}

function start(forwardedProps, options) {
  const { agent, seen } = open(options);
  agent.messages = [{ id: '1', role: 'user', content: 'Tell me.' }];
  return { agent, seen, done: agent.runAgent({ forwardedProps }) };
}

async function join(runId) {
  const { agent, seen } = open();
  await agent.connectAgent({ runId });
  return { agent, seen };
}

const said = (agent, role) => agent.messages.filter((message) => message.role === role).map((message) => message.content ?? '').join('');
const text = (agent) => said(agent, 'assistant');
const run = (seen) => seen.events.find((event) => event.type === 'RUN_STARTED')?.runId;

async function sameAsTheServer(agent, id) {
  const log = await ended(id);
  assert.equal(text(agent), log.text);
  assert.equal(said(agent, 'reasoning'), log.thinking);
  return log;
}

await play({
  'a whole answer': async () => {
    const { agent, seen, done } = start(script());
    const { newMessages } = await done;
    assert.deepEqual(newMessages.map((message) => message.role), ['reasoning', 'assistant']);
    const log = await sameAsTheServer(agent, run(seen));
    assert.equal(log.text, TEXT);
    assert.equal(seen.events.at(-1).type, 'RUN_FINISHED');
    assert.deepEqual(seen.failures, []);
  },

  'a connection that is cut after any event fails, and the run can be joined': async () => {
    const whole = start(script());
    await whole.done;
    for (let after = 1; after <= whole.seen.events.length; after++) {
      const proxy = await cutting({ after, cuts: 1 });
      const tally = fresh('tally');
      const { agent, seen, done } = start(script({ tally }), { at: proxy.url });
      await done;
      assert.equal(proxy.cut, 1);
      assert.equal(seen.events.length, after);
      assert.equal(seen.failures.length, 1, 'a cut is no end');
      // The run is read from its beginning.
      agent.messages = agent.messages.filter((message) => message.role === 'user');
      await agent.connectAgent({ runId: run(seen) });
      const log = await sameAsTheServer(agent, run(seen));
      assert.equal(log.text, TEXT);
      assert.equal(await calls(tally), 1);
      proxy.close();
    }
  },

  'a fresh client joins in mid-answer, and both hear the rest': async () => {
    const [gate, tally] = [fresh('gate'), fresh('tally')];
    const first = start(held(gate, { tally }));
    await until(() => text(first.agent) === HELD);
    const second = open();
    const joined = second.agent.connectAgent({ runId: run(first.seen) });
    await until(() => text(second.agent) === HELD);
    await pass(gate);
    await Promise.all([first.done, joined]);
    for (const { agent } of [first, second]) await sameAsTheServer(agent, run(first.seen));
    assert.equal(await calls(tally), 1);
  },

  'a client that goes away stops nothing': async () => {
    const gate = fresh('gate');
    const { agent, seen, done } = start(held(gate));
    await until(() => text(agent) === HELD);
    agent.abortRun();
    await done;
    await pass(gate);
    const log = await ended(run(seen));
    assert.deepEqual([log.last.type, log.text], ['complete', TEXT]);
  },

  'a stop by somebody else is seen': async () => {
    const { agent, seen, done } = start(held(fresh('gate')));
    await until(() => text(agent) === HELD);
    const stopped = await fetch(`${BASE}/ag-ui/${run(seen)}/abort`, { method: 'POST' });
    assert.equal(stopped.status, 202);
    await done;
    const log = await sameAsTheServer(agent, run(seen));
    assert.equal(log.last.type, 'aborted');
    assert.equal(seen.events.at(-1).outcome.type, 'cancelled');
    assert.deepEqual(seen.failures, []);
  },

  'a run can be joined after its end': async () => {
    const first = start(script());
    await first.done;
    const second = await join(run(first.seen));
    await sameAsTheServer(second.agent, run(first.seen));
  },

  'a provider that fails': async () => {
    const { agent, seen, done } = start(script({ fault: { at: 7, kind: 'error' } }));
    await done;
    const log = await sameAsTheServer(agent, run(seen));
    const last = seen.events.at(-1);
    assert.deepEqual([last.type, last.message, last.code], ['RUN_ERROR', log.last.message, 'provider']);
  },

  'a run that nobody knows': async () => {
    const { seen } = await join('a-run-that-nobody-knows-0001');
    assert.match(seen.failures[0], /HTTP 404.*no session with this id/);
  },

  'what is refused says why': async () => {
    for (const role of ['system', 'developer']) {
      const { agent, seen } = open();
      agent.messages = [{ id: '1', role, content: 'Be rude.' }, { id: '2', role: 'user', content: 'Hi' }];
      await agent.runAgent();
      assert.match(seen.failures[0], new RegExp(`HTTP 422.*\`${role}\`.* are not open`));
    }
  },

  'a tool of the client, there and back': async () => {
    const toolCalls = [{ id: 'call_1', name: 'map', arguments: { zoom: 3 } }];
    const tools = [{ name: 'map', description: 'Shows a map', parameters: { type: 'object' } }];
    const { agent, seen } = open();
    agent.messages = [{ id: '1', role: 'user', content: 'Where?' }];
    await agent.runAgent({ tools, forwardedProps: script({ toolCalls }) });
    assert.deepEqual(agent.messages.at(-1).toolCalls[0].function, { name: 'map', arguments: '{"zoom":3}' });
    assert.deepEqual(seen.events.at(-1).outcome, { type: 'success', pendingToolCallIds: ['call_1'] });
    const first = await sameAsTheServer(agent, run(seen));
    agent.messages.push({ id: 'shown', role: 'tool', toolCallId: 'call_1', content: 'a map' });
    seen.events.length = 0;
    await agent.runAgent({ tools, forwardedProps: script({ toolCalls }) });
    const second = await ended(run(seen));
    assert.match(second.text, /^The tool gave a map/);
    assert.equal(text(agent), first.text + second.text);
    assert.deepEqual(seen.failures, []);
  },

  'a call that never came is not run, and does not hinder the one beside it': async () => {
    const tools = [{ name: 'map', description: 'Shows a map', parameters: { type: 'object' } }];
    const events = [
      { type: 'tool_input', id: 'never', name: 'map', delta: '{"zo' },
      { type: 'tool_calls', calls: [{ id: 'call_1', name: 'map', arguments: { zoom: 3 } }] },
      { type: 'complete', finishReason: 'tool_calls' },
    ];
    const { agent, seen } = open();
    agent.messages = [{ id: '1', role: 'user', content: 'Where?' }];
    await agent.runAgent({ tools, forwardedProps: { events } });
    assert.deepEqual(seen.events.at(-1).outcome.pendingToolCallIds, ['call_1']);
    const told = agent.messages.filter((message) => message.role === 'tool');
    assert.deepEqual(told.map((message) => message.toolCallId), ['never']);
    agent.messages.push({ id: 'shown', role: 'tool', toolCallId: 'call_1', content: 'a map' });
    seen.events.length = 0;
    await agent.runAgent({ tools });
    assert.deepEqual(seen.failures, []);
    assert.match((await ended(run(seen))).text, /^The tool gave a map/);
  },
});
