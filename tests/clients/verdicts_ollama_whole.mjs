// The verdict of Ollama's package for JavaScript on whole answers of its own protocol; `verdicts.mjs` tells more.
// A name may be that of a cut answer.

import { Ollama } from 'ollama';

const [base, ...names] = process.argv.slice(2);
const request = { model: 'm', messages: [{ role: 'user', content: 'Hi' }], stream: false };

async function raw(name) {
  const whole = await new Ollama({ host: `${base}/${name}` }).chat(request);
  const calls = (whole.message.tool_calls ?? []).map(({ function: { name: tool, arguments: given } }) => [
    tool,
    typeof given === 'string' ? given : JSON.stringify(given ?? {}),
  ]);
  const finish = whole.done ? (whole.done_reason ?? null) : null;
  return { text: (whole.message.content ?? '').toWellFormed(), calls, finish };
}

const verdicts = {};
for (const name of names) {
  verdicts[name] = { raw: await raw(name).catch((error) => ({ error: String(error) })) };
}
console.log(JSON.stringify(verdicts));
