// Questions for a first look.

import { drawing } from './drawing.js';

// A script replaces the default answer of the scripted provider.
const SCRIPTED = [
  { text: 'Tell me what you are' },
  { text: 'Show me all you can do', script: showcase },
  { text: 'How is the weather in Oslo?' },
  { text: 'Send Ada a mail' },
  { text: 'Book a table' },
  { text: 'What is my local time?' },
  { text: 'Count to a thousand', script: () => ({ tokens: 1000, delayMs: 60 }) },
  { text: 'Fail half-way', script: () => ({ tokens: 120, delayMs: 40, fault: { at: 60, kind: 'error' } }) },
];

const REAL = ['How does TCP recover a lost segment?', 'How is the weather in Oslo, and what time is it here?', 'Mail ada@example.org that I am late', 'Book a table at The Log Cabin'].map((text) => ({ text }));

export const examples = (scripted) => (scripted ? SCRIPTED : REAL);

// Thinking, a tool whose arguments come as they are written, a picture, a file, and sources.
function showcase() {
  return {
    delayMs: 50,
    model: 'scripted',
    thinking: 'All of it, in one answer. First a tool, so that there is something to wait for; then a picture, and where the words come from.',
    text: 'I begin with a tool. Its arguments come as I write them, and it runs once they are whole.\n\n',
    toolCalls: [{ name: 'weather', arguments: { city: 'Longyearbyen', note: 'Nothing runs before the last brace. What comes in pieces tells that a call is on its way, and no more; a reload in the middle of it shows the same pieces again.' } }],
    toolInput: true,
    then: [
      {
        text: 'It ran on the server, once, whoever reloads. Here is a picture of a log whose reader was away for a while, and the same as a drawing that a page must not open. The sources are below, and what all this cost at the very end.\n\n',
        media: [
          { mediaType: 'image/png', name: 'log.png', url: drawing() },
          { mediaType: 'image/svg+xml', name: 'log.svg', url: `data:image/svg+xml;base64,${btoa('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 3"><path d="M1 1.5h7" stroke="#0c7a60"/></svg>')}` },
        ],
        sources: [
          { id: 'sse', url: 'https://html.spec.whatwg.org/multipage/server-sent-events.html', title: 'Server-sent events', quote: 'Clients will reconnect if the connection is closed; a client can be told to stop reconnecting using the HTTP 204 No Content response code.' },
          { id: 'http', url: 'https://www.rfc-editor.org/rfc/rfc9110.html', title: 'RFC 9110: HTTP Semantics' },
          { id: 'design', title: 'What is written in the log', mediaType: 'text/markdown' },
        ],
      },
    ],
  };
}
