/** What a config from outside may be, whatever its schema says. */
import { below, type Flaw, isObject } from './schema-shape.js';

/** A config: a JSON object. */
export type ConfigObject = Readonly<Record<string, unknown>>;

const depthLimit = 64;
/** Bytes of a config that a registry keeps. */
const configBytes = 192 * 1024;

/** What is wrong with a value from outside as a config, whatever its schema says: it must be an object that JSON and the registry can hold. */
export function configFlaw(value: unknown): Flaw | undefined {
  if (!isObject(value)) return { pointer: '', message: 'must be an object' };
  const waiting: [string, unknown, number][] = [['', value, 0]];
  let size = 0;
  const isText = (text: string): boolean => !/\p{Surrogate}|\0/u.test(text);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [pointer, inner, depth] = next;
    if (depth > depthLimit) return { pointer, message: `is deeper than ${depthLimit} levels` };
    if (typeof inner === 'string' && !isText(inner))
      return { pointer, message: 'must be a text without NUL and halves of characters' };
    if (typeof inner !== 'object' || inner === null) {
      if (typeof inner === 'number' && !Number.isFinite(inner))
        return { pointer, message: 'must be a number that JSON has' };
      // A database writes numbers out.
      size += /e/.test(String(inner)) && typeof inner === 'number' ? 330 : Buffer.byteLength(JSON.stringify(inner));
      continue;
    }
    for (const [name, member] of Object.entries(inner)) {
      if (!Array.isArray(inner) && !isText(name))
        return { pointer, message: 'has a name with NUL or half a character' };
      size += Buffer.byteLength(JSON.stringify(name)) + 4;
      waiting.push([below(pointer, name), member, depth + 1]);
    }
    if (size > configBytes) break;
  }
  return size > configBytes ? { pointer: '', message: `is larger than ${configBytes} bytes` } : undefined;
}
