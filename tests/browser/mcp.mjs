// Tools of an MCP server in the page; questions of them that one browser sees and another one answers, after the server that
// asked was killed. The two servers share the store in `STORE`. `node mcp.mjs NAME` plays one scenario; without a name, all.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { PICTURE, startCounting } from '../../adapters/mcp/tests/everything/counting.mjs';
import { addressOf, logOf, open, play, sessionOf, startServer, tool } from './bench.mjs';

const card = (page) => page.locator('.ask[data-state="open"]');

/**
 * Starts an answer that calls a tool, on one server and in one browser, and waits until it asks. Then both are
 * gone: returns a page of another browser, at another server.
 */
async function asked(name, browser, act) {
  const tools = await startCounting();
  process.env.MCP_URL = tools.url;
  const servers = await Promise.all([0, 0].map((port) => startServer(port, process.env.STORE)));
  delete process.env.MCP_URL;
  try {
    const [first, second] = servers;
    const context = await browser.context();
    const script = { text: 'Let me see.\n\n', delayMs: 5, toolCalls: [{ name: `mcp_${name}`, arguments: {} }], then: [{ results: true }] };
    const page = await open(context, addressOf(first.url, script));
    await page.say('Go');
    await card(page).waitFor();
    await page.reload();
    await card(page).waitFor();
    const { hash } = new URL(page.url());
    await act({
      tools,
      page,
      /** Closes the first browser, kills the first server, and opens the other ones. */
      elsewhere: async () => {
        await context.close();
        await first.kill();
        return open(await browser.context(), `${second.url}/${hash}`);
      },
      events: () => logOf(second, hash.slice('#s='.length)),
    });
  } finally {
    for (const server of servers) await server.kill();
    tools.stop();
  }
}

/** Calls a tool on a server of its own, in one browser. */
async function called(name, browser, args, act) {
  const tools = await startCounting();
  process.env.MCP_URL = tools.url;
  const server = await startServer(0, process.env.STORE);
  delete process.env.MCP_URL;
  try {
    const script = { text: 'Let me see.\n\n', delayMs: 5, toolCalls: [{ name: `mcp_${name}`, arguments: args }], then: [{ results: true }] };
    const page = await open(await browser.context(), addressOf(server.url, script));
    await page.say('Go');
    await act({ tools, server, page });
  } finally {
    await server.kill();
    tools.stop();
  }
}

const of = (events, kind) => events.filter(({ type }) => type === kind);

