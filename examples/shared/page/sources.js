// The sources of an answer: a numbered list. Addresses come from a model, so only those of the web are links,
// each beside the name of its server.

import { element } from './prose.js';

/** A link to an address of the web, or null for any other. */
export function webLink(address, text) {
  const url = parse(address);
  if (!url) return null;
  const link = element('a', { href: url.href, target: '_blank', rel: 'noopener noreferrer nofollow', textContent: text });
  link.title = url.href;
  return link;
}

/** A view of the sources of a turn: `{ node, update(turn) }`. */
export function sourcesView() {
  const list = element('ol');
  const node = element('section', { className: 'sources', hidden: true }, [element('h3', { textContent: 'Sources' }), list]);
  node.setAttribute('aria-label', 'Sources');
  let shown; // of an attempt: after a restart the turn has another list
  const update = ({ sources = [] }) => {
    if (sources !== shown) list.replaceChildren();
    shown = sources;
    list.append(...sources.slice(list.childElementCount).map(sourceView));
    node.hidden = sources.length === 0;
  };
  return { node, update };
}

function sourceView({ id, url, title, mediaType, quote }) {
  const host = parse(url)?.host;
  const words = title?.trim() || host || id;
  const name = webLink(url, words) ?? element('span', { textContent: words });
  name.classList.add('source-name');
  const where = element('span', { className: 'hint', textContent: host ?? mediaType ?? (url ? 'no address of the web' : '') });
  const said = quote?.trim() ? [element('q', { className: 'hint', textContent: quote.trim() })] : [];
  return element('li', {}, [element('div', { className: 'source' }, [name, where, ...said])]);
}

function parse(address) {
  try {
    const url = new URL(address);
    return ['http:', 'https:'].includes(url.protocol) ? url : null;
  } catch {
    return null;
  }
}
