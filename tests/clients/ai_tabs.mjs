// Tabs of `useChat` beside one another: what each shows of the decision that another one made, and of an
// answer that has ended.

import assert from 'node:assert/strict';
import { BASE, ended, fresh, open, play, until } from './bench.mjs';
import { TEXT, answers, kinds, of, script } from './ai_kinds.mjs';

/** A transport as the documentation of the dialect has it: it listens while a question is open. */
const listening = (sdk) => (api, fetch) =>
  new sdk.DefaultChatTransport({
    api,
    fetch,
    prepareReconnectToStreamRequest: ({ id, requestMetadata }) => ({ api: `${api}/${id}/stream` + (requestMetadata?.asks ? `?asks=${requestMetadata.asks}&wait=25` : '') }),
  });
const asks = (messages) => messages.at(-1)?.parts.filter((it) => it.state === 'approval-requested').map((it) => it.approval.id).join();

const part = (page, id = 'call-1') => answers(page)[0]?.parts.find((it) => it.toolCallId === id);
/** Listens for as long as the page asks, and counts the rounds that it began and that are over. */
const listen = async (page) => {
  page.rounds = { begun: 0, over: 0 };
  for (let asked; page.chat.status === 'ready' && (asked = asks(page.chat.messages)); page.rounds.over++) {
    page.rounds.begun++;
    await page.chat.resumeStream({ metadata: { asks: asked } });
  }
};
/** Returns the rounds of a page that listens, after ten requests: a loop that nothing holds is further by then. */
async function rounds(page) {
  for (let trips = 0; trips < 10; trips++) await (await fetch(`${BASE}/nothing`)).text();
  return page.rounds;
}

