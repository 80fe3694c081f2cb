/** Every statement about what plugins should be. Lists are given as JSON, so that no driver has to know of arrays. */
import { TenonError } from '../base/errors.js';
import { checkedPlugin, isFields, isoTime, mostConfigBytes, mostReason } from './checked-row.js';
import type { Session } from './database.js';
import type { ReadPlugins } from './known-plugins.js';
import { type ConfigVersion, type DesiredPlugin, type FoundPlugin, foundReason, type PluginStatus } from './rows.js';
import { storable } from './storable.js';

/** What somebody else has written is not for a host to take back. */
const foundInvalid = `(known.status = 'invalid' AND starts_with(known.status_reason, '${foundReason}'))`;
/** Most plugins that are read at once; of those after them by name the last that was known holds. */
export const mostPlugins = 10_000;
/** Most bytes of all configs that are read at once; the same holds for those after them by name. */
const mostBytes = 64 * 1024 * 1024;

const mostConfigs = 100;
const mostTries = 5;

const plainColumns = `name, source_path AS "sourcePath", binary_path AS "binaryPath", type, status,
  left(status_reason, ${mostReason}) AS "statusReason", version, pinned,
  coalesce(octet_length(config::text) > ${2 * mostConfigBytes}, false) AS "configTooLarge",
  reload_at AS "reloadAt", revision::text AS revision, config_revision::text AS "configRevision"`;
const columns = `${plainColumns},
  CASE WHEN octet_length(config::text) <= ${2 * mostConfigBytes} THEN config END AS config`;

/** Told of each row that cannot be read. */
export type WrongRow = (name: string, error: TenonError) => void;

/** Says, for the transaction, that a host writes. */
export async function writeAs(session: Session, host: string): Promise<void> {
  await session.query(`SELECT set_config('tenon.host', $1, true)`, [host]);
}

/** Which registry this is, as long as it is: one that is made anew in the same place is another. */
export async function readIdentity(session: Session): Promise<string> {
  const [row] = await session.query<{ made: unknown }>(
    'SELECT extract(epoch FROM applied_at)::text AS made FROM tenon_migrations WHERE version = 1',
  );
  return String(row?.made).slice(0, 64);
}

export async function readAll(session: Session, wrong: WrongRow): Promise<ReadPlugins> {
  const fits = `octet_length(config::text) <= ${2 * mostConfigBytes}`;
  const rows = await session.query(
    `SELECT ${plainColumns}, ${fits} AND taken > ${mostBytes} AS "beyondAll",
       CASE WHEN ${fits} AND taken <= ${mostBytes} THEN config END AS config
     FROM (
       SELECT *, sum(octet_length(config::text)) FILTER (WHERE ${fits}) OVER (ORDER BY name) AS taken FROM plugins
     ) AS counted
     ORDER BY name LIMIT ${mostPlugins + 1}`,
  );
  const read = checked(rows.slice(0, mostPlugins), wrong);
  return { ...read, complete: rows.length <= mostPlugins };
}

export async function readNamed(session: Session, names: readonly string[], wrong: WrongRow): Promise<ReadPlugins> {
  const rows = await session.query(
    `SELECT ${columns} FROM plugins WHERE name IN (SELECT jsonb_array_elements_text($1::jsonb))`,
    [JSON.stringify(names)],
  );
  return checked(rows, wrong);
}

