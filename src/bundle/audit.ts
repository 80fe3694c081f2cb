/** What was installed, refused, removed, trusted and granted, by whom: one line of JSON each, only ever added to. */
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { syncDirectory } from '../base/replace-file.js';
import {
  type AuditEntry,
  type AuditHead,
  type AuditLine,
  hashOfLine,
  headOf,
  lineOf,
  linesIn,
  noLine,
  readLine,
} from './audit-line.js';

export type { AuditEntry, AuditLine } from './audit-line.js';

/** How much of it is kept. */
export interface AuditLimits {
  /** Bytes of one file; 16 MiB. */
  bytes?: number;
  /** Files that are full; 3. */
  files?: number;
}

/** What was found in it. */
export interface AuditCheck {
  readonly intact: boolean;
  /** Lines in it, and the number of the first and of the last. */
  readonly lines: number;
  readonly first: number;
  readonly last: number;
  /** SHA-256 of the last line: noted elsewhere, it shows later whether lines at the end were cut off. */
  readonly sha256: string;
  /** Lines that were changed, cut or taken out, at most 100. */
  readonly problems: readonly { readonly file: string; readonly line: number; readonly message: string }[];
}

/** Where the log ends. */
interface End extends AuditHead {
  readonly inode: number;
  readonly size: number;
}

const mebibyte = 1024 * 1024;
const problemLimit = 100;
/** That are checked in one turn of the event loop. */
const linesAtOnce = 500;
const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;

/** The audit log of one data directory, in `file` and, older, in `file.1` to `file.3`; each line has the hash of the one before. */
export class Audit {
  readonly file: string;
  readonly #bytes: number;
  readonly #files: number;
  #end: End | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  /** @param file absolute path; made, 0600, when first written */
  constructor(file: string, { bytes = 16 * mebibyte, files = 3 }: AuditLimits = {}) {
    this.file = file;
    this.#bytes = bytes;
    this.#files = files;
  }

  /** Resolves when the line is on the disk. Rejects with `NotRecorded` when it cannot be written: then nothing is to be done that needs it. */
  write(entry: AuditEntry): Promise<void> {
    return this.#alone(() =>
      this.#append(entry).catch((cause: Error) => {
        throw new TenonError('NotRecorded', `${this.file} could not be written: ${cause.message}`, {
          next: 'see that its folder has room and may be written',
          details: { file: this.file },
          cause,
        });
      }),
    );
  }

  /** The last lines, the newest first; what is no line of the log is left out. */
  entries(limit: number): Promise<AuditLine[]> {
    return this.#alone(async () => {
      const found: AuditLine[] = [];
      for (const file of this.#names()) {
        if (found.length >= limit) break;
        for (const line of linesIn(await this.#read(file)).lines.toReversed()) {
          const value = found.length < limit ? readLine(line) : undefined;
          if (value !== undefined) found.push(value);
        }
      }
      return found;
    });
  }

  /** Whether every line is as it was written. */
  check(): Promise<AuditCheck> {
    return this.#alone(async () => {
      const check = new Check();
      for (const [at, file] of this.#names().toReversed().entries()) {
        const { lines, isCut } = linesIn(await this.#read(file));
        for (const [index, line] of lines.entries()) {
          check.line(path.basename(file), index + 1, line, at === 0);
          if (index % linesAtOnce === 0) await turn();
        }
        if (isCut) check.tell(path.basename(file), lines.length, 'is cut: it has no end');
      }
      return check.result();
    });
  }

  #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => {}); // told to whoever asked for it
    return done;
  }

  #name(age: number): string {
    return age === 0 ? this.file : `${this.file}.${age}`;
  }

  /** The newest first. */
  #names(): string[] {
    return Array.from({ length: this.#files + 1 }, (_, age) => this.#name(age));
  }

  async #read(file: string): Promise<Buffer> {
    try {
      return await readRegular(file, this.#bytes * 2);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    }
  }

  async #append(entry: AuditEntry): Promise<void> {
    let handle = await this.#open();
    try {
      let { size, ino } = await handle.stat();
      const end = await this.#endOf(ino, size);
      let { text, head } = lineOf(entry, end);
      if (size > 0 && size + Buffer.byteLength(text) > this.#bytes) {
        await handle.close();
        await this.#rotate();
        handle = await this.#open();
        ({ size, ino } = await handle.stat());
        ({ text, head } = lineOf(entry, { ...end, isOpen: false }));
      }
      this.#end = undefined;
      try {
        await handle.writeFile(text);
        await handle.sync();
        if (size === 0) await syncDirectory(path.dirname(this.file));
      } catch (error) {
        await handle.truncate(size).catch(() => {}); // the next line says what was left
        throw error;
      }
      this.#end = { ...head, inode: ino, size: size + Buffer.byteLength(text) };
    } finally {
      await handle.close();
    }
  }

  async #open(): Promise<FileHandle> {
    const handle = await open(this.file, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    throw new Error('it is not a regular file');
  }

  /** Where the log ends; what this process has written itself is not taken from the file. */
  async #endOf(inode: number, size: number): Promise<AuditHead> {
    const own = this.#end;
    if (own?.inode === inode && own.size === size) return own;
    if (own !== undefined) {
      const { isOpen } = headOf(await this.#read(this.file));
      return { ...own, isOpen, damage: 'the file is not what this host has left' };
    }
    for (const file of this.#names()) {
      const bytes = await this.#read(file);
      if (bytes.byteLength > 0) return headOf(bytes);
    }
    return headOf(Buffer.alloc(0));
  }

  async #rotate(): Promise<void> {
    await rm(this.#name(this.#files), { force: true });
    for (let age = this.#files - 1; age >= 0; age--)
      await rename(this.#name(age), this.#name(age + 1)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
  }
}

/** One look at all lines, the oldest first. */
class Check {
  readonly #problems: { file: string; line: number; message: string }[] = [];
  #lines = 0;
  #first = 0;
  #last = 0;
  #sha256 = noLine;

  tell(file: string, line: number, message: string): void {
    if (this.#problems.length < problemLimit) this.#problems.push({ file, line, message });
  }

  /** @param mayBegin whether lines before it may have gone because there were too many */
  line(file: string, number: number, bytes: Buffer, mayBegin: boolean): void {
    const value = readLine(bytes);
    const begins = this.#lines === 0 && mayBegin;
    if (value === undefined) this.tell(file, number, 'is no line of the log');
    else {
      const { seq, previous, damage } = value;
      if (!begins && seq !== this.#last + 1)
        this.tell(file, number, `has the number ${seq}, the one before it ${this.#last}`);
      else if (!begins && previous !== this.#sha256)
        this.tell(file, number, 'does not follow the line before it, which was changed');
      if (damage !== undefined) this.tell(file, number, `was written where the log was damaged: ${damage}`);
      if (this.#first === 0) this.#first = seq;
      this.#last = seq;
    }
    this.#sha256 = hashOfLine(bytes);
    this.#lines++;
  }

  result(): AuditCheck {
    const { length } = this.#problems;
    return {
      intact: length === 0,
      lines: this.#lines,
      first: this.#first,
      last: this.#last,
      sha256: this.#sha256,
      problems: this.#problems,
    };
  }
}
