/** Who may do what with the records of a table over the network: what `@allow` says, and what holds without it. */
import { TenonError } from '../base/errors.js';

export const actions = ['read', 'create', 'update', 'delete'] as const;

export type Action = (typeof actions)[number];

/** One `@allow`. */
export interface Allowance {
  /** A role, or `anyone`, or `identity` for whoever is known. */
  readonly role: string;
  readonly to: readonly Action[];
  /** Where it is written; line and column count from 1. */
  readonly place: { readonly file: string; readonly line: number; readonly column: number };
}

/** Somebody who is known. */
export interface Caller {
  readonly subject: string;
  readonly roles: readonly string[];
}

/** What the permissions of a table are decided by. */
export interface Guarded {
  /** Absent: what the application says of who may call it. */
  readonly allow?: readonly Allowance[];
}

/** For tables that say nothing: everybody, or whoever is known. */
export type DefaultAccess = 'open' | 'identity';

/** Roles with which somebody may, `anyone` and `identity` among them. */
export function rolesFor({ allow }: Guarded, action: Action, otherwise: DefaultAccess): string[] {
  if (allow === undefined) return [otherwise === 'open' ? 'anyone' : 'identity'];
  return [...new Set(allow.filter(({ to }) => to.includes(action)).map(({ role }) => role))];
}

/** Roles with which somebody may do any of these; `anyone` alone where everybody may, `identity` where whoever is known may. */
export function rolesForAny(
  asked: readonly { table: Guarded; actions: readonly Action[] }[],
  otherwise: DefaultAccess,
): string[] {
  const roles = new Set(
    asked.flatMap(({ table, actions: each }) => each.flatMap((one) => rolesFor(table, one, otherwise))),
  );
  return [['anyone', 'identity'].find((role) => roles.has(role)) ?? [...roles]].flat();
}

/** @param caller undefined for nobody */
export function permits(table: Guarded, action: Action, caller: Caller | undefined, otherwise: DefaultAccess): boolean {
  if (table.allow === undefined) return otherwise === 'open' || caller !== undefined;
  return table.allow.some(({ role, to }) => to.includes(action) && isMeant(role, caller));
}

function isMeant(role: string, caller: Caller | undefined): boolean {
  if (role === 'anyone') return true;
  return caller !== undefined && (role === 'identity' || caller.roles.includes(role));
}

/** A table that only somebody who is known may use in some way. */
export interface NeedOfSomebody {
  readonly table: string;
  readonly allowance: Allowance;
}

/** The first there is. */
export function needOfSomebody(
  tables: readonly (Guarded & { readonly definition: { readonly name: string } })[],
): NeedOfSomebody | undefined {
  for (const { allow = [], definition } of tables) {
    const allowance = allow.find(({ role }) => role !== 'anyone');
    if (allowance !== undefined) return { table: definition.name, allowance };
  }
  return undefined;
}

/** Why the schema of an application in which nobody can be known is refused; `ids` are of the extensions that it lists. */
export function nobodyToAllow(
  application: string,
  { table, allowance }: NeedOfSomebody,
  listed: string,
  ids: readonly string[],
): TenonError {
  const { role, place } = allowance;
  const { file, line, column } = place;
  const message = `@allow of ${table} is for ${role}, and the application ${listed}: nobody can be known there`;
  return new TenonError('SchemaInvalid', `${file}:${line}:${column}: ${message}`, {
    next: 'list an extension with providers under `extensions` of config.yaml, such as tenon-auth, or allow it to "anyone"',
    details: { plugin: application, listed: ids, ...place, problems: [{ ...place, message }] },
  });
}
