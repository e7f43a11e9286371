// The page of `examples/axum-clients` in a browser: `useChat` with `resume: true`. `node react.mjs NAME`
// plays one scenario; without a name, all.

import assert from 'node:assert/strict';
import { release, script, startBrowser, startProxy, startServer } from './bench.mjs';

/** The page with a script of sixty words that is held in the middle. */
async function open(context, url) {
  const { text, script: said } = script({ words: 60, holds: [20] });
  const page = await context.newPage();
  const asked = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith('/api/')) asked.push(`${request.method()} ${pathname.replace(/[0-9a-f]{32}/, '{chat}')}`);
  });
  const address = url.includes('?') ? url : `${url}/?script=${encodeURIComponent(JSON.stringify(said))}`;
  await page.goto(address);
  return Object.assign(page, {
    text,
    asked,
    say: async (message) => {
      await page.getByRole('textbox').fill(message);
      await page.getByRole('button', { name: 'Send' }).click();
    },
    answers: () => page.locator('article[data-role=assistant]').evaluateAll((all) => all.map((answer) => [...answer.querySelectorAll('.text')].map(({ textContent }) => textContent).join(''))),
    saying: (word) => page.locator('article[data-role=assistant]', { hasText: word }).first().waitFor({ timeout: 15_000 }),
    /** Resumes the answer once the page reads on, since it could end before. */
    reloadAndResume: async () => {
      const resumed = page.waitForResponse((it) => it.url().endsWith('/stream') && it.status() === 200);
      await page.reload();
      await resumed;
    },
    ready: () => page.locator('[data-status=ready]').waitFor({ state: 'attached', timeout: 20_000 }),
    stop: () => page.getByRole('button', { name: 'Stop' }).click({ timeout: 15_000 }),
  });
}

/** Lets the answer go on. */
const goOn = (server) => release(`${server.url}/api/ai`, { id: crypto.randomUUID(), role: 'user', parts: [{ type: 'text', text: 'Go on' }] });

const scenarios = {
  async a_reload_in_mid_answer_leaves_one_answer_whole_and_once({ server, context }) {
    const page = await open(context, server.url);
    await page.say('Go');
    await page.saying('word5 ');
    const [before] = await page.answers();
    assert.ok(before.length < page.text.length, 'control: the reload is in mid-answer');
    await page.reloadAndResume();
    await goOn(server);
    await page.saying('word59');
    await page.ready();
    assert.deepEqual(await page.answers(), [page.text]);
    assert.equal(await page.locator('article').count(), 2, 'the question and the answer');
    const posts = page.asked.filter((it) => it.startsWith('POST'));
    assert.deepEqual(posts, ['POST /api/ai'], 'the model was asked once');
    await page.reload();
    await page.ready();
    await page.saying('word59');
    assert.deepEqual(await page.answers(), [page.text], 'after the end nothing comes again');
  },

  async stop_works_after_a_reload({ server, context }) {
    const page = await open(context, server.url);
    await page.say('Go');
    await page.saying('word5 ');
    const other = await open(context, page.url());
    await other.saying('word5 ');
    await page.reload();
    await page.saying('word5 ');
    await page.stop();
    await Promise.all([page.ready(), other.ready()]);
    const [[said, ...more], [seen]] = [await page.answers(), await other.answers()];
    assert.equal(more.length, 0);
    assert.ok(said.length > 0 && said.length < page.text.length && page.text.startsWith(said));
    assert.equal(seen, said, 'the other page ends with the same words');
    assert.deepEqual(page.asked.at(-1), 'POST /api/ai/{chat}/stop');
    // And the chat goes on.
    await page.say('Once more');
    await page.locator('article').nth(3).waitFor();
    await page.stop();
    await page.ready();
  },

  async pictures_sources_and_usage_are_shown_and_sent({ server, context }) {
    const picture = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
    const url = `data:image/png;base64,${picture}`;
    const said = {
      text: 'Here.', delayMs: 1, model: 'model-7', media: [{ mediaType: 'image/png', url, name: 'made.png' }, { mediaType: 'image/svg+xml', url: 'data:image/svg+xml;base64,PHN2Zy8+', name: 'made.svg' }],
      sources: [{ id: '1', url: 'https://example.com/', title: 'A page' }, { id: '2', url: 'javascript:window.broken=true', title: 'No page' }],
    };
    const page = await open(context, `${server.url}/?script=${encodeURIComponent(JSON.stringify(said))}`);
    const sent = page.waitForRequest((it) => it.method() === 'POST');
    await page.getByLabel('Pictures').setInputFiles([{ name: 'mine.png', mimeType: 'image/png', buffer: Buffer.from(picture, 'base64') }]);
    await page.say('What is this?');
    const [part] = JSON.parse((await sent).postData()).messages[0].parts.filter(({ type }) => type === 'file');
    assert.deepEqual([part.url, part.mediaType, part.filename], [url, 'image/png', 'mine.png']);
    const look = async () => {
      await page.ready();
      const images = page.locator('article img');
      await images.nth(1).waitFor();
      assert.deepEqual(await images.evaluateAll((all) => all.map(({ src, alt, naturalWidth }) => [src, alt, naturalWidth])), [[url, 'mine.png', 1], [url, 'image/png', 1]]);
      assert.equal(await page.locator('.file').textContent(), 'image/svg+xml');
      assert.deepEqual(await page.getByRole('list', { name: 'Sources' }).getByRole('listitem').allTextContents(), ['A page', 'No page']);
      assert.deepEqual(await page.locator('article a').evaluateAll((all) => all.map(({ href }) => href)), ['https://example.com/']);
      assert.equal(await page.locator('article footer').textContent(), 'model-7 · 3 tokens in, 1 out');
    };
    await look();
    await page.reload();
    await look();
  },

  async a_cut_connection_is_an_error_and_a_reload_mends_it({ server, context }) {
    const proxy = await startProxy(server.port);
    const page = await open(context, proxy.url);
    await page.say('Go');
    await page.saying('word5 ');
    assert.ok(proxy.cut() > 0, 'control: a connection was cut');
    await page.locator('[data-status=error]').waitFor({ timeout: 15_000 });
    await page.reloadAndResume();
    await goOn(server);
    await page.saying('word59');
    await page.ready();
    assert.deepEqual(await page.answers(), [page.text]);
    proxy.stop();
  },
};

async function play(name) {
  const server = await startServer();
  const browser = await startBrowser();
  try {
    await scenarios[name]({ server, browser, context: await browser.context() });
    assert.deepEqual(browser.complaints, [], 'the pages raised no error');
  } finally {
    await browser.stop();
    await server.stop();
  }
}

const [wanted] = process.argv.slice(2);
if (wanted === '--list') console.log(Object.keys(scenarios).join('\n'));
else {
  assert.ok(!wanted || wanted in scenarios, `no scenario ${wanted}`);
  for (const name of wanted ? [wanted] : Object.keys(scenarios)) await play(name);
}
