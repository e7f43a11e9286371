// The AI SDK, 7 and 6, with a server that keeps the conversation: the page sends its new message only.

import assert from 'node:assert/strict';
import { BASE, ended, open, play, until } from './bench.mjs';
import { TEXT, answers, kinds, of, script } from './ai_kinds.mjs';
import { generated, random } from './generated.mjs';

const plain = (messages) => JSON.parse(JSON.stringify(messages));
const get = async (path) => {
  const response = await fetch(`${BASE}/${path}`);
  assert.equal(response.status, 200);
  return response;
};

function scenarios({ make, sdk, workflow, durable }) {
  const path = durable ? 'streams-kept' : 'ai-kept';
  const alone = ({ id, messages, trigger, messageId, body }) => ({
    body: { ...body, id, message: messages.at(-1), trigger, messageId },
    headers: { 'content-type': 'application/json' },
  });
  const transport = (api, fetch) => {
    if (durable) return undefined; // it sends all messages
    const init = { api, fetch, prepareSendMessagesRequest: alone };
    return workflow ? new workflow(init) : new sdk.DefaultChatTransport(init);
  };
  const page = (init) => make({ path, transport, ...init });
  /** What a page of the chat gets when it is opened. */
  const loaded = async (id) => (await get(`pages/${path}/${id}`)).json();
  /** Checks that this page, a page that is opened now, and the table have the same messages. */
  const same = async (made, rows) => {
    const shown = plain(made.chat.messages);
    assert.equal(made.chat.status, 'ready', made.chat.error);
    assert.deepEqual(await loaded(made.id), shown, 'of a page that is opened');
    await until(async () => (await get(`tables/${path}/${made.id}`)).headers.get('x-rows') === `${rows}`);
    assert.deepEqual(await (await get(`tables/${path}/${made.id}`)).json(), shown, 'of the table');
    assert.deepEqual(await loaded(made.id), shown, 'of a page that is opened later');
  };
  const say = (made, text, answer, more = {}) => made.chat.sendMessage({ text, ...more }, { body: { script: script({ text: answer, delayMs: 0 }) } });
  const texts = (made) => made.chat.messages.map((message) => of(message, 'text'));

  return {
    'two turns, another answer, an edit': async () => {
      const one = page();
      await say(one, 'Hi', 'Hello.');
      await say(one, 'And?', 'No more.');
      await same(one, 2);
      await one.chat.regenerate({ body: { script: script({ text: 'A bit more.', delayMs: 0 }) } });
      assert.deepEqual(texts(one), ['Hi', 'Hello.', 'And?', 'A bit more.']);
      await same(one, 3);
      await one.chat.regenerate({ messageId: one.chat.messages[1].id, body: { script: script({ text: 'Hello again.', delayMs: 0 }) } });
      assert.deepEqual(texts(one), ['Hi', 'Hello again.']);
      await same(one, 4);
      await say(one, 'So?', 'So.');
      await say(one, 'Hey', 'Hey yourself.', { messageId: one.chat.messages[0].id });
      assert.deepEqual(texts(one), ['Hey', 'Hey yourself.']);
      await same(one, 6);
      await say(one, 'So?', 'So it is.');
      assert.deepEqual(texts(one), ['Hey', 'Hey yourself.', 'So?', 'So it is.']);
      await same(one, 7);
    },

    'a reload in the middle of the second turn': async () => {
      const one = page();
      await say(one, 'Hi', 'Hello.');
      const sent = one.chat.sendMessage({ text: 'Tell me.' }, { body: { script: script(), gate: { name: one.id, at: 12 } } });
      await until(() => one.sessions.length === 2 && answers(one).length === 2 && of(answers(one)[1], 'text'));
      const opened = await loaded(one.id);
      assert.deepEqual(opened.map((message) => message.role), ['user', 'assistant', 'user']);
      const two = page({ id: workflow ? one.sessions[1] : one.id, messages: opened });
      const resumed = two.chat.resumeStream();
      await until(() => answers(two).length === 2);
      await open(one.id);
      await Promise.all([sent, resumed]);
      assert.equal(of(answers(two)[1], 'text'), TEXT);
      assert.deepEqual(plain(two.chat.messages), plain(one.chat.messages));
      await same(one, 2);
    },

    'an answer that was stopped, and one that failed': async () => {
      const one = page();
      const sent = one.chat.sendMessage({ text: 'Tell me.' }, { body: { script: script(), gate: { name: one.id, at: 12 } } });
      await until(() => answers(one).length && of(answers(one)[0], 'text'));
      const stopped = await fetch(`${BASE}/ai-kept/${one.id}/stop`, { method: 'POST' });
      assert.equal(stopped.status, 202);
      await sent;
      await same(one, 1);
      await one.chat.sendMessage({ text: 'Again.' }, { body: { script: script({ fault: { at: 5, kind: 'error' }, delayMs: 0 }) } });
      assert.equal(one.chat.status, 'error');
      one.chat.clearError();
      await same(one, 2);
      await say(one, 'Now?', 'Now.');
      await same(one, 3);
    },

    'a tool of the client': async () => {
      const one = page({
        sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithToolCalls,
        onToolCall: ({ toolCall }) => {
          one.chat.addToolOutput({ tool: toolCall.toolName, toolCallId: toolCall.toolCallId, output: 'noon' });
        },
      });
      await one.chat.sendMessage({ text: 'When?' }, { body: { script: script({ delayMs: 0, toolCalls: [{ id: 'call-1', name: 'localTime', arguments: { zone: 'UTC' } }] }) } });
      await until(() => one.sessions.length === 2 && one.chat.status === 'ready');
      assert.equal(answers(one).length, 1, 'it goes on in the same message');
      await same(one, 2);
      const second = await ended(one.sessions[1]);
      assert.ok(of(answers(one)[0], 'text').endsWith(second.text));
      await say(one, 'Thanks', 'Welcome.');
      await same(one, 3);
    },

    'generated answers are kept as the page shows them': async () => {
      for (let seed = 1; seed <= 12; seed++) {
        const one = page();
        const events = generated(random(seed));
        await one.chat.sendMessage({ text: 'Tell me.' }, { body: { events } });
        assert.equal(one.chat.status, 'ready', `seed ${seed}: ${one.chat.error}`);
        await until(async () => (await get(`tables/${path}/${one.id}`)).headers.get('x-rows') === '1');
        // As for other stored messages: the arguments of a call that never came are not kept.
        const whole = (messages) => plain(messages).map((message) => ({ ...message, parts: message.parts.filter((part) => part.errorText !== 'The call was not completed.') }));
        assert.deepEqual(whole(await loaded(one.id)), whole(one.chat.messages), `seed ${seed}: ${JSON.stringify(events)}`);
        await say(one, 'Thanks', 'Welcome.');
        assert.equal(one.chat.status, 'ready', `seed ${seed}: ${one.chat.error}`);
      }
    },

    'an approval': async () => {
      for (const approved of [true, false]) {
        const one = page({ sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithApprovalResponses });
        const inputId = `input-${crypto.randomUUID()}`;
        await one.chat.sendMessage({ text: 'Pay' }, { body: { events: [
          { type: 'text', content: 'One moment. ' },
          { type: 'tool_calls', calls: [{ id: 'call-1', name: 'pay', arguments: { sum: 3 } }] },
          { type: 'input_request', inputId, kind: 'approval', message: 'Pay?', callId: 'call-1', toolName: 'pay', params: { sum: 3 } },
          ...(approved ? [{ type: 'tool_result', id: 'call-1', name: 'pay', content: 'paid' }] : []),
          { type: 'text', content: approved ? 'Paid.' : 'Not paid.' },
        ] } });
        await one.chat.addToolApprovalResponse({ id: inputId, approved });
        await until(() => one.chat.status === 'ready' && of(answers(one)[0], 'text').endsWith('aid.'));
        await same(one, 1);
        await say(one, 'Thanks', 'Welcome.');
        await same(one, 2);
      }
    },
  };
}

// Over Durable Streams the response to a POST is not the stream, and the client sees no pause.
const NOT_DURABLE = ['an answer that was stopped, and one that failed', 'an approval'];
const all = Object.entries(kinds).flatMap(([name, kind]) => {
  const of_kind = Object.entries(scenarios(kind)).filter(([scenario]) => !kind.durable || !NOT_DURABLE.includes(scenario));
  return of_kind.map(([scenario, run]) => [`${name}: ${scenario}`, run]);
});
await play(Object.fromEntries(all));
