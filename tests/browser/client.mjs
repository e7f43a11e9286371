// The client module against a server that answers as a scenario demands, for faults that a browser test
// can't provoke. `node client.mjs NAME` plays one scenario; without a name, all.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { once } from 'node:events';

const source = await readFile(new URL('../../examples/shared/page/unbroken.js', import.meta.url), 'utf8');
const { answerInput, follow, Incomplete, newSessionId, record: recorded, Refused, stop, stopRecording } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const record = (lsn, event) => `${JSON.stringify({ lsn, event })}\n`;
const text = (lsn) => record(lsn, { type: 'text', content: `t${lsn} ` });
const complete = (lsn) => record(lsn, { type: 'complete', finishReason: 'stop' });
const problem = (status, type, headers = {}) => ({ status, headers: { 'Content-Type': 'application/problem+json', ...headers }, body: JSON.stringify({ type: `urn:unbroken:${type}`, title: type, status, detail: `Detail of ${type}.` }) });
const stream = (body, cut = false) => ({ status: 200, headers: { 'Content-Type': 'application/x-ndjson', 'X-Session-Id': 'x' }, body, cut });

const recording = (status, type, body, { cut = false, ...headers } = {}) => ({ status: 200, headers: { 'Content-Type': type, 'X-Session-Id': 'x', 'X-Session-Status': status, ...headers }, body, cut });
const events = (status, body, options) => recording(status, 'text/event-stream', body, options);
const over = (status = 'complete') => ({ status: 204, headers: { 'X-Session-Id': 'x', 'X-Session-Status': status } });

// Answers each request with the next of `answers`, and keeps the requests.
async function server(...answers) {
  const asked = [];
  const made = http.createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    asked.push({ method: request.method, path: request.url, after: request.headers['x-last-lsn'], id: request.headers['x-session-id'], abort: request.headers['x-session-abort'], accept: request.headers.accept, body, at: Date.now() });
    const answer = answers.shift() ?? problem(500, 'the scenario expected no more requests');
    if (answer.drop) return response.destroy();
    response.writeHead(answer.status, answer.headers);
    if (answer.dribble) for (const byte of Buffer.from(answer.body)) await new Promise((resolve) => response.write(Buffer.of(byte), () => setImmediate(resolve)));
    else if (answer.body) response.write(answer.body);
    if (answer.cut) setTimeout(() => response.destroy(), 50);
    else if (!answer.hold) response.end();
  });
  made.listen(0, '127.0.0.1');
  await once(made, 'listening');
  return { asked, left: answers, url: `http://127.0.0.1:${made.address().port}/chat`, close: () => (made.closeAllConnections(), made.close()) };
}

async function collect(served, options = {}) {
  const events = [];
  for await (const { lsn, event } of follow(served.url, 'a'.repeat(32), options)) events.push(event.type === 'text' ? lsn : `${event.type}@${lsn}`);
  return events;
}

async function collectRecorded(served, options = {}) {
  const frames = [];
  for await (const { cursor, type, data } of recorded(served.url, 'a'.repeat(32), options)) frames.push([cursor, type, data].filter((it) => it !== undefined).join(' '));
  return frames;
}

