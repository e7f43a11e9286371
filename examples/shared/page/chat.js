// The page: a conversation whose last answer may be streaming. The address has the session (`#s=ID`), so
// that a reload resumes it, and another tab or device follows it live.

import { Answer } from './answer.js';
import { Attachments, limits, pasteAndDrop } from './attachments.js';
import { followUp, isomorphicTools, sessionAfter } from './client-tools.js';
import { examples } from './examples.js';
import { addTurns, chatKey, chatOf, dropTurn, messagesOf, prune, saveAnswer } from './history.js';
import { forgetMedia } from './media.js';
import { bytesOf, dropBytes, keepBytes, withBytes } from './media-store.js';
import { element } from './prose.js';
import { questionView } from './question.js';
import { answerInput, follow, newSessionId, Refused, stop } from './unbroken.js';

const API = '/api/chat';
const $ = (id) => document.getElementById(id);
const scripted = document.documentElement.dataset.provider === 'scripted';

let chat; // what is shown: see history.js
let last = null; // the last Answer
let running = null; // { answer, controller } while one is followed
let sending = false; // while the pictures of a message are read and kept
let atEnd = true; // whether the reader looks at the end, and wants to stay there

// ---- The conversation

function load() {
  leave();
  const session = new URLSearchParams(location.hash.slice(1)).get('s');
  // Started elsewhere: this page has the answer, but not the question.
  const elsewhere = { id: newSessionId(), turns: session ? [newAnswer(session)] : [] };
  show(chatOf(session) ?? elsewhere);
  if (session && !chatOf(session)) chat = addTurns({ ...elsewhere, turns: [] }, elsewhere.turns);
}

function show(shown) {
  if (chat?.id !== shown.id) forgetMedia();
  chat = shown;
  last = null;
  $('log').replaceChildren(...chat.turns.map(draw));
  $('welcome').hidden = chat.turns.length > 0;
  atEnd = true;
  setState('idle');
  footer();
  scroll();
  if (last?.turn.status === 'streaming') run(last);
  else composer();
  goOn(last);
}

function draw(turn) {
  if (turn.role === 'user') return questionView(turn);
  const say = (inputId, answer) => answerInput(API, turn.session, inputId, answer);
  const answer = new Answer(turn, retry, say);
  answer.onDraw = () => {
    if (answer === last) footer();
    if (running?.answer === answer && ['live', 'waiting'].includes(document.body.dataset.state)) {
      setState(answer.isWaiting ? 'waiting' : 'live');
    }
    scroll();
  };
  last = answer;
  return answer.node;
}

const newAnswer = (session, request) => ({ role: 'assistant', session, request, parts: [], handoffs: [], lsn: 0, resumed: 0, status: 'streaming' });

// ---- Ask, follow, stop

function ask(text, script, media = []) {
  begin([{ role: 'user', text, ...(media.length > 0 && { media }) }], 0, script);
}

// Keeps pictures with the chat, before a message with them is sent.
async function keepPictures(pictures) {
  const { id } = chat;
  return Promise.all(
    pictures.map(async ({ name, mediaType, bytes }) => {
      const key = `${id}/${newSessionId()}`;
      await keepBytes(key, bytes);
      return { name, mediaType, size: bytes.length, key };
    }),
  );
}

// Removes pictures of a message that was not sent.
const forget = (media = []) => media.forEach(({ key }) => dropBytes(key));

function retry() {
  const { fault, ...script } = last.turn.script ?? {}; // a scripted fault happens once
  const asked = chat.turns.findLastIndex((turn) => turn.role === 'user');
  begin([], chat.turns.length - 1 - asked, last.turn.script && script);
  $('input').focus();
}

function begin(turns, drop, script) {
  const session = newSessionId();
  const before = chat.turns.slice(0, chat.turns.length - drop);
  const { messages, leftOut } = messagesOf([...before, ...turns], limits);
  if (leftOut > 0) for (const turn of turns) turn.leftOut = leftOut;
  const request = { messages, ...always(script) };
  // The request is kept until the server has it. A reload before that repeats it.
  chat = addTurns(chat, [...turns, { ...newAnswer(session, request), script, asked: true }], drop);
  history.replaceState(null, '', `#s=${session}`);
  show(chat);
}

/** The part that all requests have: the server's tools and those of this page may run. */
const always = (script) => ({ chatId: chat.id, enabledTools: true, isomorphicTools, ...(script && { script }) });

