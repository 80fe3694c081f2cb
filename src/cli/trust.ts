/** `tenon trust` and `tenon audit`: who may sign what, what was killed, and who decided it, on a running host. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { readRegular } from '../base/regular.js';
import { resolveSettings } from '../base/config.js';
import { readArchive } from '../bundle/archive.js';
import type { AuditCheck, AuditLine } from '../bundle/audit.js';
import { bundleOf } from '../bundle/bundle.js';
import type { Killed, TrustedKey, TrustList } from '../bundle/trust.js';
import { type AskFlags, Client } from './client.js';
import { printable } from './printable.js';
import { givenPublicKey } from './public-key.js';
import { printTable } from './table.js';

const keys = '/api/v1/trust/keys';
const killed = '/api/v1/trust/killed';

function print(answer: unknown): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

export async function listTrust(flags: AskFlags): Promise<void> {
  const answer = await Client.find(flags).get<TrustList & { file: string }>('/api/v1/trust');
  if (flags.json === true) {
    print(answer);
    return;
  }
  const trusted = answer.keys.map(({ keyId, name, plugins }) => [keyId, plugins.join(','), printable(name)]);
  printTable([['KEY', 'PLUGINS', 'NAME'], ...trusted]);
  if (answer.killed.length === 0) return;
  process.stdout.write('\n');
  printTable([['KILLED', 'REASON'], ...answer.killed.map(({ sha256, reason }) => [sha256, printable(reason)])]);
}

export interface TrustFlags extends AskFlags {
  /** Ids and patterns, commas between them. */
  plugins?: string;
  name?: string;
}

/** `given` is a public key, or the file of one. */
export async function trustKey(given: string, { plugins, name, ...flags }: TrustFlags): Promise<void> {
  const patterns = plugins?.match(/[^ ,]+/g) ?? [];
  if (patterns.length === 0)
    throw new TypeError('option plugins: say which plugins the key may sign, as `--plugins shop,acme-*`; `*`: all');
  const { text: key } = givenPublicKey(given);
  const answer = await Client.find(flags).post<{ key: TrustedKey }>(keys, { key, name: name ?? '', plugins: patterns });
  if (flags.json === true) print(answer);
  else process.stdout.write(`${answer.key.keyId}: trusted with ${answer.key.plugins.join(', ')}\n`);
}

export async function distrustKey(keyId: string, flags: AskFlags): Promise<void> {
  const target = `${keys}/${encodeURIComponent(keyId.toUpperCase())}`;
  const { answer } = await Client.find(flags).tagged<{ keyId: string }>('DELETE', target);
  if (flags.json === true) print(answer);
  else process.stdout.write(`${answer.keyId}: not trusted any more\n`);
}

/** `given` is a hash, a library, a manifest or an archive. */
export async function kill(given: string, { reason, ...flags }: AskFlags & { reason?: string }): Promise<void> {
  const sha256 = await hashOf(given);
  const answer = await Client.find(flags).post<{ killed: Killed }>(killed, { sha256, reason: reason ?? '' });
  if (flags.json === true) print(answer);
  else {
    process.stdout.write(`${sha256}: killed\n`);
    process.stderr.write(
      'what runs of it is stopped; it is never loaded again unless `tenon trust spare` takes it back\n',
    );
  }
}

export async function spare(given: string, flags: AskFlags): Promise<void> {
  const { answer } = await Client.find(flags).tagged<{ sha256: string }>('DELETE', `${killed}/${await hashOf(given)}`);
  if (flags.json === true) print(answer);
  else {
    process.stdout.write(`${answer.sha256}: may be loaded again\n`);
    process.stderr.write('nothing is started by that: a plugin that was stopped comes back with `tenon load`\n');
  }
}

const gzipMark = Buffer.from([0x1f, 0x8b]);

/** The hash that stands for it: of an archive, that of its manifest. */
async function hashOf(given: string): Promise<string> {
  if (/^[0-9a-f]{64}$/i.test(given)) return given.toLowerCase();
  const limit = resolveSettings().settings.bundleLimit;
  const bytes = await readRegular(path.resolve(given), limit).catch((error: Error) => {
    throw new TypeError(`${JSON.stringify(given)} is neither a SHA-256 nor a file: ${error.message}`, { cause: error });
  });
  if (bytes.subarray(0, 2).equals(gzipMark)) return bundleOf(await readArchive(bytes, { bytes: limit }), given).sha256;
  return createHash('sha256').update(bytes).digest('hex');
}

/** The last lines, or with `check` whether all of them are as they were written: then the exit status says so, too. */
export async function audit(flags: AskFlags & { limit?: string; check?: true }): Promise<void> {
  if (flags.check === true) return checkAudit(flags);
  const query = flags.limit === undefined ? '' : `?${new URLSearchParams({ limit: flags.limit }).toString()}`;
  const answer = await Client.find(flags).get<{ entries: AuditLine[] }>(`/api/v1/audit${query}`);
  if (flags.json === true) {
    print(answer);
    return;
  }
  const rows = answer.entries.map(({ at, action, plugin, version, keyId, sha256, code, message, by }) => [
    at,
    action,
    plugin === undefined ? '-' : `${plugin} ${version ?? ''}`.trimEnd(),
    keyId ?? sha256?.slice(0, 12) ?? '-',
    by,
    [code, message].filter((word) => word !== undefined && word !== '').join(': '),
  ]);
  printTable([['AT', 'ACTION', 'PLUGIN', 'OF', 'BY', ''], ...rows.map((row) => row.map(printable))]);
}

async function checkAudit(flags: AskFlags): Promise<void> {
  const check = await Client.find(flags).get<AuditCheck>('/api/v1/audit/check');
  const { intact, lines, first, last, sha256, problems } = check;
  if (flags.json === true) print(check);
  else {
    process.stdout.write(`${lines} lines, ${first} to ${last}; the last one has the hash ${sha256}\n`);
    for (const { file, line, message } of problems) process.stderr.write(`${file}:${line}: ${message}\n`);
  }
  if (!intact) process.exitCode = 1;
}
