// Pictures and files, from the clients to the model of a stub and back: useChat, @ag-ui/client, OpenAI's SDK
// and curl. Where media are closed, each gets the refusal in its own form and its protocol's words.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { HttpAgent } from '@ag-ui/client';
import * as ai7 from 'ai';
import * as ai6 from 'ai6';
import OpenAI from 'openai';
import { State } from './state.mjs';
import { BASE, fresh, play } from './bench.mjs';

console.error = () => {}; // @ag-ui/client writes every failure there, too

/** Bytes of every value, of a size that is no multiple of three. */
const bytes = (seed) => Buffer.from(Uint8Array.from({ length: 70_001 }, (_, at) => (at * 31 + seed * 7 + (at >> 8)) % 256));
const PNG = { mediaType: 'image/png', name: 'cat.png', bytes: bytes(1) };
const PDF = { mediaType: 'application/pdf', name: 'cat.pdf', bytes: bytes(2) };
const base64 = (file) => file.bytes.toString('base64');
const url = (file) => `data:${file.mediaType};base64,${base64(file)}`;

/** The request that the model got with this word, if it got one. */
async function modelGot(word) {
  const requests = await (await fetch(`${BASE}/upstream/about/${word}`)).json();
  assert.ok(requests.length <= 1, 'the model is called once');
  return requests[0];
}

const decoded = (dataUrl) => Buffer.from(dataUrl.slice(dataUrl.indexOf(',') + 1), 'base64');

/** Checks that the model got the word, the picture and the file. */
async function arrived(word) {
  const { content } = (await modelGot(word)).messages.at(-1);
  const [text, picture, file, ...more] = content;
  assert.deepEqual(text, { type: 'text', text: word });
  assert.equal(picture.type, 'image_url');
  assert.ok(picture.image_url.url.startsWith('data:image/png;base64,'));
  assert.ok(decoded(picture.image_url.url).equals(PNG.bytes), 'the picture, byte for byte');
  assert.equal(file.type, 'file');
  assert.equal(file.file.filename, PDF.name);
  assert.ok(file.file.file_data.startsWith('data:application/pdf;base64,'));
  assert.ok(decoded(file.file.file_data).equals(PDF.bytes), 'the file, byte for byte');
  assert.deepEqual(more, []);
}

/** The events of an answer with a picture and a file. */
const painted = () => ({ events: [{ type: 'text', content: 'There: ' }, ...[PNG, PDF].map((file) => ({ type: 'media', mediaType: file.mediaType, url: url(file), name: file.name })), { type: 'text', content: 'Done.' }] });

/** The events of an answer whose tool gives a picture and a file between texts. */
const drawn = () => ({
  events: [
    { type: 'tool_calls', calls: [{ id: 'call-1', name: 'draw', arguments: { of: 'a cat' } }] },
    { type: 'tool_result', id: 'call-1', name: 'draw', content: [{ type: 'text', text: 'Before.' }, media(PNG), { type: 'text', text: 'Between.' }, media(PDF)] },
    { type: 'text', content: 'There.' },
  ],
});

/** Checks that the model got the result of the tool with this question, all of it in order. */
async function wentBack(word) {
  const results = (await modelGot(word)).messages.filter(({ role }) => role === 'tool');
  assert.equal(results.length, 1);
  const [before, picture, between, file, ...more] = results[0].content;
  assert.deepEqual([before, between], [{ type: 'text', text: 'Before.' }, { type: 'text', text: 'Between.' }]);
  assert.ok(decoded(picture.image_url.url).equals(PNG.bytes), 'the picture, byte for byte');
  assert.equal(file.file.filename, PDF.name);
  assert.ok(decoded(file.file.file_data).equals(PDF.bytes), 'the file, byte for byte');
  assert.deepEqual(more, []);
}

// useChat

function useChat(sdk, path, messages = []) {
  class Chat extends sdk.AbstractChat {
    constructor(init) {
      super({ ...init, state: new State(messages) });
    }
  }
  const errors = [];
  const transport = new sdk.DefaultChatTransport({ api: `${BASE}/${path}` });
  return { chat: new Chat({ id: fresh('chat'), transport, onError: (error) => errors.push(error) }), errors };
}

const parts = (files) => files.map((file) => ({ type: 'file', mediaType: file.mediaType, filename: file.name, url: url(file) }));