// After a handoff the browser that asked runs the tools, and continues with their results in another
// session. Other readers follow that session.
async function goOn(answer) {
  const { turn } = answer ?? {};
  if (turn?.status !== 'complete' || !turn.handoffs?.length || !turn.state) return;
  const { script, asked } = turn;
  const request = asked && { ...(await followUp(turn, messagesOf(chat.turns.slice(0, -1), limits).messages)), ...always(script) };
  if (last !== answer) return; // the page moved on
  const session = sessionAfter(turn.session);
  chat = addTurns(chat, [{ ...newAnswer(session, request), script, asked, follows: true }]);
  history.replaceState(null, '', `#s=${session}`);
  $('log').append(draw(chat.turns.at(-1)));
  footer();
  run(last);
}

// The session after a handoff may be started by another tab, or not exist yet.
async function* recordsOf(turn, options) {
  for (let tries = 0; ; tries++) {
    try {
      const request = turn.request && (await withBytes(turn.request));
      return yield* follow(API, turn.session, { request, after: turn.lsn, ...options });
    } catch (error) {
      if (!turn.follows || !(error instanceof Refused)) throw error;
      if (error.status === 409 && turn.request) delete turn.request;
      else if (error.status !== 404 || turn.asked || turn.lsn > 0 || tries === 20) throw error;
      else await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function run(answer) {
  leave();
  const controller = new AbortController();
  const mine = (running = { answer, controller });
  const { turn } = answer;
  let cut = turn.lsn > 0; // a reload is a cut too
  let saved = 0;
  const onState = (state, why) => {
    if (running !== mine) return;
    if (state === 'live' && cut) turn.resumed += 1;
    cut = state === 'reconnecting' || (cut && state === 'connecting');
    if (state === 'reconnecting') answer.draw(); // all that arrived before the cut
    const offline = state === 'reconnecting' && !navigator.onLine;
    setState(offline ? 'offline' : state === 'live' && answer.isWaiting ? 'waiting' : state, why);
    footer();
  };
  composer();
  try {
    for await (const record of recordsOf(turn, { signal: controller.signal, onState })) {
      await answer.apply(record, chat.id);
      if (Date.now() - saved > 300) saved = keep(answer);
    }
    if (turn.status === 'streaming') turn.status = 'complete'; // 204: we had its end
  } catch (error) {
    if (running !== mine) return; // the page moved on
    if (error.status in UNFIT && turn.request && turn.asked && !turn.follows) return takeBack(turn, error);
    if (controller.signal.aborted) answer.end('aborted');
    else answer.end('error', explain(error, turn));
  }
  keep(answer);
  if (running !== mine) return;
  running = null;
  answer.draw();
  setState(turn.status === 'error' ? 'error' : 'done', turn.status === 'aborted' ? 'Stopped' : '');
  composer();
  goOn(answer);
}

// The server does not take this message, and would not take it again: it goes back to where it can be changed.
const UNFIT = { 400: true, 413: true, 415: true, 422: true };

async function takeBack({ session }, { status, message }) {
  running = null;
  const question = chat.turns[chat.turns.findIndex((turn) => turn.session === session) - 1];
  const left = dropTurn(chat, session);
  const before = left.turns.at(-1)?.session;
  history.replaceState(null, '', before ? `#s=${before}` : location.pathname + location.search);
  show(left);
  const media = await Promise.all((question?.media ?? []).map(async ({ key, ...medium }) => ({ ...medium, bytes: await bytesOf(key) })));
  attachments.restore(media.filter(({ bytes }) => bytes));
  forget(question?.media);
  $('input').value = [question?.text, $('input').value].filter(Boolean).join('\n');
  grow();
  composer();
  tell(`The server did not take this message (${status}): ${message}`);
}

function explain(error, turn) {
  if (!(error instanceof Refused)) return `Something broke in this page: ${error.message}`;
  if (turn.request) return `The server refused to start (${error.status}): ${error.message}`;
  if (error.status === 404 && turn.follows && !turn.lsn) return 'The browser that asked has not gone on.';
  if (error.status === 404 || error.status === 410) {
    return `The server no longer has this answer (${error.status}).${turn.lsn ? ' What had arrived is above.' : ''}`;
  }
  return `${error.message} (${error.status})`;
}

// Stops reading. The answer goes on.
function leave() {
  const left = running;
  running = null;
  if (left) keep(left.answer);
  left?.controller.abort();
}

async function halt() {
  if (!running || running.stopping) return;
  const mine = running;
  mine.stopping = true; // not `disabled`, which would throw the focus away
  try {
    const found = await stop(API, mine.answer.turn.session);
    if (!found && running === mine) mine.controller.abort(); // it never began
  } catch (error) {
    if (running === mine) setState('reconnecting', `Could not stop: ${error.message}`);
  }
  mine.stopping = false;
}

function keep(answer) {
  saveAnswer(chat, answer.turn);
  return Date.now();
}

// ---- The state of the page

const WORDS = { idle: 'Ready', connecting: 'Connecting', live: 'Live', waiting: 'Your turn', reconnecting: 'Reconnecting', offline: 'Offline', done: 'Done', error: 'Failed' };

function setState(state, why) {
  document.body.dataset.state = state;
  const words = (state === 'done' && why) || WORDS[state];
  if ($('state-text').textContent !== words) $('state-text').textContent = words; // announced only on change
  $('state').title = why ?? '';
}

function footer() {
  const turn = last?.turn;
  $('foot-session').textContent = turn ? turn.session.slice(0, 8) : '–';
  $('foot-lsn').textContent = turn?.lsn ?? 0;
  $('foot-status').textContent = last?.isWaiting ? 'waiting' : turn?.status ?? '–';
  $('foot-resumed').textContent = `${turn?.resumed ?? 0}×`;
  $('share').disabled = !turn;
}

function composer() {
  const held = document.activeElement === $('stop') || document.activeElement === $('send');
  $('stop').hidden = !running;
  $('send').hidden = Boolean(running);
  $('send').disabled = $('input').value.trim() === '' && attachments.count === 0;
  if (held) $('input').focus();
}

// A refusal, above the composer.
function tell(words) {
  if ($('note').textContent !== words) $('note').textContent = words;
  $('note').hidden = !words;
}

function scroll() {
  if (atEnd) $('scroll').scrollTop = $('scroll').scrollHeight;
  $('latest').hidden = atEnd;
}

// ---- Actions of the user

const attachments = new Attachments($('attached'), tell, () => (composer(), scroll()));

$('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (sending || running) return;
  sending = true;
  try {
    const { id } = chat;
    const pictures = await attachments.read();
    const media = await keepPictures(pictures);
    const text = $('input').value.trim();
    // Meanwhile the reader may have gone to another chat. The message stays in the composer.
    if ((!text && media.length === 0) || running || chat.id !== id) return forget(media);
    attachments.sent(pictures);
    $('input').value = '';
    tell('');
    grow();
    ask(text, scripted ? scriptOfAddress() : undefined, media);
  } finally {
    sending = false;
  }
});

$('input').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('form').requestSubmit();
});

