// The helpers of the scripts: concurrent scenarios, a proxy that cuts connections, and the server's own
// view of a session.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';

export const BASE = process.env.BASE_URL;

/** The number of concurrent scenarios, which mostly wait. */
const LANES = 6;

/**
 * Runs `{ name: async () => … }`, or lists the names with `--list`. Writes a line for each, which the test
 * reads.
 */
export async function play(scenarios) {
  const wanted = process.argv.slice(2);
  if (wanted[0] === '--list') return console.log(Object.keys(scenarios).join('\n'));
  const left = Object.entries(scenarios).filter(([name]) => !wanted.length || wanted.some((it) => name.includes(it)));
  const say = console.log;
  console.log = console.error; // clients may chat
  const lane = async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      const [scenario, run] = next;
      let error = null;
      try {
        await within(240_000, run());
      } catch (thrown) {
        error = thrown?.stack ?? String(thrown);
      }
      say(JSON.stringify({ scenario, error }));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  process.exit(0); // whatever a client keeps open
}

export async function within(ms, promise, what = 'it') {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until `holds()` returns a truthy value. */
export async function until(holds, what = holds.toString()) {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((go) => setTimeout(go, 2))) {
    const found = await holds();
    if (found) return found;
  }
  throw new Error(`never: ${what}`);
}

/** Resumes an answer that waits at this gate: `gate: { name, at }` beside its script. */
export const open = (name) => fetch(`${BASE}/gate/${name}`, { method: 'POST' });

/** A unique id. */
export const fresh = (what) => `${what}-${crypto.randomUUID()}`;

/**
 * A TCP proxy before the server. Each connection is reset once `after` events have come through, by
 * the empty lines that end them, and `more` bytes; the first `cuts` times. Without them nothing is
 * cut. With `unheard` it is reset as soon as the server answers, before the client gets a byte.
 */
export async function cutting({ after, more = 0, cuts = Infinity, unheard = false }) {
  const target = new URL(BASE);
  const proxy = { made: 0, cut: 0 };
  const server = net.createServer((client) => {
    proxy.made++;
    const upstream = net.connect(Number(target.port), target.hostname);
    const drop = () => (client.destroy(), upstream.destroy());
    let [events, last, body] = [0, 0, false];
    let [head, further] = ['', 0];
    client.pipe(upstream);
    upstream.on('data', (bytes) => {
      if (unheard && proxy.cut < cuts) {
        proxy.cut++;
        return void (client.resetAndDestroy(), upstream.destroy());
      }
      for (let at = 0; at < bytes.length; at++) {
        if (!body) {
          head = (head + String.fromCharCode(bytes[at])).slice(-4);
          body = head === '\r\n\r\n';
          continue;
        }
        if (bytes[at] === 10 && last === 10) events++;
        last = bytes[at];
        if (events >= after && proxy.cut < cuts && further++ === more) {
          proxy.cut++;
          client.write(bytes.subarray(0, at + 1), () => {
            // The written bytes must arrive before the reset.
            setTimeout(() => (client.resetAndDestroy(), upstream.destroy()), 5);
          });
          upstream.removeAllListeners('data').pause();
          return;
        }
      }
      client.write(bytes);
    });
    for (const socket of [client, upstream]) socket.on('error', drop).on('close', drop);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.close = () => server.close();
  return proxy;
}

/** The session on the server: its events, folded into text, thinking and the last one. */
export async function transcript(id) {
  const page = await fetch(`${BASE}/native/${id}?limit=10000`, { headers: { accept: 'application/json' } });
  assert.equal(page.status, 200, `${id} is on the server`);
  const { events, status } = await page.json();
  const said = (type) => events.filter(({ event }) => event.type === type).map(({ event }) => event.content).join('');
  return { status, text: said('text'), thinking: said('thinking'), last: events.at(-1)?.event, events: events.map(({ event }) => event) };
}

/** The session on the server, once it has ended. */
export async function ended(id) {
  return until(async () => {
    const found = await transcript(id);
    return found.status !== 'streaming' && found.status !== 'waiting' && found;
  }, `${id} ends`);
}

/** The number of calls of the provider by scripts with this `tally`. */
export async function calls(tally) {
  const asked = await fetch(`${BASE}/native`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/x-ndjson' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'How often?' }], script: { tell: tally } }),
  });
  const events = (await asked.text()).split('\n').filter(Boolean).map((line) => JSON.parse(line).event);
  return JSON.parse(events.find((event) => event.type === 'text').content).calls;
}
