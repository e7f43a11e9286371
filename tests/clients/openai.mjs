// The official SDK for Node against the dialect of OpenAI's Responses API.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { BASE, calls, cutting, ended, fresh, open as pass, play, until } from './bench.mjs';

const TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.';
const THINKING = 'Let me think.';
const script = (more = {}) => ({ model: 'scripted', input: 'Tell me.', script: { text: TEXT, thinking: THINKING, delayMs: 0, ...more } });
/** An answer that pauses in the middle until its gate opens. */
const held = (name, more = {}) => ({ ...script(more), gate: { name, at: 8 } });
const HELD = 'A cat sat on the ';

const client = (at = BASE) => new OpenAI({ baseURL: `${at}/v1`, apiKey: 'none', maxRetries: 0 });

/** The events of a stream, read until it ends or breaks. */
class Reading {
  events = [];
  failure = undefined;
  async read(stream) {
    try {
      for await (const event of await stream) this.events.push(event);
    } catch (error) {
      this.failure = error;
    }
    return this;
  }
  get id() {
    return this.events.find((event) => event.type === 'response.created')?.response.id;
  }
  get last() {
    return this.events.at(-1);
  }
  said = (type) => this.events.filter((event) => event.type === type).map((event) => event.delta).join('');
  get text() {
    return this.said('response.output_text.delta');
  }
  get thinking() {
    return this.said('response.reasoning_text.delta');
  }
}

const read = (stream) => new Reading().read(stream);
const create = (body, at) => client(at).responses.create({ ...body, stream: true });
const retrieve = (id, query = {}) => client().responses.retrieve(id, { stream: true, ...query });

async function sameAsTheServer(reading, id = reading.id) {
  const log = await ended(id);
  assert.equal(reading.text, log.text);
  assert.equal(reading.thinking, log.thinking);
  assert.deepEqual(reading.events.map((event) => event.sequence_number), reading.events.map((_, at) => at));
  return log;
}

