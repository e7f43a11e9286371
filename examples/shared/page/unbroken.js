// The client of an unbroken session: start, follow, resume, stop, answer. No dependencies: copy it.
//
//   const id = newSessionId();
//   for await (const { lsn, event } of follow('/api/chat', id, { request: { messages } })) {
//     if (event.type === 'text') show(event.content);
//     if (event.type === 'restarted') dropWhatIsShown();
//     if (event.type === 'input_request') ask(event, (answer) => answerInput('/api/chat', id, event.inputId, answer));
//   }
//
// After a reload, `follow(url, id, { after: lsn })` resumes after the last record that was kept.
// The loop ends after the terminal event (`complete`, `aborted` or `error`) and never before it:
// any other end of the body is a cut, after which it resumes from the last LSN.
//
// A route of the application's own behind a `RecordLayer` is read with `record`, and stopped with `stopRecording`:
//
//   const start = { body: JSON.stringify(question), headers: { 'Content-Type': 'application/json' } };
//   for await (const { cursor, type, data } of record('/ask', newSessionId(), start)) show(type, data);

const TERMINAL = new Set(['complete', 'aborted', 'error']);
const TRANSIENT = new Set([408, 425, 429, 502, 503, 504]);
const SILENCE = 45_000; // ms; three heartbeats missed: the connection is dead, whatever TCP says

/** 128 random bits. Made by the client, so that a start whose response was lost is repeated for the same session. */
export function newSessionId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A refusal of the server that a repetition would get again. */
export class Refused extends Error {
  constructor(status, { type = 'about:blank', title, detail } = {}) {
    super(detail ?? title ?? `The server answered ${status}.`);
    Object.assign(this, { name: 'Refused', status, type });
  }
}

/**
 * Yields each record `{ lsn, event }` after `after` once, in order. With a `request` it starts the
 * session first. Calls `onState(state, why)` with `connecting`, `live` and `reconnecting`. Throws
 * `Refused`, or the signal's reason. Leaving the loop early closes the connection, and the session goes on.
 */
export async function* follow(url, id, { request, after = 0, signal, onState = () => {} } = {}) {
  const body = request && JSON.stringify(request); // the same bytes each time, or it is another request
  let started = !body;
  let failures = 0;
  onState('connecting');
  for (;;) {
    const line = new AbortController();
    const watch = watchdog(() => line.abort());
    let why = 'the connection was cut';
    let wait = 0;
    try {
      signal?.throwIfAborted();
      const response = await fetch(started ? `${url}/${id}` : url, {
        method: started ? 'GET' : 'POST',
        headers: {
          Accept: 'application/x-ndjson',
          ...(started ? { 'X-Last-LSN': after } : { 'X-Session-Id': id, 'Content-Type': 'application/json' }),
        },
        body: started ? undefined : body,
        cache: 'no-store',
        signal: signal ? AbortSignal.any([signal, line.signal]) : line.signal,
      });
      if (response.status === 204) return; // `after` is the terminal event: there is no more
      if (response.ok) {
        started ||= response.headers.has('X-Session-Id');
        onState('live');
        for await (const { lsn, event } of lines(response.body, watch)) {
          if (lsn === undefined) {
            if (event?.type === 'unavailable') why = 'the server cannot reach its store';
            continue;
          }
          if (lsn <= after) continue; // had it
          if (lsn > after + 1) throw new Error('a gap'); // never skip: resume at what is missing
          [after, failures, started] = [lsn, 0, true];
          yield { lsn, event };
          if (TERMINAL.has(event.type)) return;
        }
      } else {
        const refused = await refusal(response);
        const rewound = /:(log-rewound|cursor-past-tail)$/.test(refused.type);
        if (rewound && after > 0) {
          // The log lost records that were read. Drop all of them and read from the start; never splice.
          after = 0;
          yield { lsn: 0, event: { type: 'restarted', reason: refused.message } };
          continue;
        }
        if (!TRANSIENT.has(response.status)) throw refused;
        why = refused.message;
        wait = retryAfter(response);
      }
    } catch (error) {
      if (signal?.aborted || error instanceof Refused) throw error; // else: a cut, come again
    } finally {
      watch.end();
      line.abort();
    }
    wait ||= backoff(failures++);
    onState('reconnecting', why);
    await pause(wait, signal);
  }
}

