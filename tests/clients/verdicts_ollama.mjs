// The verdict of Ollama's package for JavaScript on answers of its own protocol; `verdicts.mjs` tells more.

import { Ollama } from 'ollama';

const [base, ...names] = process.argv.slice(2);
console.warn = () => {}; // about lines that are no JSON

async function raw(name) {
  const said = { text: '', calls: [], finish: null };
  const request = { model: 'm', messages: [{ role: 'user', content: 'Hi' }], stream: true };
  for await (const { message, done, done_reason: reason } of await new Ollama({ host: `${base}/${name}` }).chat(request)) {
    said.text += message?.content ?? '';
    for (const call of message?.tool_calls ?? []) {
      const given = call.function.arguments ?? '';
      said.calls.push([call.function.name, typeof given === 'string' ? given : JSON.stringify(given)]);
    }
    if (done) said.finish = reason ?? null;
  }
  return { ...said, text: said.text.toWellFormed() };
}

const verdicts = {};
for (const name of names) {
  verdicts[name] = { raw: await raw(name).catch((error) => ({ error: String(error) })) };
}
console.log(JSON.stringify(verdicts));
