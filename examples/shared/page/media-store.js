// The bytes of pictures and files, in the browser's database: the JSON of a chat is written often, and has
// little room. Turns name them by keys, which begin with the id of their chat.

const KEPT = 'kept:'; // the address of bytes in a request that is not sent yet

// A browser may forbid its database, or have no room. Bytes then last as long as the page.
const here = new Map();

const database = new Promise((resolve) => {
  try {
    const opening = indexedDB.open('unbroken', 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('media');
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => resolve(null);
  } catch {
    resolve(null);
  }
});

// Resolves once the transaction is done, with the result of its request.
async function transact(mode, act) {
  const opened = await database;
  if (!opened) throw new Error('no database');
  return new Promise((resolve, reject) => {
    const transaction = opened.transaction('media', mode);
    const request = act(transaction.objectStore('media'));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Keeps bytes under a key. */
export async function keepBytes(key, bytes) {
  await transact('readwrite', (store) => store.put(bytes, key)).catch(() => here.set(key, bytes));
}

/** The bytes under a key, or null. */
export async function bytesOf(key) {
  return here.get(key) ?? (await transact('readonly', (store) => store.get(key)).catch(() => null)) ?? null;
}

/** Removes the bytes of all keys that begin so. */
export async function dropBytes(prefix) {
  for (const key of here.keys()) if (key.startsWith(prefix)) here.delete(key);
  await transact('readwrite', (store) => store.delete(IDBKeyRange.bound(prefix, `${prefix}\uffff`))).catch(() => {});
}

/** A part of a message whose bytes are added when it is sent. */
export const keptPart = ({ key, mediaType, name }) => ({ type: 'media', mediaType, url: KEPT + key, name });

/** A request with the bytes of its media. The same request gives the same bytes. */
export async function withBytes(request) {
  const whole = async (part) => {
    if (!part.url?.startsWith(KEPT)) return part;
    const bytes = await bytesOf(part.url.slice(KEPT.length));
    return bytes ? { ...part, url: await dataUrl(bytes, part.mediaType) } : { type: 'text', text: `[${part.name} is no longer there.]` };
  };
  const messages = request.messages.map(async (message) => {
    if (!Array.isArray(message.content)) return message;
    return { ...message, content: await Promise.all(message.content.map(whole)) };
  });
  return { ...request, messages: await Promise.all(messages) };
}

/** Bytes as a `data:` URL. */
export function dataUrl(bytes, mediaType) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(new Blob([bytes], { type: mediaType }));
  });
}

/** The bytes of a `data:` URL in base64, or null for any other text. */
export function bytesOfDataUrl(url) {
  const [, base64] = /^data:[^,]*;base64,([^]*)$/i.exec(url) ?? [];
  try {
    return base64 === undefined ? null : Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
}
