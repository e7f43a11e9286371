// What the official SDK for Node makes of generated answers: live, resumed after every number, and retrieved.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { ResponseStream } from 'openai/lib/responses/ResponseStream';
import { BASE, ended, fresh, open as pass, play, transcript, until } from './bench.mjs';
import { generated, handed, random } from './generated.mjs';

const SEEDS = 12;
const openai = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: 'none', maxRetries: 0 });
const tools = [{ type: 'function', name: 'map', parameters: { type: 'object' }, strict: false }];
const body = (events, more) => ({ model: 'scripted', input: 'Tell me.', tools, include: ['reasoning.encrypted_content'], events, ...more });

const plain = (value) => JSON.parse(JSON.stringify(value));
const resume = (id, number) => openai.responses.retrieve(id, number < 0 ? { stream: true } : { stream: true, starting_after: number });

async function read(stream) {
  const events = [];
  for await (const event of await stream) events.push(plain(event));
  return events;
}

/** The output that the SDK puts together from the events. What the last event repeats of it is left out. */
async function folded(events) {
  const last = structuredClone(events.at(-1));
  delete last.response.output;
  const lines = [...events.slice(0, -1), last].map((event) => `${JSON.stringify(event)}\n`);
  const { output } = await ResponseStream.fromReadableStream(new Blob(lines).stream()).finalResponse();
  return whole(output);
}

/** The items without what the SDK adds to them, and without calls that came to nothing: no response has those. */
function whole(output) {
  const items = plain(output).filter((item) => !(item.type === 'function_call' && item.status === 'incomplete'));
  for (const item of items) {
    delete item.parsed_arguments;
    for (const part of item.content ?? []) delete part.parsed;
  }
  return items;
}

const said = (output, type) => output.filter((item) => item.type === type).map((item) => item.content[0].text).join('');
const annotations = (output) => output.flatMap((item) => item.content ?? []).flatMap((part) => part.annotations ?? []);
const of = (log, type) => log.events.filter((event) => event.type === type);

/** Checks that a response has what the log has. */
function sameAsTheLog({ output, usage, model }, log) {
  assert.equal(said(output, 'message'), log.text);
  assert.equal(said(output, 'reasoning'), log.thinking);
  const encrypted = output.filter((item) => item.encrypted_content).length;
  const states = of(log, 'provider_state').length + of(log, 'tool_calls').flatMap(({ calls }) => calls).filter((call) => call.providerState).length;
  assert.equal(encrypted, states);
  const sources = annotations(output).filter((it) => !it.file);
  assert.deepEqual(sources.map((it) => it.url ?? it.file_id), of(log, 'source').map((it) => it.url ?? it.id));
  const pictures = output.filter((item) => item.type === 'image_generation_call');
  const urls = (items) => items.map((item) => `data:image/${item.output_format};base64,${item.result}`);
  assert.deepEqual(urls(pictures.filter((item) => !item.of_result)), of(log, 'media').map((it) => it.url));
  const given = of(log, 'tool_result').flatMap((it) => (Array.isArray(it.content) ? it.content : [{ type: 'text', text: it.content }]));
  assert.deepEqual(urls(pictures.filter((item) => item.of_result)), given.filter((it) => it.type === 'media').map((it) => it.url));
  const results = [...given.filter((it) => it.type === 'text').map((it) => it.text), ...of(log, 'tool_error').map((it) => it.message)];
  assert.deepEqual(output.filter((item) => item.type === 'mcp_call').map((item) => item.output ?? item.error).sort(), results.sort());
  const last = of(log, 'tool_calls').at(-1).calls;
  const calls = output.filter((item) => item.type === 'function_call');
  assert.deepEqual(calls.map((item) => [item.call_id, JSON.parse(item.arguments)]), last.map((call) => [call.id, call.arguments]));
  const tokens = (name) => of(log, 'turn').reduce((sum, turn) => sum + (turn.usage?.[name] ?? 0), 0);
  assert.deepEqual([usage.input_tokens, usage.output_tokens], [tokens('inputTokens'), tokens('outputTokens')]);
  assert.equal(model, of(log, 'turn').findLast((turn) => turn.model)?.model);
}

