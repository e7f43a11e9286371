// A message of the user on the page.

import { mediaGrid } from './media.js';
import { element } from './prose.js';

/** A view of a user's turn. */
export function questionView({ text, media = [], leftOut = 0 }) {
  const left = `${leftOut} earlier ${leftOut === 1 ? 'picture was' : 'pictures were'} left out: more than the server takes.`;
  return element('article', { className: 'question' }, [
    element('h2', { className: 'unseen', textContent: 'You' }),
    ...(media.length > 0 ? [mediaGrid(media)] : []),
    ...(text ? [element('p', { textContent: text })] : []),
    ...(leftOut > 0 ? [element('span', { className: 'hint', textContent: left })] : []),
  ]);
}
