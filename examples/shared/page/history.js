// The conversation, stored by the browser: the server stores answers, not chats.
// A chat is `{ id, at, turns }`; a turn is `{ role: 'user', text, media }` or
// `{ role: 'assistant', session, parts, lsn, status, … }`. The bytes of media are in media-store.js. The stored text of an answer always ends at its
// `lsn`, so a reload resumes from there. Tabs share this storage, so each change reads it first.

import { dropBytes, keptPart } from './media-store.js';

const CHAT = 'unbroken:chat:';
const SESSION = 'unbroken:session:';
const KEPT = 30; // chats

// A browser may forbid storage. The page then works without a history.
const storage = (() => {
  try {
    return window.localStorage;
  } catch {
    const kept = {};
    return { getItem: (key) => kept[key] ?? null, setItem: (key, value) => void (kept[key] = value), removeItem: (key) => delete kept[key] };
  }
})();

export const chatKey = (chat) => CHAT + chat.id;

/** The chat that a session belongs to, or null if this browser does not have it. */
export function chatOf(session) {
  return parse(storage.getItem(CHAT + storage.getItem(SESSION + session)));
}

/**
 * Adds turns behind those that are stored (or in place of the last `drop` ones), unless another tab has;
 * returns the chat.
 */
export function addTurns(chat, turns, drop = 0) {
  const stored = parse(storage.getItem(chatKey(chat))) ?? chat;
  const there = ({ session }) => session && stored.turns.some((turn) => turn.session === session);
  if (turns.some(there)) return stored;
  stored.turns.splice(stored.turns.length - drop, drop, ...turns);
  for (const { session } of turns) if (session) keep(SESSION + session, stored.id);
  write(stored);
  return stored;
}

/** Stores the progress of an answer. A tab that lags never overwrites its end. */
export function saveAnswer(chat, answer) {
  const stored = parse(storage.getItem(chatKey(chat)));
  const at = stored?.turns.findIndex((turn) => turn.session === answer.session) ?? -1;
  if (at < 0) return;
  if (stored.turns[at].status !== 'streaming' && answer.status === 'streaming') return;
  stored.turns[at] = answer;
  write(stored);
}

/** Removes an answer that never began, with its question; returns the chat. */
export function dropTurn(chat, session) {
  const stored = parse(storage.getItem(chatKey(chat))) ?? chat;
  const at = stored.turns.findIndex((turn) => turn.session === session);
  if (at > 0) stored.turns.splice(at - 1, 2);
  storage.removeItem(SESSION + session);
  write(stored);
  return stored;
}

/**
 * The messages of the conversation for the model: `{ messages, leftOut }`. A server takes only so many
 * pictures (`most`: `{ count, total }`); if there are more, the oldest ones are left out.
 */
export function messagesOf(turns, most) {
  const all = turns.flatMap((turn) => (turn.role === 'user' && turn.media) || []);
  let [from, total] = [all.length, 0];
  while (from > 0 && all.length - from < most.count && total + all[from - 1].size <= most.total) total += all[--from].size;
  const sent = new Set(all.slice(from));
  const messages = [];
  for (const turn of turns) {
    const { role } = turn;
    const content = role === 'user' ? contentOf(turn, sent) : textOf(turn);
    if (turn.follows && messages.at(-1)?.role === role) messages.at(-1).content += content;
    else if (content.length > 0) messages.push({ role, content });
  }
  return { messages, leftOut: from };
}

function contentOf({ text, media = [] }, sent) {
  if (media.length === 0) return text;
  const parts = media.map((medium) => (sent.has(medium) ? keptPart(medium) : { type: 'text', text: `[${medium.name} was sent before, and is left out.]` }));
  return text ? [...parts, { type: 'text', text }] : parts;
}

/** The text of an answer, without its thinking and its tools. Few servers take back what a model drew. */
export function textOf(turn) {
  const said = { text: ({ text }) => text, media: ({ name, mediaType }) => `\n\n[${name || mediaType} was shown here.]\n\n` };
  return turn.parts.map((part) => said[part.kind]?.(part) ?? '').join('');
}

function write(chat) {
  chat.at = Date.now();
  keep(chatKey(chat), JSON.stringify(chat));
}

// If the storage is full, old chats are removed; if that is not enough, this chat lasts as long as its tab.
function keep(key, value) {
  try {
    storage.setItem(key, value);
  } catch {
    prune(5);
    try {
      storage.setItem(key, value);
    } catch {}
  }
}

/** Removes all but the newest chats. */
export function prune(kept = KEPT) {
  const chats = Object.keys(storage).filter((key) => key.startsWith(CHAT)).map((key) => parse(storage.getItem(key)) ?? { id: key.slice(CHAT.length), at: 0, turns: [] });
  for (const chat of chats.sort((a, b) => b.at - a.at).slice(kept)) {
    storage.removeItem(chatKey(chat));
    dropBytes(`${chat.id}/`);
    for (const { session } of chat.turns) if (session) storage.removeItem(SESSION + session);
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
