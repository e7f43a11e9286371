// Pictures and files in the page. `node media.mjs NAME` plays one scenario; without a name, all.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { crc32, deflateSync } from 'node:zlib';
import { addressOf, open, play, script } from './bench.mjs';

/** A PNG of noise, so that no two are alike; or of one colour, which is small, since addresses have little room. */
function png(width = 24, height = 16, color) {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8); // eight bits of each of three colours
  const rows = Array.from({ length: height }, () => Buffer.concat([Buffer.of(0), color ? Buffer.alloc(width * 3, Buffer.from(color)) : randomBytes(width * 3)]));
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.concat(rows))), chunk('IEND', Buffer.alloc(0))]);
}

const file = (name, buffer = png(), mimeType = 'image/png') => ({ name, mimeType, buffer });
const dataUrl = ({ mimeType, buffer }) => `data:${mimeType};base64,${buffer.toString('base64')}`;
const medium = (it) => ({ mediaType: it.mimeType, name: it.name, url: dataUrl(it) });
const attach = (page, ...files) => page.locator('#files').setInputFiles(files);
const thumbs = (page) => page.locator('#attached img');
const note = (page) => page.locator('#note');
const parts = (post, at = -1) => JSON.parse(post.body).messages.at(at).content;
/** The addresses that were sent as media, of all messages. */
const sent = (post) => JSON.parse(post.body).messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).filter(({ type }) => type === 'media').map(({ url }) => url);

/** Gives the page `kept()`: the keys of its database. */
function keptKeys() {
  window.kept = () =>
    new Promise((resolve, reject) => {
      const opening = indexedDB.open('unbroken');
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        const request = opening.result.transaction('media').objectStore('media').getAllKeys();
        request.onsuccess = () => (opening.result.close(), resolve(request.result));
      };
    });
}

/** Waits for a picture that is not only there, but drawn. */
async function drawn(locator) {
  await locator.waitFor();
  const [width, source] = await locator.evaluate(async (image) => (await image.decode(), [image.naturalWidth, image.src]));
  assert.ok(width > 0);
  assert.match(source, /^blob:/);
}

/** The page, changed by the test as if the server took more than it does. */
const claiming = (page, attribute, value) =>
  page.route(/\/(\?.*)?$/, async (route) => {
    const response = await route.fetch();
    const text = await response.text();
    const pattern = new RegExp(`(data-${attribute}=")[^"]*`);
    assert.match(text, pattern);
    await route.fulfill({ response, body: text.replace(pattern, `$1${value}`) });
  });

/** Hands files to the page as a paste or a drop does. */
const hand = (page, kind, files) =>
  page.evaluate(
    ([kind, files]) => {
      const data = new DataTransfer();
      for (const { name, mimeType, bytes } of files) data.items.add(new File([Uint8Array.from(bytes)], name, { type: mimeType }));
      const options = { bubbles: true, cancelable: true };
      const event = kind === 'paste' ? new ClipboardEvent(kind, { ...options, clipboardData: data }) : new DragEvent(kind, { ...options, dataTransfer: data });
      return !document.activeElement.dispatchEvent(event); // whether the page took it
    },
    [kind, files.map(({ buffer, ...rest }) => ({ ...rest, bytes: [...buffer] }))],
  );

