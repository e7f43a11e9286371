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
    saying: (word) => page.locator('article[data-role=assistant]', { hasText: word }).first().waitFor(),
    /** Resumes the answer once the page reads on, since it could end before. */
    reloadAndResume: async () => {
      const resumed = page.waitForResponse((it) => it.url().endsWith('/stream') && it.status() === 200);
      await page.reload();
      await resumed;
    },
    ready: () => page.locator('[data-status=ready]').waitFor({ state: 'attached' }),
    stop: () => page.getByRole('button', { name: 'Stop' }).click(),
  });
}

/** Lets the answer go on. */
const goOn = (server) => release(`${server.url}/api/ai`, { id: crypto.randomUUID(), role: 'user', parts: [{ type: 'text', text: 'Go on' }] });

/** The smallest PNG, and one that is filled up to this size. */
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
const png = (name, size = PNG.length) => ({ name, mimeType: 'image/png', buffer: Buffer.concat([PNG, Buffer.alloc(size - PNG.length)]) });
const urlOf = ({ mimeType, buffer }) => `data:${mimeType};base64,${buffer.toString('base64')}`;

const quick = (url) => `${url}/?script=${encodeURIComponent(JSON.stringify({ text: 'Here.', delayMs: 1 }))}`;
const attach = (page, ...files) => page.getByLabel('Pictures').setInputFiles(files);
const attached = (page) => page.getByLabel('Pictures').evaluate(({ files }) => [...files].map(({ name, size }) => [name, size]));
const told = (page, words) => page.getByRole('status').filter({ hasText: words }).waitFor();
const posts = (page) => page.asked.filter((it) => it.startsWith('POST')).length;
const articles = (page, count) => page.waitForFunction((count) => document.querySelectorAll('article').length === count, count);

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
    const url = urlOf(png());
    const said = {
      text: 'Here.', delayMs: 1, model: 'model-7', media: [{ mediaType: 'image/png', url, name: 'made.png' }, { mediaType: 'image/svg+xml', url: 'data:image/svg+xml;base64,PHN2Zy8+', name: 'made.svg' }],
      sources: [{ id: '1', url: 'https://example.com/', title: 'A page' }, { id: '2', url: 'javascript:window.broken=true', title: 'No page' }],
    };
    const page = await open(context, `${server.url}/?script=${encodeURIComponent(JSON.stringify(said))}`);
    const sent = page.waitForRequest((it) => it.method() === 'POST');
    await attach(page, png('mine.png'));
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
    // What the model drew isn't sent back, and so isn't refused.
    const next = page.waitForRequest((it) => it.method() === 'POST');
    await page.say('And that?');
    const [asked, answered] = JSON.parse((await next).postData()).messages.map(({ parts }) => parts.map(({ type }) => type));
    assert.ok(asked.includes('file') && !answered.includes('file'), `${asked}, ${answered}`);
    await articles(page, 4);
    await page.ready();
  },

  async a_refused_message_comes_back_and_leaves_the_chat({ server, context }) {
    const page = await open(context, quick(server.url));
    await page.say('Hi');
    await page.saying('Here.');
    await page.ready();
    // The page doesn't know that the server refuses this.
    await page.route('**/api/ai', (route) => route.continue({ postData: route.request().postData().replaceAll('image/png', 'image/tiff') }));
    await attach(page, png('one.png'), png('two.png', 100));
    await page.say('What is this?');
    await told(page, /image\/tiff.*not open to clients/);
    assert.doesNotMatch(await page.getByRole('status').textContent(), /[{}]|urn:/, 'the reason is a sentence');
    await articles(page, 2);
    assert.equal(await page.getByRole('textbox').inputValue(), 'What is this?');
    assert.deepEqual(await attached(page), [['one.png', PNG.length], ['two.png', 100]]);
    await page.unroute('**/api/ai');
    await page.getByRole('button', { name: 'Send' }).click();
    await articles(page, 4);
    await page.ready();
    assert.deepEqual([await page.getByRole('textbox').inputValue(), await attached(page)], ['', []]);
    await page.reload();
    await articles(page, 4);
    assert.equal(await page.locator('article img').count(), 2);
  },

  async what_is_typed_during_a_refusal_stays({ server, context }) {
    const page = await open(context, quick(server.url));
    const asked = new Promise((resolve) => page.route('**/api/ai', resolve));
    await page.say('One');
    const route = await asked;
    await page.getByRole('textbox').fill('two');
    await route.fulfill({ status: 413, body: '<html>Too large</html>', contentType: 'text/html' });
    await told(page, 'The server refused this (413).');
    await articles(page, 0);
    assert.equal(await page.getByRole('textbox').inputValue(), 'One two');
    await page.reload();
    await page.ready();
    assert.equal(await page.locator('article').count(), 0, 'it was not kept');
  },

  async pictures_that_the_server_refuses_are_not_sent({ server, context }) {
    const page = await open(context, quick(server.url));
    const most = 3_000_000;
    const refused = async (words, ...files) => {
      const before = [posts(page), await page.locator('article').count()];
      await attach(page, ...files);
      await page.say('Look');
      await told(page, words);
      assert.deepEqual([posts(page), await page.locator('article').count()], before);
      assert.equal(await page.getByRole('textbox').inputValue(), 'Look');
      assert.equal((await attached(page)).length, files.length);
    };
    await refused('“logo.svg” can’t be sent: this chat takes PNG, JPEG, WebP, or GIF pictures.', { name: 'logo.svg', mimeType: 'image/svg+xml', buffer: Buffer.from('<svg/>') });
    await refused('“empty.png” is empty.', { ...png('empty.png'), buffer: Buffer.alloc(0) });
    await refused('“large.png” has 3.01 MB, and a picture may have 3 MB.', png('large.png', most + 1));
    await refused('With these the chat has 9 pictures, and it may have 8.', ...Array.from({ length: 9 }, (_, at) => png(`${at}.png`)));
    // Control: the server takes what the page lets through.
    for (const [sent, name] of ['one.png', 'two.png'].entries()) {
      await attach(page, png(name, most));
      await page.say('Look');
      await articles(page, (sent + 1) * 2);
      await page.ready();
    }
    assert.equal(posts(page), 2);
    await refused(/With these the pictures of the chat have 6\.01 MB, and they may have 6 MB\./, png('three.png'));
    await attach(page);
    await page.say('Without');
    await articles(page, 6);
    await page.ready();
  },

  async a_stored_picture_that_the_server_refuses_is_told_before_a_message_is_sent({ server, context }) {
    const page = await open(context, quick(server.url));
    await page.ready();
    const large = png('old.png', 3_000_001);
    await page.evaluate(
      ([url, name]) => {
        const parts = [{ type: 'file', mediaType: 'image/png', filename: name, url }];
        localStorage.setItem(location.hash.slice(1), JSON.stringify([{ id: '1', role: 'user', parts }]));
      },
      [urlOf(large), large.name],
    );
    await page.reload();
    await articles(page, 1);
    await page.say('Well?');
    await told(page, '“old.png”, which this chat has from before, is not taken any more');
    assert.equal(await page.getByRole('textbox').inputValue(), 'Well?');
    assert.equal(posts(page), 0);
    await page.getByRole('link', { name: 'New chat' }).click();
    await articles(page, 0);
    await page.say('Well?');
    await page.saying('Here.');
    await page.ready();
    assert.equal(posts(page), 1);
  },

  async a_cut_connection_is_an_error_and_a_reload_mends_it({ server, context }) {
    const proxy = await startProxy(server.port);
    const page = await open(context, proxy.url);
    await page.say('Go');
    await page.saying('word5 ');
    assert.ok(proxy.cut() > 0, 'control: a connection was cut');
    await page.locator('[data-status=error]').waitFor();
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
