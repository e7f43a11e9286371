// The pictures that go with the next message: chosen, pasted or dropped. What the server would refuse is
// refused here, before anything is sent.

import { sizeOf } from './media.js';
import { element } from './prose.js';

/** What the server takes: it writes this into the page. */
export const limits = (({ pictureTypes = '', pictureBytes, picturesBytes, pictures }) => ({
  types: pictureTypes.split(' ').filter(Boolean),
  bytes: Number(pictureBytes),
  total: Number(picturesBytes),
  count: Number(pictures),
}))(document.documentElement.dataset);

const NAME_BYTES = 255;
// They would end a line, or turn around the text beside a name.
const INVISIBLE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

export class Attachments {
  #items = []; // { name, mediaType, size, url, ready: the bytes, node }
  #list;
  #tell;
  #changed;

  /** `tell(words)` shows a refusal, `changed()` is called after each change. */
  constructor(list, tell, changed) {
    [this.#list, this.#tell, this.#changed] = [list, tell, changed];
  }

  get count() {
    return this.#items.length;
  }

  /** Adds files, but for those that can't be sent. */
  add(files) {
    const refused = [];
    for (const file of files) {
      const name = cleanName(file.name, file.type);
      const flaw = this.#flaw(name, file);
      if (flaw) refused.push(flaw);
      else this.#push({ name, mediaType: file.type, size: file.size, ready: readPicture(file) }, file);
    }
    this.#tell(refused.join(' '));
    this.#changed();
  }

  /** Adds pictures that could not be sent, with their bytes. */
  restore(media) {
    for (const { name, mediaType, bytes } of media) {
      this.#push({ name, mediaType, size: bytes.length, ready: Promise.resolve(bytes) }, new Blob([bytes], { type: mediaType }));
    }
    this.#changed();
  }

  /** Waits until all are read, and returns them: `{ name, mediaType, bytes }`. They stay attached. */
  async read() {
    await Promise.allSettled(this.#items.map(({ ready }) => ready));
    return Promise.all(this.#items.map(async (item) => Object.assign(item, { bytes: await item.ready })));
  }

  /** Removes those that were sent. */
  sent(items) {
    for (const { url } of items) URL.revokeObjectURL(url);
    this.#items = this.#items.filter((item) => !items.includes(item));
    this.#draw();
  }

  #flaw(name, { type, size }) {
    if (limits.types.length === 0) return 'This chat takes no pictures.';
    if (!limits.types.includes(type)) return `“${short(name)}” can’t be attached: this chat takes ${formats()} pictures.`;
    if (size === 0) return `“${short(name)}” is empty.`;
    if (size > limits.bytes) return `“${short(name)}” has ${sizeOf(size)}, and a picture may have ${sizeOf(limits.bytes)}.`;
    if (this.#items.length === limits.count) return `A message may have ${limits.count} pictures; “${short(name)}” is one more.`;
    const total = this.#items.reduce((sum, it) => sum + it.size, size);
    if (total > limits.total) return `The pictures of a message may have ${sizeOf(limits.total)} together; “${short(name)}” is too much.`;
    return null;
  }

  #push(item, blob) {
    item.url = URL.createObjectURL(blob);
    item.ready.catch(() => {
      if (!this.#items.includes(item)) return;
      this.#remove(item);
      this.#tell(`“${short(item.name)}” is no picture that can be read.`);
    });
    const remove = element('button', { type: 'button', className: 'remove', title: 'Remove', onclick: () => this.#remove(item) }, [element('span', { textContent: '×' })]);
    remove.setAttribute('aria-label', `Remove ${item.name}`);
    item.node = element('li', { title: item.name }, [element('img', { src: item.url, alt: item.name }), remove]);
    this.#items.push(item);
    this.#draw();
  }

  #remove(item) {
    const at = this.#items.indexOf(item);
    const held = item.node.contains(document.activeElement);
    this.#items.splice(at, 1);
    URL.revokeObjectURL(item.url);
    this.#draw();
    this.#tell('');
    this.#changed();
    const next = this.#items[Math.min(at, this.#items.length - 1)]?.node.querySelector('button');
    if (held) (next ?? document.getElementById('input')).focus();
  }

  #draw() {
    this.#list.replaceChildren(...this.#items.map(({ node }) => node));
    this.#list.hidden = this.#items.length === 0;
  }
}

/** Calls `add(files)` with what is pasted or dropped anywhere on the page; `over(yes)` while files are above it. */
export function pasteAndDrop(add, over) {
  const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes('Files');
  let depth = 0; // each element on the way enters and leaves
  const enter = (event, by) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = Math.max(0, depth + by);
    over(depth > 0);
  };
  addEventListener('dragenter', (event) => enter(event, 1));
  addEventListener('dragleave', (event) => enter(event, -1));
  addEventListener('dragover', (event) => enter(event, 0));
  addEventListener('drop', (event) => {
    enter(event, -depth);
    if (hasFiles(event)) add(event.dataTransfer.files);
  });
  addEventListener('paste', (event) => {
    const { files, types } = event.clipboardData;
    // Some applications copy text with a picture of it.
    if (files.length === 0 || types.includes('text/plain')) return;
    event.preventDefault();
    add(files);
  });
}

// The bytes of a file that is a picture.
async function readPicture(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  (await createImageBitmap(file)).close();
  return bytes;
}

function cleanName(given, type) {
  const fallback = `picture.${type.split('/')[1] ?? ''}`;
  let name = given.replace(INVISIBLE, '').trim() || fallback;
  while (new TextEncoder().encode(name).length > NAME_BYTES) name = [...name].slice(1).join(''); // the end tells the kind
  return name;
}

const short = (name) => (name.length > 40 ? `${name.slice(0, 20)}…${name.slice(-18)}` : name);

function formats() {
  const names = limits.types.map((type) => ({ 'image/jpeg': 'JPEG', 'image/webp': 'WebP' })[type] ?? type.replace('image/', '').toUpperCase());
  return new Intl.ListFormat('en', { type: 'disjunction' }).format(names);
}
