// An MCP server over HTTP that counts how often each of its tools was called, and how often one took effect.

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js';

const ACCOUNT = { type: 'object', properties: { account: { type: 'string', title: 'Account' } }, required: ['account'] };

/** A PNG of one pixel, in base64. */
export const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/**
 * Starts the server. `draw` gives a picture. `survey` has four steps, three of them once `letGo` is called. `book` is idempotent and asks for an account; `pay` asks too, and may not run twice; `erase`
 * destroys something, and takes effect once `letGo` is called.
 */
export async function startCounting() {
  const counts = { called: {}, done: {} };
  const count = (kind, name) => (counts[kind][name] = (counts[kind][name] ?? 0) + 1);
  let letGo;
  const gone = new Promise((resolve) => (letGo = resolve));

  const text = (said) => ({ content: [{ type: 'text', text: said }] });
  const asking = (name) => async (extra) => {
    count('called', name);
    const params = { mode: 'form', message: `Which account, to ${name}?`, requestedSchema: ACCOUNT };
    const { action, content } = await extra.sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema);
    if (action !== 'accept') return text(`not done: ${action}`);
    count('done', name);
    return text(`${name} with ${content.account}`);
  };
  const server = () => {
    const made = new McpServer({ name: 'counting', version: '1.0.0' });
    const hints = { readOnlyHint: false, destructiveHint: false };
    made.registerTool('book', { description: 'Books.', annotations: { ...hints, idempotentHint: true } }, asking('book'));
    made.registerTool('pay', { description: 'Pays.', annotations: hints }, asking('pay'));
    made.registerTool('erase', { description: 'Erases.', annotations: { ...hints, destructiveHint: true } }, async () => {
      count('called', 'erase');
      await gone;
      count('done', 'erase');
      return text('erased');
    });
    made.registerTool('draw', { description: 'Draws.', annotations: { readOnlyHint: true } }, async () => {
      count('called', 'draw');
      return { content: [{ type: 'text', text: 'Here:' }, { type: 'image', mimeType: 'image/png', data: PICTURE }, { type: 'text', text: 'That was it.' }] };
    });
    made.registerTool('survey', { description: 'Surveys.', annotations: { readOnlyHint: true } }, async ({ sendNotification, _meta }) => {
      count('called', 'survey');
      for (const progress of [1, 2, 3, 4]) {
        await sendNotification({ method: 'notifications/progress', params: { progressToken: _meta.progressToken, progress, total: 4 } });
        await gone;
      }
      count('done', 'survey');
      return text('surveyed');
    });
    return made;
  };

  const transports = new Map();
  const listener = createServer(async (request, response) => {
    const known = transports.get(request.headers['mcp-session-id']);
    if (known) return known.handleRequest(request, response);
    if (request.headers['mcp-session-id']) return response.writeHead(404).end();
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID, onsessioninitialized: (id) => transports.set(id, transport) });
    await server().connect(transport);
    await transport.handleRequest(request, response);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const stop = () => {
    listener.close();
    listener.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${listener.address().port}/mcp`, counts, letGo, stop };
}
