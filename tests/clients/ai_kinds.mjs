// The combinations of versions and transports of the AI SDK that are tried: `useChat` without React.

import * as ai7 from 'ai';
import * as ai6 from 'ai6';
import { WorkflowChatTransport as Workflow7 } from '@ai-sdk/workflow/client';
import { WorkflowChatTransport as Workflow6 } from '@workflow/ai';
import { createDurableChatTransport } from '@durable-streams/aisdk-transport';
import { State } from './state.mjs';
import { BASE, fresh } from './bench.mjs';

export const TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.';
export const THINKING = 'Let me think.';
export const script = (more = {}) => ({ text: TEXT, thinking: THINKING, delayMs: 3, ...more });

/** The combination of a version and a transport of the SDK. */
function kind(sdk, Workflow, durable) {
  class Chat extends sdk.AbstractChat {
    constructor({ messages = [], ...init }) {
      super({ ...init, state: new State(messages) });
    }
  }
  /** A chat of a page; `at` is where its server is. */
  return ({ id = fresh('chat'), at = BASE, path = durable ? 'streams-ai' : 'ai', ...init } = {}) => {
    const made = { id, sessions: [] };
    const watched = async (...asked) => {
      const response = await fetch(...asked);
      const session = response.headers.get('x-session-id');
      if (session) made.sessions.push(session);
      return response;
    };
    const api = `${at}/${path}`;
    const transport = init.transport?.(api, watched) ?? (durable ? createDurableChatTransport({ api, fetchClient: watched }) : Workflow ? new Workflow({ api, fetch: watched }) : new sdk.DefaultChatTransport({ api, fetch: watched }));
    made.chat = new Chat({ id, ...init, transport });
    made.send = (body = { script: script() }) => made.chat.sendMessage({ text: 'Tell me.' }, { body: { id, ...body } });
    return made;
  };
}

export const kinds = {
  'ai 7, default transport': { make: kind(ai7), sdk: ai7 },
  'ai 7, workflow transport': { make: kind(ai7, Workflow7), sdk: ai7, workflow: Workflow7 },
  'ai 6, default transport': { make: kind(ai6), sdk: ai6 },
  'ai 6, workflow transport': { make: kind(ai6, Workflow6), sdk: ai6, workflow: Workflow6 },
  'ai 6, durable streams': { make: kind(ai6, undefined, true), sdk: ai6, durable: true },
};

export const of = (message, type) => message.parts.filter((part) => part.type === type).map((part) => part.text).join('');
export const answers = ({ chat }) => chat.messages.filter((message) => message.role === 'assistant');