/** A new row, or the one that is there: what a host found invalid is active when it is valid now, else it says why. */
export async function insertFound(session: Session, found: FoundPlugin): Promise<DesiredPlugin> {
  const reason = found.invalid === undefined ? null : storable(found.invalid).slice(0, mostReason);
  const values = [
    found.name,
    found.version,
    found.type,
    found.sourcePath,
    found.binaryPath,
    reason === null ? 'active' : 'invalid',
    reason,
  ];
  // The row may be removed between one statement and the next.
  for (let tries = 0; tries < mostTries; tries += 1) {
    const [written] = await session.query(
      `INSERT INTO plugins AS known (name, version, type, source_path, binary_path, status, status_reason)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (name) DO UPDATE SET
         status = CASE WHEN ${foundInvalid} THEN excluded.status ELSE known.status END,
         status_reason = CASE WHEN ${foundInvalid} THEN excluded.status_reason ELSE known.status_reason END,
         version = CASE WHEN known.pinned THEN known.version ELSE coalesce(known.version, excluded.version) END
       WHERE (known.version IS NULL AND excluded.version IS NOT NULL AND NOT known.pinned)
         OR (${foundInvalid} AND known.status_reason IS DISTINCT FROM excluded.status_reason)
       RETURNING ${columns}`,
      values,
    );
    const row = written ?? (await session.query(`SELECT ${columns} FROM plugins WHERE name = $1`, [found.name]))[0];
    if (row !== undefined) return checkedPlugin(row);
  }
  throw new TenonError('RegistryUnavailable', `${found.name} is registered and removed all the time`);
}

export async function updateStatus(
  session: Session,
  name: string,
  status: PluginStatus,
  reason: string | undefined,
): Promise<DesiredPlugin> {
  const [row] = await session.query(
    `UPDATE plugins SET status = $2, status_reason = $3 WHERE name = $1 RETURNING ${columns}`,
    [name, status, reason === undefined ? null : storable(reason).slice(0, mostReason)],
  );
  if (row === undefined) throw notRegistered(name);
  return checkedPlugin(row);
}

/** @returns also whether it was another one before */
export async function updateConfig(
  session: Session,
  name: string,
  config: Readonly<Record<string, unknown>> | null,
  ifRevision: number | undefined,
): Promise<{ row: DesiredPlugin; changed: boolean }> {
  const [there] = await session.query<{ revision: unknown }>(
    'SELECT config_revision::text AS revision FROM plugins WHERE name = $1 FOR UPDATE',
    [name],
  );
  if (there === undefined) throw notRegistered(name);
  const before = Number(there.revision);
  if (ifRevision !== undefined && ifRevision !== before)
    throw new TenonError('PreconditionFailed', `another config of ${name} is in force than revision ${ifRevision}`, {
      next: 'read the config that is in force, and change that',
      details: { plugin: name, revision: before },
    });
  const [written] = await session.query(`UPDATE plugins SET config = $2::jsonb WHERE name = $1 RETURNING ${columns}`, [
    name,
    config === null ? null : JSON.stringify(config),
  ]);
  const row = checkedPlugin(written);
  return { row, changed: row.configRevision !== before };
}

export async function readConfigs(session: Session, name: string): Promise<ConfigVersion[]> {
  const rows = await session.query(
    `SELECT revision::text AS revision, config, changed_at AS "changedAt", left(changed_by, 200) AS "changedBy"
     FROM plugin_configs
     WHERE plugin = $1 AND (config IS NULL OR octet_length(config::text) <= ${2 * mostConfigBytes})
     ORDER BY revision DESC LIMIT ${mostConfigs}`,
    [name],
  );
  return rows.map((row): ConfigVersion => {
    const fields = row as Readonly<Record<string, unknown>>;
    return {
      revision: Number(fields['revision']),
      config: isFields(fields['config']) ? fields['config'] : null,
      changedAt: isoTime(fields['changedAt']) ?? '',
      changedBy: String(fields['changedBy']),
    };
  });
}

export async function deletePlugin(session: Session, name: string): Promise<void> {
  await session.query('DELETE FROM plugins WHERE name = $1', [name]);
}

function notRegistered(name: string): TenonError {
  return new TenonError('PluginNotFound', `${name} is not registered`, {
    next: 'list the plugins with GET /api/v1/plugins',
    details: { plugin: name },
  });
}

function checked(rows: readonly object[], wrong: WrongRow): ReadPlugins {
  const invalid: string[] = [];
  const plugins = rows.flatMap((row): DesiredPlugin[] => {
    try {
      return [checkedPlugin(row)];
    } catch (error) {
      if (!(error instanceof TenonError)) throw error;
      const name: unknown = 'name' in row ? row.name : undefined;
      if (typeof name === 'string') invalid.push(name);
      wrong(typeof name === 'string' ? name : '', error);
      return [];
    }
  });
  return { plugins, invalid, complete: true };
}