$('input').addEventListener('input', () => (tell(''), grow(), composer()));
$('attach').hidden = limits.types.length === 0;
$('attach').addEventListener('click', () => $('files').click());
$('files').accept = limits.types.join(',');
$('files').addEventListener('change', () => {
  attachments.add($('files').files);
  $('files').value = ''; // so that the same file can be chosen again
  $('input').focus();
});
pasteAndDrop((files) => (attachments.add(files), $('input').focus()), (over) => ($('drop').hidden = !over));
$('stop').addEventListener('click', halt);
$('new').addEventListener('click', () => {
  location.hash = '';
  $('input').focus();
});
$('latest').addEventListener('click', () => ((atEnd = true), scroll(), $('input').focus()));
$('log').addEventListener('load', scroll, true); // a picture makes room for itself
$('scroll').addEventListener('scroll', () => {
  const { scrollTop, scrollHeight, clientHeight } = $('scroll');
  atEnd = scrollHeight - scrollTop - clientHeight < 48;
  $('latest').hidden = atEnd;
});
$('share').addEventListener('click', async () => {
  await navigator.clipboard?.writeText(location.href);
  $('share').textContent = 'Copied';
  setTimeout(() => ($('share').textContent = 'Copy link'), 1500);
});

addEventListener('keydown', ({ key, target }) => key === 'Escape' && !target.closest?.('.ask, dialog') && halt());
addEventListener('hashchange', load);
addEventListener('pagehide', () => running && keep(running.answer));
addEventListener('offline', () => running && setState('offline'));
// Another tab of this browser continued the conversation: follow it.
addEventListener('storage', ({ key, newValue }) => {
  if (!newValue || key !== chatKey(chat)) return;
  const stored = JSON.parse(newValue);
  const { session = '' } = stored.turns.at(-1) ?? {};
  if (session === last?.turn.session) return;
  leave();
  history.replaceState(null, '', session ? `#s=${session}` : location.pathname + location.search);
  show(stored);
});

function grow() {
  $('input').style.height = 'auto';
  $('input').style.height = `${$('input').scrollHeight}px`;
}

// ---- Examples, for a first look

// `?script={…}` in the address sets the script of the scripted provider.
function scriptOfAddress() {
  const script = new URLSearchParams(location.search).get('script');
  return script ? JSON.parse(script) : undefined;
}

$('examples').replaceChildren(
  ...examples(scripted).map(({ text, script }) => element('button', { type: 'button', textContent: text, onclick: () => (ask(text, script?.()), $('input').focus()) })),
);
$('scripted').hidden = !scripted;
prune();
load();
$('input').focus();
