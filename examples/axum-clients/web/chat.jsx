// A chat page with `useChat` of the AI SDK, which knows nothing of unbroken. With the server of this
// example `resume: true` works, and stopping ends the answer.

import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import { useEffect, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { forServer, listOf, whyRefused } from './pictures.js';

const API = '/api/ai';

// The id of the chat is in the address. It is long and random, since the chat is open to anyone with it.
const id = location.hash.slice(1) || Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
history.replaceState(null, '', `#${id}`);

// An application would ask its own database.
const kept = JSON.parse(localStorage.getItem(id) ?? '[]');

// `?script={…}` is the script of the scripted provider.
const script = new URLSearchParams(location.search).get('script');
const transport = new DefaultChatTransport({
  api: API,
  body: script ? { script: JSON.parse(script) } : {},
  fetch: refusing,
  prepareSendMessagesRequest: ({ id, messages, trigger, messageId, body }) => ({ body: { ...body, id, messages: forServer(messages), trigger, messageId } }),
});

/** The server has taken nothing of a message, and says why. */
class Refused extends Error {}

async function refusing(address, options) {
  const response = await fetch(address, options);
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json');
  // A proxy that lost the server doesn't know what became of the request.
  if (response.ok || (response.status >= 500 && !isProblem)) return response;
  const { detail = `The server refused this (${response.status}).` } = isProblem ? await response.json() : {};
  throw options.method === 'POST' ? new Refused(detail) : new Error(detail);
}

// Formats that are pixels only. Others, such as SVG, are documents, and are named, not shown.
const PIXELS = /^image\/(png|jpeg|webp|gif)$/;

// Addresses come from a model: only those of the web are links.
const isOfTheWeb = (url) => /^https?:\/\//i.test(url ?? '');

const sourcesOf = ({ parts }) => parts.filter(({ type }) => type === 'source-url' || type === 'source-document');

function Part({ part }) {
  if (part.type === 'text') return <span className="text">{part.text}</span>;
  // Reasoning that the model's server has encrypted has no text.
  if (part.type === 'reasoning' && part.text) {
    return (
      <details>
        <summary>Thinking</summary>
        {part.text}
      </details>
    );
  }
  if (part.type === 'file') {
    const name = part.filename ?? part.mediaType; // those of an answer have no name in the SDK's protocol
    // One behind a link is not fetched: its address could tell a stranger what was said.
    return PIXELS.test(part.mediaType) && part.url.startsWith('data:') ? <img src={part.url} alt={name} /> : <span className="file">{name}</span>;
  }
  return null;
}

function Sources({ sources }) {
  if (sources.length === 0) return null;
  return (
    <ol aria-label="Sources">
      {sources.map(({ sourceId, url, title }) => (
        <li key={sourceId}>
          {isOfTheWeb(url) ? (
            <a href={url} target="_blank" rel="noopener noreferrer nofollow">
              {title ?? url}
            </a>
          ) : (
            title ?? sourceId
          )}
        </li>
      ))}
    </ol>
  );
}

function Usage({ metadata }) {
  const { usage, model } = metadata ?? {};
  if (!usage && !model) return null;
  return <footer>{[model, usage && `${usage.inputTokens} tokens in, ${usage.outputTokens} out`].filter(Boolean).join(' · ')}</footer>;
}

/** Keeps the messages, as far as the browser has room: pictures are large. */
function keep(messages) {
  try {
    localStorage.setItem(id, JSON.stringify(messages));
  } catch {}
}

function Chat() {
  const refused = useRef(false);
  const onError = (error) => (refused.current = error instanceof Refused);
  const { messages, setMessages, sendMessage, status, error } = useChat({ id, messages: kept, transport, resume: true, onError });
  const [input, setInput] = useState('');
  const [flaw, setFlaw] = useState();
  const pictures = useRef();
  const running = status === 'submitted' || status === 'streaming';

  useEffect(() => keep(messages), [messages]);

  const submit = async (event) => {
    event.preventDefault();
    const files = listOf(pictures.current.files);
    if (!(input.trim() || files.length) || running) return;
    const why = whyRefused(messages, [...files]);
    setFlaw(why);
    if (why) return;
    setInput('');
    pictures.current.value = '';
    refused.current = false;
    await sendMessage({ text: input, files });
    if (!refused.current) return;
    // It would be refused again with each later message. What was typed meanwhile stays.
    setMessages((all) => (all.at(-1)?.role === 'user' ? all.slice(0, -1) : all));
    setInput((typed) => [input, typed].filter(Boolean).join(' '));
    pictures.current.files = listOf([...files, ...pictures.current.files]);
  };

  // The SDK's own `stop()` closes this page's connection only. This stops the answer for all pages.
  const stop = () => fetch(`${API}/${id}/stop`, { method: 'POST' });

  return (
    <>
      {messages.map((message) => (
        <article key={message.id} data-role={message.role}>
          {message.parts.map((part, at) => (
            <Part key={at} part={part} />
          ))}
          <Sources sources={sourcesOf(message)} />
          <Usage metadata={message.metadata} />
        </article>
      ))}
      <p role="status" data-status={status}>
        {flaw ?? (error ? error.message : running ? 'Answering …' : '')}
      </p>
      <form onSubmit={submit}>
        <input aria-label="Message" value={input} onChange={(event) => setInput(event.target.value)} autoFocus />
        <input aria-label="Pictures" type="file" accept="image/png,image/jpeg,image/webp,image/gif" multiple ref={pictures} onChange={() => setFlaw()} />
        {running ? (
          <button type="button" onClick={stop}>
            Stop
          </button>
        ) : (
          <button>Send</button>
        )}
        <a href={location.pathname + location.search}>New chat</a>
      </form>
    </>
  );
}

createRoot(document.getElementById('chat')).render(<Chat />);
