/** Tables as maps in memory: what they are expected to do. */
import type { Key, Outcome, Write } from './doors.js';
import type { DrawnField, DrawnTable, Row } from './drawn-schema.js';

/** A write, and whether its values fit the table. */
export type ModelWrite = Write & { fits: boolean };

export interface Condition {
  field: DrawnField;
  op: 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge';
  value: unknown;
}

const met: Record<Condition['op'], (difference: number) => boolean> = {
  eq: (difference) => difference === 0,
  ne: (difference) => difference !== 0,
  lt: (difference) => difference < 0,
  le: (difference) => difference <= 0,
  gt: (difference) => difference > 0,
  ge: (difference) => difference >= 0,
};

export function meets(row: Row, { field, op, value }: Condition): boolean {
  return met[op](compare(row[field.name], value));
}

/** Null first; texts by their bytes. */
export function compare(left: unknown, right: unknown): number {
  const [a, b] = [left ?? null, right ?? null];
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string));
  return Number(a) < Number(b) ? -1 : Number(a) > Number(b) ? 1 : 0;
}

const isObject = (value: unknown): value is Row => typeof value === 'object' && value !== null && !Array.isArray(value);

export class TableModel {
  readonly #tables = new Map<string, Map<Key, Row>>();

  /** What may be answered; a write that is 'ok' is done. */
  write(write: ModelWrite): Outcome[] {
    const { kind, table, key, body, fits } = write;
    const rows = this.#rows(table);
    const there = rows.get(key);
    const refusals: Outcome[] = [];
    if (kind === 'create' && there !== undefined) refusals.push('exists');
    if ((kind === 'patch' || kind === 'remove') && there === undefined) refusals.push('missing');
    if (kind !== 'remove' && !fits) refusals.push('invalid');
    if (refusals.length > 0) return refusals;
    if (kind === 'remove') rows.delete(key);
    else rows.set(key, stored(table, kind === 'patch' ? laidOver(there ?? {}, body) : { [table.key]: key, ...body }));
    return ['ok'];
  }

  /** One after the other, or none. */
  writeTogether(writes: readonly ModelWrite[]): Outcome[] {
    const before = new Map([...this.#tables].map(([name, rows]) => [name, new Map(rows)]));
    for (const write of writes) {
      const outcomes = this.write(write);
      if (outcomes.includes('ok')) continue;
      this.#tables.clear();
      for (const [name, rows] of before) this.#tables.set(name, rows);
      // Which one of several that are wrong is told is not said anywhere.
      return ['exists', 'missing', 'invalid'];
    }
    return ['ok'];
  }

  /** In the order of their keys. */
  all(table: DrawnTable): Row[] {
    return [...this.#rows(table).values()].toSorted((left, right) => compare(left[table.key], right[table.key]));
  }

  row(table: DrawnTable, key: unknown): Row | undefined {
    return this.#rows(table).get(key as Key);
  }

  #rows({ name }: DrawnTable): Map<Key, Row> {
    let rows = this.#tables.get(name);
    if (rows === undefined) this.#tables.set(name, (rows = new Map<Key, Row>()));
    return rows;
  }
}

/** Members of objects in the order of the schema, as all that is stored. */
function stored(table: DrawnTable, row: Row): Row {
  const order = (names: readonly string[], given: Row): Row =>
    Object.fromEntries(names.flatMap((name) => (name in given ? [[name, given[name]]] : [])));
  const names = table.fields.map(({ name }) => name);
  const inOrder = order(names, row);
  for (const { name, kind } of table.fields) {
    const value = inOrder[name];
    if (kind === 'Place' && isObject(value)) inOrder[name] = order(['city', 'rank', 'lines'], value);
  }
  return inOrder;
}

function laidOver(row: Row, patch: Row): Row {
  const result = { ...row };
  for (const [name, value] of Object.entries(patch)) {
    const before = result[name];
    result[name] = isObject(before) && isObject(value) ? { ...before, ...value } : value;
  }
  return result;
}
