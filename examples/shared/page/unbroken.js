// The client of an unbroken session: start, follow, resume, stop, answer. No dependencies: copy it.
//
//   const id = newSessionId();
//   for await (const { lsn, event } of follow('/api/chat', id, { request: { messages } })) {
//     if (event.type === 'text') show(event.content);
//     if (event.type === 'restarted') dropWhatIsShown();
//     if (event.type === 'input_request') ask(event, (answer) => answerInput('/api/chat', id, event.inputId, answer));
//   }
//
// After a reload, `follow(url, id, { after: lsn })` goes on behind the last record that was kept.
// The loop ends after the terminal event (`complete`, `aborted` or `error`) and never before it:
// any other end of the body is a cut, and is followed by a resume from the last LSN.

const TERMINAL = new Set(['complete', 'aborted', 'error']);
const TRANSIENT = new Set([408, 425, 429, 502, 503, 504]);
const SILENCE = 45_000; // ms; three heartbeats missed: the connection is dead, whatever TCP says

/** 128 random bits. Made here, so that a start whose answer was lost is repeated as the same session. */
export function newSessionId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The server said no, and would say it again. */
export class Refused extends Error {
  constructor(status, { type = 'about:blank', title, detail } = {}) {
    super(detail ?? title ?? `The server answered ${status}.`);
    Object.assign(this, { name: 'Refused', status, type });
  }
}

/**
 * Yields each record `{ lsn, event }` behind `after` once, in order. With a `request` it starts the
 * session first. `onState(state, why)` is told `connecting`, `live` and `reconnecting`. Throws
 * `Refused`, or the signal's reason; leaving the loop early closes the connection but stops nothing.
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
          // The log no longer holds what we had. Drop it and read from the start; never splice.
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

/** Stops the session for all who follow it. False if there is nothing to stop. Safe to repeat. */
export function stop(url, id) {
  return insist(`${url}/${id}/abort`, { keepalive: true }, [404, 410]);
}

/**
 * Answers an `input_request`: `{ action: 'accept', content }`, or `decline`, or `cancel`. True once that is
 * stored; false if the question is no longer open: its `input_resolved` says why. Throws `Refused` with
 * status 422 if the content doesn't fit the question's schema. Safe to repeat.
 */
export function answerInput(url, id, inputId, answer) {
  const headers = { 'Content-Type': 'application/json' };
  return insist(`${url}/${id}/inputs/${inputId}`, { headers, body: JSON.stringify(answer) }, [404, 409, 410]);
}

// Posts until the server says yes (true) or one of `noes` (false).
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

// NDJSON: a line a record. An empty line is a heartbeat; half a line at the end was cut, and comes again.
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

// Jittered, so that a thousand clients of a server that restarts don't come back in one moment.
const backoff = (failures) => 100 + Math.random() * Math.min(8_000, 400 * 2 ** failures);

function retryAfter(response) {
  const value = response.headers.get('Retry-After') ?? '';
  const ms = /^\d+$/.test(value) ? value * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? Math.min(ms, 60_000) + Math.random() * 500 : 0;
}

// Waits, but not past the moment that the network is back or the signal fires.
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
