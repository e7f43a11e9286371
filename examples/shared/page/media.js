// Views of media: pictures that open in a dialog, and cards for anything else. Whatever a file says that it
// is, it is shown as pixels or not at all.

import { bytesOf } from './media-store.js';
import { element } from './prose.js';
import { webLink } from './sources.js';

// Formats that are pixels only. SVG is a document, with scripts and links of its own: it can be saved.
const PIXELS = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']);

const essence = (mediaType) => String(mediaType).split(';')[0].trim().toLowerCase();

let urls = new Map(); // the addresses of bytes that this page shows

/** Frees the memory of what was shown. */
export function forgetMedia() {
  for (const url of urls.values()) url.then(URL.revokeObjectURL);
  urls = new Map();
}

/** A view of `{ mediaType, name, size, key }`, or of `{ mediaType, name, url }` where its bytes are elsewhere. */
export function mediaView(medium) {
  const { mediaType, key, url } = medium;
  const name = medium.name || (PIXELS.has(essence(mediaType)) ? 'Picture' : 'File');
  if (!key) return linkCard(name, essence(mediaType), webLink(url, 'Open'));
  return PIXELS.has(essence(mediaType)) ? picture(name, medium) : fileCard(name, [essence(mediaType), sizeOf(medium.size)], saveLink(name, medium));
}

/** The view of several media. */
export const mediaGrid = (media) => element('div', { className: media.length > 1 ? 'media many' : 'media' }, media.map(mediaView));

/** A size for people, rounded up: what is over a limit has another size than the limit. */
export function sizeOf(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${Math.ceil(bytes / 1e5) / 10} MB`;
}

function picture(name, medium) {
  const image = element('img', { alt: name });
  const open = element('button', { type: 'button', className: 'picture', title: name, onclick: () => view(name, medium, image) }, [image]);
  open.setAttribute('aria-label', `Open ${name}`);
  urlOf(medium).then((url) => {
    if (url) image.src = url;
    else open.replaceWith(fileCard(name, ['no longer in this browser']));
  });
  image.onerror = () => open.replaceWith(fileCard(name, [essence(medium.mediaType), 'no picture that can be shown'], saveLink(name, medium)));
  return open;
}

function fileCard(name, facts, ...actions) {
  const words = element('span', { className: 'file-words' }, [
    element('bdi', { className: 'file-name', textContent: name, title: name }),
    element('span', { className: 'hint', textContent: facts.join(' · ') }),
  ]);
  return element('div', { className: 'file' }, [words, ...actions]);
}

// A link is not followed by itself: its address could tell a stranger what was said.
function linkCard(name, type, link) {
  if (!link) return fileCard(name, [type, 'can’t be shown']);
  link.className = 'quiet';
  link.setAttribute('aria-label', `Open ${name} at ${link.host}`);
  return fileCard(name, [type, link.host], link);
}

function saveLink(name, medium) {
  const link = element('a', { className: 'quiet', textContent: 'Save', download: name });
  link.setAttribute('aria-label', `Save ${name}`);
  urlOf(medium).then((url) => url && (link.href = url));
  return link;
}

// A file that is not pixels has no type here, so that a browser saves it and never opens it.
function urlOf({ key, mediaType }) {
  if (!urls.has(key)) {
    const type = PIXELS.has(essence(mediaType)) ? essence(mediaType) : 'application/octet-stream';
    urls.set(key, bytesOf(key).then((bytes) => bytes && URL.createObjectURL(new Blob([bytes], { type }))));
  }
  return urls.get(key);
}

function view(name, medium, { src, naturalWidth, naturalHeight }) {
  const close = element('button', { type: 'button', className: 'quiet', textContent: 'Close', onclick: () => dialog.close() });
  const facts = element('span', { className: 'hint', textContent: `${naturalWidth} × ${naturalHeight} · ${sizeOf(medium.size)}` });
  const words = element('span', { className: 'file-words' }, [element('bdi', { className: 'file-name', textContent: name }), facts]);
  const dialog = element('dialog', { className: 'viewer' }, [
    element('img', { src, alt: name }),
    element('div', { className: 'viewer-bar' }, [words, saveLink(name, medium), close]),
  ]);
  dialog.setAttribute('aria-label', name);
  dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close()); // a click beside the picture
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}
