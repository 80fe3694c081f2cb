/** Brings the tables of a registry to what this program knows. */
import { createHash } from 'node:crypto';
import { TenonError } from '../base/errors.js';
import type { Session } from './database.js';
import { type Migration, migrations } from './migrations.js';

/** Of the advisory lock, with the schema as its second half: hosts that start together migrate one after the other. */
const lockKey = 0x7e_40_4e;

interface AppliedRow {
  readonly version: number;
  readonly name: string;
  readonly sha256: string;
}

/** What a step is known by once it was released. */
export function sha256Of({ version, name, sql }: Migration): string {
  return createHash('sha256').update(`${version}\n${name}\n${sql}`).digest('hex');
}

/**
 * All steps that are new, in one transaction, by whichever host comes first. Rejects with `RegistryUnavailable` and changes nothing
 * when the database was made by a newer program or by other steps; with the error of the database when that refuses.
 */
export async function migrate(session: Session, steps: readonly Migration[] = migrations): Promise<void> {
  await session.query('BEGIN');
  try {
    const schema = await schemaOf(session);
    await session.query('SELECT pg_advisory_xact_lock($1::int, hashtext($2))', [lockKey, schema]);
    const missing = missingSteps(await appliedSteps(session, schema), steps);
    for (const step of missing) {
      await session.query(step.sql);
      await session.query('INSERT INTO tenon_migrations (version, name, sha256) VALUES ($1, $2, $3)', [
        step.version,
        step.name,
        sha256Of(step),
      ]);
    }
    await session.query('COMMIT');
  } catch (error) {
    await session.query('ROLLBACK').catch(() => {}); // the error that counts is the first one
    throw error;
  }
}

async function schemaOf(session: Session): Promise<string> {
  const [row] = await session.query<{ schema: string | null }>('SELECT current_schema() AS schema');
  if (row?.schema) return row.schema;
  throw refused('no schema of its search path exists', 'create one, or set search_path of the user of the registry');
}

async function appliedSteps(session: Session, schema: string): Promise<AppliedRow[]> {
  const [there] = await session.query<{ found: boolean }>(
    "SELECT to_regclass(format('%I.tenon_migrations', $1::text)) IS NOT NULL AS found",
    [schema],
  );
  if (there?.found !== true) {
    await session.query(
      `CREATE TABLE tenon_migrations (version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
         applied_at timestamptz NOT NULL DEFAULT now())`,
    );
    return [];
  }
  return session.query<AppliedRow>('SELECT version, name, sha256 FROM tenon_migrations ORDER BY version');
}

function missingSteps(applied: readonly AppliedRow[], steps: readonly Migration[]): readonly Migration[] {
  const known = new Map(steps.map((step) => [step.version, step]));
  for (const { version, name, sha256 } of applied) {
    const step = known.get(version);
    if (step === undefined)
      throw refused(
        `its tables are newer than this program: step ${version} (${name}) is not known here`,
        'run the version of tenon that made them, or a newer one',
      );
    if (sha256Of(step) !== sha256)
      throw refused(
        `its tables were made by another step ${version} than this program has (${name})`,
        'run the version of tenon that made them, or name another database',
      );
  }
  const done = new Set(applied.map(({ version }) => version));
  return steps.filter(({ version }) => !done.has(version));
}

function refused(reason: string, next: string): TenonError {
  return new TenonError('RegistryUnavailable', `the registry cannot be used: ${reason}`, { next });
}