function scenarios({ make, sdk, seven }) {
  const path = seven ? 'ai-tabs-7' : 'ai-tabs';
  const automatically = { sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithApprovalResponses };
  const page = (more = {}) => make({ path, transport: listening(sdk), ...automatically, ...more });
  /** A second tab of the page, which was loaded with the question only. */
  const tab = (one, more = {}) => page({ id: one.id, messages: structuredClone(one.chat.messages.slice(0, 1)), ...more });

  /** Two tabs of a chat that asks for an approval. The tool gives its result once the gate is open. */
  async function asking(approved = true, more = {}) {
    const inputId = fresh('input');
    const one = page(more);
    await one.send({
      gate: { name: one.id, at: 3 },
      events: [
        { type: 'tool_calls', calls: [{ id: 'call-1', name: 'pay', arguments: {} }] },
        { type: 'input_request', inputId, kind: 'approval', message: 'Pay?', callId: 'call-1', toolName: 'pay', params: {} },
        ...(approved ? [{ type: 'tool_result', id: 'call-1', name: 'pay', content: 'paid' }] : []),
        { type: 'text', content: 'Done.' },
      ],
    });
    const two = tab(one, more);
    await two.chat.resumeStream();
    for (const it of [one, two]) assert.deepEqual([it.chat.status, part(it).state], ['ready', 'approval-requested']);
    return { one, two, inputId };
  }

  async function whole(...pages) {
    await until(() => pages.every((it) => it.chat.status === 'ready' && of(answers(it)[0], 'text') === 'Done.'), 'all are done');
    for (const it of pages) {
      assert.equal(it.chat.error, undefined);
      assert.equal(it.chat.messages.length, 2);
    }
  }

  return {
    'an approval in one tab is shown in the other': async () => {
      const { one, two, inputId } = await asking();
      const listens = listen(two);
      await until(() => two.chat.status === 'ready');
      const sent = one.chat.addToolApprovalResponse({ id: inputId, approved: true });
      await until(() => two.chat.status === 'streaming', 'it is told');
      if (seven) {
        await until(() => part(two).state === 'approval-responded', 'it shows the response');
        assert.equal(part(two).approval.approved, true);
      } else {
        assert.equal(part(two).state, 'approval-requested', 'this version has no chunk for it');
      }
      await open(one.id);
      await Promise.all([sent, listens]);
      await whole(one, two);
      for (const it of [one, two]) assert.deepEqual([part(it).state, part(it).output], ['output-available', 'paid']);
      assert.equal(new Set([...one.sessions, ...two.sessions]).size, 1);
    },

    'a refusal in one tab is shown in the other': async () => {
      const { one, two, inputId } = await asking(false);
      const listens = listen(two);
      const sent = one.chat.addToolApprovalResponse({ id: inputId, approved: false });
      await open(one.id);
      await Promise.all([sent, listens]);
      await whole(one, two);
      for (const it of [one, two]) assert.deepEqual([part(it).state, part(it).errorText], ['output-error', 'The user said no.']);
      if (seven) assert.equal(part(two).approval.approved, false);
    },

    'a tab that listens may respond itself': async () => {
      const { one, two, inputId } = await asking();
      const listens = [listen(one), listen(two)];
      await two.chat.addToolApprovalResponse({ id: inputId, approved: true });
      await open(one.id);
      await Promise.all(listens);
      await whole(one, two);
      for (const it of [one, two]) assert.deepEqual([part(it).state, part(it).output], ['output-available', 'paid']);
      assert.equal(new Set([...one.sessions, ...two.sessions]).size, 1);
    },

    'a tab that slept hears of the question that is open now': async () => {
      const inputs = [fresh('input'), fresh('input')];
      const one = page();
      const events = inputs.flatMap((inputId, at) => {
        const call = { id: `call-${at + 1}`, name: 'pay' };
        return [
          { type: 'tool_calls', calls: [{ ...call, arguments: {} }] },
          { type: 'input_request', inputId, kind: 'approval', message: 'Pay?', callId: call.id, toolName: 'pay', params: {} },
          { type: 'tool_result', ...call, content: 'paid' },
        ];
      });
      await one.send({ events: [...events, { type: 'text', content: 'Done.' }] });
      const two = tab(one);
      await two.chat.resumeStream();
      await one.chat.addToolApprovalResponse({ id: inputs[0], approved: true });
      await until(() => one.chat.status === 'ready' && part(one, 'call-2')?.state === 'approval-requested', 'the next one is asked');
      assert.equal(part(two).state, 'approval-requested', 'it sleeps');
      const listens = listen(two);
      await until(() => part(two, 'call-2')?.state === 'approval-requested', 'it wakes up');
      assert.equal(part(two).state, 'output-available');
      await until(() => two.rounds.begun === 2);
      assert.deepEqual(await rounds(two), { begun: 2, over: 1 }, 'it waits for this one');
      await one.chat.addToolApprovalResponse({ id: inputs[1], approved: true });
      await listens;
      await whole(one, two);
      assert.deepEqual(two.rounds, { begun: 2, over: 2 });
    },

    'a refusal beside an open approval is one round until its outcome': async () => {
      const inputs = [fresh('input'), fresh('input')];
      const calls = inputs.map((_, at) => ({ id: `call-${at + 1}`, name: 'pay' }));
      const ask = (inputId, at) => ({ type: 'input_request', inputId, kind: 'approval', message: 'Pay?', callId: calls[at].id, toolName: 'pay', params: {}, unanswered: true });
      const answered = (inputId, at) => ({ type: 'answered', inputId, callId: calls[at].id });
      const one = page();
      await one.send({
        gate: { name: one.id, at: 4 }, // after the refusal
        events: [
          { type: 'tool_calls', calls: calls.map((call) => ({ ...call, arguments: {} })) },
          ...inputs.map(ask),
          answered(inputs[0], 0),
          answered(inputs[1], 1),
          { type: 'tool_result', ...calls[1], content: 'paid' },
          { type: 'text', content: 'Done.' },
        ],
      });
      const listens = listen(one);
      const decide = async (inputId, action) => {
        const body = JSON.stringify({ action });
        const told = await fetch(`${BASE}/${path}/${one.id}/inputs/${inputId}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
        assert.equal(told.status, 202);
      };
      await decide(inputs[0], 'decline');
      await until(() => one.chat.status === 'streaming', 'it is told');
      assert.deepEqual(await rounds(one), { begun: 1, over: 0 });
      await open(one.id);
      await until(() => part(one).state === 'output-error');
      await until(() => one.rounds.begun === 2);
      assert.deepEqual(await rounds(one), { begun: 2, over: 1 });
      await decide(inputs[1], 'accept');
      await listens;
      await whole(one);
      assert.equal(part(one, 'call-2').state, 'output-available');
    },

    'a tab that listens after the end asks once in each wait': async () => {
      const { one, two, inputId } = await asking(true, { path: 'ai' }); // gets no answers that have ended
      await open(one.id);
      await one.chat.addToolApprovalResponse({ id: inputId, approved: true });
      await whole(one);
      await ended(one.sessions[0]);
      listen(two);
      assert.deepEqual(await rounds(two), { begun: 1, over: 0 });
      assert.deepEqual([two.chat.status, part(two).state], ['ready', 'approval-requested']);
    },

    'a tab whose question was stopped asks once in each wait': async () => {
      const { one, two } = await asking();
      listen(two);
      const stopped = await fetch(`${BASE}/${path}/${one.id}/stop`, { method: 'POST' });
      assert.equal(stopped.status, 202);
      await ended(one.sessions[0]);
      const { begun, over } = await rounds(two);
      assert.ok(over <= 1 && begun <= 2, `${begun} rounds`); // the end, and the wait after it
      await until(() => two.chat.status === 'ready');
      assert.equal(part(two).state, 'approval-requested');
    },

    'the decision is shown after the end, without listening': async () => {
      const { one, two, inputId } = await asking();
      await open(one.id);
      await one.chat.addToolApprovalResponse({ id: inputId, approved: true });
      await whole(one);
      await ended(one.sessions[0]);
      assert.equal(part(two).state, 'approval-requested');
      await two.chat.resumeStream(); // as on a focus of its window
      await whole(two);
      assert.equal(part(two).state, 'output-available');
    },

    'a tab that responds otherwise after the end is told what was decided': async () => {
      const { one, two, inputId } = await asking();
      await open(one.id);
      await one.chat.addToolApprovalResponse({ id: inputId, approved: true });
      await whole(one);
      await ended(one.sessions[0]);
      await two.chat.addToolApprovalResponse({ id: inputId, approved: false });
      await until(() => two.chat.status === 'error', 'it is told');
      assert.match(two.chat.error.message, /comes too late.*it was accepted/);
      await two.chat.resumeStream();
      await whole(two);
      assert.deepEqual([part(two).state, part(two).output], ['output-available', 'paid'], 'not denied');
    },

    'a new message while a question is open cancels it': async () => {
      const { one, two } = await asking(false);
      await open(one.id);
      await two.chat.sendMessage({ text: 'Never mind.' }, { body: { script: script({ delayMs: 0 }) } });
      assert.equal(two.chat.status, 'ready', two.chat.error);
      assert.equal(of(answers(two)[1], 'text'), TEXT);
      const { events, last } = await ended(one.sessions[0]);
      assert.equal(events.find((event) => event.type === 'input_resolved').action, 'cancel');
      assert.equal(last.type, 'complete');
      assert.notEqual(two.sessions.at(-1), one.sessions[0]);
    },

    'an approved call that is stopped is not sent again and again': async () => {
      const { one, inputId } = await asking();
      const sent = one.chat.addToolApprovalResponse({ id: inputId, approved: true });
      await until(() => one.sessions.length === 2);
      const stopped = await fetch(`${BASE}/${path}/${one.id}/stop`, { method: 'POST' });
      assert.equal(stopped.status, 202);
      await sent;
      await until(() => part(one).state === 'output-error', 'the call is over');
      await until(() => one.chat.status === 'ready');
      assert.equal(automatically.sendAutomaticallyWhen({ messages: one.chat.messages }), false);
      assert.equal(one.sessions.length, 2);
    },

    'the output of a client tool that one tab gave is shown in the other': async () => {
      const withTools = { sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithToolCalls };
      const one = page(withTools);
      await one.send({ script: script({ delayMs: 0, toolCalls: [{ id: 'call-1', name: 'localTime', arguments: {} }] }) });
      const two = page({ ...withTools, id: one.id, messages: structuredClone(one.chat.messages.slice(0, 1)) });
      await two.chat.resumeStream(); // at the end that handed over
      for (const it of [one, two]) assert.deepEqual([it.chat.status, part(it).state], ['ready', 'input-available']);
      const gate = { name: one.id, at: 2 };
      const sent = one.chat.addToolOutput({ tool: 'localTime', toolCallId: 'call-1', output: 'noon', options: { body: { gate } } });
      await until(() => one.sessions.length === 2);
      const resumed = two.chat.resumeStream(); // while the answer goes on
      await until(() => part(two).state === 'output-available', 'it shows the output');
      await open(one.id);
      await Promise.all([sent, resumed]);
      await until(() => one.chat.status === 'ready');
      const three = page({ ...withTools, id: one.id, messages: structuredClone(one.chat.messages.slice(0, 1)) });
      await ended(one.sessions[1]);
      await three.chat.resumeStream(); // after the end
      for (const it of [one, two, three]) {
        assert.deepEqual([it.chat.status, part(it).state, part(it).output], ['ready', 'output-available', 'noon']);
        assert.equal(it.chat.messages.length, 2);
        assert.equal(of(answers(it)[0], 'text'), of(answers(one)[0], 'text'));
      }
    },

    'a resume after the end replaces the message that the page has': async () => {
      const one = page();
      await one.send({ script: script({ delayMs: 0 }) });
      await ended(one.sessions[0]);
      const before = structuredClone(one.chat.messages);
      const partial = structuredClone(before);
      const text = partial[1].parts.find((it) => it.type === 'text');
      text.text = text.text.slice(0, 5);
      // The tab itself, one that was reloaded in the middle, one with the question only.
      const reloaded = page({ id: one.id, messages: partial });
      const fromStart = tab(one);
      for (const it of [one, reloaded, fromStart]) {
        await it.chat.resumeStream();
        assert.equal(it.chat.status, 'ready', it.chat.error);
        assert.deepEqual(it.chat.messages, before);
        assert.equal(of(answers(it)[0], 'text'), TEXT);
      }
      // A page that stored it under an id of its own has it twice.
      const renamed = structuredClone(before);
      renamed[1].id = 'of-the-database';
      const other = page({ id: one.id, messages: renamed });
      await other.chat.resumeStream();
      assert.equal(answers(other).length, 2);
      const nothing = page();
      await nothing.chat.resumeStream();
      assert.deepEqual([nothing.chat.status, nothing.chat.messages], ['ready', []]);
    },
  };
}

const tried = Object.entries(kinds).filter(([, kind]) => !kind.workflow && !kind.durable);
const all = tried.flatMap(([name, kind]) => Object.entries(scenarios({ ...kind, seven: name.startsWith('ai 7') })).map(([scenario, run]) => [`${name}: ${scenario}`, run]));
await play(Object.fromEntries(all));
