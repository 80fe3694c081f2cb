/** What config.yaml says under `extensions`: which extensions an application uses, in which order, and how. */
import { type Document, isMap, isScalar, isSeq, type Node } from 'yaml';
import { closest } from '../base/closest.js';

/** Grammar of an application's id, which is the id of its plugin. */
export const idGrammar = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** One extension that an application uses. */
export interface ExtensionUse {
  readonly id: string;
  /** False: the application goes on where the extension does not run. */
  readonly required: boolean;
  /** What the application sets there: a JSON object, as text. */
  readonly settings: string;
}

/** What is wrong at an offset of the file. */
export interface Flaw {
  readonly offset: number;
  readonly message: string;
}

/** Extensions that one application may list. */
const mostUses = 64;
/** Settings, or `custom`, bytes of JSON. */
const jsonLimit = 256 * 1024;

const keys = ['id', 'required', 'settings'];

/** A mapping of YAML as JSON; what is wrong with it, when it cannot be. */
export function jsonOf(value: unknown): { json: string } | { wrong: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { wrong: 'must be a mapping of keys to values' };
  const odd = oddIn(value, new Set());
  if (odd !== undefined) return { wrong: `must hold nothing but what JSON can: ${odd}` };
  const json = JSON.stringify(value);
  return json.length > jsonLimit ? { wrong: `is larger than ${jsonLimit} bytes of JSON` } : { json };
}

/** What JSON has no words for; texts, numbers, truths, nothing, lists and mappings of them are fine. */
function oddIn(value: unknown, above: Set<object>): string | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `${value} is no number there`;
  if (typeof value !== 'object') return `a ${typeof value} is not`;
  if (above.has(value)) return 'an alias stands in what it stands for';
  if (above.size > 64) return 'it is deeper than 64 levels';
  const plain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
  if (!plain) return `a ${value.constructor?.name ?? 'thing'} is not`;
  above.add(value);
  for (const inner of Object.values(value)) {
    const odd = oddIn(inner, above);
    if (odd !== undefined) return odd;
  }
  above.delete(value);
  return undefined;
}

/** The list at `node`. Each use has the offset at which it stands; `flaws` is empty when everything is right. */
export function readExtensionList(
  node: Node | null,
  document: Document,
): { uses: ExtensionUse[]; offsets: number[]; flaws: Flaw[] } {
  const uses: ExtensionUse[] = [];
  const offsets: number[] = [];
  const flaws: Flaw[] = [];
  const resolved = node ?? undefined;
  if (!isSeq(resolved)) {
    flaws.push({ offset: node?.range?.[0] ?? 0, message: 'must be a list of ids of extensions' });
    return { uses, offsets, flaws };
  }
  for (const item of resolved.items as Node[]) {
    const offset = item?.range?.[0] ?? 0;
    const use = isMap(item) ? readUse(item, document, flaws) : { id: isScalar(item) ? item.value : undefined };
    if (use === undefined) continue;
    const { id, ...how } = use;
    if (typeof id !== 'string' || !idGrammar.test(id))
      flaws.push({ offset, message: 'must hold ids of applications, or {id, required, settings}' });
    else if (uses.some((other) => other.id === id)) flaws.push({ offset, message: `lists ${id} twice` });
    else {
      uses.push({ id, required: true, settings: '{}', ...how });
      offsets.push(offset);
    }
  }
  if (uses.length > mostUses)
    flaws.push({ offset: offsets[mostUses] ?? 0, message: `may list at most ${mostUses} extensions` });
  return { uses, offsets, flaws };
}

/** Undefined when something in it is wrong, which `flaws` says then. */
function readUse(
  map: Node,
  document: Document,
  flaws: Flaw[],
): { id: unknown; required?: boolean; settings?: string } | undefined {
  if (!isMap(map)) return undefined;
  const before = flaws.length;
  const use: { id: unknown; required?: boolean; settings?: string } = { id: undefined };
  for (const { key, value: node } of map.items as { key: Node; value: Node | null }[]) {
    const name = isScalar(key) ? String(key.value) : '';
    const offset = node?.range?.[0] ?? key.range?.[0] ?? 0;
    const value: unknown = node?.toJS(document) ?? null;
    if (name === 'id') use.id = value;
    else if (name === 'required') {
      if (typeof value === 'boolean') use.required = value;
      else flaws.push({ offset, message: 'required must be true or false' });
    } else if (name === 'settings') {
      const read = jsonOf(value);
      if ('json' in read) use.settings = read.json;
      else flaws.push({ offset, message: `settings ${read.wrong}` });
    } else {
      const meant = closest(name, keys);
      const hint = meant === undefined ? `; there are ${keys.join(', ')}` : `; did you mean "${meant}"?`;
      flaws.push({ offset: key.range?.[0] ?? 0, message: `unknown key "${name}" of an extension${hint}` });
    }
  }
  return flaws.length > before ? undefined : use;
}
