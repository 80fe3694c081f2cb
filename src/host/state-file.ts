/**
 * What a plugin knew, as a file has it:
 *
 *     tenon-state 1 <SHA-256 of the header>\n
 *     <header: one line of JSON>\n
 *     <bytes of the state><bytes of the values>
 *
 * The header names plugin, build and time, and of each of the two sections that is there its length and SHA-256. So no
 * byte can change unnoticed.
 */
import { createHash } from 'node:crypto';
import { digest, type State } from '../plugin/state.js';

/** What a plugin knew when it was last asked. */
export interface SavedState {
  readonly plugin: string;
  /** ISO 8601. */
  readonly savedAt: string;
  /** What knew it. */
  readonly build: { readonly version: string; readonly sha256: string };
  /** What `save` gave; absent when the build had no state to save. */
  readonly state?: State | undefined;
  /** Its key-value state, as the core exports it. */
  readonly values?: Uint8Array | undefined;
}

/** Why a file is no state to load; also part of the name it is put aside under. */
export type Flaw = 'damaged' | 'unknown' | 'foreign' | 'oversized';

/** A file that cannot be taken. The message is a clause about it: `its header is damaged`. */
export class StateFileError extends Error {
  readonly flaw: Flaw;

  constructor(flaw: Flaw, message: string) {
    super(message);
    this.name = 'StateFileError';
    this.flaw = flaw;
  }
}

/** Upper bound of the key-value state of a plugin as the core exports it: 64 MiB, and the lengths of many small ones. */
export const valuesLimit = 256 * 1024 * 1024;

/** Upper bound of the two lines before the sections, bytes. */
export const headLimit = 64 * 1024;

const format = 1;
const longestFirstLine = 100;
/** A plugin may call its version anything. Characters. */
const longestVersion = 1000;

interface Section {
  length: number;
  sha256: string;
}

interface Header {
  plugin: string;
  savedAt: string;
  build: { version: string; sha256: string };
  state?: Section & { version: number };
  values?: Section;
}

/** The file's bytes, in pieces. */
export async function encodeStateFile(saved: SavedState): Promise<Uint8Array[]> {
  const { plugin, savedAt, build, state, values } = saved;
  const version = build.version.slice(0, longestVersion);
  const header: Header = { plugin, savedAt, build: { version, sha256: build.sha256 } };
  const sections: Uint8Array[] = [];
  if (state !== undefined) {
    header.state = { version: state.version, length: state.bytes.byteLength, sha256: state.sha256 };
    sections.push(state.bytes);
  }
  if (values !== undefined) {
    header.values = { length: values.byteLength, sha256: await digest(values) };
    sections.push(values);
  }
  const line = JSON.stringify(header);
  return [Buffer.from(`tenon-state ${format} ${sha256(line)}\n${line}\n`), ...sections];
}

/**
 * What the bytes of a file say of the plugin `id`. Rejects with `StateFileError` for anything but a whole, undamaged
 * file of this plugin whose state is within `limit` bytes.
 */
export async function decodeStateFile(bytes: Buffer, id: string, limit: number): Promise<SavedState> {
  const firstEnd = bytes.subarray(0, longestFirstLine).indexOf('\n');
  const first = bytes.toString('latin1', 0, Math.max(0, firstEnd));
  const [, number, checksum] = /^tenon-state (\d{1,9})(?: ([0-9a-f]{64})$)?/.exec(first) ?? [];
  if (number === undefined) throw new StateFileError('damaged', 'it does not begin as a saved state does');
  if (Number(number) !== format)
    throw new StateFileError('unknown', `its format is ${number}, and this host knows ${format}`);
  const secondEnd = bytes.subarray(0, headLimit).indexOf('\n', firstEnd + 1);
  const line = bytes.subarray(firstEnd + 1, Math.max(firstEnd + 1, secondEnd));
  if (secondEnd === -1 || sha256(line) !== checksum) throw new StateFileError('damaged', 'its header is damaged');
  const header = readHeader(line.toString());
  if (header.plugin !== id) throw new StateFileError('foreign', `it is the state of ${header.plugin}`);
  if ((header.state?.length ?? 0) > limit)
    throw new StateFileError('oversized', `its state of ${header.state?.length} bytes is over the limit of ${limit}`);

  const body = bytes.subarray(secondEnd + 1);
  const stateBytes = body.subarray(0, header.state?.length ?? 0);
  const valueBytes = body.subarray(stateBytes.byteLength);
  if (body.byteLength !== (header.state?.length ?? 0) + (header.values?.length ?? 0))
    throw new StateFileError('damaged', `${body.byteLength} bytes follow its header, which names another number`);
  await requireDigest('state', stateBytes, header.state);
  await requireDigest('values', valueBytes, header.values);
  const { plugin, savedAt, build, state, values } = header;
  return {
    plugin,
    savedAt,
    build: { version: build.version, sha256: build.sha256 },
    state: state === undefined ? undefined : { version: state.version, bytes: stateBytes, sha256: state.sha256 },
    values: values === undefined ? undefined : valueBytes,
  };
}

async function requireDigest(name: string, bytes: Uint8Array, section: Section | undefined): Promise<void> {
  if (section === undefined || (await digest(bytes)) === section.sha256) return;
  throw new StateFileError('damaged', `the bytes of its ${name} are damaged`);
}

/** Its checksum holds, so only another program can have written something else. */
function readHeader(line: string): Header {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new StateFileError('damaged', 'its header is no JSON');
  }
  const wrong = flawOfHeader(value);
  if (wrong !== undefined) throw new StateFileError('damaged', `its header has no valid \`${wrong}\``);
  return value as Header;
}

/** The first member that is missing or of the wrong kind. */
function flawOfHeader(value: unknown): string | undefined {
  if (!isObject(value)) return 'plugin';
  const { plugin, savedAt, build, state, values } = value;
  if (typeof plugin !== 'string') return 'plugin';
  if (typeof savedAt !== 'string' || Number.isNaN(Date.parse(savedAt))) return 'savedAt';
  if (!isObject(build) || typeof build['version'] !== 'string' || !isDigest(build['sha256'])) return 'build';
  if (state !== undefined && !(isSection(state) && isNumber(state['version'], 2 ** 32 - 1))) return 'state';
  if (values !== undefined && !isSection(values)) return 'values';
  return undefined;
}

function isSection(value: unknown): value is Record<string, unknown> {
  return isObject(value) && isNumber(value['length'], Number.MAX_SAFE_INTEGER) && isDigest(value['sha256']);
}

function isNumber(value: unknown, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;
}

function isDigest(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sha256(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('hex');
}
