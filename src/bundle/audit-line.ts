/** Lines of the audit log: written, read again, chained by their hashes. */
import { createHash } from 'node:crypto';

export interface AuditEntry {
  readonly action:
    | 'install'
    | 'upgrade'
    | 'uninstall'
    | 'refuse'
    | 'trust'
    | 'distrust'
    | 'kill'
    | 'spare'
    | 'grant'
    | 'revoke'
    | 'createToken'
    | 'revokeToken'
    | 'upgradeHost';
  readonly plugin?: string;
  readonly version?: string;
  /** SHA-256 of the manifest, or of what was killed. */
  readonly sha256?: string;
  readonly keyId?: string;
  /** Code of the error of a refusal. */
  readonly code?: string;
  readonly message?: string;
  /** Who asked: `api`, `watch`, `start` …, with the address where there is one. */
  readonly by: string;
}

/** A line of the log. */
export interface AuditLine extends AuditEntry {
  /** Counts from 1. */
  readonly seq: number;
  /** ISO 8601. */
  readonly at: string;
  /** SHA-256 of the line before, without its end; zeros in the first. */
  readonly previous: string;
  /** What was wrong with the log when this line was written. */
  readonly damage?: string;
}

/** What the next line follows. */
export interface AuditHead {
  readonly seq: number;
  /** Of the last line, whatever it is. */
  readonly sha256: string;
  /** Whether the last line has no end. */
  readonly isOpen: boolean;
  readonly damage?: string;
}

/** What the first line follows. */
export const noLine = '0'.repeat(64);

const newline = 0x0a;
const messageLimit = 2000;

export function hashOfLine(line: Uint8Array): string {
  return createHash('sha256').update(line).digest('hex');
}

/** The lines of a file, without their ends; whether the last one has none. */
export function linesIn(bytes: Buffer): { lines: Buffer[]; isCut: boolean } {
  const lines: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, from)) {
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  const isCut = from < bytes.byteLength;
  if (isCut) lines.push(bytes.subarray(from));
  return { lines, isCut };
}

/** Undefined for what is no line of the log. */
export function readLine(line: Buffer): AuditLine | undefined {
  try {
    const value = JSON.parse(line.toString()) as Partial<AuditLine> | null;
    const isLine = Number.isSafeInteger(value?.seq) && typeof value?.previous === 'string';
    return isLine && typeof value.action === 'string' ? (value as AuditLine) : undefined;
  } catch {
    return undefined;
  }
}

/** Where a file that has lines ends. */
export function headOf(bytes: Buffer): AuditHead {
  const { lines, isCut } = linesIn(bytes);
  const last = lines.at(-1);
  if (last === undefined) return { seq: 0, sha256: noLine, isOpen: false };
  const head = { sha256: hashOfLine(last), isOpen: isCut };
  for (const line of lines.toReversed()) {
    const seq = readLine(line)?.seq;
    if (seq !== undefined) return { ...head, seq, ...(line === last ? {} : { damage: 'its last line was cut' }) };
  }
  return { ...head, seq: 0, damage: 'it has no line of the log' };
}

/** The text to add for `entry` behind `head`, and what the next line follows then. */
export function lineOf(
  entry: AuditEntry,
  { seq, sha256, isOpen, damage }: AuditHead,
): { text: string; head: AuditHead } {
  const { action, plugin, version, sha256: subject, keyId, code, message, by } = entry;
  const line: AuditLine = {
    seq: seq + 1,
    at: new Date().toISOString(),
    previous: sha256,
    ...(damage === undefined ? {} : { damage }),
    action,
    ...(plugin === undefined ? {} : { plugin }),
    ...(version === undefined ? {} : { version }),
    ...(subject === undefined ? {} : { sha256: subject }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(code === undefined ? {} : { code }),
    ...(message === undefined ? {} : { message: message.slice(0, messageLimit) }),
    by,
  };
  const text = JSON.stringify(line);
  return {
    text: `${isOpen ? '\n' : ''}${text}\n`,
    head: { seq: line.seq, sha256: hashOfLine(Buffer.from(text)), isOpen: false },
  };
}
