// The pictures that go with messages. The page sends the whole conversation each time, so those of earlier
// messages count: one that the server refuses would make it refuse each later message too.

/** What the server takes in one request (`pictures` of `chat_shared`). */
const TYPES = { 'image/png': 'PNG', 'image/jpeg': 'JPEG', 'image/webp': 'WebP', 'image/gif': 'GIF' };
const BYTES = 3_000_000;
const TOTAL = 6_000_000;
const COUNT = 8;

const WAY_OUT = 'Send fewer, or begin a new chat.';

/** Says why the server would refuse these files after these messages; `undefined` if it would not. */
export function whyRefused(messages, files) {
  const sent = messages.filter(({ role }) => role === 'user').flatMap(({ parts }) => parts.filter(({ type }) => type === 'file'));
  const earlier = sent.map(({ filename, mediaType, url }) => ({ name: filename ?? 'A picture', type: mediaType, size: sizeOf(url) }));
  for (const { name, type, size } of files) {
    if (!(type in TYPES)) return `“${name}” can’t be sent: this chat takes ${formats} pictures.`;
    if (size === 0) return `“${name}” is empty.`;
    if (size > BYTES) return `“${name}” has ${megabytes(size)}, and a picture may have ${megabytes(BYTES)}.`;
  }
  const stored = earlier.find(({ type, size }) => !(type in TYPES) || size > BYTES);
  if (stored) return `“${stored.name}”, which this chat has from before, is not taken any more: pictures are ${formats}, of at most ${megabytes(BYTES)}. Begin a new chat.`;
  const all = [...earlier, ...files];
  if (all.length > COUNT) return `With these the chat has ${all.length} pictures, and it may have ${COUNT}. ${WAY_OUT}`;
  const total = all.reduce((sum, { size }) => sum + size, 0);
  if (total > TOTAL) return `With these the pictures of the chat have ${megabytes(total)}, and they may have ${megabytes(TOTAL)}. ${WAY_OUT}`;
}

/** The messages as they are sent: without what a model drew, which few servers take back. */
export const forServer = (messages) =>
  messages.map((message) => (message.role === 'user' ? message : { ...message, parts: message.parts.filter(({ type }) => type !== 'file') }));

/** A list of the same files, which stays when the form is reset. */
export function listOf(files = []) {
  const list = new DataTransfer();
  for (const file of files) list.items.add(file);
  return list.files;
}

/** The bytes of a `data:` URL in base64. */
const sizeOf = (url) => Math.floor((url.slice(url.indexOf(',') + 1).replace(/=+$/, '').length * 3) / 4);

const formats = new Intl.ListFormat('en', { type: 'disjunction' }).format(Object.values(TYPES));
const number = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
// Rounded up: what is too large by a byte doesn't look as if it fitted.
const megabytes = (bytes) => `${number.format(Math.ceil(bytes / 10_000) / 100)} MB`;
