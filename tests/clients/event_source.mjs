// A browser's own EventSource against the native dialect, in Chromium.

import assert from 'node:assert/strict';
import { chromium } from '../browser/node_modules/playwright-core/index.mjs';
import { BASE, calls, cutting, ended, fresh, open, play, until } from './bench.mjs';

const TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.';
const HELD = 'A cat sat on the ';
const script = (more = {}) => ({ script: { text: TEXT, delayMs: 0, ...more } });
/** An answer that pauses in the middle until its gate opens. */
const held = (name, more = {}) => ({ ...script(more), gate: { name, at: 5 } });

let browser;
/** A page that watches sessions. */
async function page() {
  browser ??= chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  const made = await (await browser).newPage();
  await made.goto(`${BASE}/native/nobody`); // any page of that origin
  await made.evaluate(() => {
    window.watched = [];
    window.watch = (url) => {
      const source = new EventSource(url);
      const it = { events: [], cursors: [], opened: 0, source };
      source.onopen = () => it.opened++;
      source.onmessage = ({ data, lastEventId }) => (it.events.push(JSON.parse(data)), it.cursors.push(lastEventId));
      return window.watched.push(it) - 1;
    };
  });
  return made;
}

/** Starts an answer without reading it: an EventSource can't. */
async function start(body) {
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  const messages = [{ role: 'user', content: 'Tell me.' }];
  const started = await fetch(`${BASE}/native`, { method: 'POST', headers, body: JSON.stringify({ messages, ...body }) });
  assert.equal(started.status, 201);
  return (await started.json()).id;
}

/** An EventSource in a page. */
class Watching {
  constructor(page) {
    this.page = page;
  }
  async open(id, { at = BASE, query = '' } = {}) {
    this.index = await this.page.evaluate((url) => window.watch(url), `${at}/native/${id}${query}`);
    return this;
  }
  seen() {
    return this.page.evaluate((index) => {
      const { source, ...seen } = window.watched[index];
      return { ...seen, closed: source.readyState === EventSource.CLOSED };
    }, this.index);
  }
  async text() {
    return textOf(await this.seen());
  }
  /** Its events when it closed, as it does after a 204. */
  closed() {
    return until(async () => {
      const seen = await this.seen();
      return seen.closed && seen;
    }, 'it gives up');
  }
}

const textOf = (seen) => seen.events.filter(({ type }) => type === 'text').map(({ content }) => content).join('');

async function sameAsTheServer(seen, id) {
  const log = await ended(id);
  assert.deepEqual(seen.events, log.events);
  assert.deepEqual(seen.cursors.map((cursor) => Number(cursor.split('.')[0])), log.events.map((_, at) => at + 1));
  return log;
}

await play({
  'a whole answer, and it stops by itself': async () => {
    const id = await start(script({ delayMs: 3 }));
    const seen = await (await new Watching(await page()).open(id)).closed();
    const log = await sameAsTheServer(seen, id);
    assert.deepEqual([log.text, log.last.type], [TEXT, 'complete']);
  },

  'a connection that is cut after any event is resumed by the browser': async () => {
    const here = await page();
    const whole = await start(script());
    const count = (await ended(whole)).events.length;
    const cut = async (after) => {
      const tally = fresh('tally');
      const proxy = await cutting({ after: after + 1, cuts: 1 }); // `retry` is no event of the answer
      const id = await start(script({ delayMs: 2, tally }));
      const watching = await new Watching(here).open(id, { at: proxy.url });
      const seen = await watching.closed();
      await sameAsTheServer(seen, id);
      assert.equal(proxy.cut, 1);
      assert.ok(seen.opened === 2 || after === count, `opened ${seen.opened} times, cut after ${after}`);
      assert.equal(await calls(tally), 1);
      proxy.close();
    };
    await Promise.all(Array.from({ length: count }, (_, at) => cut(at + 1)));
  },

  'a reload in mid-answer': async () => {
    const gate = fresh('gate');
    const id = await start(held(gate));
    const here = await page();
    const before = await new Watching(here).open(id);
    await until(async () => (await before.text()) === HELD);
    await here.close();
    const after = await new Watching(await page()).open(id);
    await until(async () => (await after.text()) === HELD);
    await open(gate);
    await sameAsTheServer(await after.closed(), id);
  },

  'two pages at once, and a stop that both see': async () => {
    const id = await start(held(fresh('gate')));
    const pages = await Promise.all([page(), page()]);
    const watching = await Promise.all(pages.map((page) => new Watching(page).open(id)));
    for (const it of watching) await until(async () => (await it.text()) === HELD);
    const stopped = await fetch(`${BASE}/native/${id}/abort`, { method: 'POST' });
    assert.equal(stopped.status, 202);
    for (const it of watching) {
      const log = await sameAsTheServer(await it.closed(), id);
      assert.deepEqual([log.last.type, log.text], ['aborted', HELD]);
    }
  },

  'a look at it after the end': async () => {
    const id = await start(script());
    await ended(id);
    await sameAsTheServer(await (await new Watching(await page()).open(id)).closed(), id);
  },

  'a provider that fails': async () => {
    const id = await start(script({ fault: { at: 7, kind: 'error' } }));
    const seen = await (await new Watching(await page()).open(id)).closed();
    const log = await sameAsTheServer(seen, id);
    assert.equal(log.last.type, 'error');
  },

  'a session that nobody knows': async () => {
    const seen = await (await new Watching(await page()).open('0123456789abcdefghjkmnpqrs')).closed();
    assert.deepEqual([seen.events, seen.opened], [[], 0]);
  },

  'a compacted replay that goes on live, and is resumed where it was cut': async () => {
    const gate = fresh('gate');
    const tokens = TEXT.split(/(?<=\s)/).length;
    const id = await start({ ...script({ delayMs: 0 }), gate: { name: gate, at: tokens - 2 } });
    const there = TEXT.split(/(?<=\s)/).slice(0, -2).join('');
    await until(async () => {
      const answer = await fetch(`${BASE}/native/${id}`, { headers: { accept: 'application/json' } });
      return (await answer.json()).tail === tokens - 1;
    });
    // `retry`, `session_info`, all the text that is there as one; then what comes one by one.
    const proxy = await cutting({ after: 3, cuts: 1 });
    const watching = await new Watching(await page()).open(id, { at: proxy.url, query: '?replay=compact' });
    await until(async () => (await watching.text()) === there);
    const compact = await watching.seen();
    assert.deepEqual(compact.events.map(({ type }) => type), ['session_info', 'text']);
    assert.equal(compact.cursors[1].split('.')[0], String(tokens - 1));
    await until(() => proxy.cut === 1);
    await open(gate);
    const seen = await watching.closed();
    const log = await ended(id);
    assert.deepEqual([textOf(seen), seen.events.at(-1)], [log.text, log.last]);
    assert.ok(seen.opened >= 2);
    proxy.close();
  },
});
