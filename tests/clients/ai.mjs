// The AI SDK, 7 and 6, over both its transports, and over the one of Durable Streams: `useChat` without
// React.

import assert from 'node:assert/strict';
import { BASE, cutting, ended, fresh, open, play, transcript, until } from './bench.mjs';
import { TEXT, THINKING, answers, kinds, of, script } from './ai_kinds.mjs';
import { generated, random } from './generated.mjs';

const TOKENS = (THINKING + ' ' + TEXT).split(/(?<=\s)/).length;
/** An answer that pauses in the middle at the gate of this name. */
const held = (name, at = Math.ceil(TOKENS / 2)) => ({ script: script(), gate: { name, at } });

/** Checks that the page has exactly the server's answer. */
function whole(made, server) {
  assert.equal(answers(made).length, 1, 'one answer');
  const [answer] = answers(made);
  assert.equal(of(answer, 'text'), server.text);
  assert.equal(of(answer, 'reasoning'), server.thinking);
  assert.equal(new Set(made.chat.messages.map((message) => message.id)).size, made.chat.messages.length, 'ids differ');
  for (const part of answer.parts) if ('state' in part && part.type !== 'dynamic-tool' && !part.type.startsWith('tool-')) assert.equal(part.state, 'done', `${part.type} is closed`);
}

// The client of Durable Streams rejects a promise that its transport does not handle.
process.on('unhandledRejection', (error) => console.error(error));

/**
 * Over Durable Streams several chunks may come as one event, if the machine is busy: how many events
 * there are before the cut is counted on the way. There is always one for the position.
 */
async function cutAndReconnected(make) {
  const each = async (after) => {
    const proxy = await cutting({ after, cuts: 1 });
    const made = make({ at: proxy.url });
    const sent = made.send({ script: script({ delayMs: 10 }), gate: { name: made.id, at: TOKENS - 1 } });
    const held = TEXT.slice(0, TEXT.lastIndexOf(' ') + 1);
    await until(() => proxy.cut || (answers(made).length && of(answers(made)[0], 'text') === held));
    const { cut } = proxy;
    proxy.cut = 1; // from here on no more
    if (cut) {
      await sent;
      assert.equal(made.chat.status, 'error', `a cut after ${after} is no end`);
      const resumed = made.chat.resumeStream();
      await until(() => made.sessions.length === 2, 'it is back');
      await open(made.id);
      await resumed;
    } else {
      await open(made.id);
      await sent;
    }
    whole(made, await ended(made.sessions[0]));
    proxy.close();
    return cut;
  };
  let cut = 0;
  for (let at = 1; at < TOKENS; at += 6) {
    const cuts = await Promise.all(Array.from({ length: 6 }, (_, more) => each(at + more)));
    cut += cuts.filter(Boolean).length;
  }
  assert.ok(cut >= 1, `${cut} were cut`);
}

const said = (made) => answers(made).some((answer) => of(answer, 'text').length > 0);
const stop = (id) => fetch(`${BASE}/ai/${id}/stop`, { method: 'POST' });

