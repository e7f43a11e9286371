// Text that grows, as a small part of Markdown: paragraphs, headings, lists, quotes, fenced code, and
// inline code, bold and emphasis. New text redraws the last, unfinished block only. All text goes through
// text nodes, so that a model's words never become markup.

export class Prose {
  #host;
  #open = ''; // the text of the last block
  #node = null;

  constructor(host) {
    this.#host = host;
  }

  append(text) {
    const blocks = split(this.#open + text);
    this.#open = blocks.at(-1);
    blocks.forEach((block, at) => {
      const node = draw(block);
      if (at === 0 && this.#node) this.#node.replaceWith(node);
      else this.#host.append(node);
      this.#node = node;
    });
  }
}

// Blocks end at an empty line, fenced code at its closing fence. Joined, they equal the text.
function split(text) {
  const blocks = [''];
  let fenced = false;
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const fence = line.startsWith('```');
    const before = blocks.at(-1);
    const fresh = fence ? !fenced : !fenced && line.trim() !== '' && /(^|\n)\s*\n$|^#{1,6} .*\n$/.test(before);
    if ((fresh || /^```[^]*\n```\s*$/.test(before)) && before.trim() !== '') blocks.push('');
    blocks.push(blocks.pop() + line);
    if (fence) fenced = !fenced;
  }
  return blocks;
}

function draw(block) {
  const code = /^```[^\n]*(?:\n|$)([^]*?)(?:\n?```\s*)?$/.exec(block);
  if (code) return element('pre', { tabIndex: 0 }, [element('code', {}, [code[1]])]);
  const text = block.trim();
  const heading = /^#{1,6} (.*)/.exec(text);
  if (heading) return element('h3', {}, inline(heading[1]));
  if (/^([-*_])\1\1+$/.test(text)) return element('hr');
  const quote = /^> ?/gm;
  if (text.startsWith('>')) return element('blockquote', {}, inline(text.replace(quote, '')));
  const item = /^\s*(?:[-*+]|\d+[.)]) +/;
  const lines = text.split('\n');
  if (item.test(lines[0])) return list(lines, item);
  return element('p', {}, inline(text));
}

function list(lines, item) {
  const ordered = /^\s*\d/.test(lines[0]);
  const items = [];
  for (const line of lines) {
    if (item.test(line) || items.length === 0) items.push(line.replace(item, ''));
    else items.push(`${items.pop()}\n${line.trim()}`);
  }
  const node = element(ordered ? 'ol' : 'ul', {}, items.map((text) => element('li', {}, inline(text))));
  if (ordered) node.start = Number.parseInt(lines[0], 10);
  return node;
}

function inline(text) {
  const marks = /(`[^`\n]+`|\*\*[^*\n]+\*\*|(?<![\w*])\*[^*\s](?:[^*\n]*[^*\s])?\*(?![\w*]))/g;
  return text.split(marks).map((piece, at) => {
    if (at % 2 === 0) return piece;
    if (piece.startsWith('`')) return element('code', {}, [piece.slice(1, -1)]);
    if (piece.startsWith('**')) return element('strong', {}, [piece.slice(2, -2)]);
    return element('em', {}, [piece.slice(1, -1)]);
  });
}

/** A DOM element; children are nodes or text. */
export function element(name, properties = {}, children = []) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}