/** Stops the session for all its readers. False if there is nothing to stop. Can be repeated. */
export function stop(url, id) {
  return insist(`${url}/${id}/abort`, { keepalive: true }, [404, 410]);
}

/**
 * Answers an `input_request`: `{ action: 'accept', content }`, or `decline`, or `cancel`. True once the
 * answer is stored; false if the question is no longer open, for the reason in its `input_resolved`. Throws
 * `Refused` with status 422 if the content doesn't fit the question's schema. Can be repeated.
 */
export function answerInput(url, id, inputId, answer) {
  const headers = { 'Content-Type': 'application/json' };
  return insist(`${url}/${id}/inputs/${inputId}`, { headers, body: JSON.stringify(answer) }, [404, 409, 410]);
}

/** The end of a recorded response that is not complete: `status` is `aborted` or `error`. There is no more of it. */
export class Incomplete extends Error {
  constructor({ status, code, message }) {
    super(message ?? `The response ended as ${status}.`);
    Object.assign(this, { name: 'Incomplete', status, code });
  }
}

/**
 * Yields each frame of a recorded response after the cursor `after` once, in order: `{ cursor, type, data }` for a
 * server-sent event, `{ cursor, data }` for a line of NDJSON. With a `body`, the same string or bytes each time, it starts
 * the session first. All requests have the `headers`. Calls `onState` as `follow` does. After a reload,
 * `record(url, id, { after: cursor })` resumes. Returns once the server confirms that the response is complete; any other
 * end of a body is a cut, after which it resumes. Throws `Incomplete`, `Refused` (with status 409 also if the server lost
 * frames that were read), or the signal's reason. Leaving the loop early closes the connection, and the session goes on.
 */
export async function* record(url, id, { body, headers, after = '', signal, onState = () => {} } = {}) {
  let started = body === undefined;
  let failures = 0;
  let uncounted = 0; // frames after the cursor that have none: the body says that it is an event stream, and isn't
  onState('connecting');
  for (;;) {
    const line = new AbortController();
    const watch = watchdog(() => line.abort());
    let [why, wait, status, clean, fresh] = ['the connection was cut', 0, '', false, false];
    try {
      signal?.throwIfAborted();
      const cursor = after === '' ? {} : { 'X-Last-LSN': after };
      const response = await fetch(url, {
        method: started ? 'GET' : 'POST',
        headers: { ...headers, 'X-Session-Id': id, ...cursor },
        body: started ? undefined : body,
        cache: 'no-store',
        signal: signal ? AbortSignal.any([signal, line.signal]) : line.signal,
      });
      if (response.ok) {
        status = response.headers.get('X-Session-Status');
        // Asking again would do again what the route does.
        if (!status) throw new Refused(response.status, { title: 'The response is not recorded, or `X-Session-Status` is not exposed.' });
        started = true;
        onState('live');
        let known = uncounted;
        for await (const frame of response.status === 204 ? [] : frames(response, watch, ended(status))) {
          if (frame.cursor !== undefined) [after, uncounted, known] = [frame.cursor, 0, 0];
          else if (known-- > 0) continue; // had it
          else uncounted++;
          [failures, fresh] = [0, true];
          yield frame;
        }
        clean = true;
      } else {
        const refused = await refusal(response);
        if (!TRANSIENT.has(response.status)) throw refused;
        why = refused.message;
        wait = retryAfter(response);
      }
    } catch (error) {
      if (signal?.aborted || error instanceof Refused) throw error; // else: a cut, come again
    } finally {
      watch.end();
      line.abort();
    }
    if (ended(status) && (clean || !fresh)) {
      if (status === 'complete' && clean) return;
      if (status !== 'complete') throw new Incomplete(await outcome(url, id, headers, status));
    }
    // A proxy may end a body cleanly that was cut: the server must say that there is no more.
    if (clean && fresh) continue;
    wait ||= backoff(failures++);
    onState('reconnecting', why);
    await pause(wait, signal);
  }
}

