/** Every statement about hosts: their rows, and what they tell. */
import { isFields, isoTime } from './checked-row.js';
import type { Session } from './database.js';
import type { ArtifactRow, EndpointRow, HostRow } from './rows.js';
import { storableJson } from './storable.js';

/** Who this host is. */
export interface HostIdentity {
  /** UUID, the same at each start from one data directory. */
  readonly id: string;
  /** For people, and as the one who has changed something. */
  readonly name: string;
  readonly version: string;
  readonly os: string;
  readonly arch: string;
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
}

/** What a plugin serves. */
export interface Serving {
  readonly version: string;
  readonly endpoints: readonly EndpointRow[];
  readonly artifact: ArtifactRow | undefined;
}

const mostHosts = 1000;
const mostHostBytes = 1024 * 1024;
/** Of what all hosts run, of those that were seen last. */
const mostHostBytesInAll = 64 * 1024 * 1024;
/** Without a sign of life for longer, a host has nothing to say any more. */
const aliveSeconds = 90;
const kept = { reloads: 1000, configs: 100, artifacts: 100 };

/** The row of this host, whether there is one or not. `plugins`: JSON of all that it runs. */
export async function writeHost(
  session: Session,
  host: HostIdentity,
  url: string | undefined,
  plugins: string,
): Promise<void> {
  await session.query(
    `INSERT INTO hosts (id, name, pid, url, version, os, arch, started_at, plugins)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb)
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, pid = excluded.pid, url = excluded.url,
       version = excluded.version, os = excluded.os, arch = excluded.arch, started_at = excluded.started_at,
       plugins = excluded.plugins, seen_at = now(), stopped_at = NULL`,
    [host.id, host.name, host.pid, url ?? null, host.version, host.os, host.arch, host.startedAt, plugins],
  );
}

/** Says that the host lives, and what is different. False: there is no such row. */
export async function touchHost(
  session: Session,
  id: string,
  url: string | undefined,
  changed: string,
  gone: readonly string[],
): Promise<boolean> {
  const rows = await session.query(
    `UPDATE hosts SET seen_at = now(), stopped_at = NULL, url = $2,
       plugins = (plugins - ARRAY(SELECT jsonb_array_elements_text($3::jsonb))) || $4::jsonb
     WHERE id = $1 RETURNING id`,
    [id, url ?? null, JSON.stringify(gone), changed],
  );
  return rows.length > 0;
}

/** Unless one that was started later from the same data directory has taken the row over. */
export async function stopHost(session: Session, { id, startedAt }: HostIdentity): Promise<void> {
  await session.query('UPDATE hosts SET stopped_at = now() WHERE id = $1 AND started_at = $2', [id, startedAt]);
}

export async function readHosts(session: Session): Promise<HostRow[]> {
  const rows = await session.query(
    `SELECT id::text AS id, left(name, 255) AS name, pid, left(url, 2000) AS url, left(version, 64) AS version,
       left(os, 64) AS os, left(arch, 64) AS arch, started_at AS "startedAt", seen_at AS "seenAt",
       stopped_at AS "stoppedAt",
       CASE WHEN octet_length(plugins::text) <= ${mostHostBytes} AND taken <= ${mostHostBytesInAll} THEN plugins END
         AS plugins
     FROM (SELECT *, sum(octet_length(plugins::text)) FILTER (WHERE octet_length(plugins::text) <= ${mostHostBytes})
       OVER (ORDER BY stopped_at IS NOT NULL, seen_at DESC, id) AS taken FROM hosts) AS counted
     ORDER BY name, id LIMIT ${mostHosts}`,
  );
  return rows.map((row): HostRow => {
    const fields = row as Readonly<Record<string, unknown>>;
    const text = (column: string): string => String(fields[column]);
    return {
      id: text('id'),
      name: text('name'),
      pid: Number(fields['pid']),
      url: typeof fields['url'] === 'string' ? fields['url'] : null,
      version: text('version'),
      os: text('os'),
      arch: text('arch'),
      startedAt: isoTime(fields['startedAt']) ?? '',
      seenAt: isoTime(fields['seenAt']) ?? '',
      stoppedAt: isoTime(fields['stoppedAt']) ?? null,
      plugins: isFields(fields['plugins']) ? fields['plugins'] : {},
    };
  });
}