await play({
  'generated answers: live, resumed after every number, and retrieved, they are one response': async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const events = [...generated(random(seed)), ...handed()];
      const of_seed = `seed ${seed}: ${JSON.stringify(events)}`;
      const gate = { name: fresh('gate'), at: events.length - 1 };
      const live = [];
      const stream = await openai.responses.create(body(events, { gate, stream: true }));
      const done = (async () => {
        for await (const event of stream) live.push(plain(event));
      })();
      const { id } = (await until(() => live[0])).response;
      // The log up to the gate: `session_info`, and all events but the last.
      await until(async () => (await transcript(id)).events.length === events.length);
      await until(() => live.some((event) => event.type === 'response.function_call_arguments.done'));
      const had = live.length;
      assert.ok(had > 10, 'nearly all has come');
      const resumed = await Promise.all(Array.from({ length: had + 1 }, (_, at) => resume(id, at - 1)));
      await pass(gate.name);
      await done;
      for (const [at, stream] of resumed.entries()) assert.deepEqual(await read(stream), live.slice(at), `after ${at - 1}, live, ${of_seed}`);

      const log = await ended(id);
      const stored = plain(await openai.responses.retrieve(id));
      assert.equal(live.at(-1).type, 'response.completed');
      assert.deepEqual(live.map((event) => event.sequence_number), live.map((_, at) => at));
      const { output_text, ...response } = stored;
      assert.deepEqual(live.at(-1).response, response);
      assert.deepEqual(await folded(live), stored.output, of_seed);
      sameAsTheLog(stored, log);

      const rests = await Promise.all(live.map((event) => read(resume(id, event.sequence_number))));
      for (const [at, rest] of rests.entries()) {
        assert.deepEqual(rest, live.slice(at + 1), `after ${at}, ${of_seed}`);
        const together = [...live.slice(0, at + 1), ...rest];
        if (seed <= 3) assert.deepEqual(await folded(together), stored.output, `after ${at}, ${of_seed}`);
      }
      // The helper of the SDK, as it resumes.
      const again = openai.responses.stream({ response_id: id, starting_after: Math.floor(live.length / 2) });
      assert.deepEqual(whole((await again.finalResponse()).output), stored.output);
    }
  },

  'each kind of item, live and retrieved, and sent back': async () => {
    const state = (of, signature) => ({ type: 'provider_state', provider: 'vendor', of, data: { signature } });
    const picture = Buffer.from([137, 80, 78, 71]).toString('base64');
    const events = [
      { type: 'thinking', content: 'Hm. ' },
      { type: 'thinking', content: 'Look.' },
      state('turn', 'a'),
      { type: 'text', content: 'Cats sleep' },
      { type: 'source', id: 's1', url: 'https://example.com/cats', title: 'Cats', quote: 'They sleep.', at: { start: 0, end: 4 } },
      { type: 'tool_calls', calls: [{ id: 'call-1', name: 'search', arguments: { q: 'cats' } }] },
      { type: 'turn', finishReason: 'tool_calls', model: 'm-1', usage: { inputTokens: 5, outputTokens: 2, cachedInputTokens: 1, reasoningTokens: 1 } },
      { type: 'tool_result', id: 'call-1', name: 'search', content: 'Two.' },
      { type: 'media', mediaType: 'image/png', url: `data:image/png;base64,${picture}` },
      { type: 'text', content: 'Where?' },
      { type: 'tool_input', id: 'call-2', name: 'map', delta: '{"zo' },
      { type: 'tool_input', id: 'call-2', delta: 'om": 3}' },
      { type: 'tool_calls', calls: [{ id: 'call-2', name: 'map', arguments: { zoom: 3 } }] },
      { type: 'turn', finishReason: 'tool_calls', model: 'm-2', usage: { inputTokens: 9, outputTokens: 3, cachedInputTokens: 4, reasoningTokens: 0 } },
      { type: 'complete', finishReason: 'tool_calls' },
    ];
    const stream = openai.responses.stream(body(events));
    const [citations, snapshots] = [[], []];
    stream.on('response.output_text.annotation.added', (event) => citations.push(event.annotation));
    stream.on('response.function_call_arguments.delta', (event) => snapshots.push(event.snapshot));
    const answer = await stream.finalResponse();
    const stored = await openai.responses.retrieve(answer.id);
    assert.deepEqual(whole(answer.output), plain(stored.output));
    assert.deepEqual(snapshots, ['{"zo', '{"zoom": 3}']);
    const [reasoning, text, call, painted, where, map, ...more] = plain(stored.output);
    assert.deepEqual(more, []);
    assert.deepEqual([reasoning.type, reasoning.content[0].text], ['reasoning', 'Hm. Look.']);
    assert.match(Buffer.from(reasoning.encrypted_content.split('.')[1], 'base64url').toString(), /"signature":"a"/);
    const citation = { type: 'url_citation', url: 'https://example.com/cats', title: 'Cats', start_index: 0, end_index: 4, quote: 'They sleep.' };
    assert.deepEqual(text.content[0].annotations, [citation]);
    assert.deepEqual(citations, [citation]);
    assert.deepEqual([call.type, call.name, call.arguments, call.output], ['mcp_call', 'search', '{"q":"cats"}', 'Two.']);
    assert.deepEqual([painted.type, painted.result, painted.output_format], ['image_generation_call', picture, 'png']);
    assert.equal(where.content[0].text, 'Where?');
    assert.deepEqual([map.type, map.call_id, map.arguments], ['function_call', 'call-2', '{"zoom": 3}']);
    const { input_tokens, output_tokens, total_tokens, input_tokens_details, output_tokens_details } = stored.usage;
    assert.deepEqual([input_tokens, output_tokens, total_tokens, input_tokens_details.cached_tokens, output_tokens_details.reasoning_tokens], [14, 5, 19, 5, 1]);
    assert.equal(stored.model, 'm-2');
    const gave = { type: 'function_call_output', call_id: 'call-2', output: 'a map' };
    const second = await openai.responses.create({ model: 'scripted', tools, input: [{ role: 'user', content: 'Where?' }, ...stored.output, gave] });
    assert.match(second.output_text, /^The tool gave a map/);
  },

  'an answer that ended for a reason that the API lacks is incomplete, live, parsed and retrieved': async () => {
    for (const finishReason of ['unknown', 'insufficient_system_resource', 'MALFORMED_FUNCTION_CALL', 'pause_turn']) {
      const events = [{ type: 'text', content: 'Cats' }, { type: 'complete', finishReason }];
      const live = await openai.responses.stream(body(events)).finalResponse();
      const waited = await openai.responses.parse(body(events));
      const stored = await openai.responses.retrieve(live.id);
      for (const { status, incomplete_details, output_text } of [live, waited, stored]) {
        assert.deepEqual([status, incomplete_details, output_text], ['incomplete', { reason: finishReason }, 'Cats']);
      }
    }
  },
});
