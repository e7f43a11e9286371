// The verdict of the official SDK for Node on answers of Chat Completions. Its arguments are the address of a
// server and names of answers, each of which is the answer of `POST /{name}/chat/completions`; it prints
// `{name: {raw, helper}}`: by the chunks of the stream, and by the SDK's own helper.

import OpenAI from 'openai';

const [base, ...names] = process.argv.slice(2);
const request = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };

const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed();

function said({ content, calls, finish }) {
  return {
    text: text(content),
    calls: calls.filter(Boolean).map(({ name, arguments: given }) => [text(name), text(given)]),
    finish: finish ?? null,
  };
}

/** The chunks, put together as their documentation says: by the index of a choice and of a call. */
async function raw(client) {
  let content = '';
  let finish;
  const calls = [];
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    for (const choice of chunk?.choices ?? []) {
      if (choice.index !== 0) continue;
      if (choice.delta?.content) content += choice.delta.content;
      for (const { index, function: called } of choice.delta?.tool_calls ?? []) {
        if (!Number.isInteger(index)) throw new Error('an index that is no number');
        const call = (calls[index] ??= { name: '', arguments: '' });
        if (called?.name) call.name = called.name;
        if (called?.arguments) call.arguments += called.arguments;
      }
      finish = choice.finish_reason || finish;
    }
  }
  return said({ content, calls, finish });
}

async function helper(client) {
  const whole = await client.chat.completions.stream(request).finalChatCompletion();
  const { message, finish_reason: finish } = whole.choices[0] ?? { message: {} };
  const calls = (message.tool_calls ?? []).map((call) => call?.function);
  return said({ content: message.content ?? '', calls, finish });
}

async function verdict(read, name) {
  const client = new OpenAI({ baseURL: `${base}/${name}`, apiKey: 'none', maxRetries: 0, logLevel: 'off' });
  try {
    return await read(client);
  } catch (error) {
    return { error: String(error) };
  }
}

const verdicts = {};
for (const name of names) {
  verdicts[name] = { raw: await verdict(raw, name), helper: await verdict(helper, name) };
}
console.log(JSON.stringify(verdicts));