const scenarios = {
  async a_picture_is_sent_and_shown_again_byte_for_byte({ server, context }) {
    const whole = script({ words: 60, holds: [30] });
    const page = await open(context, addressOf(server.url, whole.script));
    const cat = file('cat.png', png(200, 150));
    await attach(page, cat);
    await thumbs(page).and(page.getByAltText('cat.png')).waitFor();
    await page.say('What is this?');
    await page.untilLsn(20);
    assert.equal(await thumbs(page).count(), 0, 'the composer is empty again');
    assert.deepEqual(parts(page.posts()[0]), [{ type: 'media', mediaType: 'image/png', url: dataUrl(cat), name: 'cat.png' }, { type: 'text', text: 'What is this?' }]);
    const shown = page.locator('.question').getByAltText('cat.png');
    await drawn(shown);
    await page.reload();
    await drawn(shown);
    assert.equal(await page.locator('.answer').getAttribute('data-status'), 'streaming', 'control: the reload is in mid-answer');
    await server.release();
    await page.untilStatus('complete');
    assert.equal(await page.answer(), whole.text);
    await page.reload();
    await drawn(shown);
    assert.equal(page.posts().length, 1);
    const tab = await open(context, page.url());
    await drawn(tab.locator('.question').getByAltText('cat.png'));

    await page.say('Are you sure?');
    await page.untilLsn(20);
    assert.deepEqual(sent(page.posts()[1]), [dataUrl(cat)], 'the conversation has it still, the same bytes');
    assert.deepEqual(parts(page.posts()[1]), 'Are you sure?');
    await server.release();
    await page.untilStatus('complete');
  },

  async a_picture_needs_no_words_and_the_provider_gets_all_of_it({ server, context }) {
    const page = await open(context, server.url);
    const send = page.getByRole('button', { name: 'Send', exact: true });
    assert.equal(await send.isDisabled(), true);
    const one = file('one.png');
    await attach(page, one);
    await send.click();
    await page.locator('.answer').filter({ hasText: `“one.png” (image/png, ${one.buffer.length} bytes)` }).waitFor();
    assert.equal(await page.locator('.question').textContent(), 'You');
    await page.keyboard.press('Escape');
    await page.untilStatus('aborted');
  },

  async a_start_that_was_lost_is_repeated_with_the_same_bytes_after_a_reload({ server, context }) {
    const whole = script({ words: 12, delay: 5 });
    const page = await open(context, addressOf(server.url, whole.script));
    await page.route('**/api/chat', (route) => route.abort());
    await attach(page, file('cat.png'));
    await page.say('What is this?');
    await page.untilState('reconnecting');
    const stored = await page.evaluate(() => JSON.stringify(localStorage));
    assert.doesNotMatch(stored, /base64/, 'what is written often is small');
    await page.unroute('**/api/chat');
    await page.reload();
    await page.untilStatus('complete');
    const posts = page.posts();
    assert.ok(posts.length > 1, 'control: it was repeated');
    assert.equal(posts.at(-1).body, posts[0].body);
  },

  async pictures_are_pasted_and_dropped_and_taken_away_with_the_keyboard({ server, context }) {
    const page = await open(context, addressOf(server.url, script({ words: 5 }).script));
    await page.keyboard.type('Look');
    assert.equal(await hand(page, 'paste', [file('pasted.png')]), true);
    await page.getByAltText('pasted.png').waitFor();
    await hand(page, 'dragenter', [file('dropped.png')]);
    assert.equal(await page.locator('#drop').isVisible(), true, 'where it may be dropped is shown');
    await hand(page, 'drop', [file('dropped.png'), file('third.png')]);
    assert.equal(await page.locator('#drop').isVisible(), false);
    await page.getByAltText('third.png').waitFor();
    assert.equal(await hand(page, 'paste', []), false, 'a paste of text is left to the browser');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'input', 'one can go on typing');

    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.id);
    for (let step = 0; step < 3; step++) await page.keyboard.press('Shift+Tab');
    assert.equal(await focused(), 'Remove dropped.png');
    await page.keyboard.press('Enter');
    assert.equal(await focused(), 'Remove third.png', 'the focus goes on to the next');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    assert.equal(await focused(), 'input');
    assert.equal(await page.locator('#attached').isVisible(), false);
    await page.keyboard.press('Enter');
    await page.untilStatus('complete');
    assert.equal(parts(page.posts()[0]), 'Look', 'none of them was sent');
  },

  async what_the_server_would_refuse_is_told_before_anything_is_sent({ server, context }) {
    const page = await open(context, server.url);
    await page.fill('#input', 'Keep this');
    const large = Buffer.concat([png(), Buffer.alloc(3_000_000)]);
    for (const [it, words] of [
      [file('logo.svg', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/svg+xml'), /“logo\.svg” can’t be attached: this chat takes PNG, JPEG, WebP, or GIF pictures/],
      [file('paper.pdf', Buffer.from('%PDF'), 'application/pdf'), /“paper\.pdf” can’t be attached/],
      [file('unknown', Buffer.from('?'), ''), /“unknown” can’t be attached/],
      [file('large.png', large), /“large\.png” has 3\.1 MB, and a picture may have 3 MB\./],
      [file('empty.png', Buffer.alloc(0)), /“empty\.png” is empty/],
      [file('fake.png', Buffer.from('<script>window.broken = true</script>')), /“fake\.png” is no picture that can be read/],
    ]) {
      await attach(page, it);
      await note(page).filter({ hasText: words }).waitFor();
      assert.equal(await note(page).getAttribute('role'), 'alert');
      assert.equal(await thumbs(page).count(), 0);
      assert.equal(await page.inputValue('#input'), 'Keep this');
    }
    await attach(page, ...Array.from({ length: 9 }, (_, at) => file(`${at}.png`)));
    await note(page).filter({ hasText: 'A message may have 8 pictures; “8.png” is one more.' }).waitFor();
    assert.equal(await thumbs(page).count(), 8, 'what fits stays');
    await page.getByRole('button', { name: 'Remove 0.png' }).click();
    assert.equal(await note(page).isVisible(), false, 'what was refused is forgotten with the next step');
    assert.equal(page.asked.length, 0);
    assert.equal(await page.evaluate(() => window.broken), undefined);
  },

  async a_refusal_of_the_server_gives_the_whole_message_back({ server, context }) {
    const bitmap = Buffer.alloc(58); // one pixel
    bitmap.write('BM');
    for (const [value, at] of [[58, 2], [54, 10], [40, 14], [1, 18], [1, 22]]) bitmap.writeUInt32LE(value, at);
    bitmap.writeUInt16LE(1, 26);
    bitmap.writeUInt16LE(24, 28);
    for (const [attribute, value, it, words] of [
      ['picture-bytes', '9000000', file('large.png', png(1200, 1000)), /\(422\): `media` of the type `image\/png` has \d+ bytes, and 3000000 are open/],
      ['picture-types', 'image/bmp', file('pixel.bmp', bitmap, 'image/bmp'), /\(422\): `media` of the type `image\/bmp` is not open to clients/],
    ]) {
      const page = await open(context, 'about:blank');
      await page.addInitScript(keptKeys);
      await claiming(page, attribute, value);
      await page.goto(addressOf(server.url, script({ words: 5 }).script));
      await attach(page, it);
      await thumbs(page).waitFor();
      await page.say('First line\nsecond line');
      await note(page).filter({ hasText: words }).waitFor();
      assert.equal(await page.inputValue('#input'), 'First line\nsecond line', 'nothing that was typed is lost');
      assert.equal(await thumbs(page).getAttribute('alt'), it.name, 'nor what was attached');
      assert.equal(await page.locator('.question, .answer').count(), 0, 'the conversation is as it was');
      assert.equal(page.posts().length, 1, 'it was not tried again');
      await page.until(async () => (await kept()).length === 0); // the composer has it, no chat does
      await page.getByRole('button', { name: 'Remove' }).click();
      await page.press('#input', 'Enter');
      await page.untilStatus('complete');
      assert.equal(parts(page.posts()[1]), 'First line\nsecond line');
      await page.reload();
      assert.equal(await page.locator('.question').count(), 1);
      await page.close();
    }
  },

  async a_message_stays_in_the_composer_until_its_pictures_are_kept({ server, context }) {
    const page = await open(context, 'about:blank');
    await page.addInitScript(() => {
      const opening = IDBFactory.prototype.open;
      let go;
      const released = new Promise((resolve) => (go = resolve));
      window.release = go;
      IDBFactory.prototype.open = function (...given) {
        const later = {};
        released.then(() => {
          const request = opening.apply(this, given);
          request.onupgradeneeded = () => ((later.result = request.result), later.onupgradeneeded());
          request.onsuccess = () => ((later.result = request.result), later.onsuccess());
        });
        return later;
      };
    });
    await page.addInitScript(keptKeys);
    await page.goto(addressOf(server.url, script({ words: 5 }).script));
    const cat = file('cat.png');
    const composed = async () => [await page.inputValue('#input'), await thumbs(page).count()];
    await attach(page, cat);
    await thumbs(page).waitFor();
    await page.say('Look');
    assert.deepEqual(await composed(), ['Look', 1], 'control: it is not kept yet');
    // The reader goes to a new chat meanwhile.
    await page.evaluate(() => (location.hash = '#s=another'));
    await page.until(() => document.querySelector('.answer'));
    await page.evaluate(() => (location.hash = ''));
    await page.until(() => !document.querySelector('.answer'));
    await page.evaluate(() => window.release());
    await page.until(async () => (await kept()).length === 0);
    assert.deepEqual([await composed(), page.posts().length], [['Look', 1], 0], 'it was for the other chat');
    await page.press('#input', 'Enter');
    await page.untilStatus('complete');
    assert.deepEqual(await composed(), ['', 0]);
    assert.deepEqual(sent(page.posts()[0]), [dataUrl(cat)]);
  },

  async pictures_beyond_what_the_server_takes_are_left_out_and_it_is_said({ server, context }) {
    const page = await open(context, addressOf(server.url, script({ words: 3, delay: 1 }).script));
    const first = Array.from({ length: 8 }, (_, at) => file(`${at}.png`));
    await attach(page, ...first);
    await page.say('Eight');
    await page.untilStatus('complete');
    const last = file('last.png');
    await attach(page, last);
    await page.say('One more');
    await page.until(() => document.querySelectorAll('.answer[data-status="complete"]').length === 2);
    assert.deepEqual(sent(page.posts()[1]), [...first.slice(1), last].map(dataUrl));
    assert.deepEqual(parts(page.posts()[1], 0)[0], { type: 'text', text: '[0.png was sent before, and is left out.]' }, 'the model is told');
    await page.locator('.question').filter({ hasText: '1 earlier picture was left out' }).waitFor();
  },

  async a_picture_of_the_model_is_shown_opened_and_saved_and_outlives_a_reload({ server, context, browser }) {
    const made = file('made.png', png(300, 200, [12, 122, 96]));
    const page = await open(context, addressOf(server.url, { text: 'Here:', delayMs: 5, media: [medium(made)] }));
    await page.say('Draw');
    await page.untilStatus('complete');
    const image = page.locator('.answer').getByAltText('made.png');
    await drawn(image);
    const stored = await page.evaluate(() => Object.entries(localStorage).filter(([key]) => key.startsWith('unbroken:chat:')).map(([, chat]) => JSON.parse(chat).turns[1].parts));
    assert.doesNotMatch(JSON.stringify(stored), /base64/, 'what is written often is small');
    const asked = page.asked.length;
    await page.reload();
    await drawn(image);
    assert.equal(page.asked.length, asked, 'this browser has it');
    const device = await open(await browser.context(), page.url());
    await drawn(device.locator('.answer').getByAltText('made.png'));

    await page.getByRole('button', { name: 'Open made.png' }).press('Enter');
    const dialog = page.getByRole('dialog', { name: 'made.png' });
    await dialog.getByText('300 × 200').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Close', 'it can be closed at once');
    const saved = page.waitForEvent('download');
    await dialog.getByRole('link', { name: 'Save made.png' }).click();
    assert.deepEqual(await readFile(await (await saved).path()), made.buffer);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Open made.png', 'the focus is back');

    await page.say('Again');
    await page.until(() => document.querySelectorAll('.answer[data-status="complete"]').length === 2);
    const [, answer] = JSON.parse(page.posts()[1].body).messages;
    assert.equal(answer.content, 'Here:\n\n[made.png was shown here.]\n\n', 'the model is told that it made one');
  },

  async whatever_a_file_says_that_it_is_it_is_pixels_or_saved({ server, context }) {
    const broken = 'window.broken = true';
    const asked = [];
    context.on('request', (request) => asked.push(request.url()));
    const svg = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" onload="${broken}"><script>${broken}</script></svg>`);
    const html = Buffer.from(`<script>${broken}</script>`);
    const name = `"><img src=x onerror="${broken}">\u202egnp.exe`;
    const media = [
      medium(file('drawing.svg', svg, 'image/svg+xml')),
      medium(file(name, html, 'text/html')),
      medium(file('not-pixels.png', html)),
      { mediaType: 'image/svg+xml;x="image/png"', name: 'parameters.svg', url: `data:image/svg+xml;base64,${svg.toString('base64')}` },
      { mediaType: `image/png" onerror="${broken}`, name: 'type.png', url: dataUrl(file('', svg)) },
      { mediaType: 'image/png', name: 'beacon.png', url: 'https://beacon.example/?said=secret' },
      { mediaType: 'image/png', name: 'script.png', url: `javascript:${broken}` },
      { mediaType: 'image/png', name: 'plain.png', url: 'data:image/png,raw' },
    ];
    const page = await open(context, addressOf(server.url, { text: 'Look.', delayMs: 1, media }));
    const mine = file(`<b>mine</b>"><img src=x onerror="${broken}">\u202e.png`);
    await attach(page, mine);
    await page.say('Show');
    await page.untilStatus('complete');
    const shown = async () => {
      await drawn(page.locator('.question img'));
      await page.until(() => document.querySelectorAll('.answer .file').length === 8);
      assert.equal(await page.locator('.answer img').count(), 0, 'none of it is drawn');
      assert.equal(await page.locator('img[src="x"], b, iframe, object, embed, .log script, .log svg').count(), 0);
      const links = await page.locator('.answer .file a').evaluateAll((all) => all.map((link) => [link.textContent, link.href.replace(/(blob:).*/, '$1')]));
      assert.deepEqual(links, [...Array(5).fill(['Save', 'blob:']), ['Open', 'https://beacon.example/?said=secret']]);
      assert.equal(await page.evaluate(() => window.broken), undefined);
      assert.deepEqual(asked.filter((url) => !url.startsWith(server.url) && !url.startsWith('blob:')), [], 'nobody else learns of it');
    };
    await shown();
    const [part] = parts(page.posts()[0]);
    assert.equal(part.name, mine.name.replace('\u202e', ''), 'a name can not turn the text around');
    await page.reload();
    await shown();
    // Opened by its address, it is saved all the same.
    const href = await page.locator('.answer .file a').first().getAttribute('href');
    const saved = page.waitForEvent('download');
    await page.evaluate((href) => void window.open(href, '_self'), href);
    assert.deepEqual(await readFile(await (await saved).path()), svg);
  },

  async pictures_and_sources_fit_every_screen_in_both_schemes({ server, browser }) {
    const folder = process.env.SCREENSHOTS;
    if (folder) await mkdir(folder, { recursive: true });
    const long = 'a-file-whose-name-has-no-place-to-break-and-goes-on-and-on-for-longer-than-any-screen-is-wide';
    const said = {
      text: 'Here is what I found, with a picture of it.', delayMs: 1, model: `vendor/${long}`,
      media: [medium(file('wide.png', png(900, 200, [12, 122, 96]))), medium(file(`${long}.svg`, Buffer.from('<svg/>'), 'image/svg+xml')), { mediaType: 'image/png', url: `https://example.com/${long}` }],
      sources: [{ id: '1', url: `https://${long.slice(0, 60)}.example/${long}`, title: long, quote: long }, { id: '2', url: 'https://example.com/', title: 'Short' }],
    };
    const screens = [['desk', 1280, 800, 1], ['phone', 390, 844, 2], ['narrow', 320, 560, 2]];
    const looks = ['light', 'dark'].flatMap((colorScheme) =>
      screens.map(async ([name, width, height, deviceScaleFactor]) => {
        const context = await browser.context({ colorScheme, viewport: { width, height }, deviceScaleFactor, reducedMotion: 'reduce' });
        const page = await open(context, addressOf(server.url, said));
        const look = async (moment) => {
          const right = await page.evaluate(() => Math.max(...[...document.querySelectorAll('body :not(#attached *)')].map((node) => node.getBoundingClientRect().right)));
          assert.ok(right <= width, `${name} ${moment}: something hangs out at ${right}`);
          if (folder) await page.screenshot({ path: `${folder}/${colorScheme}-${name}-media-${moment}.png` });
        };
        await attach(page, ...Array.from({ length: 8 }, (_, at) => file(`${at}.png`)), file(`${long}.pdf`, Buffer.from('%'), 'application/pdf'));
        await thumbs(page).nth(7).waitFor();
        await look('attached');
        await page.say('What are these, and where do they come from?');
        await page.untilStatus('complete');
        await drawn(page.locator('.answer img'));
        await look('complete');
        await page.getByRole('button', { name: 'Open wide.png' }).click();
        await page.getByRole('dialog').waitFor();
        await look('open');
        await context.close();
      }),
    );
    await Promise.all(looks); // they mostly wait
  },
};

await play(scenarios);
