// Answers of several turns, made from a seed.

/** A source of numbers from 0 to below `limit`, the same ones for each seed (mulberry32). */
export function random(seed) {
  return (limit) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) % limit;
  };
}

const WORDS = ['Cats ', 'sleep. ', '"so" ', 'a\nb ', 'über ', '🐈 '];

/** The events of an answer: text, thinking, sources, media, calls with their arguments, results, custom events. */
export function generated(below) {
  const word = () => WORDS[below(WORDS.length)];
  const state = (of) => ({ type: 'provider_state', provider: 'vendor', of, data: { signature: word() } });
  const pieces = [
    () => [{ type: 'text', content: word() }],
    () => [{ type: 'text', content: word() }],
    () => [{ type: 'thinking', content: word() }],
    () => [{ type: 'thinking', content: word() }, state('turn')],
    () => [state('turn')],
    () => [{ type: 'source', id: `s${below(3)}`, url: 'https://example.com/', title: word(), quote: word() }],
    () => [{ type: 'source', id: `d${below(3)}`, at: { start: 0, end: 3 } }],
    () => [{ type: 'media', mediaType: 'image/png', url: 'data:image/png;base64,AAAA', name: word().replace('\n', ' ') }],
    () => [{ type: 'custom', name: 'mood', data: { is: word() } }],
    () => [{ type: 'custom', name: 'progress', data: below(9), id: 'p' }],
  ];
  const events = [];
  for (let turn = 0, turns = 1 + below(4); turn < turns; turn++) {
    for (let piece = below(6); piece > 0; piece--) events.push(...pieces[below(pieces.length)]());
    const calls = Array.from({ length: below(3) }, (_, at) => {
      const call = { id: `call-${turn}-${at}`, name: 'search', arguments: { q: word() } };
      return below(2) ? { ...call, providerState: { provider: 'vendor', data: { of: call.id } } } : call;
    });
    // The first ones: a call keeps the place at which it was announced.
    for (const call of calls.slice(0, below(3))) {
      const json = [...JSON.stringify(call.arguments)];
      const half = below(json.length);
      events.push({ type: 'tool_input', id: call.id, name: call.name, delta: json.slice(0, half).join('') }, { type: 'tool_input', id: call.id, delta: json.slice(half).join('') });
    }
    if (below(4) === 0) events.push({ type: 'tool_input', id: `never-${turn}`, name: 'search', delta: '{"q":' });
    if (calls.length) events.push({ type: 'tool_calls', calls });
    if (below(3)) events.push({ type: 'turn', finishReason: 'stop', model: `m-${turn}`, usage: { inputTokens: below(99), outputTokens: 1 } });
    const given = () => (below(4) ? `{"found":${below(9)}}` : [{ type: 'text', text: 'Found:' }, { type: 'media', mediaType: 'image/png', url: 'data:image/png;base64,AAAA', name: 'found.png' }]);
    for (const { id } of calls) events.push(below(3) ? { type: 'tool_result', id, name: 'search', content: given() } : { type: 'tool_error', id, name: 'search', message: word() });
    for (const { id, providerState } of calls) if (!providerState && below(4) === 0) events.push(state(id));
  }
  events.push({ type: 'text', content: 'The end.' });
  return events;
}

/** The end of an answer that hands a call to the client, after one that never became whole. */
export const handed = () => [
  { type: 'tool_input', id: 'cut', name: 'map', delta: '{"zoo' },
  { type: 'tool_input', id: 'handed', name: 'map', delta: '{"zo' },
  { type: 'tool_input', id: 'handed', delta: 'om":3}' },
  { type: 'tool_calls', calls: [{ id: 'handed', name: 'map', arguments: { zoom: 3 } }] },
  { type: 'turn', finishReason: 'tool_calls', model: 'm-last', usage: { inputTokens: 7, outputTokens: 3 } },
  { type: 'complete', finishReason: 'tool_calls' },
];
