// The verdict of the official SDK for Node on streams of Responses; `verdicts.mjs` tells more. `helper` is that
// of the SDK's own snapshot of the response. A name may be that of a cut answer.

import OpenAI from 'openai';

const [base, ...names] = process.argv.slice(2);
const request = { model: 'm', input: 'Hi' };

function said(response) {
  const items = response.output ?? [];
  const parts = items.filter(({ type }) => type === 'message').flatMap(({ content }) => content ?? []);
  const calls = items.filter(({ type }) => type === 'function_call');
  return {
    text: parts.map((part) => part.text ?? part.refusal ?? '').join('').toWellFormed(),
    calls: calls.map((call) => [call.name, call.arguments]),
    finish: response.status === 'in_progress' ? null : (response.incomplete_details?.reason ?? response.status ?? null),
  };
}

/** The response of the last event that has one, if the stream came to its end. */
async function raw(client) {
  let last = { status: null };
  for await (const event of await client.responses.create({ ...request, stream: true })) {
    if (['response.completed', 'response.incomplete'].includes(event.type)) last = event.response;
    if (['response.failed', 'error'].includes(event.type)) throw new Error(event.type);
  }
  return said(last);
}

async function helper(client) {
  return said(await client.responses.stream(request).finalResponse());
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
