// The library of Standard Webhooks for Node, in a receiver of the outbox's webhook.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { BASE, play, until } from './bench.mjs';

const TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.';
const secretOf = (bytes) => `whsec_${randomBytes(bytes).toString('base64')}`;

/** A receiver that answers with these statuses, then 200. */
async function receiver(...statuses) {
  const got = [];
  const server = http.createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    got.push({ headers: request.headers, body: Buffer.concat(pieces) });
    response.writeHead(statuses.shift() ?? 200).end();
  });
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  return { got, url: `http://127.0.0.1:${server.address().port}/hook` };
}

/** Runs an answer to its end. Returns the id of its session. */
async function answered({ url }, ...secrets) {
  const body = { messages: [{ role: 'user', content: 'Hi' }], script: { text: TEXT, delayMs: 0 }, receiver: url, secrets };
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${BASE}/webhook`, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  await answer.text();
  return answer.headers.get('x-session-id');
}

const refuses = (secret, { headers, body }) =>
  assert.throws(() => new Webhook(secret).verify(body, headers), WebhookVerificationError);

await play({
  'a delivery is verified, and tells what happened': async () => {
    for (const bytes of [24, 32, 64]) {
      const [hook, secret] = [await receiver(), secretOf(bytes)];
      const id = await answered(hook, secret);
      const delivery = await until(() => hook.got[0]);
      const { type, data, timestamp } = new Webhook(secret).verify(delivery.body, delivery.headers);
      assert.equal(type, 'session.ended');
      assert.ok(Math.abs(Date.now() - Date.parse(timestamp)) < 60_000, timestamp);
      assert.match(delivery.headers['webhook-id'], /^[0-9a-f]{32}$/);
      assert.deepEqual([data.id, data.outcome, data.delivery], [id, 'complete', 1]);
      assert.deepEqual(data.messages, [{ role: 'assistant', content: TEXT }]);
      assert.deepEqual(data.request.messages, [{ role: 'user', content: 'Hi' }]);
      assert.ok(data.usage.outputTokens > 0);
    }
  },

  'a change of the body, the id, the timestamp or the signature is found': async () => {
    const [hook, secret] = [await receiver(), secretOf(32)];
    await answered(hook, secret);
    const { headers, body } = await until(() => hook.got[0]);
    new Webhook(secret).verify(body, headers);
    const changed = Buffer.from(body.toString().replace('"delivery":1', '"delivery":2'));
    assert.notDeepEqual(changed, body);
    refuses(secret, { headers, body: changed });
    refuses(secret, { headers, body: Buffer.concat([body, Buffer.from(' ')]) });
    refuses(secret, { headers: { ...headers, 'webhook-id': `${headers['webhook-id']}0` }, body });
    refuses(secret, { headers: { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }, body });
    const signature = headers['webhook-signature'].replace(/^v1,(.)/, (_, first) => `v1,${first === 'A' ? 'B' : 'A'}`);
    refuses(secret, { headers: { ...headers, 'webhook-signature': signature }, body });
  },

  'a wrong secret is found by the receiver': async () => {
    const hook = await receiver();
    await answered(hook, secretOf(32));
    refuses(secretOf(32), await until(() => hook.got[0]));
  },

  'while a secret changes, receivers with either verify': async () => {
    const [hook, current, former] = [await receiver(), secretOf(32), secretOf(32)];
    await answered(hook, current, former);
    const delivery = await until(() => hook.got[0]);
    for (const secret of [current, former]) new Webhook(secret).verify(delivery.body, delivery.headers);
    refuses(secretOf(32), delivery);
  },

  'an ending that comes again has its id, and is verified again': async () => {
    const [hook, secret] = [await receiver(500), secretOf(32)];
    await answered(hook, secret);
    await until(() => hook.got.length === 2);
    const [first, second] = hook.got.map(({ body, headers }) => new Webhook(secret).verify(body, headers).data);
    assert.deepEqual([first.delivery, second.delivery], [1, 2]);
    assert.deepEqual({ ...second, delivery: 1 }, first);
    assert.equal(hook.got[0].headers['webhook-id'], hook.got[1].headers['webhook-id']);
  },
});
