// What an answer has beside its text, in the page: arguments as they come, sources, and usage.
// `node answers.mjs NAME` plays one scenario; without a name, all.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { addressOf, HELD, open, play } from './bench.mjs';

const scenarios = {
  async arguments_appear_before_the_call_is_whole({ server, context }) {
    const given = { city: 'Bergen', note: 'a call is one only when the last brace is there' };
    const held = { text: 'Well.', delayMs: 1, toolInput: true, toolCalls: [{ name: 'weather', arguments: given }], tally: HELD, holds: [4], then: [{ text: 'Done.' }] };
    const page = await open(context, addressOf(server.url, held));
    await page.say('Go');
    const [tool, writing] = [page.locator('.tool'), page.locator('.tool .writing')];
    const part = JSON.stringify(given).slice(0, 24);
    await writing.getByText(part, { exact: true }).waitFor();
    assert.equal(await writing.isVisible(), true);
    assert.match(await tool.locator('summary').textContent(), /weather is called/);
    const session = new URL(page.url()).hash.slice('#s='.length);
    const events = async () => (await (await fetch(`${server.url}/api/chat/${session}?limit=1000`, { headers: { accept: 'application/json' } })).json()).events.map(({ event }) => event.type);
    assert.equal((await events()).includes('tool_calls'), false, 'control: there is no call yet');
    await page.reload();
    await writing.getByText(part, { exact: true }).waitFor();
    await server.release();
    await page.untilStatus('complete');
    assert.equal(await tool.count(), 1, 'it is the same call');
    assert.equal(await writing.count(), 0);
    assert.match(await tool.locator('summary').textContent(), /weather answered/);
    assert.equal(await tool.locator('pre').first().isVisible(), false, 'folded, once it is whole');
    assert.deepEqual(JSON.parse(await tool.locator('pre').first().textContent()), given);
    assert.ok((await events()).includes('tool_calls'));
  },

  async a_call_that_did_not_become_whole_is_told_as_none({ server, context }) {
    const cut = { text: 'Well.', delayMs: 1, toolInput: true, toolCalls: [{ name: 'weather', arguments: { city: 'Bergen' } }], fault: { at: 2, kind: 'error' } };
    const page = await open(context, addressOf(server.url, cut));
    await page.say('Go');
    await page.untilStatus('error');
    assert.match(await page.locator('.tool summary').textContent(), /weather did not finish/);
    await page.locator('.tool summary').click();
    assert.equal(await page.locator('.tool pre').textContent(), '{"city":', 'as far as it came');
  },

  async a_call_of_a_turn_that_reached_its_length_was_not_called({ server, context }) {
    const page = await open(context, server.url);
    const events = [
      { type: 'session_info', capabilities: {} },
      { type: 'tool_input', id: '1', name: 'weather', delta: '{"city":"Ber' },
      { type: 'turn', finishReason: 'length', model: 'model-7' },
      { type: 'text', content: 'Well.' },
    ];
    const lines = (records) => records.map(([lsn, event]) => `${JSON.stringify({ lsn, event })}\n`).join('');
    const end = [events.length + 1, { type: 'complete', finishReason: 'length', usage: { inputTokens: 7, outputTokens: 9, cachedInputTokens: 5, reasoningTokens: 4 } }];
    const answer = (body) => (route) => route.fulfill({ status: 200, headers: { 'content-type': 'application/x-ndjson', 'x-session-id': 'x' }, body });
    await page.route('**/api/chat', answer(lines(events.map((event, at) => [at + 1, event]))));
    await page.route('**/api/chat/*', (route) => route.abort());
    await page.say('Go');
    await page.untilLsn(events.length);
    assert.match(await page.locator('.tool summary').textContent(), /weather was not called/, 'while the answer goes on');
    await page.unroute('**/api/chat/*');
    await page.route('**/api/chat/*', answer(lines([end])));
    await page.untilStatus('complete');
    assert.match(await page.locator('.tool summary').textContent(), /weather was not called/);
    assert.match(await page.locator('.answer .meta').textContent(), /^complete \(length\) · model-7 · 7 tokens in \(5 cached\) · 9 out \(4 thinking\) · lsn 1–5/);
  },

  async sources_are_numbered_and_only_addresses_of_the_web_are_links({ server, context }) {
    const markup = '<img src=x onerror="window.broken = true">';
    const sources = [
      { id: 'a', url: 'https://example.com/page?q=1', title: 'A page', quote: markup },
      { id: 'b', url: 'javascript:window.broken=true', title: markup },
      { id: 'c', url: ' JaVaScRiPt:window.broken=true', title: 'Odd' },
      { id: 'd', url: 'data:text/html,<script>window.broken=true</script>' },
      { id: 'e', url: 'https://bank.example@evil.example/', title: 'https://bank.example/' },
      { id: 'f', title: 'A document', mediaType: 'application/pdf' },
      { id: 'a', url: 'https://example.com/page?q=1', title: 'A page' },
    ];
    const page = await open(context, addressOf(server.url, { text: 'So it is.', delayMs: 1, sources }));
    await page.say('Why?');
    await page.untilStatus('complete');
    const look = async () => {
      const list = page.getByRole('region', { name: 'Sources' });
      assert.equal(await list.getByRole('listitem').count(), 6, 'one that is named twice is listed once');
      const links = await list.getByRole('link').evaluateAll((all) => all.map((link) => [link.textContent, link.getAttribute('href'), link.rel, link.target]));
      const safe = ['noopener noreferrer nofollow', '_blank'];
      assert.deepEqual(links, [['A page', 'https://example.com/page?q=1', ...safe], ['https://bank.example/', 'https://bank.example@evil.example/', ...safe]]);
      const texts = await list.getByRole('listitem').allTextContents();
      assert.deepEqual(texts, [`A pageexample.com${markup}`, `${markup}no address of the web`, 'Oddno address of the web', 'dno address of the web', 'https://bank.example/evil.example', 'A documentapplication/pdf']);
      assert.equal(await page.locator('.answer img, .answer script').count(), 0);
      assert.equal(await page.evaluate(() => window.broken), undefined);
    };
    await look();
    await page.reload();
    await look();
  },

  async after_a_restart_the_sources_are_those_of_the_new_attempt({ server, context }) {
    const page = await open(context, server.url);
    const source = (id) => ({ type: 'source', id, title: id });
    const events = [{ type: 'session_info', capabilities: {} }, source('old one'), source('old two'), { type: 'text', content: 'Old.' }];
    const lines = (records, from) => records.map((event, at) => `${JSON.stringify({ lsn: from + at, event })}\n`).join('');
    const answer = (body) => (route) => route.fulfill({ status: 200, headers: { 'content-type': 'application/x-ndjson', 'x-session-id': 'x' }, body });
    await page.route('**/api/chat', answer(lines(events, 1)));
    await page.route('**/api/chat/*', (route) => route.abort());
    await page.say('Go');
    await page.untilLsn(events.length);
    const listed = () => page.getByRole('region', { name: 'Sources' }).getByRole('listitem').allTextContents();
    await page.until(() => document.querySelectorAll('.sources li').length === 2);
    assert.deepEqual(await listed(), ['old one', 'old two'], 'control');
    const again = [{ type: 'restarted', attempt: 2 }, source('new one'), source('new two'), { type: 'text', content: 'New.' }, { type: 'complete', finishReason: 'stop' }];
    await page.unroute('**/api/chat/*');
    await page.route('**/api/chat/*', answer(lines(again, events.length + 1)));
    await page.untilStatus('complete');
    assert.deepEqual(await listed(), ['new one', 'new two']);
  },

  async usage_model_and_finish_reason_are_in_the_footer({ server, context }) {
    const page = await open(context, addressOf(server.url, { tokens: 1234, delayMs: 0, model: 'model-7' }));
    await page.say('One two three');
    await page.untilStatus('complete');
    const meta = page.locator('.answer .meta');
    const words = /^complete \(stop\) · model-7 · 3 tokens in · 1,234 out · lsn 1–\d+$/;
    assert.match(await meta.textContent(), words);
    await page.reload();
    assert.match(await meta.textContent(), words);

    // Stopped while a tool runs: the turn before it has cost something.
    const stopped = await open(context, addressOf(server.url, { text: 'Let me see.', delayMs: 0, model: 'model-7', toolCalls: [{ name: 'send_mail', arguments: { to: 'ada@example.org', subject: 'Hi', text: 'Hi' } }] }));
    await stopped.say('One two');
    await stopped.locator('.ask[data-state="open"]').waitFor();
    await stopped.getByRole('button', { name: 'Stop the answer' }).click();
    await stopped.untilStatus('aborted');
    assert.match(await stopped.locator('.answer .meta').textContent(), /^stopped · model-7 · 2 tokens in · 3 out · lsn/);
  },

  async arguments_fit_every_screen_in_both_schemes({ server, browser }) {
    const folder = process.env.SCREENSHOTS;
    if (folder) await mkdir(folder, { recursive: true });
    const given = { city: 'Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch', note: 'and on '.repeat(40) };
    for (const colorScheme of ['light', 'dark']) {
      for (const [name, width, height, deviceScaleFactor] of [['desk', 1200, 800, 1], ['phone', 390, 780, 2], ['narrow', 320, 560, 2]]) {
        const tally = `${HELD}-${colorScheme}-${name}`; // a hold of each screen, which nobody lets go
        const held = { text: 'Let me see.', delayMs: 0, toolInput: true, toolCalls: [{ name: 'weather', arguments: given }], tally, holds: [30] };
        const context = await browser.context({ colorScheme, viewport: { width, height }, deviceScaleFactor });
        const page = await open(context, addressOf(server.url, held));
        await page.say('The weather in that place?');
        await page.locator('.tool .writing').getByText(given.city.slice(0, 20)).waitFor();
        const right = await page.evaluate(() => Math.max(...[...document.querySelectorAll('.answer *')].map((node) => node.getBoundingClientRect().right)));
        assert.ok(right <= width, `${name}: something hangs out at ${right}`);
        if (folder) await page.screenshot({ path: `${folder}/${colorScheme}-${name}-arguments.png` });
        await context.close();
      }
    }
  },
};

await play(scenarios);
