// A form made from a JSON Schema, for the question of a tool. It has fields for texts, numbers, booleans
// and choices; anything else is entered as JSON. The browser checks a part, the server everything.

import { element } from './prose.js';

/** The fields of `schema` (`nodes`), their values (`content`), and a way to mark refused ones (`mark`). */
export function formOf(schema = {}) {
  const root = resolve(schema, schema);
  if (root.type !== 'object' || !root.properties) {
    const only = field(root, 'Your answer', true);
    return { nodes: [only.node], content: only.value, mark: (flaws) => only.mark(flaws !== '') };
  }
  const isRequired = (name) => root.required?.includes(name) ?? false;
  // Many servers lose the order of properties, so required ones come first.
  const names = Object.keys(root.properties).sort((a, b) => isRequired(b) - isRequired(a));
  const fields = names.map((name) => {
    const wanted = resolve(root.properties[name], schema);
    return [name, field(wanted, wanted.title ?? words(name), isRequired(name))];
  });
  return {
    nodes: fields.map(([, { node }]) => node),
    content: () => Object.fromEntries(fields.map(([name, { value }]) => [name, value()]).filter(([, value]) => value !== undefined)),
    mark: (flaws) => fields.forEach(([name, { mark }]) => mark(isNamed(flaws, name))),
  };
}

// The server names a value that does not fit by its path in the answer.
function isNamed(flaws, name) {
  const path = `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return flaws.includes(`${path}:`) || flaws.includes(`${path}/`);
}

let made = 0;

function field(of, label, required) {
  const id = `field-${++made}`;
  const { control, value } = controlOf(of, required);
  Object.assign(control, { id, required: required && control.type !== 'checkbox' });
  const name = element('label', { htmlFor: id }, [label]);
  if (!required && control.type !== 'checkbox') name.append(element('span', { className: 'hint', textContent: ' (optional)' }));
  const nodes = control.type === 'checkbox' ? [control, name] : [name, control];
  if (of.description) {
    nodes.splice(control.type === 'checkbox' ? 2 : 1, 0, element('span', { className: 'hint', id: `${id}-hint`, textContent: of.description }));
    control.setAttribute('aria-describedby', `${id}-hint`);
  }
  const mark = (flawed) => (flawed ? control.setAttribute('aria-invalid', 'true') : control.removeAttribute('aria-invalid'));
  control.addEventListener('input', () => mark(false));
  return { node: element('div', { className: control.type === 'checkbox' ? 'field-row tick' : 'field-row' }, nodes), value, mark };
}

function controlOf(of, required) {
  const choices = of.enum?.map((value) => ({ value, label: String(value) })) ?? of.oneOf?.map((it) => ({ value: it.const, label: it.title ?? it.description ?? String(it.const) }));
  if (choices?.every(({ value }) => value !== undefined)) {
    const options = choices.map(({ value, label }, at) => element('option', { value: at, textContent: label, selected: value === of.default }));
    const none = element('option', { value: '', textContent: required ? 'Choose …' : '–', selected: of.default === undefined });
    const control = element('select', {}, [none, ...options]);
    return { control, value: () => choices[control.value || NaN]?.value };
  }
  switch (of.type) {
    case 'boolean': {
      const control = element('input', { type: 'checkbox', checked: of.default === true });
      return { control, value: () => control.checked };
    }
    case 'integer':
    case 'number': {
      const { minimum: min = '', maximum: max = '' } = of;
      const control = element('input', { type: 'number', step: of.type === 'integer' ? 1 : 'any', min, max, value: of.default ?? '' });
      return { control, value: () => (control.value === '' ? undefined : Number(control.value)) };
    }
    case 'string': {
      const long = of.maxLength > 200;
      const control = element(long ? 'textarea' : 'input', { value: of.default ?? '', minLength: of.minLength ?? 0 });
      if (of.maxLength !== undefined) control.maxLength = of.maxLength;
      if (!long) control.type = { email: 'email', date: 'date', uri: 'url' }[of.format] ?? 'text';
      return { control, value: () => control.value || (required ? '' : undefined) };
    }
    default: {
      const control = element('textarea', { value: of.default === undefined ? '' : JSON.stringify(of.default) });
      return { control, value: () => jsonOr(control.value, required) };
    }
  }
}

// Text that is not JSON is a string.
function jsonOr(text, required) {
  if (text.trim() === '' && !required) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// Follows a reference within the schema, and drops `null` from a union.
function resolve(of, schema) {
  const [, path] = /^#\/(.*)$/.exec(of.$ref ?? '') ?? [];
  const found = path?.split('/').reduce((at, key) => at?.[key], schema);
  const { $ref: _, ...own } = of;
  const all = { ...found, ...own };
  const some = all.anyOf?.filter((it) => it.type !== 'null');
  if (some?.length === 1) return resolve({ ...all, anyOf: undefined, ...some[0] }, schema);
  if (Array.isArray(all.type)) all.type = all.type.find((type) => type !== 'null');
  return all;
}

const words = (name) => name[0].toUpperCase() + name.slice(1).replace(/[_-]+/g, ' ').replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
