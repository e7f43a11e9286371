// The client of Durable Streams against the dialect that reads sessions as such streams.

import assert from 'node:assert/strict';
import { stream } from '@durable-streams/client';
import { BASE, cutting, ended, fresh, open, play, until, within } from './bench.mjs';

const TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.';
const THINKING = 'Let me think.';
const HELD = 'A cat sat on the ';
const script = (more = {}) => ({ script: { text: TEXT, thinking: THINKING, delayMs: 0, ...more } });
/** An answer that pauses in the middle until its gate opens. */
const held = (name) => ({ ...script(), gate: { name, at: 8 } });

/** Starts an answer, and returns the URL of its stream. */
async function start(body, at = BASE) {
  const started = await fetch(`${BASE}/streams`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Tell me.' }], ...body }),
  });
  assert.equal(started.status, 201);
  const url = new URL(started.headers.get('location'), at).href;
  assert.equal(new URL((await started.json()).streamUrl, at).href, url);
  return url;
}

const idOf = (url) => url.split('/').at(-1);

/** The events of a stream, read from an offset until it ends or breaks. */
class Reading {
  events = [];
  batches = 0;
  offset = '-1';
  closed = false;
  failure = undefined;
  async read(url, live) {
    this.failure = undefined;
    try {
      const answer = await stream({ url, live, json: true, offset: this.offset, warnOnHttp: false });
      answer.subscribeJson(({ items, offset, streamClosed }) => {
        this.events.push(...items);
        this.batches++;
        this.offset = offset;
        this.closed ||= streamClosed === true;
      });
      await answer.closed;
      // The last batch is handed out after that; where the body broke there is none.
      await within(3_000, until(() => this.closed), 'the last batch');
    } catch (error) {
      if (!this.closed) this.failure = error; // it had all, else
    }
    return this;
  }
  get last() {
    return this.events.at(-1);
  }
  said = (type) => this.events.filter((event) => event.type === type).map((event) => event.content).join('');
  get text() {
    return this.said('text');
  }
}

/** Checks that it has each of the server's events once, and that the stream is closed. */
async function sameAsTheServer(reading, url) {
  const log = await ended(idOf(url));
  assert.equal(reading.failure, undefined);
  assert.ok(reading.closed, 'it was closed');
  assert.deepEqual(reading.events, log.events);
  return log;
}

const scenarios = (live) => ({
  'a whole answer': async () => {
    const url = await start(script({ delayMs: 3 }));
    const reading = await new Reading().read(url, live);
    const log = await sameAsTheServer(reading, url);
    assert.deepEqual([log.text, log.last.type], [TEXT, 'complete']);
  },

  'a connection that is cut anywhere is resumed after the offset that the client has': async () => {
    const each = async (after) => {
      // Over SSE after so many events; else after so many bytes, for there are no events.
      const proxy = await cutting(live === 'sse' ? { after, cuts: 1 } : { after: 0, more: after * 150, cuts: 1 });
      const tally = fresh('tally');
      const gate = fresh('gate');
      const url = await start({ ...script({ delayMs: 2, tally }), gate: { name: gate, at: 1 } }, proxy.url);
      const reading = new Reading();
      const done = reading.read(url, live);
      // It has caught up, which is reported again when it reads live.
      await until(() => reading.batches > (live === 'sse' ? 1 : 0) || proxy.cut);
      await open(gate);
      await done;
      for (let again = 0; !reading.closed && again < 3; again++) await reading.read(url, live);
      await sameAsTheServer(reading, url);
      proxy.close();
      return proxy.cut;
    };
    let cuts = 0;
    for (let from = 1; ; from += 6) {
      const cut = await Promise.all([0, 1, 2, 3, 4, 5].map((more) => each(from + more)));
      cuts += cut.filter(Boolean).length;
      if (cut.includes(0)) break;
    }
    assert.ok(cuts >= 3, `${cuts} were cut`); // as many as there are on any machine
  },

  'a fresh client after a reload in mid-answer': async () => {
    const gate = fresh('gate');
    const url = await start(held(gate));
    const before = new Reading();
    before.read(url, live);
    await until(() => before.text === HELD);
    const after = new Reading();
    const done = after.read(url, live);
    await until(() => after.text === HELD);
    await open(gate);
    await done;
    const log = await sameAsTheServer(after, url);
    assert.equal(log.text, TEXT);
  },

  'two clients at once': async () => {
    const gate = fresh('gate');
    const url = await start(held(gate));
    const readings = [new Reading(), new Reading()];
    const done = readings.map((reading) => reading.read(url, live));
    await until(() => readings.every((reading) => reading.text === HELD));
    await open(gate);
    await Promise.all(done);
    for (const reading of readings) await sameAsTheServer(reading, url);
  },

  'a stop by somebody else is seen': async () => {
    const url = await start(held(fresh('gate')));
    const reading = new Reading();
    const done = reading.read(url, live);
    await until(() => reading.text === HELD);
    const stopped = await fetch(`${BASE}/native/${idOf(url)}/abort`, { method: 'POST' });
    assert.equal(stopped.status, 202);
    await done;
    const log = await sameAsTheServer(reading, url);
    assert.deepEqual([log.last.type, log.text], ['aborted', HELD]);
  },

  'a resume after the end': async () => {
    const url = await start(script());
    const whole = await new Reading().read(url, live);
    const log = await sameAsTheServer(whole, url);
    const again = await new Reading().read(url, live);
    await sameAsTheServer(again, url);
    const nothing = new Reading();
    nothing.offset = whole.offset;
    await nothing.read(url, live);
    assert.deepEqual([nothing.events, nothing.closed, nothing.failure], [[], true, undefined]);
    assert.equal(log.last.type, 'complete');
  },

  'a provider that fails': async () => {
    const url = await start(script({ fault: { at: 7, kind: 'error' } }));
    const reading = await new Reading().read(url, live);
    const log = await sameAsTheServer(reading, url);
    assert.deepEqual([log.last.type, reading.last.message], ['error', log.last.message]);
  },

  'a stream that nobody knows': async () => {
    const reading = await new Reading().read(`${BASE}/streams/0123456789abcdefghjkmnpqrs`, live);
    assert.equal(reading.failure?.status, 404);
  },
});

await play({
  ...Object.fromEntries(
    ['sse', 'long-poll'].flatMap((live) => Object.entries(scenarios(live)).map(([name, run]) => [`${live}: ${name}`, run])),
  ),

  'what is to come, from now on': async () => {
    const gate = fresh('gate');
    const url = await start(held(gate));
    const first = new Reading();
    first.read(url, 'sse');
    await until(() => first.text === HELD);
    const late = new Reading();
    late.offset = 'now';
    const done = late.read(url, 'sse');
    await until(() => late.offset !== 'now');
    await open(gate);
    await done;
    const log = await ended(idOf(url));
    assert.equal(late.text, TEXT.slice(HELD.length));
    assert.deepEqual(late.events, log.events.slice(-late.events.length));
  },
});