await play({
  'a whole answer, streamed': async () => {
    const reading = await read(create(script()));
    const log = await sameAsTheServer(reading);
    assert.equal(log.text, TEXT);
    assert.equal(reading.last.type, 'response.completed');
    assert.equal(reading.last.response.model, 'scripted');
    const answer = await client().responses.retrieve(reading.id);
    assert.equal(answer.output_text, TEXT);
    assert.deepEqual(answer, { ...reading.last.response, output_text: TEXT });
  },

  'a whole answer, waited for': async () => {
    const answer = await client().responses.create(script());
    assert.equal(answer.status, 'completed');
    assert.equal(answer.output_text, TEXT);
    assert.ok(Math.abs(answer.created_at - Date.now() / 1000) < 600);
    assert.deepEqual(answer.output.map((item) => item.type), ['reasoning', 'message']);
  },

  'a whole answer, in the background': async () => {
    const gate = fresh('gate');
    const begun = await client().responses.create({ ...held(gate), background: true });
    assert.equal(begun.status, 'in_progress');
    assert.equal(begun.background, true);
    await pass(gate);
    await ended(begun.id);
    const answer = await client().responses.retrieve(begun.id);
    assert.deepEqual([answer.status, answer.output_text], ['completed', TEXT]);
    assert.equal(answer.created_at, begun.created_at);
  },

  'a helper that puts the stream together accepts it': async () => {
    const toolCalls = [{ id: 'call_1', name: 'map', arguments: { zoom: 3 } }];
    const stream = client().responses.stream(script({ toolCalls }));
    const answer = await stream.finalResponse();
    assert.equal(answer.output_text, TEXT);
    assert.equal(answer.output.at(-1).call_id, 'call_1');
    const again = client().responses.stream({ response_id: answer.id, starting_after: 5 });
    assert.deepEqual((await again.finalResponse()).output_text, TEXT);
  },

  'a connection that is cut after any event is resumed after its number': async () => {
    const whole = await read(create(script()));
    for (let after = 1; after <= whole.events.length; after++) {
      const proxy = await cutting({ after, cuts: 1 });
      const tally = fresh('tally');
      const reading = await read(create(script({ tally }), proxy.url));
      assert.equal(proxy.cut, 1);
      assert.equal(reading.events.length, after);
      assert.ok(reading.failure || after === whole.events.length, 'a cut is no end');
      reading.failure = undefined;
      await reading.read(retrieve(reading.id, { starting_after: reading.last.sequence_number }));
      assert.equal(reading.failure, undefined);
      assert.deepEqual(reading.events.map(({ type }) => type), whole.events.map(({ type }) => type));
      await sameAsTheServer(reading);
      assert.equal(await calls(tally), 1);
      proxy.close();
    }
  },

  'a fresh client in mid-answer, and both hear the rest': async () => {
    const [gate, tally] = [fresh('gate'), fresh('tally')];
    const first = new Reading();
    const done = first.read(create(held(gate, { tally })));
    await until(() => first.text === HELD);
    const soFar = await client().responses.retrieve(first.id);
    assert.deepEqual([soFar.status, soFar.output_text], ['in_progress', HELD]);
    const second = new Reading();
    const joined = second.read(retrieve(first.id));
    await until(() => second.text === HELD);
    await pass(gate);
    await Promise.all([done, joined]);
    for (const reading of [first, second]) await sameAsTheServer(reading);
    assert.deepEqual(second.events, first.events);
    assert.equal(await calls(tally), 1);
  },

  'a cancel by a second client is seen by the first': async () => {
    const first = new Reading();
    const done = first.read(create({ ...held(fresh('gate')), background: true }));
    await until(() => first.text === HELD);
    const cancelled = await client().responses.cancel(first.id);
    assert.deepEqual([cancelled.status, cancelled.output.at(-1).content[0].text], ['cancelled', HELD]);
    await done;
    const log = await sameAsTheServer(first);
    assert.equal(log.last.type, 'aborted');
    assert.deepEqual([first.last.type, first.last.response.status], ['response.incomplete', 'cancelled']);
    const again = await client().responses.cancel(first.id);
    assert.deepEqual(again, cancelled);
  },

  'a client that goes away stops nothing': async () => {
    const gate = fresh('gate');
    const stream = await create(held(gate));
    const reading = new Reading();
    const done = reading.read(stream);
    await until(() => reading.text === HELD);
    stream.controller.abort();
    await done;
    await pass(gate);
    const log = await ended(reading.id);
    assert.deepEqual([log.last.type, log.text], ['complete', TEXT]);
  },

  'a resume after the end': async () => {
    const whole = await read(create(script()));
    const again = await read(retrieve(whole.id));
    assert.deepEqual(again.events, whole.events);
    const rest = await read(retrieve(whole.id, { starting_after: whole.events.length - 3 }));
    assert.deepEqual(rest.events, whole.events.slice(-2));
    const nothing = await read(retrieve(whole.id, { starting_after: whole.last.sequence_number }));
    assert.deepEqual([nothing.events, nothing.failure], [[], undefined]);
  },

  'a provider that fails': async () => {
    const reading = await read(create(script({ fault: { at: 7, kind: 'error' } })));
    const log = await sameAsTheServer(reading);
    assert.equal(reading.last.type, 'response.failed');
    assert.equal(reading.last.response.error.message, log.last.message);
    const waited = await client().responses.create(script({ fault: { at: 7, kind: 'error' } }));
    assert.deepEqual([waited.status, waited.error.message], ['failed', log.last.message]);
  },

  'a response that nobody knows': async () => {
    const id = 'resp_0123456789abcdefghjkmnpqrs';
    for (const asked of [
      () => client().responses.retrieve(id),
      () => retrieve(id),
      () => client().responses.cancel(id),
      () => client().responses.delete(id),
    ]) {
      await assert.rejects(asked, (error) => error instanceof OpenAI.NotFoundError && error.code === 'not_found' && /no session/.test(error.message));
    }
  },

  'a response that was deleted': async () => {
    const { id } = await client().responses.create(script());
    await client().responses.delete(id);
    await assert.rejects(client().responses.retrieve(id), (error) => error.status === 410 && error.code === 'gone');
  },

  'what is refused says why': async () => {
    const refused = (body, code, message) =>
      assert.rejects(client().responses.create(body), (error) => error instanceof OpenAI.UnprocessableEntityError && error.code === code && message.test(error.message));
    await refused({ ...script(), model: 'another' }, 'not_open', /`model` is not open/);
    await refused({ ...script(), instructions: 'Be rude.' }, 'not_open', /not open/);
    await refused({ ...script(), previous_response_id: 'resp_1' }, 'wrong_shape', /whole conversation/);
  },

  'a request that the SDK repeats attaches by its key, and isn’t paid for twice': async () => {
    const proxy = await cutting({ unheard: true, cuts: 2 });
    const tally = fresh('tally');
    const retrying = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: 'none', maxRetries: 5 });
    const answer = await retrying.responses.create(script({ tally }), { headers: { 'Idempotency-Key': fresh('key') } });
    assert.equal(proxy.cut, 2);
    assert.equal(answer.output_text, TEXT);
    assert.equal(await calls(tally), 1);
    proxy.close();
  },

  'a tool of the client, there and back': async () => {
    const toolCalls = [{ id: 'call_1', name: 'map', arguments: { zoom: 3 } }];
    const tools = [{ type: 'function', name: 'map', parameters: { type: 'object' }, strict: false }];
    const first = await client().responses.create({ ...script({ toolCalls }), tools });
    const call = first.output.find((item) => item.type === 'function_call');
    assert.deepEqual([call.call_id, call.name, JSON.parse(call.arguments)], ['call_1', 'map', { zoom: 3 }]);
    const input = [{ role: 'user', content: 'Where?' }, ...first.output, { type: 'function_call_output', call_id: 'call_1', output: 'a map' }];
    const second = await client().responses.create({ ...script({ toolCalls }), tools, input });
    assert.match(second.output_text, /^The tool gave a map/);
    assert.equal(second.output_text, (await ended(second.id)).text);
  },
});