const useChats = (name, sdk) => ({
  [`${name}: a picture and a file reach the model`]: async () => {
    const [word, { chat }] = [fresh('word'), useChat(sdk, 'open/ai')];
    await chat.sendMessage({ role: 'user', parts: [{ type: 'text', text: word }, ...parts([PNG, PDF])] });
    assert.deepEqual([chat.status, chat.error], ['ready', undefined]);
    await arrived(word);
  },

  [`${name}: closed ones are refused`]: async () => {
    for (const file of [PNG, PDF]) {
      const [word, { chat, errors }] = [fresh('word'), useChat(sdk, 'closed/ai')];
      await chat.sendMessage({ text: word, files: parts([file]) });
      assert.equal(chat.status, 'error');
      assert.deepEqual(errors, [chat.error]);
      assert.match(chat.error.message, /parts of the type `file` are not open/);
      assert.equal(await modelGot(word), undefined);
    }
  },

  [`${name}: those of the model arrive`]: async () => {
    const { chat } = useChat(sdk, 'ai');
    await chat.sendMessage({ text: 'Paint.' }, { body: painted() });
    assert.deepEqual([chat.status, chat.error], ['ready', undefined]);
    const files = chat.messages.at(-1).parts.filter((part) => part.type === 'file');
    assert.deepEqual(files.map((file) => file.mediaType), [PNG.mediaType, PDF.mediaType]);
    for (const [at, file] of [PNG, PDF].entries()) assert.ok(decoded(files[at].url).equals(file.bytes));
  },

  [`${name}: those in the result of a tool arrive, and go back with the next question`]: async () => {
    const { chat } = useChat(sdk, 'ai');
    await chat.sendMessage({ text: 'Draw.' }, { body: drawn() });
    assert.deepEqual([chat.status, chat.error], ['ready', undefined]);
    const answer = chat.messages.at(-1);
    assert.deepEqual(answer.parts.map(({ type }) => type), ['step-start', 'tool-draw', 'file', 'file', 'step-start', 'text']);
    const [, tool, ...files] = answer.parts;
    assert.deepEqual([tool.state, tool.output], ['output-available', 'Before.\nBetween.']);
    for (const [at, file] of [PNG, PDF].entries()) {
      assert.equal(files[at].mediaType, file.mediaType);
      assert.ok(decoded(files[at].url).equals(file.bytes));
      assert.equal(files[at].providerMetadata.unbroken.toolCallId, 'call-1');
    }
    const word = fresh('word');
    const next = useChat(sdk, 'history/ai', chat.messages);
    await next.chat.sendMessage({ text: word });
    assert.deepEqual(next.errors, []);
    await wentBack(word);
  },
});

// @ag-ui/client

async function runAgent(path, content, forwardedProps, earlier = []) {
  const agent = new HttpAgent({ url: `${BASE}/${path}` });
  const seen = { events: [], failures: [] };
  agent.subscribe({
    onEvent: ({ event }) => void seen.events.push(event),
    onRunFailed: ({ error }) => (seen.failures.push(error), { stopPropagation: true }),
  });
  agent.messages = [...earlier, { id: fresh('message'), role: 'user', content }];
  await agent.runAgent({ forwardedProps });
  return { ...seen, messages: agent.messages };
}

const source = (file) => ({ type: 'data', value: base64(file), mimeType: file.mediaType });
const image = { type: 'image', source: source(PNG) };
const document = { type: 'document', source: source(PDF), metadata: { filename: PDF.name } };

const agUi = {
  '@ag-ui/client: a picture and a file reach the model': async () => {
    const word = fresh('word');
    const { failures, events } = await runAgent('open/ag-ui', [{ type: 'text', text: word }, image, document]);
    assert.deepEqual(failures, []);
    assert.equal(events.at(-1).type, 'RUN_FINISHED');
    await arrived(word);
  },

  '@ag-ui/client: closed ones are refused': async () => {
    for (const part of [image, document]) {
      const word = fresh('word');
      const { failures, events } = await runAgent('closed/ag-ui', [{ type: 'text', text: word }, part]);
      assert.deepEqual(events, []);
      assert.equal(failures.length, 1);
      assert.match(failures[0].message, new RegExp(`HTTP 422.*parts of the type \`${part.type}\` are not open`));
      assert.equal(failures[0].status, 422);
      assert.equal(await modelGot(word), undefined);
    }
  },

  '@ag-ui/client: a closed option is refused, and what asks for nothing is not': async () => {
    const word = fresh('word');
    const refused = await runAgent('closed/ag-ui', word, { temperature: 0.5 });
    assert.match(refused.failures[0].message, /HTTP 422.*`forwardedProps.temperature` is not open/);
    const wide = await runAgent('open/ag-ui', word, { temperature: 1.5 });
    assert.match(wide.failures[0].message, /`forwardedProps.temperature` must be 0 to 1/);
    assert.equal(await modelGot(word), undefined);
    const asks = await runAgent('closed/ag-ui', word, { toolChoice: 'auto', parallelToolCalls: true, modelOptions: {} });
    assert.deepEqual(asks.failures, []);
    const got = await modelGot(word);
    assert.deepEqual(['tool_choice', 'parallel_tool_calls'].filter((name) => name in got), []);
  },

  '@ag-ui/client: those of the model arrive': async () => {
    const { failures, events } = await runAgent('ag-ui', 'Paint.', painted());
    assert.deepEqual(failures, []);
    const files = events.filter((event) => event.type === 'CUSTOM' && event.name === 'media').map((event) => event.value);
    assert.deepEqual(files.map(({ mediaType, name }) => [mediaType, name]), [PNG, PDF].map(({ mediaType, name }) => [mediaType, name]));
    for (const [at, file] of [PNG, PDF].entries()) assert.ok(decoded(files[at].url).equals(file.bytes));
  },

  '@ag-ui/client: those in the result of a tool arrive, and go back with the next question': async () => {
    const { failures, messages } = await runAgent('ag-ui', 'Draw.', drawn());
    assert.deepEqual(failures, []);
    const { content } = messages.find(({ role }) => role === 'tool');
    assert.deepEqual(content.map(({ type }) => type), ['text', 'image', 'text', 'document']);
    for (const [at, file] of [[1, PNG], [3, PDF]]) {
      assert.equal(content[at].source.mimeType, file.mediaType);
      assert.ok(Buffer.from(content[at].source.value, 'base64').equals(file.bytes));
    }
    const word = fresh('word');
    const next = await runAgent('history/ag-ui', word, undefined, messages);
    assert.deepEqual(next.failures, []);
    await wentBack(word);
  },
};