const scenarios = {
  async ids_are_long_enough_and_differ() {
    const ids = new Set(Array.from({ length: 100 }, newSessionId));
    assert.equal(ids.size, 100);
    for (const id of ids) assert.match(id, /^[A-Za-z0-9][A-Za-z0-9._~-]{21,127}$/);
  },

  async a_clean_end_without_a_terminal_event_is_a_cut(serve) {
    const served = await serve(stream(text(1) + text(2)), stream(text(3) + complete(4)));
    assert.deepEqual(await collect(served), [1, 2, 3, 'complete@4']);
    assert.deepEqual(served.asked.map(({ after }) => after), ['0', '2']);
  },

  async each_terminal_event_ends_it(serve) {
    for (const type of ['complete', 'aborted', 'error']) {
      const served = await serve(stream(text(1) + record(2, { type })));
      assert.deepEqual(await collect(served), [1, `${type}@2`]);
      assert.equal(served.asked.length, 1);
    }
  },

  async a_cut_at_every_byte_loses_and_repeats_nothing(serve) {
    const whole = Array.from({ length: 4 }, (_, at) => text(at + 1)).join('\n') + record(5, { type: 'text', content: 'ü💧' }) + complete(6);
    const bytes = Buffer.from(whole);
    const cutAt = async (at) => {
      const had = bytes.subarray(0, at).toString().split('\n').slice(0, -1).filter(Boolean).length;
      const rest = `${whole.split('\n').filter(Boolean).slice(had).join('\n')}\n`;
      const served = await serve(stream(bytes.subarray(0, at), true), stream(rest));
      assert.deepEqual(await collect(served), [1, 2, 3, 4, 5, 'complete@6'], `cut at byte ${at}`);
      assert.equal(served.asked[1].after, String(had), `cut at byte ${at}`);
    };
    await Promise.all(Array.from({ length: bytes.length }, (_, at) => cutAt(at)));
  },

  async a_body_that_comes_byte_by_byte_is_put_together(serve) {
    const said = 'ü💧 and so on';
    const served = await serve({ ...stream(record(1, { type: 'text', content: said }) + complete(2)), dribble: true });
    const contents = [];
    for await (const { event } of follow(served.url, 'a'.repeat(32))) contents.push(event.content);
    assert.deepEqual(contents, [said, undefined]);
    assert.equal(served.asked.length, 1);
  },

  async a_start_whose_answer_was_lost_is_repeated_with_the_same_id_and_bytes(serve) {
    const served = await serve({ drop: true }, stream(text(1) + complete(2)));
    assert.deepEqual(await collect(served, { request: { messages: [] } }), [1, 'complete@2']);
    const [first, second] = served.asked;
    assert.deepEqual([first.method, second.method], ['POST', 'POST']);
    assert.equal(first.id, second.id);
    assert.equal(first.body, second.body);
  },

  async after_a_start_it_resumes_and_never_starts_again(serve) {
    const served = await serve(stream(text(1), true), stream(complete(2)));
    assert.deepEqual(await collect(served, { request: { messages: [] } }), [1, 'complete@2']);
    assert.deepEqual(served.asked.map(({ method }) => method), ['POST', 'GET']);
  },

  async records_that_come_twice_are_shown_once(serve) {
    const served = await serve(stream(text(1) + text(2), true), stream(text(1) + text(2) + text(3) + complete(4)));
    assert.deepEqual(await collect(served), [1, 2, 3, 'complete@4']);
  },

  async a_gap_is_never_skipped(serve) {
    const served = await serve(stream(text(1) + text(3)), stream(text(2) + text(3) + complete(4)));
    assert.deepEqual(await collect(served), [1, 2, 3, 'complete@4']);
    assert.equal(served.asked[1].after, '1');
  },

  async a_log_that_was_rewound_is_dropped_and_read_from_the_start(serve) {
    for (const refusal of [problem(409, 'log-rewound'), problem(400, 'cursor-past-tail')]) {
      const served = await serve(refusal, stream(text(1) + complete(2)));
      assert.deepEqual(await collect(served, { after: 9 }), ['restarted@0', 1, 'complete@2']);
      assert.deepEqual(served.asked.map(({ after }) => after), ['9', '0']);
    }
  },

  async nothing_new_is_an_end(serve) {
    const served = await serve({ status: 204 });
    assert.deepEqual(await collect(served, { after: 7 }), []);
  },

  async what_is_refused_for_good_is_thrown(serve) {
    for (const [status, type] of [[404, 'not-found'], [410, 'gone'], [409, 'id-in-use'], [422, 'not-open'], [500, 'corrupt']]) {
      const served = await serve(problem(status, type));
      await assert.rejects(collect(served), (error) => error instanceof Refused && error.status === status && error.message === `Detail of ${type}.`);
      assert.equal(served.asked.length, 1);
    }
  },

  async it_waits_as_long_as_the_server_asks(serve) {
    const served = await serve(problem(429, 'over-limit', { 'Retry-After': '1' }), stream(text(1) + complete(2)));
    const states = [];
    assert.deepEqual(await collect(served, { onState: (state, why) => states.push(why ? `${state}: ${why}` : state) }), [1, 'complete@2']);
    assert.ok(served.asked[1].at - served.asked[0].at >= 1000);
    assert.deepEqual(states, ['connecting', 'reconnecting: Detail of over-limit.', 'live']);
  },

  async a_store_that_is_lost_is_told_and_waited_for(serve) {
    const notice = '{"event":{"type":"unavailable"}}\n';
    const served = await serve(stream(text(1) + notice, true), stream(complete(2)));
    const states = [];
    assert.deepEqual(await collect(served, { onState: (state, why) => states.push(why ?? state) }), [1, 'complete@2']);
    assert.deepEqual(states, ['connecting', 'live', 'the server cannot reach its store', 'live']);
  },

  async somebody_elses_page_is_not_an_answer(serve) {
    const portal = { status: 200, headers: { 'Content-Type': 'text/html' }, body: '<p>Welcome to the hotel\n' };
    const served = await serve(portal, stream(text(1) + complete(2)));
    assert.deepEqual(await collect(served, { request: {} }), [1, 'complete@2']);
    assert.deepEqual(served.asked.map(({ method }) => method), ['POST', 'POST']);
  },

  async an_abort_signal_ends_it_at_once(serve) {
    const served = await serve(problem(503, 'store-unavailable', { 'Retry-After': '30' }));
    const reason = new Error('enough');
    const began = Date.now();
    await assert.rejects(collect(served, { signal: AbortSignal.timeout(200) }));
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 100);
    const other = await serve({ ...stream(text(1)), hold: true });
    await assert.rejects(collect(other, { signal: controller.signal }), reason);
    assert.ok(Date.now() - began < 5000);
  },

  async stop_is_repeated_until_it_is_confirmed(serve) {
    const served = await serve({ drop: true }, problem(503, 'store-unavailable'), { status: 202 });
    assert.equal(await stop(served.url, 'b'.repeat(32)), true);
    assert.deepEqual(served.asked.map(({ method, path }) => `${method} ${path}`), Array(3).fill(`POST /chat/${'b'.repeat(32)}/abort`));
    assert.equal(await stop((await serve(problem(404, 'not-found'))).url, 'c'.repeat(32)), false);
  },

  async an_answer_to_a_question_is_repeated_until_it_is_stored(serve) {
    const answer = { action: 'accept', content: { seat: '14A' } };
    const served = await serve({ drop: true }, problem(503, 'store-unavailable'), { status: 202 });
    assert.equal(await answerInput(served.url, 'b'.repeat(32), 'q-1', answer), true);
    for (const { method, path, body } of served.asked) {
      assert.equal(`${method} ${path}`, `POST /chat/${'b'.repeat(32)}/inputs/q-1`);
      assert.deepEqual(JSON.parse(body), answer);
    }
    assert.equal(served.asked.length, 3);
  },

  async a_question_that_is_no_longer_open_is_no_failure_and_content_that_does_not_fit_is_one(serve) {
    const decline = (served) => answerInput(served.url, 'b'.repeat(32), 'q', { action: 'decline' });
    for (const [status, type] of [[404, 'no-such-input'], [409, 'input-answered'], [410, 'gone']]) assert.equal(await decline(await serve(problem(status, type))), false);
    const served = await serve(problem(422, 'unfit-answer'));
    await assert.rejects(decline(served), (error) => error instanceof Refused && error.status === 422 && error.message === 'Detail of unfit-answer.');
  },

  async a_recording_that_is_cut_at_every_byte_loses_and_repeats_nothing(serve) {
    const parts = ['id: 3.a\r\ndata: ü💧\r\ndata: b\r\n\r\n', ': comment\n', 'id: 5.a\revent: x\rdata: c\r\r', ':\n', 'id: 6.b\ndata\n\n', 'data: cut'];
    const bytes = Buffer.from(parts.join(''));
    const expected = ['3.a message ü💧\nb', '5.a x c', '6.b message '];
    const cutAt = async (at) => {
      const read = bytes.subarray(0, at).toString();
      // An event is whole with the CR or LF of its empty line.
      const ends = [parts[0].length - 1, parts.slice(0, 3).join('').length, parts.slice(0, 5).join('').length];
      const had = ends.filter((end) => read.length >= end).length;
      const after = [undefined, '3.a', '5.a', '6.b'][had];
      const rest = [parts, parts.slice(1), parts.slice(3), parts.slice(5)][had].join('');
      const served = await serve(events('streaming', bytes.subarray(0, at), { cut: true }), events('streaming', rest), over());
      assert.deepEqual(await collectRecorded(served, { body: 'q' }), expected, `cut at byte ${at}`);
      assert.deepEqual(served.asked.map((it) => `${it.method} ${it.after}`), ['POST undefined', `GET ${after}`, 'GET 6.b'], `cut at byte ${at}`);
    };
    await Promise.all(Array.from({ length: bytes.length }, (_, at) => cutAt(at)));
  },

  async a_recording_that_comes_byte_by_byte_is_put_together(serve) {
    const served = await serve({ ...events('complete', 'id: 3.a\r\ndata: ü\r\ndata: 💧\r\n\r\n'), dribble: true });
    assert.deepEqual(await collectRecorded(served), ['3.a message ü\n💧']);
  },

  async a_clean_end_of_a_recording_is_one_once_the_server_confirms_it(serve) {
    const served = await serve(events('streaming', 'id: 3.a\ndata: a\n\n'), events('streaming', 'id: 4.a\ndata: b\n\n'), over());
    const states = [];
    assert.deepEqual(await collectRecorded(served, { onState: (state) => states.push(state) }), ['3.a message a', '4.a message b']);
    assert.deepEqual(states, ['connecting', 'live', 'live', 'live']);
    const whole = await serve(events('complete', 'id: 3.a\ndata: a\n\n'));
    assert.deepEqual(await collectRecorded(whole), ['3.a message a']);
    const cut = await serve(events('complete', 'id: 3', { cut: true }), events('complete', 'id: 3.a\ndata: a\n\n'));
    assert.deepEqual(await collectRecorded(cut), ['3.a message a']);
    const later = await serve(over());
    assert.deepEqual(await collectRecorded(later, { after: '4.a' }), []);
    assert.equal(later.asked[0].after, '4.a');
  },

  async lines_of_a_recording_are_counted_from_the_first(serve) {
    const lines = (status, first, body, cut) => recording(status, 'application/x-ndjson; charset=utf-8', body, { cut, 'X-First-LSN': first });
    const served = await serve(lines('streaming', 3, '{}\n\n{"a":', true), lines('streaming', 5, '{"a":1}\r\n[]'), lines('complete', 6, '[]'));
    assert.deepEqual(await collectRecorded(served), ['3 {}', '4 ', '5 {"a":1}', '6 []']);
    assert.deepEqual(served.asked.map(({ after }) => after), [undefined, '4', '5']);
  },

  async a_recording_that_is_not_complete_tells_why(serve) {
    const reason = { status: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ status: 'error', code: 'provider', message: 'It broke off.' }) };
    const served = await serve(events('streaming', 'id: 3.a\ndata: a\n\n', { cut: true }), over('error'), reason);
    const frames = [];
    const reading = (async () => {
      for await (const { data } of recorded(served.url, 'a'.repeat(32), { body: 'q' })) frames.push(data);
    })();
    await assert.rejects(reading, (error) => error instanceof Incomplete && error.status === 'error' && error.code === 'provider' && error.message === 'It broke off.');
    assert.deepEqual(frames, ['a']);
    assert.equal(served.asked[2].accept, 'application/json');
    const uncounted = await serve(events('error', 'data: a\n\n', { cut: true }), events('error', 'data: a\n\n', { cut: true }), reason);
    await assert.rejects(collectRecorded(uncounted), Incomplete);
    const stopped = await serve(over('aborted'), problem(404, 'not-found'));
    await assert.rejects(collectRecorded(stopped, { after: '9' }), (error) => error instanceof Incomplete && error.status === 'aborted');
  },

  async frames_without_cursors_are_counted(serve) {
    const served = await serve(events('streaming', 'data: a\n\ndata: b\n\n', { cut: true }), events('complete', 'data: a\n\ndata: b\n\ndata: c\n\n'));
    assert.deepEqual(await collectRecorded(served), ['message a', 'message b', 'message c']);
  },

  async a_response_that_is_not_recorded_is_asked_for_once(serve) {
    for (const answer of [{ status: 200, headers: { 'Content-Type': 'text/event-stream' }, body: 'data: a\n\n' }, recording('streaming', 'image/png', 'x'), problem(409, 'log-rewound')]) {
      const served = await serve(answer);
      await assert.rejects(collectRecorded(served, { body: 'q' }), (error) => error instanceof Refused && error.status === answer.status);
      assert.equal(served.asked.length, 1);
    }
  },

  async a_start_of_a_recording_is_repeated_with_the_same_id_and_bytes(serve) {
    const served = await serve({ drop: true }, problem(503, 'not-ready'), events('complete', 'id: 3.a\ndata: a\n\n'));
    assert.deepEqual(await collectRecorded(served, { body: '{"q":1}', headers: { 'Content-Type': 'application/json' } }), ['3.a message a']);
    for (const { method, id, body } of served.asked) assert.deepEqual([method, id, body], ['POST', 'a'.repeat(32), '{"q":1}']);
  },

  async the_stop_of_a_recording_is_repeated_until_it_is_confirmed(serve) {
    const served = await serve({ drop: true }, { status: 202 });
    assert.equal(await stopRecording(served.url, 'b'.repeat(32)), true);
    for (const { method, path, id, abort } of served.asked) assert.deepEqual([method, path, id, abort], ['POST', '/chat', 'b'.repeat(32), '1']);
    assert.equal(await stopRecording((await serve(problem(404, 'not-found'))).url, 'c'.repeat(32)), false);
  },
};

async function play(name) {
  const open = [];
  try {
    await scenarios[name](async (...answers) => (open.push(await server(...answers)), open.at(-1)));
    for (const { left } of open) assert.equal(left.length, 0, 'the client asked as often as expected');
  } finally {
    for (const served of open) served.close();
  }
}

const [wanted] = process.argv.slice(2);
if (wanted === '--list') console.log(Object.keys(scenarios).join('\n'));
else {
  assert.ok(!wanted || wanted in scenarios, `no scenario ${wanted}`);
  for (const name of wanted ? [wanted] : Object.keys(scenarios)) {
    try {
      await play(name);
      console.log(`ok ${name}`);
    } catch (error) {
      console.error(`not ok ${name}\n${error.stack.slice(0, 3000)}`);
      process.exitCode = 1;
    }
  }
}
