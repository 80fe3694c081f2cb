/** A small signed bundle, and what becomes of it when one byte of it changes. */
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type ArchiveFile, readArchive } from '../../src/bundle/archive.js';
import { bundleOf } from '../../src/bundle/bundle.js';
import type { SecretKey } from '../../src/bundle/secret-key.js';
import { signatureOfBundle, withSignature } from '../../src/bundle/sign.js';
import type { Trust } from '../../src/bundle/trust.js';
import { writeArchive } from '../../src/bundle/write-archive.js';

/** The archive of a bundle of plugin `id`, unsigned; its library is no library. */
export function smallBundle(id: string, version = '1.0.0'): Buffer {
  const digest = (at: number): Buffer => createHash('sha512').update(`${id} ${version} ${at}`).digest();
  const library = Buffer.concat(Array.from({ length: 11 }, (_, at) => digest(at)));
  const path = `prebuilds/linux-x64/${id}.so`;
  const listed = { sha256: createHash('sha256').update(library).digest('hex'), size: library.byteLength };
  const manifest = { id, version, entrypoints: { 'linux-x64': path }, files: { [path]: listed } };
  return writeArchive([
    { path: 'manifest.json', bytes: Buffer.from(JSON.stringify(manifest)) },
    { path, bytes: library },
  ]);
}

export async function signArchive(archive: Buffer, key: SecretKey): Promise<Buffer> {
  const files = await readArchive(archive);
  return writeArchive(withSignature(files, signatureOfBundle(bundleOf(files, 'a bundle'), key)));
}

/** All that a host checks before it looks for a library; the files. */
export async function admit(archive: Buffer, trust: Trust): Promise<ArchiveFile[]> {
  const files = await readArchive(archive);
  const { manifest, manifestBytes: bytes, sha256, signature } = bundleOf(files, 'a bundle');
  await trust.judge(manifest.id, { bytes, sha256, signature }, 'require');
  return files;
}

/** A generator of numbers below `limit`, the same for the same seed. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

export interface Outcomes {
  /** How often it was refused, by code. */
  readonly refused: Map<string, number>;
  /** Positions whose change was accepted, with the same files. */
  readonly same: number[];
  /** Positions whose change was accepted, with other files. */
  readonly other: number[];
}

/** What a byte is changed of: the archive itself, or what gzip has packed, which then has a right checksum again. */
export type Layer = 'archive' | 'unpacked';

/** Change one byte, `count` times, and look whether the archive is still admitted. */
export async function changeBytes(
  archive: Buffer,
  { trust, layer, count, seed }: { trust: Trust; layer: Layer; count: number; seed: number },
): Promise<Outcomes> {
  const files = JSON.stringify(await admit(archive, trust));
  const subject = layer === 'archive' ? archive : gunzipSync(archive);
  const below = random(seed);
  const outcomes: Outcomes = { refused: new Map(), same: [], other: [] };
  for (let round = 0; round < count; round++) {
    const at = below(subject.byteLength);
    const changed = Buffer.from(subject);
    changed.writeUInt8(changed.readUInt8(at) ^ (1 + below(255)), at);
    try {
      const found = JSON.stringify(await admit(layer === 'archive' ? changed : gzipSync(changed), trust));
      (found === files ? outcomes.same : outcomes.other).push(at);
    } catch (error) {
      const code = (error as { code?: string }).code ?? String((error as Error).stack);
      outcomes.refused.set(code, (outcomes.refused.get(code) ?? 0) + 1);
    }
  }
  return outcomes;
}
