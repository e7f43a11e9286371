// A chat page with `useChat` of the AI SDK, which knows nothing of unbroken. With the server of this
// example `resume: true` works, and stopping ends the answer.

import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const API = '/api/ai';

// The id of the chat is in the address. It is long and random, since the chat is open to anyone with it.
const id = location.hash.slice(1) || Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
history.replaceState(null, '', `#${id}`);

// An application would ask its own database.
const kept = JSON.parse(localStorage.getItem(id) ?? '[]');

// `?script={…}` is the script of the scripted provider.
const script = new URLSearchParams(location.search).get('script');
const transport = new DefaultChatTransport({ api: API, body: script ? { script: JSON.parse(script) } : {} });

function Part({ part }) {
  if (part.type === 'text') return <span className="text">{part.text}</span>;
  if (part.type === 'reasoning') {
    return (
      <details>
        <summary>Thinking</summary>
        {part.text}
      </details>
    );
  }
  return null;
}

function Chat() {
  const { messages, sendMessage, status, error } = useChat({ id, messages: kept, transport, resume: true });
  const [input, setInput] = useState('');
  const running = status === 'submitted' || status === 'streaming';

  useEffect(() => localStorage.setItem(id, JSON.stringify(messages)), [messages]);

  const submit = (event) => {
    event.preventDefault();
    if (!input.trim() || running) return;
    sendMessage({ text: input });
    setInput('');
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
        </article>
      ))}
      <p role="status" data-status={status}>
        {error ? error.message : running ? 'Answering …' : ''}
      </p>
      <form onSubmit={submit}>
        <input aria-label="Message" value={input} onChange={(event) => setInput(event.target.value)} autoFocus />
        {running ? (
          <button type="button" onClick={stop}>
            Stop
          </button>
        ) : (
          <button>Send</button>
        )}
      </form>
    </>
  );
}

createRoot(document.getElementById('chat')).render(<Chat />);