/** Stops the session of a recorded response for all its readers. False if there is nothing to stop. Can be repeated. */
export function stopRecording(url, id, { headers } = {}) {
  return insist(url, { headers: { ...headers, 'X-Session-Id': id, 'X-Session-Abort': '1' }, keepalive: true }, [404, 410]);
}

const ended = (status) => ['complete', 'aborted', 'error'].includes(status);

async function outcome(url, id, headers, status) {
  try {
    const response = await fetch(url, { headers: { ...headers, Accept: 'application/json', 'X-Session-Id': id }, cache: 'no-store' });
    return { status, ...(response.ok ? await response.json() : {}) };
  } catch {
    return { status }; // known from the header; the reason isn't
  }
}

// The frames of a body. Its last line may lack its end only if the recording was whole before the body began.
async function* frames(response, watch, whole) {
  const type = response.headers.get('Content-Type') ?? '';
  if (/^text\/event-stream\b/i.test(type)) yield* serverSentEvents(response.body, watch);
  else if (/^application\/(x-)?(ndjson|jsonl)/i.test(type)) {
    let cursor = Number(response.headers.get('X-First-LSN'));
    for await (const data of textLines(response.body, watch, /\r?\n/, whole)) yield { cursor: cursor++, data };
  } else throw new Refused(response.status, { title: `Events and lines can be read, not \`${type}\`.` });
}

async function* serverSentEvents(body, watch) {
  let [cursor, type, data] = [undefined, '', []];
  for await (const line of textLines(body, watch, /\r\n|\r|\n/)) {
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (line === '') {
      if (data.length) yield { cursor, type: type || 'message', data: data.join('\n') };
      [cursor, type, data] = [undefined, '', []];
    } else if (name === 'data') data.push(value);
    else if (name === 'event') type = value;
    else if (name === 'id') cursor = value;
  }
}

// Posts until the server accepts (true) or answers with a status of `noes` (false).
async function insist(url, options, noes) {
  for (let failures = 0; ; failures++) {
    let wait = 0;
    try {
      const response = await fetch(url, { method: 'POST', ...options });
      if (response.ok) return true;
      if (noes.includes(response.status)) return false;
      if (!TRANSIENT.has(response.status)) throw await refusal(response);
      wait = retryAfter(response);
    } catch (error) {
      if (error instanceof Refused || failures === 5) throw error;
    }
    await pause(wait || backoff(failures));
  }
}

const refusal = async (response) => new Refused(response.status, await response.json().catch(() => ({})));

// NDJSON, one record per line. An empty line is a heartbeat. A partial line at the end was cut, and comes again.
async function* lines(body, watch) {
  for await (const line of textLines(body, watch, /\n/)) if (line.trim()) yield JSON.parse(line);
}

// Lines without their ends. What is left at the end is a line only where `last` says so.
async function* textLines(body, watch, end, last = false) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let [rest, afterCr] = ['', false];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    watch.reset();
    if (!value) continue;
    const text = afterCr && value[0] === '\n' ? value.slice(1) : value; // half of a CRLF
    afterCr = end.test('\r') && value.endsWith('\r');
    const whole = (rest + text).split(end);
    rest = whole.pop();
    yield* whole;
  }
  if (last && rest) yield rest;
}

function watchdog(bite) {
  let timer = setTimeout(bite, SILENCE);
  const end = () => clearTimeout(timer);
  return { end, reset: () => (end(), (timer = setTimeout(bite, SILENCE))) };
}

// Jittered, so that the clients of a server that restarts do not reconnect all at once.
const backoff = (failures) => 100 + Math.random() * Math.min(8_000, 400 * 2 ** failures);

function retryAfter(response) {
  const value = response.headers.get('Retry-After') ?? '';
  const ms = /^\d+$/.test(value) ? value * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? Math.min(ms, 60_000) + Math.random() * 500 : 0;
}

// Waits, but at most until the network is back or the signal fires.
function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.('online', done);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    globalThis.addEventListener?.('online', done);
    signal?.addEventListener('abort', done);
  });
}
