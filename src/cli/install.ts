/** `tenon install`: a bundle, from a file, a URL or a folder, into a running host. */
import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { resolveSettings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { manifestFile, signatureFile } from '../bundle/manifest.js';
import { bundleInFolder } from '../bundle/sign.js';
import { writeArchive } from '../bundle/write-archive.js';
import type { Installed } from '../host/installing.js';
import { type AskFlags, Client } from './client.js';
import { printable } from './printable.js';

export interface InstallFlags extends AskFlags {
  /** Permissions to grant. */
  grant?: string[];
  grantAll?: true;
  dryRun?: true;
  allowDowngrade?: true;
  /** SHA-256 that the archive must have. */
  sha256?: string;
}

const fetchMs = 300_000;

export async function install(source: string, flags: InstallFlags): Promise<void> {
  if (flags.sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(flags.sha256))
    throw new TypeError(
      `option sha256: ${JSON.stringify(flags.sha256)} is no SHA-256, which has 64 hexadecimal digits`,
    );
  const client = Client.find(flags);
  const archive = await readSource(source, resolveSettings().settings.bundleLimit);
  if (flags.sha256 !== undefined) check(source, archive, flags.sha256);
  const query = new URLSearchParams();
  if (flags.dryRun === true) query.set('dryRun', 'true');
  if (flags.allowDowngrade === true) query.set('allowDowngrade', 'true');
  for (const line of flags.grant ?? []) query.append('grant', line);
  if (flags.grantAll === true) query.append('grant', 'all');
  const words = query.toString();
  const done = await client.upload<Installed>(`/api/v1/plugins/install${words === '' ? '' : `?${words}`}`, archive);
  if (flags.json === true) process.stdout.write(`${JSON.stringify(done)}\n`);
  else tell(done);
}

async function readSource(source: string, limit: number): Promise<Buffer> {
  if (/^https?:\/\//.test(source)) return download(source, limit);
  const facts = await lstat(source).catch(() => undefined);
  if (facts?.isDirectory() === true) return archiveOf(path.resolve(source), limit);
  try {
    return await readRegular(source, limit);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EFBIG') throw tooLarge(source, limit);
    const why = code === 'ENOENT' ? 'is not there' : `cannot be read: ${message}`;
    throw new TypeError(`${source} ${why}`, { cause });
  }
}

async function download(source: string, limit: number): Promise<Buffer> {
  if (!URL.canParse(source)) throw new TypeError(`bundle: ${JSON.stringify(source)} is no URL`);
  const failed = (why: string, next: string, cause?: unknown): TenonError =>
    new TenonError('BundleNotFetched', `${source} ${why}`, { next, details: { url: source }, cause });
  const answer = await fetch(source, { signal: AbortSignal.timeout(fetchMs) }).catch((error: Error) => {
    const reason = (error.cause as Error | undefined)?.message ?? error.message;
    throw failed(`cannot be reached: ${reason}`, 'check the address, or get the file by other means', error);
  });
  if (!answer.ok || answer.body === null)
    throw failed(`is not to be had: its server answers ${answer.status}`, 'check the address');
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > limit) throw tooLarge(source, limit);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof TenonError) throw error;
    throw failed(`broke off: ${(error as Error).message}`, 'try it again', error);
  }
  return Buffer.concat(chunks);
}

/** What the manifest of a folder lists, as an archive. */
async function archiveOf(folder: string, limit: number): Promise<Buffer> {
  const { manifestBytes, signature, files } = await bundleInFolder(folder, limit);
  return writeArchive([
    { path: manifestFile, bytes: manifestBytes },
    ...(signature === undefined ? [] : [{ path: signatureFile, bytes: signature }]),
    ...[...files].map(([file, bytes]) => ({ path: file, bytes })),
  ]);
}

function check(source: string, archive: Buffer, wanted: string): void {
  const found = createHash('sha256').update(archive).digest('hex');
  if (found !== wanted.toLowerCase())
    throw new TenonError('BundleDamaged', `${source} has SHA-256 ${found}, not ${wanted}`, {
      next: 'get it again, or correct --sha256',
      details: { path: source, sha256: found, wanted },
    });
}

function tooLarge(source: string, limit: number): TenonError {
  return new TenonError('ArchiveTooLarge', `${source} is larger than ${limit} bytes`, {
    next: 'raise limits.bundle',
    details: { limit, rule: 'bytes' },
  });
}

const came: Record<Installed['status'], string> = {
  installed: 'installed',
  upgraded: 'upgraded',
  unchanged: 'unchanged, it is installed already',
  valid: 'valid, nothing was changed',
};

function tell({ status, plugin, from, library, signer, permissions, warnings }: Installed): void {
  const { id, version, generation } = plugin;
  const was = from === undefined ? '' : ` (was ${from})`;
  const running = generation === undefined ? '' : `, generation ${generation}`;
  process.stdout.write(`${id} ${version}: ${came[status]}${was}${running}\n`);
  const lines = [
    library === 'sources' ? 'built here from its sources' : `library for ${library}`,
    signer === undefined ? 'not signed by a key that is trusted' : `signed by ${signer.name} (${signer.keyId})`,
    ...warnings,
    ...(permissions.granted.length === 0 ? [] : [`granted: ${permissions.granted.join(', ')}`]),
    ...permissions.missing.map((line) => `not granted: ${line}; to grant it: tenon permissions ${id} --grant ${line}`),
  ];
  for (const line of lines) process.stderr.write(`${id}: ${printable(line)}\n`);
}
