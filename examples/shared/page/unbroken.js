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
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ''; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    watch.reset();
    const whole = (rest + value).split('\n');
    rest = whole.pop();
    for (const line of whole) if (line.trim()) yield JSON.parse(line);
  }
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
