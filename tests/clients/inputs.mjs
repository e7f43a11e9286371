// The streams of an answer with calls, as the clients' own packages read them. Reads `{ ai, agUi, responses }` from
// standard input, each a body of server-sent events, and prints the calls that each package makes of it: id,
// arguments, and the number of times at which they had grown. The arguments of a call that never came are `null`.

import { HttpAgent } from '@ag-ui/client';
import { readUIMessageStream } from 'ai';
import { readUIMessageStream as readUIMessageStream6 } from 'ai6';
import OpenAI from 'openai';
import { text } from 'node:stream/consumers';

const bodies = JSON.parse(await text(process.stdin));
const serve = (body) => async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } });

/** Counts how often the arguments of each call have grown. */
class Growth {
  #calls = new Map();
  see(id, shown) {
    const call = this.#calls.get(id) ?? { id, shown: '', times: 0 };
    if (shown.length > call.shown.length) call.times += 1;
    call.shown = shown;
    this.#calls.set(id, call);
  }
  whole(id, value) {
    this.#calls.set(id, { times: 0, id, ...this.#calls.get(id), arguments: value });
  }
  get calls() {
    return [...this.#calls.values()].map((call) => [call.id, call.arguments, call.times]);
  }
}

async function ai(body, read) {
  const chunks = body.split('\n').filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]');
  const stream = new ReadableStream({
    async start(controller) {
      for (const line of chunks) {
        controller.enqueue(JSON.parse(line.slice(6)));
        await new Promise((resolve) => setImmediate(resolve)); // a snapshot for each
      }
      controller.close();
    },
  });
  const growth = new Growth();
  const failed = (error) => {
    throw error;
  };
  for await (const { parts } of read({ stream, onError: failed, terminateOnError: true })) {
    for (const { type, toolCallId, state, input } of parts) {
      if (!type.startsWith('tool-')) continue;
      if (state === 'input-streaming') growth.see(toolCallId, JSON.stringify(input) ?? '');
      else growth.whole(toolCallId, state === 'output-error' ? null : input);
    }
  }
  return growth.calls;
}

async function agUi(body) {
  globalThis.fetch = serve(body);
  const agent = new HttpAgent({ url: 'http://stub.invalid' });
  agent.messages = [{ id: '1', role: 'user', content: 'Hi' }];
  const growth = new Growth();
  let pending = [];
  await agent.runAgent({}, {
    onRunFinishedEvent: ({ pendingToolCallIds }) => void (pending = pendingToolCallIds),
    onToolCallArgsEvent: ({ event, toolCallBuffer }) => growth.see(event.toolCallId, toolCallBuffer + event.delta),
  });
  const cut = agent.messages.filter((message) => message.metadata?.unbroken?.incomplete).map((message) => message.toolCallId);
  for (const call of agent.messages.flatMap((message) => message.toolCalls ?? [])) {
    growth.whole(call.id, cut.includes(call.id) ? null : JSON.parse(call.function.arguments));
  }
  if (pending.some((id) => cut.includes(id))) throw new Error(`${pending} wait`);
  return growth.calls;
}

async function responses(body) {
  const client = new OpenAI({ apiKey: 'none', fetch: serve(body) });
  const growth = new Growth();
  const stream = client.responses.stream({ model: 'm', input: 'Hi' });
  const ids = new Map();
  stream.on('response.output_item.added', ({ item }) => void ids.set(item.id, item.call_id));
  stream.on('response.function_call_arguments.delta', ({ item_id, snapshot }) => growth.see(ids.get(item_id), snapshot));
  const { output } = await stream.finalResponse();
  for (const item of output) {
    if (item.type === 'function_call') growth.whole(item.call_id, JSON.parse(item.arguments));
  }
  return growth.calls;
}

console.log(JSON.stringify({ ai: await ai(bodies.ai, readUIMessageStream), ai6: await ai(bodies.ai, readUIMessageStream6), agUi: await agUi(bodies.agUi), responses: await responses(bodies.responses) }));
