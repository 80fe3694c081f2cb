/** Members of records that are stored and no longer in the schema: what clients do not see unless they ask, and do not write. */
import { TenonError } from '../base/errors.js';
import type { TableDefinition } from '../binding/store.js';
import type { GoneFields } from '../tables/gone-fields.js';
import { cutMembers } from './json-slices.js';

/** Names of the fields that a list shows; undefined: all that are stored. */
export function shownFields({ fields }: TableDefinition, gone: GoneFields | undefined): string[] | undefined {
  if (gone === undefined || gone.names.size === 0) return undefined;
  return fields.flatMap(({ name }) => (gone.names.has(name) ? [] : [name]));
}

/** A record as the store gives it, or a list of them, without these. */
export function withoutGone(json: Buffer, gone: GoneFields | undefined): Buffer {
  return gone === undefined ? json : cutMembers(json, gone);
}

/**
 * Throws `RecordInvalid` when `json`, a record or what is laid over one, has any of these. What is no JSON is for the store to refuse.
 * @param index of the record among those of its request
 */
export function refuseGone(
  json: Uint8Array,
  { name: table }: TableDefinition,
  gone: GoneFields | undefined,
  index?: number,
): void {
  if (gone === undefined) return;
  const field = firstGone(parsed(json), gone, '');
  if (field === undefined) return;
  const place = index === undefined ? '' : `record ${index}: `;
  throw new TenonError('RecordInvalid', `${place}${table} has no field ${JSON.stringify(field)} any more`, {
    next: 'leave it out, or declare it in the schema again',
    details: { table, ...(index === undefined ? {} : { index }), field },
  });
}

function parsed(json: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString());
  } catch {
    return undefined;
  }
}

function firstGone(value: unknown, gone: GoneFields, place: string): string | undefined {
  if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) {
      const found = firstGone(item, gone, `${place}[${at}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const own = place === '' ? name : `${place}.${name}`;
    if (gone.names.has(name)) return own;
    const inner = gone.within.get(name);
    const found = inner && firstGone(member, inner, own);
    if (found !== undefined) return found;
  }
  return undefined;
}
