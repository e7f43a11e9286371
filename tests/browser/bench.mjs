// The parts of a scenario: the server under test, a proxy that can break its connections, a browser.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

/** The longest wait for what must come, in milliseconds. It only catches hangs: a slow machine takes what it needs. */
const DEADLINE = 60_000;

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Starts the example (`AXUM_CHAT` is its path) and waits for its address. */
export async function startServer(port = 0, store = 'memory') {
  const { OPENAI_BASE_URL: _, OLLAMA_MODEL: __, ...env } = process.env; // the scripted provider, whoever runs this
  const child = spawn(process.env.AXUM_CHAT, ['--port', String(port), '--store', store], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      const said = /listening on (http:\S+)/.exec(line);
      if (said) resolve(said[1]);
    });
    exited.then(([code]) => reject(new Error(`the server ended with ${code} before it listened`)));
  });
  const end = (signal) => (child.kill(signal), exited);
  return { url, port: Number(new URL(url).port), release: () => release(`${url}/api/chat`, { role: 'user', content: 'Go on' }), kill: () => end('SIGKILL'), stop: () => end('SIGTERM') };
}

/** Resumes an answer that is held (`holds` in its script, `HELD` its tally), past one of its holds. */
export async function release(url, message) {
  const body = JSON.stringify({ messages: [message], script: { release: HELD, delayMs: 0 } });
  const asked = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  assert.match(await asked.text(), /released/);
}

/** A TCP proxy before `port`. `cut` resets what is open; `mute` drops what the server sends; `closed` accepts no connection. */
export async function startProxy(port) {
  const pairs = new Set();
  const proxy = { cuts: 0, muted: 0, mute: false, closed: false };
  const server = net.createServer((client) => {
    if (proxy.closed) return client.resetAndDestroy();
    const upstream = net.connect(port, '127.0.0.1');
    const pair = { client, upstream, carried: 0 };
    const drop = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    pairs.add(pair);
    client.pipe(upstream);
    upstream.on('data', (bytes) => {
      if (proxy.mute) return void (proxy.muted += bytes.length);
      pair.carried += bytes.length;
      client.write(bytes);
    });
    for (const socket of [client, upstream]) socket.on('error', drop).on('close', drop);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  /** Resets every open connection, and returns their number. */
  proxy.cut = () => {
    const open = pairs.size;
    for (const { client, upstream } of pairs) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
    proxy.cuts += open;
    return open;
  };
  proxy.stop = () => (proxy.cut(), server.close());
  return proxy;
}

/** A headless Chromium. An error of its pages fails the scenario. */
export async function startBrowser() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS });
  const complaints = [];
  const context = async (options = {}) => {
    const made = await browser.newContext({ viewport: { width: 1000, height: 760 }, ...options });
    made.setDefaultTimeout(DEADLINE);
    made.on('weberror', (error) => complaints.push(error.error().message));
    made.on('console', (message) => {
      // Chromium itself reports each failed request; those are what the scenarios are about.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
    });
    return made;
  };
  return { context, complaints, stop: () => browser.close() };
}

/** The tally of held answers. Each scenario has its own server. */
export const HELD = 'held';

/**
 * A script for the scripted provider, and its text. A scenario that acts in the middle of the answer holds
 * it there, after a number of words.
 */
export function script({ words = 120, delay = 15, holds = [], ...more } = {}) {
  const text = Array.from({ length: words }, (_, at) => `word${at}`).join(' ');
  return { text, script: { text, delayMs: delay, holds, tally: HELD, ...more } };
}

/** A page of the chat, with the actions of scenarios. */
export async function open(context, url) {
  const page = await context.newPage();
  const asked = []; // requests to the durable service
  page.on('request', (request) => {
    const { pathname: path } = new URL(request.url());
    if (path.startsWith('/api/')) asked.push({ method: request.method(), path, headers: request.headers(), body: request.postData() });
  });
  await page.goto(url);
  const number = async (id) => Number.parseInt(await page.locator(id).textContent(), 10);
  return Object.assign(page, {
    asked,
    posts: () => asked.filter(({ method, path }) => method === 'POST' && path === '/api/chat'),
    lsn: () => number('#foot-lsn'),
    resumed: () => number('#foot-resumed'),
    answer: async () => (await page.locator('.answer').last().locator('.text').allTextContents()).join('').trim(),
    until: (condition, argument) => page.waitForFunction(condition, argument),
    untilLsn: (lsn) => page.waitForFunction((lsn) => Number(document.getElementById('foot-lsn').textContent) >= lsn, lsn),
    untilStatus: (status) => page.locator(`.answer:last-child[data-status="${status}"]`).waitFor(),
    untilState: (state) => page.locator(`body[data-state="${state}"]`).waitFor(),
    say: async (text) => {
      await page.fill('#input', text);
      await page.press('#input', 'Enter');
    },
  });
}

/** The part of the page that shows a call of this tool. */
export const tool = (page, name) => page.locator('.tool').filter({ has: page.locator('summary code', { hasText: name }) });

export const sessionOf = (page) => new URL(page.url()).hash.slice('#s='.length);

/** The events of a session, as the server has them. */
export async function logOf(server, session) {
  const page = await fetch(`${server.url}/api/chat/${session}?limit=1000`, { headers: { accept: 'application/json' } });
  assert.equal(page.status, 200);
  return (await page.json()).events.map(({ event }) => event);
}

export const addressOf = (base, script) => `${base}/?script=${encodeURIComponent(JSON.stringify(script))}`;

/** Plays the scenario that the command line names, or all. `--list` lists them. */
export async function play(scenarios) {
  const [wanted] = process.argv.slice(2);
  if (wanted === '--list') return console.log(Object.keys(scenarios).join('\n'));
  assert.ok(!wanted || wanted in scenarios, `no scenario ${wanted}`);
  for (const name of wanted ? [wanted] : Object.keys(scenarios)) {
    const began = Date.now();
    try {
      await playOne(scenarios[name]);
      console.log(`ok ${name} (${Date.now() - began} ms)`);
    } catch (error) {
      console.error(`not ok ${name} (${Date.now() - began} ms)\n${error.stack.slice(0, 3000)}`);
      process.exitCode = 1;
    }
  }
}

async function playOne(scenario) {
  const server = await startServer();
  const browser = await startBrowser();
  try {
    await scenario({ server, browser, context: await browser.context() });
    assert.deepEqual(browser.complaints, [], 'the pages raised no error and broke no policy');
  } finally {
    await browser.stop();
    await server.stop();
  }
}