function scenarios({ make, sdk, workflow, durable }) {
  return {
    'a whole answer': async () => {
      const made = make();
      await made.send();
      const server = await ended(made.sessions[0]);
      assert.equal(server.text, TEXT);
      assert.equal(made.chat.status, 'ready');
      assert.equal(answers(made)[0].id, made.sessions[0]);
      whole(made, server);
    },

    'the connection cut after every event, and resumed': async () => {
      if (durable) return cutAndReconnected(make);
      const uncut = await fetch(`${BASE}/ai`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id: fresh('chat'), messages: [{ id: 'm', role: 'user', parts: [{ type: 'text', text: 'Hi' }] }], script: script({ delayMs: 0 }) }) });
      const events = (await uncut.text()).split('\n\n').length - 1;
      assert.ok(events > 20, `${events} events`);
      const held = workflow ? events - 1 : events - 6; // before the last token
      const cuts = Array.from({ length: held }, (_, at) => ({ after: at + 1, cuts: 1 }));
      if (workflow) cuts.push({ after: Math.ceil(events / 3), cuts: 2 });
      const each = async (cut) => {
        const proxy = await cutting(cut);
        const made = make({ at: proxy.url });
        // This transport cannot read an ended answer, so it must run until the client is back.
        const gate = workflow ? undefined : { name: made.id, at: TOKENS - 1 };
        await made.send({ script: script(), gate });
        if (!workflow) {
          assert.equal(made.chat.status, 'error', `a cut after ${cut.after} is no end`);
          const resumed = made.chat.resumeStream();
          await until(() => made.sessions.length === 2, 'it is back');
          await open(made.id);
          await resumed;
        }
        assert.equal(proxy.cut, cut.cuts, `cut after ${cut.after}`);
        whole(made, await ended(made.sessions[0]));
        proxy.close();
      };
      for (let at = 0; at < cuts.length; at += 8) await Promise.all(cuts.slice(at, at + 8).map(each));
    },

    'a fresh client after a reload in mid-answer': async () => {
      const before = make();
      const sent = before.send(held(before.id));
      await until(() => said(before));
      const kept = structuredClone(before.chat.messages);
      await before.chat.stop(); // closes its connection, as a page that goes
      await sent;
      // One page has kept its part of the answer, the other has not.
      const pages = [kept.slice(0, 1), kept].map((messages) => make({ id: before.id, messages }));
      const resumed = pages.map((page) => page.chat.resumeStream());
      await until(() => pages.every((page) => page.sessions.length === 1));
      await open(before.id);
      await Promise.all(resumed);
      const server = await ended(before.sessions[0]);
      assert.equal(server.text, TEXT);
      for (const page of pages) {
        whole(page, server);
        assert.equal(answers(page)[0].id, kept[1].id, 'the message is called the same');
      }
    },

    'two clients at once': async () => {
      const one = make();
      const sent = one.send(held(one.id));
      await until(() => said(one));
      const two = make({ id: one.id, messages: structuredClone(one.chat.messages.slice(0, 1)) });
      const resumed = two.chat.resumeStream();
      await until(() => said(two));
      await open(one.id);
      await Promise.all([sent, resumed]);
      const server = await ended(one.sessions[0]);
      whole(one, server);
      whole(two, server);
    },

    'a stop from a second client is seen by the first': async () => {
      const one = make();
      const sent = one.send(held(one.id));
      await until(() => said(one));
      const stopped = await stop(one.id);
      assert.equal(stopped.status, 202);
      await sent;
      assert.equal(one.chat.status, 'ready');
      const server = await ended(one.sessions[0]);
      assert.equal(server.last.type, 'aborted');
      assert.ok(server.text.length < TEXT.length);
      whole(one, server);
      assert.equal((await stop(one.id)).status, 204, 'nothing runs by now');
      assert.equal((await stop(one.sessions[0])).status, 200, 'it had ended');
    },

    'a resume after the end': async () => {
      const one = make();
      await one.send({ script: script({ delayMs: 0 }) });
      const server = await ended(one.sessions[0]);
      const before = structuredClone(one.chat.messages);
      if (workflow) {
        // This transport knows a session by its id, and reads it as often as it likes.
        const two = make({ id: one.sessions[0] });
        await two.chat.resumeStream();
        return whole(two, server);
      }
      await one.chat.resumeStream();
      assert.deepEqual(one.chat.messages, before);
      assert.equal(one.chat.status, 'ready');
    },

    'an error of the provider': async () => {
      const one = make();
      await one.send({ script: script({ thinking: undefined, fault: { at: 5, kind: 'error' } }) });
      assert.equal(one.chat.status, 'error');
      const server = await ended(one.sessions[0]);
      assert.equal(server.last.type, 'error');
      assert.equal(one.chat.error.message, server.last.message);
      assert.equal(of(answers(one)[0], 'text'), server.text);
      // The same question again is another answer.
      await one.chat.regenerate({ body: { id: one.id, script: script({ delayMs: 0 }) } });
      assert.equal(one.chat.status, 'ready');
      assert.notEqual(one.sessions.at(-1), one.sessions[0]);
      whole(one, await ended(one.sessions.at(-1)));
    },

    'an unknown chat': async () => {
      const one = make({ id: fresh('nobody-has-this') });
      await one.chat.resumeStream();
      assert.deepEqual(one.chat.messages, []);
      assert.equal(one.chat.status, workflow ? 'error' : 'ready');
      assert.equal((await stop(one.id)).status, 204);
    },

    'a tool of the client': async () => {
      let ran = 0;
      const one = make({
        sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithToolCalls,
        onToolCall: ({ toolCall }) => {
          ran++;
          one.chat.addToolOutput({ tool: toolCall.toolName, toolCallId: toolCall.toolCallId, output: 'noon' });
        },
      });
      await one.send({ script: script({ toolCalls: [{ id: 'call-1', name: 'localTime', arguments: { zone: 'UTC' } }] }) });
      await until(() => one.sessions.length === 2 && one.chat.status === 'ready');
      assert.equal(ran, 1);
      assert.equal(answers(one).length, 1, 'it goes on in the same message');
      const [first, second] = await Promise.all(one.sessions.map(ended));
      assert.equal(second.text, 'The tool gave noon, and that is all there is to say.');
      const [answer] = answers(one);
      assert.equal(of(answer, 'text'), first.text + second.text);
      const tools = answer.parts.filter((part) => part.type === 'tool-localTime');
      assert.equal(tools.length, 1);
      assert.deepEqual([tools[0].state, tools[0].input, tools[0].output], ['output-available', { zone: 'UTC' }, 'noon']);
    },

    'a reload while the answer goes on from what a tool of the client gave': async () => {
      const one = make({ sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithToolCalls });
      await one.send({ script: script({ delayMs: 0, toolCalls: [{ id: 'call-1', name: 'localTime', arguments: { zone: 'UTC' } }] }) });
      const gate = { name: one.id, at: 5 };
      await one.chat.addToolOutput({ tool: 'localTime', toolCallId: 'call-1', output: 'noon', options: { body: { id: one.id, gate, script: {} } } });
      await until(() => one.sessions.length === 2 && of(answers(one)[0], 'text').includes('The tool gave'), 'it goes on');
      let ran = 0;
      const two = make({ id: one.id, messages: structuredClone(one.chat.messages), onToolCall: () => void ran++ });
      const resumed = two.chat.resumeStream();
      await until(() => said(two));
      await open(one.id);
      await resumed;
      await until(() => one.chat.status === 'ready');
      const [first, second] = await Promise.all(one.sessions.map(ended));
      for (const page of [one, two]) {
        assert.equal(answers(page).length, 1);
        const [answer] = answers(page);
        assert.equal(of(answer, 'text'), first.text + second.text);
        assert.equal(of(answer, 'reasoning'), first.thinking);
        const [tool, ...others] = answer.parts.filter((part) => part.type === 'tool-localTime');
        assert.deepEqual([tool.state, tool.input, tool.output, others.length], ['output-available', { zone: 'UTC' }, 'noon', 0]);
      }
      assert.equal(ran, 0, 'a reload runs no tool again');
      assert.equal(answers(one)[0].id, answers(two)[0].id);
    },

    'an approval, given after a reload': async () => {
      for (const approved of [true, false]) {
        const inputId = fresh('input');
        const one = make();
        await one.send({
          events: [
            { type: 'text', content: 'One moment. ' },
            { type: 'tool_calls', calls: [{ id: 'call-1', name: 'pay', arguments: { sum: 3 } }] },
            { type: 'input_request', inputId, kind: 'approval', message: 'Pay?', callId: 'call-1', toolName: 'pay', params: { sum: 3 } },
            ...(approved ? [{ type: 'tool_result', id: 'call-1', name: 'pay', content: 'paid' }] : []),
            { type: 'text', content: approved ? 'Paid.' : 'Not paid.' },
          ],
        });
        const asked = (page) => answers(page)[0].parts.find((part) => part.type === 'tool-pay');
        assert.deepEqual([one.chat.status, asked(one).state, asked(one).approval], ['ready', 'approval-requested', { id: inputId }]);
        assert.equal((await transcript(one.sessions[0])).status, 'waiting');
        const two = make({ id: one.id, messages: structuredClone(one.chat.messages.slice(0, 1)), sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithApprovalResponses });
        await two.chat.resumeStream();
        assert.equal(asked(two).state, 'approval-requested');
        const said = structuredClone(two.chat.messages);
        Object.assign(said.at(-1).parts.find((part) => part.type === 'tool-pay'), { state: 'approval-responded', approval: { id: inputId, approved } });
        // The Workflow transport sends no chat id of its own: the message has the session's.
        const options = approved ? { body: { id: one.id } } : {};
        await two.chat.addToolApprovalResponse({ id: inputId, approved, options });
        await until(() => two.sessions.length === 2 && two.chat.status === 'ready');
        assert.deepEqual(new Set(two.sessions), new Set(one.sessions), 'the same session goes on');
        const server = await ended(one.sessions[0]);
        assert.equal(answers(two).length, 1);
        assert.equal(of(answers(two)[0], 'text'), server.text);
        assert.equal(asked(two).state, approved ? 'output-available' : 'output-error');
        // The response was lost, so the request is repeated, and the model is not called again.
        for (const id of [one.id, undefined]) {
          const again = await fetch(`${BASE}/ai`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id, messages: said }) });
          assert.deepEqual([again.status, again.headers.get('x-session-id')], [200, one.sessions[0]]);
          assert((await again.text()).endsWith('data: [DONE]\n\n'));
        }
      }
    },

    'an approval while another call of the turn runs, given to the end': async () => {
      for (const reloaded of [false, true]) {
        const [inputId, second, gate] = [fresh('input'), fresh('input'), fresh('gate')];
        const approval = (id, call) => ({ type: 'input_request', inputId: id, kind: 'approval', message: 'Pay?', callId: call, toolName: 'pay', params: {} });
        const automatically = { sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithApprovalResponses };
        const one = make(automatically);
        // The result of one call comes while another one waits for an approval.
        const sent = one.send({
          gate: { name: gate, at: 3 },
          events: [
            { type: 'tool_calls', calls: [{ id: 'call-1', name: 'pay', arguments: {} }, { id: 'call-2', name: 'lookup', arguments: {} }, { id: 'call-3', name: 'pay', arguments: {} }] },
            { ...approval(inputId, 'call-1'), unanswered: true },
            { ...approval(second, 'call-3'), unanswered: true },
            { type: 'tool_progress', id: 'call-2', name: 'lookup', message: 'Soon.' },
            { type: 'tool_result', id: 'call-2', name: 'lookup', content: 'found' },
            { type: 'answered', inputId, callId: 'call-1' },
            { type: 'tool_result', id: 'call-1', name: 'pay', content: 'paid' },
            { type: 'answered', inputId: second, callId: 'call-3' },
            { type: 'tool_result', id: 'call-3', name: 'pay', content: 'paid too' },
            { type: 'text', content: 'All paid.' },
          ],
        });
        const tools = (page) => answers(page)[0]?.parts.filter((part) => 'toolCallId' in part).map((part) => part.state);
        await until(() => tools(one)?.filter((state) => state === 'approval-requested').length === 2, 'it asks twice');
        await open(gate);
        await sent;
        const page = reloaded ? make({ id: one.id, messages: structuredClone(one.chat.messages.slice(0, 1)), ...automatically }) : one;
        if (reloaded) await page.chat.resumeStream();
        assert.equal(page.chat.status, 'ready');
        assert.deepEqual(tools(page), ['approval-requested', 'output-available', 'approval-requested']);
        const options = { body: { id: one.id } };
        await page.chat.addToolApprovalResponse({ id: inputId, approved: true, options });
        assert.equal(page.sessions.length, 1, 'one more is to be answered');
        await page.chat.addToolApprovalResponse({ id: second, approved: true, options });
        await until(() => page.sessions.length === 2 && page.chat.status === 'ready');
        assert.equal(page.sessions[1], one.sessions[0], 'the same session goes on');
        assert.deepEqual(tools(page), ['output-available', 'output-available', 'output-available']);
        assert.equal(answers(page).length, 1);
        assert.equal(of(answers(page)[0], 'text'), 'All paid.');
        assert.equal((await ended(one.sessions[0])).last.type, 'complete');
      }
    },

    'a tool of the server, and data of the application': async () => {
      const one = make();
      await one.send({
        events: [
          { type: 'tool_calls', calls: [{ id: 'call-1', name: 'search', arguments: { q: 'cats' } }, { id: 'call-2', name: 'search', arguments: {} }] },
          { type: 'tool_result', id: 'call-1', name: 'search', content: '{"found":2}' },
          { type: 'tool_error', id: 'call-2', name: 'search', message: 'search what?' },
          { type: 'custom', name: 'mood', data: { is: 'good' } },
          { type: 'text', content: 'Two cats.' },
        ],
      });
      assert.equal(one.chat.status, 'ready', one.chat.error);
      const [answer] = answers(one);
      const kinds = answer.parts.map((part) => part.type);
      assert.deepEqual(kinds, ['step-start', 'tool-search', 'tool-search', 'data-mood', 'step-start', 'text']);
      assert.deepEqual(answer.parts[1].output, { found: 2 });
      assert.equal(answer.parts[2].errorText, 'search what?');
      assert.ok(!sdk.lastAssistantMessageIsCompleteWithToolCalls({ messages: one.chat.messages }), 'nothing is left to send');
    },

    'a picture goes in and comes out, byte for byte': async () => {
      const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 31) % 256);
      const url = `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;
      const one = make();
      const files = [{ type: 'file', mediaType: 'image/png', filename: 'cat.png', url }];
      await one.chat.sendMessage({ text: 'Paint it again.', files }, { body: { id: one.id, echo: true } });
      assert.equal(one.chat.status, 'ready', one.chat.error);
      const [answer] = answers(one);
      assert.equal(of(answer, 'text'), 'cat.png', 'the model gets the name');
      const [painted, ...more] = answer.parts.filter((part) => part.type === 'file');
      assert.equal(more.length, 0);
      assert.equal(painted.mediaType, 'image/png');
      assert.ok(Buffer.from(bytes).equals(Buffer.from(await (await fetch(painted.url)).arrayBuffer())));
      // The painted picture, as the client sends it back, is of the assistant.
      await one.chat.sendMessage({ text: 'And?' }, { body: { id: one.id, script: script({ delayMs: 0 }) } });
      assert.equal(one.chat.status, 'ready', one.chat.error);
    },

    'a part that no model gets is refused by its name': async () => {
      const one = make();
      await one.chat.sendMessage({ parts: [{ type: 'custom', kind: 'openai.item' }] }, { body: { id: one.id, script: {} } });
      assert.equal(one.chat.status, 'error');
      assert.deepEqual(one.sessions, []);
      if (!durable) assert.match(one.chat.error.message, /of the type `custom`/);
    },

    'a setting out of its range is refused by its name in the SDK': async () => {
      const one = make();
      await one.send({ script: {}, temperature: 3 });
      assert.equal(one.chat.status, 'error');
      if (!durable) assert.match(one.chat.error.message, /`temperature` must be 0 to 2/);
    },

    'usage, model, sources and arguments as they come': async () => {
      const one = make();
      const gate = { name: one.id, at: 4 };
      const sent = one.send({
        gate,
        events: [
          { type: 'text', content: 'Cats' },
          { type: 'source', id: 's1', url: 'https://example.com/cats', title: 'Cats' },
          { type: 'text', content: ' sleep.' },
          { type: 'tool_input', id: 'call-1', name: 'search', delta: '{"q":"ca' },
          { type: 'tool_input', id: 'call-1', delta: 'ts"}' },
          { type: 'tool_input', id: 'call-2', name: 'search', delta: '{' },
          { type: 'tool_calls', calls: [{ id: 'call-1', name: 'search', arguments: { q: 'cats' } }] },
          { type: 'turn', finishReason: 'tool_calls', model: 'm-1', usage: { inputTokens: 5, outputTokens: 2 } },
          { type: 'tool_result', id: 'call-1', name: 'search', content: 'Two.' },
          { type: 'text', content: 'Two cats.' },
          { type: 'turn', finishReason: 'stop', usage: { inputTokens: 9, outputTokens: 3 } },
        ],
      });
      const tool = (id) => answers(one)[0]?.parts.find((part) => part.toolCallId === id);
      await until(() => tool('call-1')?.input?.q === 'ca', 'the arguments come');
      assert.equal(tool('call-1').state, 'input-streaming');
      await open(one.id);
      await sent;
      assert.equal(one.chat.status, 'ready', one.chat.error);
      const [answer] = answers(one);
      assert.deepEqual(answer.parts.map((part) => part.type), ['step-start', 'text', 'source-url', 'tool-search', 'tool-search', 'step-start', 'text']);
      assert.equal(answer.parts[1].text, 'Cats sleep.');
      assert.deepEqual([tool('call-1').state, tool('call-2').state], ['output-available', 'output-error']);
      assert.deepEqual(answer.metadata, { usage: { inputTokens: 14, outputTokens: 5 }, model: 'm-1' });
    },

    'generated answers: folded live, replayed and stored they are one message': async () => {
      const plain = (message) => JSON.parse(JSON.stringify(message));
      const whole = ({ parts, metadata }) => plain({ parts: parts.filter((part) => part.errorText !== 'The call was not completed.'), metadata });
      const read = async (response) => {
        const chunks = sdk.parseJsonEventStream({ stream: response.body, schema: sdk.uiMessageChunkSchema });
        const values = chunks.pipeThrough(new TransformStream({ transform: (chunk, to) => (assert.ok(chunk.success, chunk.error), to.enqueue(chunk.value)) }));
        let last;
        for await (const message of sdk.readUIMessageStream({ stream: values, terminateOnError: true })) last = message;
        return last;
      };
      for (let seed = 1; seed <= 24; seed++) {
        const events = generated(random(seed));
        const one = make();
        const sent = one.send({ events, gate: { name: one.id, at: events.length - 1 } });
        await until(() => one.sessions.length || one.chat.error);
        assert.equal(one.chat.error, undefined, `seed ${seed}`);
        const running = await fetch(`${BASE}/ai/${one.id}/stream`); // compact
        assert.equal(running.status, 200);
        const replayed = read(running);
        await open(one.id);
        await sent;
        assert.equal(one.chat.status, 'ready', one.chat.error);
        await ended(one.sessions[0]);
        const stored = await until(async () => {
          const found = await fetch(`${BASE}/stored/${one.sessions[0]}`);
          return found.ok && found.json();
        });
        const full = read(await fetch(`${BASE}/ai/${one.sessions[0]}~0/stream`));
        const of_seed = `seed ${seed}: ${JSON.stringify(events)}`;
        assert.deepEqual(whole(answers(one)[0]), whole(stored), of_seed);
        assert.deepEqual(whole(await full), whole(stored), of_seed);
        assert.deepEqual(whole(await replayed), whole(stored), of_seed);
        // The client sends it back, and it is read.
        await one.send({ script: script({ delayMs: 0 }) });
        assert.equal(one.chat.status, 'ready', one.chat.error);
      }
    },

    'the same message again while it runs is not paid for twice': async () => {
      const one = make();
      const sent = one.send(held(one.id));
      await until(() => one.sessions.length);
      const body = { id: one.id, messages: one.chat.messages.slice(0, 1), ...held(one.id), ...(workflow ? {} : { trigger: 'submit-message' }) };
      const again = await fetch(`${BASE}/ai`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      assert.equal(again.status, 200);
      assert.equal(again.headers.get('x-session-id'), one.sessions[0]);
      await again.body.cancel();
      const other = await fetch(`${BASE}/ai`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...body, messages: [{ id: 'another', role: 'user', parts: [{ type: 'text', text: 'And?' }] }] }) });
      assert.equal(other.status, 409);
      assert.equal((await other.json()).type, 'urn:unbroken:chat-busy');
      await open(one.id);
      await sent;
      whole(one, await transcript(one.sessions[0]));
    },

    'a new message takes the place of the answer that runs': async () => {
      const one = make({ path: 'ai-superseding' });
      const sent = one.send(held(one.id));
      await until(() => said(one));
      const two = make({ id: one.id, path: 'ai-superseding', messages: structuredClone(one.chat.messages) });
      await two.send({ script: script({ delayMs: 0 }) });
      await sent;
      const [first, second] = [await ended(one.sessions[0]), await ended(two.sessions[0])];
      assert.deepEqual([first.last.type, first.last.reason, second.last.type], ['aborted', 'superseded', 'complete']);
      whole(one, first);
    },
  };
}

// Over Durable Streams the client sees no pause, and the response to a POST is not the stream.
const NOT_DURABLE = ['generated answers: folded live, replayed and stored they are one message', 'an approval, given after a reload', 'an approval while another call of the turn runs, given to the end', 'the same message again while it runs is not paid for twice', 'a new message takes the place of the answer that runs'];
const of_kind = (kind) => Object.entries(scenarios(kind)).filter(([scenario]) => !kind.durable || !NOT_DURABLE.includes(scenario));
const all = Object.entries(kinds).flatMap(([name, kind]) => of_kind(kind).map(([scenario, run]) => [`${name}: ${scenario}`, run]));
await play(Object.fromEntries(all));