// OpenAI's SDK

const client = (path) => new OpenAI({ baseURL: `${BASE}/${path}`, apiKey: 'none', maxRetries: 0 });
const input = (word, ...parts) => [{ role: 'user', content: [{ type: 'input_text', text: word }, ...parts] }];
const inputImage = { type: 'input_image', image_url: url(PNG), detail: 'auto' };
const inputFile = { type: 'input_file', file_data: url(PDF), filename: PDF.name };

const responses = {
  'openai: a picture and a file reach the model': async () => {
    const word = fresh('word');
    const answer = await client('open/v1').responses.create({ model: 'scripted', input: input(word, inputImage, inputFile) });
    assert.deepEqual([answer.status, answer.output_text], ['completed', 'Seen.']);
    await arrived(word);
  },

  'openai: closed ones are refused': async () => {
    for (const part of [inputImage, inputFile]) {
      for (const stream of [false, true]) {
        const word = fresh('word');
        await assert.rejects(client('closed/v1').responses.create({ model: 'scripted', stream, input: input(word, part) }), (error) => {
          assert.ok(error instanceof OpenAI.UnprocessableEntityError);
          assert.deepEqual([error.status, error.code, error.type], [422, 'not_open', 'invalid_request_error']);
          assert.ok(error.message.includes(`parts of the type \`${part.type}\` are not open`), error.message);
          return true;
        });
        assert.equal(await modelGot(word), undefined);
      }
    }
  },

  'openai: a closed option is refused, and what asks for nothing is not': async () => {
    const word = fresh('word');
    const ask = (fields) => client('closed/v1').responses.create({ model: 'scripted', input: word, ...fields });
    for (const [fields, name] of [
      [{ tool_choice: 'required' }, 'tool_choice'],
      [{ parallel_tool_calls: false }, 'parallel_tool_calls'],
      [{ text: { format: { type: 'json_object' } } }, 'text.format'],
      [{ max_output_tokens: 9 }, 'max_output_tokens'],
      [{ reasoning: { effort: 'low' } }, 'reasoning'],
    ]) {
      await assert.rejects(ask(fields), (error) => error.code === 'not_open' && error.message.includes(`\`${name}\` is not open`));
    }
    assert.equal(await modelGot(word), undefined);
    const answer = await ask({
      tool_choice: 'auto', parallel_tool_calls: true, text: { format: { type: 'text' }, verbosity: 'medium' }, truncation: 'disabled',
      reasoning: null, store: true, background: false, stream: false, tools: [], include: [], metadata: {}, service_tier: 'auto',
      temperature: null, top_p: null, max_output_tokens: null, instructions: null, previous_response_id: null,
    });
    assert.deepEqual([answer.status, answer.tool_choice, answer.parallel_tool_calls], ['completed', 'auto', true]);
    assert.deepEqual(answer.text.format, { type: 'text' });
    const got = await modelGot(word);
    assert.deepEqual(['tool_choice', 'parallel_tool_calls', 'response_format', 'temperature'].filter((name) => name in got), []);
  },

  'openai: those of the model arrive': async () => {
    const answer = await client('v1').responses.create({ model: 'scripted', input: 'Paint.', ...painted() });
    assert.deepEqual([answer.status, answer.output_text], ['completed', 'There: Done.']);
    const pictures = answer.output.filter((item) => item.type === 'image_generation_call');
    assert.deepEqual(pictures.map((item) => [item.status, item.output_format]), [['completed', 'png']]);
    assert.ok(Buffer.from(pictures[0].result, 'base64').equals(PNG.bytes));
    const annotations = answer.output.flatMap((item) => item.content ?? []).flatMap((part) => part.annotations ?? []);
    assert.deepEqual(annotations.map(({ type, title, file }) => [type, title, file]), [['url_citation', PDF.name, { media_type: PDF.mediaType, name: PDF.name }]]);
    assert.ok(decoded(annotations[0].url).equals(PDF.bytes));
  },

  'openai: those in the result of a tool arrive, and go back with the next question': async () => {
    const answer = await client('v1').responses.create({ model: 'scripted', input: 'Draw.', ...drawn() });
    assert.deepEqual([answer.status, answer.output_text], ['completed', 'There.']);
    assert.deepEqual(answer.output.map(({ type }) => type), ['mcp_call', 'image_generation_call', 'message', 'message']);
    const [call, picture, text] = answer.output;
    assert.deepEqual([call.status, call.output], ['completed', 'Before.\nBetween.']);
    assert.ok(Buffer.from(picture.result, 'base64').equals(PNG.bytes));
    const [{ url: address, file }] = text.content[0].annotations;
    assert.ok(decoded(address).equals(PDF.bytes));
    assert.deepEqual([picture.of_result.item_id, file.of_result.item_id], [call.id, call.id]);
    const word = fresh('word');
    const asked = [{ role: 'user', content: 'Draw.' }, ...answer.output, { role: 'user', content: word }];
    const next = await client('history/v1').responses.create({ model: 'scripted', input: asked });
    assert.equal(next.status, 'completed');
    await wentBack(word);
  },
};

