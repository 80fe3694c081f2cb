/** What a host talks to and is talked to by, as `tenon doctor` finds it: port, certificate, registry, and a host that runs. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Settings } from '../base/config.js';
import type { TenonError } from '../base/errors.js';
import { findApi, findHost } from '../base/host-file.js';
import { version } from '../base/version.js';
import type { Session } from '../registry/database.js';
import { migrations } from '../registry/migrations.js';
import { ServerDatabase } from '../registry/server.js';
import { holdPort } from '../supervisor/port.js';
import { type Answer, failed, missing, type Probe, warning } from './doctor-finding.js';
import { exchange, textOf } from './exchange.js';

const hostMs = 3000;
const registryMs = 10_000;
const clockSlackMs = 5000;
const dayMs = 24 * 60 * 60 * 1000;
const renewalDays = 14;

export function serviceProbes(settings: Settings): Probe[] {
  return [
    { what: 'port', look: () => port(settings.host, settings.port, settings.data) },
    ...(settings.adminPort === ''
      ? []
      : [{ what: 'admin port', look: () => port(settings.adminAddress, Number(settings.adminPort), settings.data) }]),
    ...(settings.tlsCertificate === '' && settings.tlsKey === ''
      ? []
      : [{ what: 'certificate', look: () => certificate(settings), why: 'HTTPS cannot be served' }]),
    { what: 'registry', look: () => registry(settings) },
    { what: 'host', look: () => host(settings.data) },
  ];
}

async function port(address: string, number: number, data: string): Promise<Answer | string> {
  const place = `${address}:${number}`;
  if (number === 0) return `any that is free, on ${address}`;
  const running = findHost(data);
  const api = findApi(data)?.url;
  if ([running, api].some((url) => url !== undefined && portOf(url) === number))
    return `${place} is that of the host that runs`;
  try {
    // Bound and not listened on: nobody can connect meanwhile.
    const held = await holdPort(address, number);
    held?.close();
    return `${place} is free`;
  } catch (error) {
    const why = 'a host that is started here cannot listen';
    const next =
      'stop what has it, or choose another: --port, PORT or `port` in tenon.yaml, for the admin API ADMIN_PORT';
    const { code, message } = error as TenonError;
    if (code !== 'AddressInUse')
      return failed(message, why, 'choose an address of this machine, and a port from 1024 on');
    const holder = await holderOf(number);
    return warning(`${place} is taken${holder === undefined ? ' by another process' : ` by ${holder}`}`, why, next);
  }
}

/** Undefined of a unix socket; a URL leaves out the one of its scheme. */
function portOf(url: string): number | undefined {
  const { protocol, port: named } = new URL(url);
  if (protocol === 'unix:') return undefined;
  return named === '' ? (protocol === 'https:' ? 443 : 80) : Number(named);
}

/** Name and number of the process that listens on a port, where this user may know. */
async function holderOf(number: number): Promise<string | undefined> {
  const wanted = number.toString(16).toUpperCase().padStart(4, '0');
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  );
  const sockets = new Set(
    tables
      .join('\n')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[1]?.endsWith(`:${wanted}`) === true && fields[3] === '0A')
      .map((fields) => `socket:[${fields[9] ?? ''}]`),
  );
  if (sockets.size === 0) return undefined;
  for (const id of (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))) {
    const names = await readdir(`/proc/${id}/fd`).catch(() => []);
    for (const name of names) {
      if (!sockets.has(await readlink(`/proc/${id}/fd/${name}`).catch(() => ''))) continue;
      const program = (await readFile(`/proc/${id}/comm`, 'utf8').catch(() => '')).trim();
      return `${program} (process ${id})`;
    }
  }
  return undefined;
}

async function certificate({ tlsCertificate, tlsKey }: Settings): Promise<Answer | string> {
  const why = 'HTTPS cannot be served';
  const next = 'correct tls.certificate and tls.key';
  if (tlsCertificate === '' || tlsKey === '')
    return failed('one of tls.certificate and tls.key is set, and not the other', why, next);
  const certificateFile = path.resolve(tlsCertificate);
  const keyFile = path.resolve(tlsKey);
  for (const file of [certificateFile, keyFile])
    if (!existsSync(file)) return missing(`there is no ${file}`, why, next);
  const chain = new X509Certificate(readFileSync(certificateFile));
  if (!chain.checkPrivateKey(createPrivateKey(readFileSync(keyFile))))
    return failed(`${keyFile} is not the key of ${certificateFile}`, why, next);
  const days = Math.floor((new Date(chain.validTo).getTime() - Date.now()) / dayMs);
  const found = `${chain.subject.replaceAll('\n', ', ')}, until ${chain.validTo}`;
  if (days < 0) return failed(`${found}: it has ended`, 'clients refuse it', 'renew it');
  if (new Date(chain.validFrom).getTime() > Date.now())
    return failed(`${found}, only from ${chain.validFrom} on`, 'clients refuse it yet', 'see that the clock is right');
  if (days < renewalDays)
    return warning(found, `it ends in ${days} days`, 'renew it; the host reads it again by itself');
  if (((await stat(keyFile)).mode & 0o077) !== 0)
    return warning(
      `${keyFile} is open to others`,
      'whoever reads it can pass for this host',
      `run \`chmod 600 ${keyFile}\``,
    );
  return found;
}

