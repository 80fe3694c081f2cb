/** Fields of a table, and members of its nested types, that are stored and no longer in the schema. */
import type { FieldType, Store, TableDefinition } from '../binding/store.js';

export interface GoneFields {
  readonly names: ReadonlySet<string>;
  /** Of fields that are there and have such members: those. */
  readonly within: ReadonlyMap<string, GoneFields>;
}

/** Undefined when there are none. */
export function goneFields({ fields }: Pick<TableDefinition, 'fields'>): GoneFields | undefined {
  return goneOf(fields);
}

interface Named {
  readonly name: string;
  readonly type: FieldType;
  readonly dropped?: boolean;
}

function goneOf(fields: readonly Named[]): GoneFields | undefined {
  const names = new Set<string>();
  const within = new Map<string, GoneFields>();
  for (const { name, type, dropped } of fields) {
    const inner = dropped === true ? undefined : goneOf(innermost(type).members ?? []);
    if (dropped === true) names.add(name);
    if (inner !== undefined) within.set(name, inner);
  }
  return names.size + within.size === 0 ? undefined : { names, within };
}

function innermost(type: FieldType): FieldType {
  return type.item === undefined ? type : innermost(type.item);
}

/** A field that is declared again and is not what it was. */
export interface Redeclared {
  readonly name: string;
  /** Why the one cannot become the other. */
  readonly reason: string;
  /** Whether a record still has the one that was. */
  readonly isStored: boolean;
}

/** Those of `wanted` whose name a gone field of another type has. Rejects with what a query may. */
export async function redeclaredFields(store: Store, wanted: TableDefinition): Promise<Redeclared[]> {
  const table = store.tables().find(({ database, name }) => database === wanted.database && name === wanted.name);
  if (table === undefined) return [];
  const gone = new Set(
    store.definition(table.number).fields.flatMap(({ name, dropped }) => (dropped === true ? [name] : [])),
  );
  const key = wanted.fields.filter(({ name }) => name === wanted.primaryKey);
  const redeclared: Redeclared[] = [];
  for (const field of wanted.fields) {
    if (!gone.has(field.name)) continue;
    const { name } = field;
    const reason = store.incompatible({ ...wanted, fields: [...key, field] });
    if (reason === undefined) continue;
    const filter = { field: name, op: 'null', value: false } as const;
    const { count } = await store.query(table.number, { filter, fields: [wanted.primaryKey], limit: 1 });
    redeclared.push({ name, reason, isStored: count > 0 });
  }
  return redeclared;
}