// curl

/** Posts JSON with curl. Returns the status, the content type and the body. */
async function curl(path, body) {
  const child = spawn('curl', ['-sS', '-N', '-w', '\n%{http_code} %{content_type}', '-H', 'Content-Type: application/json', '--data-binary', '@-', `${BASE}/${path}`]);
  child.stdin.end(JSON.stringify(body));
  let [out, err] = ['', ''];
  child.stdout.on('data', (more) => (out += more));
  child.stderr.on('data', (more) => (err += more));
  const code = await new Promise((done) => child.on('close', done));
  assert.equal(code, 0, err);
  const at = out.lastIndexOf('\n');
  const [status, type] = out.slice(at + 1).split(' ');
  return { status: Number(status), type, body: out.slice(0, at) };
}

const media = (file) => ({ type: 'media', mediaType: file.mediaType, url: url(file), name: file.name });
const events = (body) => body.split('\n').filter(Boolean).map((line) => JSON.parse(line).event);

const native = {
  'curl: a picture and a file reach the model': async () => {
    const word = fresh('word');
    const content = [{ type: 'text', text: word }, media(PNG), media(PDF)];
    const { status, body } = await curl('open/native', { messages: [{ role: 'user', content }] });
    assert.equal(status, 200, body);
    assert.equal(events(body).at(-1).type, 'complete');
    await arrived(word);
  },

  'curl: closed ones are refused': async () => {
    for (const file of [PNG, PDF]) {
      const word = fresh('word');
      const content = [{ type: 'text', text: word }, media(file)];
      const { status, type, body } = await curl('closed/native', { messages: [{ role: 'user', content }] });
      assert.deepEqual([status, type], [422, 'application/problem+json']);
      const problem = JSON.parse(body);
      assert.deepEqual([problem.status, problem.type], [422, 'urn:unbroken:not-open']);
      assert.match(problem.detail, /parts of the type `media` are not open.*ClientFields::media/);
      assert.equal(await modelGot(word), undefined);
    }
  },

  'curl: those of the model arrive': async () => {
    const { status, body } = await curl('native', { messages: [{ role: 'user', content: 'Paint.' }], ...painted() });
    assert.equal(status, 200);
    const files = events(body).filter((event) => event.type === 'media');
    assert.deepEqual(files.map((file) => file.name), [PNG.name, PDF.name]);
    for (const [at, file] of [PNG, PDF].entries()) assert.ok(decoded(files[at].url).equals(file.bytes));
  },

  'curl: those in the result of a tool arrive as parts': async () => {
    const { status, body } = await curl('native', { messages: [{ role: 'user', content: 'Draw.' }], ...drawn() });
    assert.equal(status, 200);
    const [result] = events(body).filter((event) => event.type === 'tool_result');
    assert.deepEqual(result, drawn().events[1]);
  },
};

await play({ ...useChats('ai 7', ai7), ...useChats('ai 6', ai6), ...agUi, ...responses, ...native });
