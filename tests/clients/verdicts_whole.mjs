// The verdict of the official SDK for Node on whole completions, which it gets where no stream is asked for;
// `verdicts.mjs` tells more. A name may be that of a cut answer.

import OpenAI from 'openai';

const [base, ...names] = process.argv.slice(2);
const request = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };
const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed();

async function raw(name) {
  const client = new OpenAI({ baseURL: `${base}/${name}`, apiKey: 'none', maxRetries: 0, logLevel: 'off' });
  const whole = await client.chat.completions.create(request);
  const { message, finish_reason: finish } = whole.choices[0];
  const calls = (message.tool_calls ?? []).map((call) => [text(call.function.name), text(call.function.arguments)]);
  return { text: text(message.content ?? ''), calls, finish: finish ?? null };
}

const verdicts = {};
for (const name of names) {
  verdicts[name] = { raw: await raw(name).catch((error) => ({ error: String(error) })) };
}
console.log(JSON.stringify(verdicts));