async function registry({ registry: wanted, databaseUrl, data }: Settings): Promise<Answer | string> {
  if (!wanted) return 'none is wanted: the applications directory alone says what is loaded';
  if (databaseUrl !== '') return registryServer(databaseUrl);
  const folder = path.join(data, 'registry');
  return existsSync(folder) ? `embedded, in ${folder}` : `embedded, made in ${folder} at the first start`;
}

async function registryServer(url: string): Promise<Answer | string> {
  const why = 'a host begins with the copy it has kept, and hears of no change until the registry is back';
  const database = new ServerDatabase({ url });
  try {
    return await new Promise<Answer | string>((resolve) => {
      const late = setTimeout(
        () =>
          resolve(failed(`${database.place} does not answer`, why, 'see that it runs, and that DATABASE_URL is right')),
        registryMs,
      );
      database.open({
        prepare: async (session) => resolve(await facts(session, database.place)),
        connected: () => clearTimeout(late),
        lost: ({ message }) => {
          clearTimeout(late);
          resolve(
            failed(message, why, 'see that it runs, that DATABASE_URL is right, and that the network lets it through'),
          );
        },
        notified: () => {},
      });
    });
  } finally {
    await database.close();
  }
}

/** Nothing is made or migrated. */
async function facts(session: Session, place: string): Promise<Answer | string> {
  const sent = Date.now();
  const [clock] = await session.query<{ now: Date; version: string }>(
    "SELECT clock_timestamp() AS now, current_setting('server_version') AS version",
  );
  const middle = (sent + Date.now()) / 2;
  const ahead = Math.round((clock?.now.getTime() ?? middle) - middle);
  const name = `${place}, PostgreSQL ${clock?.version ?? ''}`;
  const [there] = await session.query<{ found: boolean }>(
    "SELECT to_regclass('tenon_migrations') IS NOT NULL AS found",
  );
  const known = migrations.length;
  let done = 0;
  if (there?.found === true) {
    const [row] = await session.query<{ last: number | null }>('SELECT max(version) AS last FROM tenon_migrations');
    done = row?.last ?? 0;
  }
  if (done > known)
    return failed(
      `${name}: its tables are of step ${done}, this program knows ${known}`,
      'it was made by a newer Tenon, and is not used by this one',
      'run that release, or a newer one',
    );
  const steps = done === known ? `tables of step ${done}` : `tables of step ${done}, of ${known} after the next start`;
  if (Math.abs(ahead) > clockSlackMs)
    return warning(
      `${name}, ${steps}; its clock is ${ahead} ms from this one`,
      'times that hosts write are compared with those of the database',
      'set the clocks, with chrony or systemd-timesyncd',
    );
  return `${name}, ${steps}, clock ${Math.abs(ahead)} ms from this one`;
}

/** A host that runs with this data directory. */
async function host(data: string): Promise<Answer | string> {
  const url = findHost(data);
  if (url === undefined) return `none runs with ${data}`;
  const written = JSON.parse(readFileSync(path.join(data, 'host.json'), 'utf8')) as { version?: string; pid?: number };
  const shown = url.startsWith('https:') ? findApi(data)?.certificate : undefined;
  const asked = { method: 'GET', headers: {}, signal: AbortSignal.timeout(hostMs), certificate: shown };
  const answer = await exchange(url, '/readyz?verbose', asked)
    .then(async (begun) => ({ status: begun.statusCode, text: await textOf(begun) }))
    .catch((error: Error) => error);
  if (answer instanceof Error)
    return failed(
      `process ${written.pid ?? 0} should serve ${url}, and does not answer`,
      'nothing is served',
      `see its log; end it with \`kill ${written.pid ?? ''}\`, and start it again`,
    );
  if (written.version !== undefined && written.version !== version)
    return warning(
      `${url} runs Tenon ${written.version}, this is ${version}`,
      'commands of one release may not know what the other one answers',
      'start the host again with this release',
    );
  const { plugins = [], degraded } = readinessIn(answer.text);
  if (answer.status === 200) return `${url}, ready${degraded === true ? ', degraded: see `tenon status`' : ''}`;
  const ill = plugins.filter(({ healthy }) => healthy === false).map(({ id }) => id);
  return warning(
    `${url} is not ready${ill.length === 0 ? '' : `: not healthy: ${ill.join(', ')}`}`,
    'whoever shares out requests sends it none',
    'see `tenon status`',
  );
}

interface ToldReadiness {
  plugins?: { id: string; healthy?: boolean }[];
  degraded?: boolean;
}

function readinessIn(text: string): ToldReadiness {
  try {
    return JSON.parse(text) as ToldReadiness;
  } catch {
    return {};
  }
}
