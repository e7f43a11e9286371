// Tools in the page: tools of the server, questions to the user, tools of the browser; with reloads and
// other tabs in between. `node tools.mjs NAME` plays one scenario; without a name, all.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { addressOf, HELD, logOf, open, play, script, sessionOf, tool } from './bench.mjs';

/** A script that calls these tools, then answers with their results. */
const calling = (toolCalls, more = {}) => ({ text: 'Let me see.\n\n', delayMs: 5, toolCalls, then: [{ results: true }], ...more });
const mail = { name: 'send_mail', arguments: { to: 'eve@example.org', subject: 'Hi', text: 'All is well.' } };

/** The open question of a page. */
const card = (page) => page.locator('.ask[data-state="open"]');

const scenarios = {
  async a_tool_that_fails_says_why({ server, context }) {
    const page = await open(context, addressOf(server.url, calling([{ name: 'weather', arguments: { city: ' ' } }, { name: 'nothing' }])));
    await page.say('Go');
    await page.untilStatus('complete');
    for (const [name, why] of [['weather', 'no city, no weather'], ['nothing', 'there is no tool']]) {
      assert.match(await tool(page, name).locator('summary').textContent(), /failed/);
      assert.match(await tool(page, name).locator('dl').textContent(), new RegExp(`Error.*${why}`));
    }
  },

  async an_approval_is_there_again_after_a_reload_and_is_given_on_another_device({ server, context, browser }) {
    const first = await open(context, addressOf(server.url, calling([mail])));
    await first.say('Go');
    await card(first).waitFor();
    assert.equal(await first.locator('#foot-status').textContent(), 'waiting');
    await first.getByRole('status').filter({ hasText: 'Your turn' }).waitFor();
    assert.match(await card(first).textContent(), /Send this mail to eve@example\.org\?.*All is well\./);
    await first.reload();
    await card(first).waitFor();
    await first.untilState('waiting');

    const device = await open(await browser.context(), first.url());
    const group = device.getByRole('group', { name: 'Send this mail to eve@example.org?' });
    await group.getByRole('button', { name: 'Approve' }).press('Enter');
    for (const page of [first, device]) {
      await page.untilStatus('complete');
      assert.equal(await card(page).count(), 0, 'the card is closed');
      assert.match(await page.locator('.ask').textContent(), /Approved/);
      assert.match(await page.answer(), /went to eve@example\.org/);
    }
    assert.equal(await device.evaluate(() => document.activeElement.id), 'input', 'the focus is not lost with the card');
    const log = await logOf(server, sessionOf(first));
    assert.equal(log.filter((event) => event.type === 'tool_result').length, 1);
  },

  async whoever_is_slower_to_answer_is_told_what_became_of_it({ server, context }) {
    const page = await open(context, addressOf(server.url, calling([mail])));
    await page.say('Go');
    await card(page).waitFor();
    await page.route('**/inputs/*', async (route) => {
      // Somebody else says no in this very moment.
      const faster = await fetch(route.request().url(), { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"action":"decline"}' });
      assert.equal(faster.status, 202);
      await route.continue();
    });
    const answered = page.waitForResponse('**/inputs/*');
    await card(page).getByRole('button', { name: 'Approve' }).click();
    assert.equal((await answered).status(), 409, 'control: it came too late');
    await page.untilStatus('complete');
    assert.match(await page.locator('.ask').textContent(), /Declined/);
    assert.equal(await page.locator('.ask .problem').textContent(), '', 'it is no failure');
    assert.match(await page.answer(), /the user declined/);
  },

  async a_question_takes_what_fits_and_may_be_asked_again({ server, context }) {
    const page = await open(context, addressOf(server.url, calling([{ name: 'book_table', arguments: { restaurant: 'Log Cabin' } }])));
    await page.say('Go');
    const form = card(page);
    await form.waitFor();
    const sent = () => page.asked.filter(({ path }) => path.includes('/inputs/')).length;
    const answer = form.getByRole('button', { name: 'Answer' });
    await answer.click();
    assert.equal(sent(), 0, 'the browser asks for what must be there');
    assert.equal(await page.evaluate(() => document.activeElement.labels[0].textContent), 'Name');

    await form.getByLabel('Name').fill('Ada');
    await form.getByLabel('People').fill('10');
    await form.getByLabel('Time').fill('at eight');
    await form.getByLabel('Place').selectOption('inside');
    await answer.click();
    const alert = form.getByRole('alert');
    await alert.filter({ hasText: '/time' }).waitFor();
    assert.equal(sent(), 1);
    assert.equal(await form.getByLabel('Time').getAttribute('aria-invalid'), 'true');
    assert.equal(await page.evaluate(() => document.activeElement.labels[0].textContent), 'Time', 'the focus is where it is wrong');
    await form.getByLabel('Time').fill('20:00');
    assert.equal(await form.getByLabel('Time').getAttribute('aria-invalid'), null);
    await form.getByLabel('Time').press('Enter');

    await form.filter({ hasText: 'no table for more than eight' }).waitFor();
    assert.equal(await page.locator('.ask').count(), 2);
    await page.reload();
    await form.filter({ hasText: 'no table for more than eight' }).waitFor();
    await form.getByLabel('Name').fill('Ada');
    await form.getByLabel('People').fill('10');
    await form.getByLabel('Time').fill('20:00');
    await form.getByLabel('Place').selectOption('terrace');
    await form.getByLabel('High chair').check();
    await answer.click();
    await page.untilStatus('complete');
    const said = JSON.parse((await page.answer()).slice('Let me see.'.length));
    assert.deepEqual(said, { name: 'Ada', people: 10, time: '20:00', place: 'terrace', high_chair: true });
    assert.doesNotMatch(JSON.stringify(await logOf(server, sessionOf(page))), /at eight/, 'what was refused is in no log');
  },

  async any_schema_makes_a_form({ server, context }) {
    const schemas = [
      [{ enum: ['red', 7, null] }, (form) => form.getByRole('combobox').selectOption('7'), 7],
      [{ type: 'number', minimum: 0.5 }, (form) => form.getByRole('spinbutton').fill('1.5'), 1.5],
      [{ type: 'boolean' }, (form) => form.getByRole('checkbox').check(), true],
      [undefined, (form) => form.getByRole('textbox').fill('as I like it'), 'as I like it'],
      [{ type: 'array', items: { type: 'integer' } }, (form) => form.getByRole('textbox').fill('[1, 2]'), [1, 2]],
      [
        { type: 'object', properties: { a: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] }, b: { type: ['string', 'null'] }, c: { type: 'integer', default: 3 } }, $defs: { a: { oneOf: [{ const: 1, title: 'One' }] } } },
        (form) => form.getByLabel(/^A/).selectOption('One'),
        { a: 1, c: 3 },
      ],
    ];
    const asks = schemas.map(([schema], at) => ({ id: `q${at}`, message: `Question ${at}?`, schema }));
    const page = await open(context, addressOf(server.url, { text: 'Well. ', delayMs: 5, asks }));
    await page.say('Go');
    for (const [at, [, fill]] of schemas.entries()) {
      const form = page.getByRole('group', { name: `Question ${at}?` });
      await fill(form);
      await form.getByRole('button', { name: 'Answer' }).click();
      await form.filter({ hasText: 'Answered' }).waitFor();
    }
    await page.untilStatus('complete');
    const answers = schemas.map(([, , content]) => JSON.stringify({ action: 'accept', content }));
    assert.equal(await page.locator('.answer .text').allTextContents().then((all) => all.slice(1).join('')), answers.join(''));
  },

  async a_stop_while_somebody_is_asked_puts_the_question_away({ server, context }) {
    const page = await open(context, addressOf(server.url, calling([mail])));
    await page.say('Go');
    await card(page).getByRole('button', { name: 'Decline' }).focus();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Stop the answer' }).click();
    await page.untilStatus('aborted');
    assert.match(await page.locator('.ask').textContent(), /No longer asked/);
    assert.match(await tool(page, 'send_mail').locator('summary').textContent(), /did not finish/);
  },

  async a_tool_of_the_page_runs_there_and_the_answer_goes_on({ server, browser }) {
    const page = await open(await browser.context({ timezoneId: 'Asia/Tokyo' }), server.url);
    await page.say('What is my local time?');
    await page.until(() => document.querySelectorAll('.answer[data-status="complete"]').length === 2);
    assert.match(await page.answer(), /local_time.*Asia\/Tokyo/);
    const [first, second] = page.posts();
    assert.equal(second.headers['x-session-id'], `${first.headers['x-session-id']}.2`);
    const { isomorphicClientOutputs: [output], messages, continues } = JSON.parse(second.body);
    assert.deepEqual([output.toolName, output.clientOutput.zone], ['local_time', 'Asia/Tokyo']);
    assert.equal(continues, first.headers['x-session-id']);
    assert.deepEqual(messages, [], 'the log of that session has the conversation');
    assert.equal(page.posts().length, 2);

    await page.reload();
    await page.say('Thank you');
    await page.until(() => document.querySelectorAll('.answer[data-status="streaming"]').length === 1);
    const third = JSON.parse(page.posts()[2].body);
    assert.deepEqual(third.messages.map(({ role }) => role), ['user', 'assistant', 'user'], 'the two halves are one answer');
    await page.getByRole('button', { name: 'Stop the answer' }).click();
    await page.untilStatus('aborted');
  },

  async a_reload_between_the_halves_of_an_answer_loses_neither({ server, context }) {
    const page = await open(context, addressOf(server.url, calling([{ name: 'local_time' }])));
    const isSecond = (route) => route.request().headers()['x-session-id']?.endsWith('.2');
    await page.route('**/api/chat', (route) => (isSecond(route) ? route.abort() : route.continue()));
    await page.say('Go');
    await page.untilState('reconnecting');
    assert.equal(await page.locator('.answer[data-status="complete"]').count(), 1, 'control: it was handed over');
    const [lost] = page.posts().slice(-1);
    await page.unroute('**/api/chat');
    await page.reload();
    await page.untilStatus('complete');
    const [found] = page.posts().slice(-1);
    assert.equal(found.body, lost.body, 'the same request, so that it can not be another answer');
    assert.match(await page.answer(), /zone/);
    assert.equal(await page.locator('.answer').count(), 2);
  },

  async a_page_that_was_closed_right_at_the_handoff_goes_on_when_it_is_opened({ server, context }) {
    const page = await open(context, addressOf(server.url, calling([{ name: 'local_time' }])));
    const isSecond = (route) => route.request().headers()['x-session-id']?.endsWith('.2');
    await page.route('**/api/chat', (route) => (isSecond(route) ? route.abort() : route.continue()));
    await page.say('Go');
    await page.untilState('reconnecting');
    const first = page.url().replace(/\.2$/, '');
    await page.evaluate(() => {
      // As if it had not come to write down the second half.
      const key = Object.keys(localStorage).find((key) => key.startsWith('unbroken:chat:'));
      const chat = JSON.parse(localStorage[key]);
      chat.turns.pop();
      localStorage[key] = JSON.stringify(chat);
    });
    await page.close();
    const later = await open(context, first);
    await later.until(() => document.querySelectorAll('.answer[data-status="complete"]').length === 2);
    assert.match(await later.answer(), /zone/);
    assert.equal(later.posts().length, 1);
  },

  async of_many_tabs_one_goes_on_and_all_see_it({ server, context, browser }) {
    const { script: held } = script({ holds: [30] });
    const said = calling([{ name: 'local_time' }], held);
    const first = await open(context, addressOf(server.url, said));
    await first.say('Go');
    await first.untilLsn(10);
    const session = sessionOf(first);
    const link = `${server.url}/#s=${session}`;
    const tab = await open(context, link);
    const device = await open(await browser.context({ timezoneId: 'Asia/Tokyo' }), link);
    await Promise.all([tab.untilLsn(12), device.untilLsn(12)]);
    await server.release();
    const pages = [first, tab, device];
    for (const page of pages) {
      await page.until(() => document.querySelectorAll('.answer[data-status="complete"]').length === 2);
      assert.equal(sessionOf(page), `${session}.2`);
    }
    // Somebody who comes when all is over, with the link of the first half.
    const late = await open(await browser.context(), link);
    await late.until(() => document.querySelectorAll('.answer[data-status="complete"]').length === 2);
    const [here, ...others] = await Promise.all([...pages, late].map((page) => page.answer()));
    for (const there of others) assert.equal(there, here);
    assert.doesNotMatch(here, /Tokyo/, 'the browser that asked runs the tool');
    assert.equal(device.posts().length, 0);
    const counted = await fetch(`${server.url}/api/chat`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages: [{ role: 'user', content: 'How often?' }], script: { tell: HELD } }) });
    const told = /\\"calls\\":(\d+)/.exec(await counted.text());
    assert.equal(told?.[1], '2', 'the model was asked once for each half');
  },

  async cards_and_forms_fit_every_screen_in_both_schemes({ server, browser }) {
    const folder = process.env.SCREENSHOTS;
    if (folder) await mkdir(folder, { recursive: true });
    const screens = [['desk', 1200, 800, 1], ['phone', 390, 780, 2], ['narrow', 320, 560, 2]];
    const looks = ['light', 'dark'].flatMap((colorScheme) =>
      screens.map(async ([name, width, height, deviceScaleFactor]) => {
        const context = await browser.context({ colorScheme, viewport: { width, height }, deviceScaleFactor });
        const calls = [{ name: 'weather', arguments: { city: 'Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch' } }, mail, { name: 'book_table', arguments: { restaurant: 'The Log Cabin' } }];
        const page = await open(context, addressOf(server.url, calling(calls)));
        const look = async (moment) => {
          const right = await page.evaluate(() => Math.max(...[...document.querySelectorAll('.answer *')].map((node) => node.getBoundingClientRect().right)));
          assert.ok(right <= width, `${name} ${moment}: something hangs out at ${right}`);
          if (folder) await page.screenshot({ path: `${folder}/${colorScheme}-${name}-${moment}.png` });
        };
        await page.say('The weather, a mail, and a table.');
        await card(page).nth(1).waitFor();
        await page.locator('.progress').first().waitFor({ state: 'attached' }); // it is shown for as long as the tool runs
        await look('asking');
        await page.getByRole('button', { name: 'Approve' }).click();
        await page.getByLabel('Name').fill('Ada');
        await page.getByLabel('People').fill('4');
        await page.getByLabel('Time').fill('at eight');
        await page.getByLabel('Place').selectOption('inside');
        await card(page).getByRole('button', { name: 'Answer' }).click();
        await card(page).getByRole('alert').filter({ hasText: '/time' }).waitFor();
        await look('refused');
        await card(page).getByRole('button', { name: 'Decline' }).click();
        await page.untilStatus('complete');
        for (const summary of await page.locator('.tool summary').all()) await summary.click();
        await look('done');
        await context.close();
      }),
    );
    await Promise.all(looks); // they mostly wait
  },
};

await play(scenarios);
