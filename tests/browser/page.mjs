// The page in a browser, with faults. `node page.mjs NAME` plays one scenario;
// without a name, all. Each fault has a control that shows that it happened.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addressOf, open, play, script, startProxy, startServer } from './bench.mjs';

const scenarios = {
  async a_reload_in_mid_answer_goes_on_where_it_was({ server, context }) {
    const whole = script({ holds: [60] });
    const page = await open(context, addressOf(server.url, whole.script));
    await page.say('Go');
    await page.untilLsn(30);
    const before = await page.answer();
    assert.ok(before.length > 0 && before.length < whole.text.length, 'control: the reload is in mid-answer');
    const asked = page.asked.length;
    await page.reload();
    await page.untilState('live');
    const resumes = page.asked.slice(asked);
    assert.equal(resumes.length, 1);
    assert.equal(resumes[0].method, 'GET');
    assert.ok(Number(resumes[0].headers['x-last-lsn']) > 1, 'it resumes, and does not start over');
    assert.ok((await page.answer()).startsWith(before.slice(0, 40)), 'what was there is there again');
    await server.release();
    await page.untilStatus('complete');
    assert.equal(await page.answer(), whole.text);
    assert.equal(page.posts().length, 1, 'the model was asked once');

    const settled = page.asked.length;
    await page.reload();
    await page.untilStatus('complete');
    assert.equal(await page.answer(), whole.text);
    assert.equal(page.asked.length, settled, 'a finished answer asks nothing of the server');
  },

  async a_second_tab_and_a_second_device_follow_live({ server, context, browser }) {
    const whole = script({ words: 160, holds: [60] });
    const first = await open(context, addressOf(server.url, whole.script));
    await first.say('Go');
    await first.untilLsn(20);
    const tab = await open(context, first.url());
    const device = await open(await browser.context(), first.url());
    await Promise.all([tab.untilLsn(30), device.untilLsn(30)]);
    for (const page of [tab, device]) {
      const [shown, status] = [await page.answer(), await first.locator('#foot-status').textContent()];
      assert.equal(status, 'streaming', 'control: the answer is still being said');
      assert.ok(shown.length > 0 && whole.text.startsWith(shown));
    }
    await server.release();
    for (const page of [first, tab, device]) {
      await page.untilStatus('complete');
      assert.equal(await page.answer(), whole.text);
    }
    assert.equal(await tab.locator('.question').textContent(), 'YouGo', 'the tab shares the conversation');
    assert.deepEqual([first, tab, device].map((page) => page.posts().length), [1, 0, 0]);

    await first.say('And again');
    await tab.until(() => document.querySelectorAll('.answer').length === 2);
    await server.release();
    await Promise.all([first, tab].map((page) => page.untilStatus('complete')));
    assert.equal(await tab.answer(), whole.text, 'the tab goes along with the next message');
  },

  async stop_ends_the_answer_in_both_tabs({ server, context }) {
    const whole = script({ holds: [60] });
    const first = await open(context, addressOf(server.url, whole.script));
    await first.say('Go');
    await first.untilLsn(20);
    const second = await open(context, first.url());
    await second.untilState('live');
    await second.getByRole('button', { name: 'Stop the answer' }).click();
    for (const page of [first, second]) {
      await page.untilStatus('aborted');
      await page.getByRole('status').filter({ hasText: 'Stopped' }).waitFor();
    }
    const [one, two] = [await first.answer(), await second.answer()];
    assert.equal(one, two);
    assert.ok(one.length > 0 && one.length < whole.text.length && whole.text.startsWith(one));
    const session = new URL(first.url()).hash.slice('#s='.length);
    const head = await fetch(`${server.url}/api/chat/${session}`, { method: 'HEAD' });
    assert.equal(head.headers.get('x-session-status'), 'aborted', 'control: the server stopped too');
  },

  async a_cut_connection_resumes_to_the_full_text({ server, context }) {
    const proxy = await startProxy(server.port);
    try {
      const whole = script({ words: 200, holds: [40, 90, 140] });
      const page = await open(context, addressOf(proxy.url, whole.script));
      await page.say('Go');
      for (const lsn of [20, 60, 110]) {
        await page.untilLsn(lsn);
        proxy.closed = true;
        assert.ok(proxy.cut() > 0, 'control: a connection was open, and was reset');
        await page.untilState('reconnecting');
        await page.getByRole('status').filter({ hasText: 'Reconnecting' }).waitFor();
        assert.ok((await page.answer()).length < whole.text.length, 'control: it was cut in mid-answer');
        proxy.closed = false;
        await server.release();
      }
      await page.untilStatus('complete');
      assert.equal(await page.answer(), whole.text);
      assert.equal(await page.resumed(), 3);
      assert.equal(page.posts().length, 1, 'the model was asked once');
    } finally {
      proxy.stop();
    }
  },

  async a_start_whose_answer_was_lost_is_repeated_as_the_same_session({ server, context }) {
    const proxy = await startProxy(server.port);
    try {
      const whole = script({ words: 60 });
      const page = await open(context, addressOf(proxy.url, whole.script));
      proxy.mute = true;
      await page.say('Go');
      while (proxy.muted === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(await page.lsn(), 0, 'control: the server answered, and nothing of it arrived');
      proxy.closed = true; // Chromium repeats a request by itself if it can
      proxy.cut();
      await page.untilState('reconnecting');
      Object.assign(proxy, { closed: false, mute: false });
      await page.untilStatus('complete');
      assert.equal(await page.answer(), whole.text);
      const posts = page.posts();
      assert.ok(posts.length > 1, 'control: it was repeated');
      for (const post of posts) {
        assert.equal(post.headers['x-session-id'], posts[0].headers['x-session-id']);
        assert.equal(post.body, posts[0].body);
      }
    } finally {
      proxy.stop();
    }
  },

  async a_server_that_dies_and_comes_back_is_an_honest_error_that_can_be_retried({ server, context }) {
    const whole = script({ holds: [60] });
    const page = await open(context, addressOf(server.url, whole.script));
    await page.say('Go');
    await page.untilLsn(20);
    await server.kill();
    await assert.rejects(fetch(server.url), 'control: nobody answers');
    await page.untilState('reconnecting');
    const shown = await page.answer();
    assert.ok(shown.length > 0 && shown.length < whole.text.length);
    const again = await startServer(server.port);
    try {
      await page.untilStatus('error');
      assert.match(await page.locator('.problem').textContent(), /no longer has this answer \(404\)/);
      assert.equal(await page.answer(), shown, 'what had arrived stays');
      await page.getByRole('button', { name: 'Try again' }).click();
      await again.release();
      await page.untilStatus('complete');
      assert.equal(await page.answer(), whole.text);
      assert.equal(await page.locator('.answer').count(), 1, 'the new answer takes the place of the lost one');
    } finally {
      await again.stop();
    }
  },

  async an_answer_on_disk_begins_anew_once_its_killed_server_is_back({ context, browser }) {
    const folder = await mkdtemp(join(tmpdir(), 'unbroken-'));
    let server = await startServer(0, `disk:${folder}`);
    const { port } = server;
    try {
      const whole = script({ words: 200, holds: [80] });
      const page = await open(context, addressOf(server.url, whole.script));
      await page.say('Go');
      await page.untilLsn(40);
      await server.kill();
      await assert.rejects(fetch(server.url), 'control: nobody answers');
      await page.untilState('reconnecting');
      const shown = await page.answer();
      assert.ok(shown.length > 0 && shown.length < whole.text.length, 'control: it died in mid-answer');
      assert.ok(whole.text.startsWith(shown));
      server = await startServer(port, `disk:${folder}`);
      await server.release(); // it is held there again
      await page.untilStatus('complete');
      assert.equal(await page.answer(), whole.text, 'what the dead server had said is not shown twice');
      assert.equal(await page.locator('.answer').count(), 1);
      assert.equal(page.posts().length, 1, 'the page asked once; the policy did the rest');
      const session = new URL(page.url()).hash.slice('#s='.length);
      const log = await (await fetch(`${server.url}/api/chat/${session}`)).text();
      assert.match(log, /"type":"restarted"/, 'control: the log has both');

      await server.kill();
      server = await startServer(port, `disk:${folder}`);
      const device = await open(await browser.context(), page.url());
      await device.untilStatus('complete');
      assert.equal(await device.answer(), whole.text, 'a finished answer outlives its server');
    } finally {
      await server.kill();
      await rm(folder, { recursive: true });
    }
  },

  async an_error_of_the_provider_is_shown_and_can_be_retried({ server, context }) {
    const whole = script({ words: 60, fault: { at: 20, kind: 'error' } });
    const page = await open(context, addressOf(server.url, whole.script));
    await page.say('Go');
    await page.untilStatus('error');
    assert.notEqual(await page.locator('.problem').textContent(), '');
    assert.equal(await page.locator('.problem').getAttribute('role'), 'alert');
    const shown = await page.answer();
    assert.ok(whole.text.startsWith(shown) && shown.length < whole.text.length);
    const retry = page.getByRole('button', { name: 'Try again' });
    await retry.click();
    await page.untilStatus('complete');
    assert.equal(await page.answer(), whole.text);
    assert.equal(await retry.count(), 0);
    const [failed, retried] = page.posts().map(({ body }) => JSON.parse(body));
    assert.deepEqual(failed.messages, retried.messages, 'the failed answer is not sent along');
  },

  async a_conversation_is_sent_with_what_was_said_before({ server, context }) {
    const whole = script({ words: 12, delay: 5 });
    const page = await open(context, addressOf(server.url, whole.script));
    await page.say('One');
    await page.untilStatus('complete');
    await page.reload();
    await page.say('Two');
    await page.until(() => document.querySelectorAll('.answer[data-status="complete"]').length === 2);
    const [first, second] = page.posts().map(({ body }) => JSON.parse(body));
    assert.deepEqual(second.messages, [
      { role: 'user', content: 'One' },
      { role: 'assistant', content: whole.text },
      { role: 'user', content: 'Two' },
    ]);
    assert.equal(first.chatId, second.chatId);
    await page.getByRole('button', { name: 'New chat' }).click();
    assert.equal(await page.locator('.answer').count(), 0);
    await page.goBack();
    assert.equal(await page.locator('.answer').count(), 2, 'the way back leads to the conversation');
  },

  async leaving_a_chat_does_not_stop_its_answer({ server, context }) {
    const whole = script({ words: 100, holds: [50] });
    const page = await open(context, addressOf(server.url, whole.script));
    await page.say('Go');
    await page.untilLsn(20);
    await page.getByRole('button', { name: 'New chat' }).click();
    await page.untilState('idle');
    assert.equal(await page.locator('.answer').count(), 0);
    await server.release();
    await page.goBack();
    await page.untilStatus('complete');
    assert.equal(await page.answer(), whole.text);
  },

  async what_a_model_says_is_text_and_is_drawn_alike_at_once_and_bit_by_bit({ server, context }) {
    const hostile = '<img src=x onerror="window.broken = true"> <script>window.broken = true</script> **<b>bold</b>**';
    const said = { ...SHOWN, delayMs: 1, text: `${hostile}\n\n${SHOWN.text}\n\n\`\`\`html\n${hostile}\n\n${hostile}\n\`\`\`\n- one\n- two *three*` };
    const page = await open(context, addressOf(server.url, said));
    await page.say('Go');
    await page.untilStatus('complete');
    const parts = page.locator('.answer .parts');
    const streamed = await parts.locator('.text').innerHTML();
    assert.equal(await parts.locator('img, script, b').count(), 0);
    assert.equal(await parts.locator('pre').filter({ hasText: hostile }).count(), 1);
    assert.equal(await parts.locator('.text > ul > li').count(), 2);
    assert.equal(await page.evaluate(() => window.broken), undefined);
    await page.reload();
    await page.untilStatus('complete');
    assert.equal(await parts.locator('.text').innerHTML(), streamed);
  },

  async the_keyboard_is_enough({ server, context }) {
    const whole = script({ holds: [60] });
    const page = await open(context, addressOf(server.url, whole.script));
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
    assert.equal(await focused(), 'input', 'one can type at once');
    await page.keyboard.type('One');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('Two');
    assert.equal(await page.inputValue('#input'), 'One\nTwo');
    assert.equal(page.posts().length, 0, 'a new line does not send');
    await page.keyboard.press('Enter');
    await page.untilLsn(10);
    assert.equal(await focused(), 'input', 'the focus stays');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'stop');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, 'solid', 'the focus can be seen');
    await page.keyboard.press('Escape');
    await page.untilStatus('aborted');
    await page.until(() => document.activeElement.id === 'input');
    const order = [];
    for (let step = 0; step < 8; step++) {
      await page.keyboard.press('Shift+Tab');
      order.push(await focused());
    }
    assert.deepEqual(order.slice(0, 5), ['attach', 'retry', 'scroll', 'new', 'brand'], 'the order is that of the page');

    const log = page.getByRole('log', { name: 'Messages' });
    assert.equal(await log.getAttribute('aria-live'), 'off', 'tokens are not read out one by one');
    await page.getByRole('status').filter({ hasText: 'Stopped' }).waitFor();
    await page.getByRole('textbox', { name: 'Message' }).waitFor();
    assert.equal(await page.locator('.answer').getAttribute('aria-busy'), 'false');
  },

  async it_fits_every_screen_in_both_schemes({ server, browser }) {
    const folder = process.env.SCREENSHOTS;
    if (folder) await mkdir(folder, { recursive: true });
    const address = addressOf(server.url, SHOWN);
    for (const colorScheme of ['light', 'dark']) {
      for (const [name, width, height, deviceScaleFactor] of [['desk', 1200, 800, 1], ['phone', 390, 780, 2], ['narrow', 320, 560, 2]]) {
        const context = await browser.context({ colorScheme, viewport: { width, height }, deviceScaleFactor });
        const page = await open(context, address);
        const look = async (moment) => {
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(overflow <= 0, `${name} ${moment}: ${overflow} px too wide`);
          const right = await page.evaluate(() => Math.max(...[...document.querySelectorAll('button:not([hidden])')].map((node) => node.getBoundingClientRect().right)));
          assert.ok(right <= width, `${name} ${moment}: a button hangs out at ${right}`);
          if (folder) await page.screenshot({ path: `${folder}/${colorScheme}-${name}-${moment}.png` });
        };
        await look('empty');
        await page.say('My train is about to enter a tunnel. What happens to this answer?');
        await page.untilLsn(90);
        await look('streaming');
        await page.untilStatus('complete');
        await page.locator('.thinking summary').click();
        await page.locator('#scroll').evaluate((node) => (node.scrollTop = 0));
        await look('complete');
        await context.close();
      }
    }
  },
};

// What the pictures show.
const SHOWN = {
  delayMs: 8,
  thinking: 'They want to know what a dead connection does to an answer. Say who writes the log and who only reads it, then what the client does.',
  text: `Nothing happens to it. Every event is **appended to a log** before anyone sees it, and your browser is only a reader of that log, with a cursor: the \`LSN\` in the footer.

### In the tunnel

1. The body ends without a terminal event, so the page knows a *cut* from an end.
2. It asks again with \`X-Last-LSN: 118\`.
3. The server reads on from 119. The model never noticed.

\`\`\`rust
let chat = ServiceBuilder::new()
    .layer(DurableLayer::new(sessions, access))
    .service(OpenAi::from_env()?);
\`\`\`

> A disconnect is not a stop.`,
};

await play(scenarios);
