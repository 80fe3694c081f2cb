/** Writes as their caller may do them: who may only create replaces nothing, who may only update makes nothing. */
import type { TenonError } from '../base/errors.js';
import type { TableWrite, TableWritten } from '../binding/store.js';
import type { Action } from '../tables/permissions.js';
import type { ServedTable } from '../tables/served.js';
import type { Access } from './access.js';

type Actions = readonly [Action, ...Action[]];

const actionsOf: Readonly<Record<TableWrite['kind'], Actions>> = {
  create: ['create'],
  put: ['create', 'update'],
  replace: ['update'],
  patch: ['update'],
  remove: ['delete'],
};

/** A write with what its caller may not do shut out by its conditions. */
export interface PermittedWrite<Write> {
  readonly write: Write;
  /** What it would have done when it ends as `precondition`, which the client has not asked for itself. */
  readonly without?: Action;
}

/** Throws `Unauthenticated` or `Forbidden` when nothing of what a write of this kind does is allowed. */
export function requireKind(access: Access, table: ServedTable, kind: TableWrite['kind']): void {
  access.demandAny(table, actionsOf[kind]);
}

/** Throws as {@link requireKind}, and for a `put` that could only do what is not allowed. */
export function permitted<Write extends Omit<TableWrite, 'table'>>(
  access: Access,
  table: ServedTable,
  write: Write,
): PermittedWrite<Write> {
  requireKind(access, table, write.kind);
  if (write.kind !== 'put') return { write };
  const { ifMatch, ifNoneMatch } = write;
  if (!access.may(table, 'update')) {
    if (ifMatch !== undefined) throw access.refusal(table, 'update');
    if (ifNoneMatch === '*') return { write };
    return { write: { ...write, ifNoneMatch: '*' }, without: 'update' };
  }
  if (!access.may(table, 'create')) {
    if (ifNoneMatch === '*') throw access.refusal(table, 'create');
    if (ifMatch !== undefined) return { write };
    const conditioned = { ...write, ifMatch: '*' };
    return ifNoneMatch === undefined ? { write: conditioned, without: 'create' } : { write: conditioned };
  }
  return { write };
}

/** Why a permitted write was not done, when that is for what its caller may not; `where` is put in front. */
export function forbiddenBy(
  access: Access,
  table: ServedTable,
  { without }: PermittedWrite<unknown>,
  { outcome }: TableWritten,
  where = '',
): TenonError | undefined {
  return outcome === 'precondition' && without !== undefined ? access.refusal(table, without, where) : undefined;
}