const scenarios = {
  async a_reload_while_a_tool_runs_goes_on_and_runs_it_once({ browser }) {
    await called('survey', browser, { city: 'Bergen' }, async ({ tools, server, page }) => {
      const said = tool(page, 'mcp_survey');
      const firstStep = page.locator('.progress').filter({ hasText: '1 of 4' });
      await firstStep.waitFor();
      await page.reload();
      await firstStep.waitFor();
      assert.match(await said.locator('summary').textContent(), /runs/, 'control: the reload is while it runs');
      tools.letGo();
      await page.untilStatus('complete');
      assert.deepEqual(tools.counts, { called: { survey: 1 }, done: { survey: 1 } });
      const log = await logOf(server, sessionOf(page));
      const steps = log.filter((event) => event.progress !== undefined).map((event) => event.progress);
      assert.deepEqual(steps, [1, 2, 3, 4].filter((step) => steps.includes(step)), 'each at most once; steps that come at once are one');
      assert.equal(page.posts().length, 1);

      assert.equal(await said.locator('pre').first().isVisible(), false, 'what it was called with and gave is folded');
      assert.equal(await page.locator('.progress').isVisible(), false);
      await said.locator('summary').press('Enter');
      const [given, gave] = await said.locator('pre').allTextContents();
      assert.deepEqual(JSON.parse(given), { city: 'Bergen' });
      const [{ content }] = of(log, 'tool_result');
      assert.equal(gave, content);
      assert.ok((await page.answer()).endsWith(content));
    });
  },

  async a_picture_of_a_tool_is_shown_and_outlives_a_reload({ browser }) {
    await called('draw', browser, {}, async ({ tools, page }) => {
      await page.untilStatus('complete');
      const shown = async (page) => {
        await page.until(() => document.querySelector('.answer .tool img')?.naturalWidth === 1);
        await page.getByRole('button', { name: 'Open Picture' }).click();
        const saved = page.waitForEvent('download');
        await page.getByRole('dialog').getByRole('link', { name: 'Save Picture' }).click();
        assert.equal((await readFile(await (await saved).path())).toString('base64'), PICTURE, 'byte for byte');
        await page.keyboard.press('Escape');
        assert.match(await page.locator('.answer .tool dl').textContent(), /Here:\s*That was it\./);
      };
      await shown(page);
      const stored = await page.evaluate(() => JSON.stringify(Object.entries(localStorage)));
      assert.doesNotMatch(stored, /base64/, 'what is written often is small');
      await page.reload();
      await shown(page);
      await shown(await open(await browser.context(), page.url()));
      assert.deepEqual(tools.counts.called, { draw: 1 });
    });
  },

  async a_question_of_an_idempotent_tool_is_answered_elsewhere_and_it_goes_on({ browser }) {
    await asked('book', browser, async ({ tools, elsewhere, events }) => {
      assert.deepEqual(tools.counts, { called: { book: 1 }, done: {} }, 'control: it waits for the answer');
      const page = await elsewhere();
      await card(page).getByLabel('Account').fill('A 7');
      await card(page).getByRole('button', { name: 'Answer' }).click();
      await page.untilStatus('complete');
      assert.match(await page.answer(), /book with A 7/);
      assert.deepEqual(tools.counts, { called: { book: 2 }, done: { book: 1 } });
      const ids = of(await events(), 'input_request').map(({ inputId }) => inputId);
      assert.equal(new Set(ids).size, 1, 'it is one question, also if the answer began anew');
    });
  },

  async a_tool_that_may_not_run_twice_is_not_called_again_and_the_model_is_told({ browser }) {
    await asked('pay', browser, async ({ tools, elsewhere, events }) => {
      const page = await elsewhere();
      await page.untilStatus('complete');
      assert.match(await page.answer(), /whether it took effect is unknown/);
      assert.deepEqual(tools.counts, { called: { pay: 1 }, done: {} });
      assert.equal(await card(page).count(), 0, 'nobody is asked any more');
      assert.equal(of(await events(), 'tool_error').length, 1);
    });
  },

  async an_approval_is_given_elsewhere_and_the_tool_runs_once({ browser }) {
    await asked('erase', browser, async ({ tools, elsewhere, events }) => {
      tools.letGo();
      assert.deepEqual(tools.counts, { called: {}, done: {} }, 'control: it was not approved yet');
      const page = await elsewhere();
      await card(page).getByRole('button', { name: 'Approve' }).click();
      await page.untilStatus('complete');
      assert.match(await page.answer(), /erased/);
      assert.deepEqual(tools.counts, { called: { erase: 1 }, done: { erase: 1 } });
      assert.equal(of(await events(), 'tool_result').length, 1);
    });
  },

  async an_approved_tool_whose_server_is_killed_while_it_runs_does_not_run_again({ browser }) {
    await asked('erase', browser, async ({ tools, page: first, elsewhere, events }) => {
      await card(first).getByRole('button', { name: 'Approve' }).click();
      while (!tools.counts.called.erase) await new Promise((resolve) => setTimeout(resolve, 20));
      const page = await elsewhere();
      await page.untilStatus('complete');
      assert.match(await page.answer(), /whether it took effect is unknown/);
      tools.letGo(); // it may take effect after all
      assert.equal(tools.counts.called.erase, 1);
      assert.equal(of(await events(), 'tool_error').length, 1);
    });
  },
};

await play(scenarios);