/**
 * A plugin whose folder is gone here is registered no more, unless somebody has made more of it than a host does, it was
 * changed after `revision`, or another host that lives has it. The entry of this host is to be removed before.
 */
export async function forgetPlugin(session: Session, host: string, name: string, revision: number): Promise<void> {
  await session.query(
    `DELETE FROM plugins WHERE name = $1 AND revision <= $2::bigint AND config IS NULL AND NOT pinned
       AND status IN ('active', 'invalid')
       AND NOT EXISTS (SELECT FROM hosts WHERE id <> $3::uuid AND stopped_at IS NULL
         AND seen_at > now() - interval '${aliveSeconds} seconds' AND plugins ? $1
         AND plugins -> $1::text ->> 'state' IS DISTINCT FROM 'missing')`,
    [name, String(revision), host],
  );
}

/** What is registered of one that is not pinned. Its revision afterwards; undefined when nothing was written. */
export async function writeServing(session: Session, name: string, serving: Serving): Promise<number | undefined> {
  const [row] = await session.query<{ revision: unknown }>(
    'UPDATE plugins SET version = $2 WHERE name = $1 AND NOT pinned RETURNING revision::text AS revision',
    [name, serving.version],
  );
  if (row === undefined) return undefined;
  await session.query('DELETE FROM plugin_endpoints WHERE plugin = $1', [name]);
  await session.query(
    `INSERT INTO plugin_endpoints (plugin, method, path, execution, auth, roles)
     SELECT $1, method, path, execution, auth, ARRAY(SELECT jsonb_array_elements_text(roles))
     FROM jsonb_to_recordset($2::jsonb) AS told (method text, path text, execution text, auth text, roles jsonb)
     ON CONFLICT DO NOTHING`,
    [name, storableJson(serving.endpoints)],
  );
  const { artifact } = serving;
  if (artifact !== undefined) {
    const { version, os, arch, libc, sha256, size, signature = null } = artifact;
    await session.query(
      `INSERT INTO plugin_artifacts (plugin, version, os, arch, libc, sha256, size, signature)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT (plugin, version, os, arch, libc, sha256) DO UPDATE SET signature = excluded.signature
         WHERE excluded.signature IS NOT NULL AND plugin_artifacts.signature IS DISTINCT FROM excluded.signature`,
      [name, version, os, arch, libc, sha256, Math.round(size), signature],
    );
  }
  return Number(row.revision);
}

/** `rows`: JSON of a list of reloads. Those that are there already stay as they are. */
export async function insertReloads(session: Session, host: string, rows: string): Promise<void> {
  await session.query(
    `INSERT INTO reloads (id, host, plugin, trigger, outcome, from_build, to_build, started_at, total_ms, phases, attempts, error)
     SELECT id, $1::uuid, plugin, trigger, outcome, "from", "to", "startedAt", "totalMs", phases, attempts, error
     FROM jsonb_to_recordset($2::jsonb) AS told (id text, plugin text, trigger text, outcome text, "from" jsonb, "to" jsonb,
       "startedAt" timestamptz, "totalMs" double precision, phases jsonb, attempts integer, error jsonb)
     ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, error = excluded.error
       WHERE reloads.host = excluded.host AND reloads.outcome <> excluded.outcome`,
    [host, rows],
  );
}

/** Removes what nobody needs any more, unless another host is at it. In a transaction. */
export async function tidy(session: Session): Promise<void> {
  const [lock] = await session.query<{ taken: unknown }>(
    `SELECT pg_try_advisory_xact_lock(hashtext('tenon tidies'), hashtext(current_schema())) AS taken`,
  );
  if (lock?.taken !== true) return;
  await session.query(`DELETE FROM hosts WHERE seen_at < now() - interval '1 day'`);
  const beyond = (table: string, order: string, most: number): string =>
    `DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM (
       SELECT ctid, row_number() OVER (PARTITION BY plugin ORDER BY ${order}) AS place FROM ${table}
     ) AS placed WHERE place > ${most})`;
  await session.query(beyond('reloads', 'started_at DESC, id DESC', kept.reloads));
  await session.query(beyond('plugin_configs', 'revision DESC', kept.configs));
  await session.query(beyond('plugin_artifacts', 'created_at DESC', kept.artifacts));
}
