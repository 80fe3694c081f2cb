/** The copy on disk of what the registry was last known to say: for a start without it. */
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { readRegular } from '../base/regular.js';
import { replaceFile } from '../base/replace-file.js';
import { checkedPlugin, isFields } from './checked-row.js';
import type { DesiredPlugin } from './rows.js';

const format = 1;
const mostBytes = 64 * 1024 * 1024;
const debounceMs = 200;

/** What a copy holds. */
export interface Copied {
  /** Which registry it is of; undefined: it is not known. */
  readonly registry: string | undefined;
  readonly plugins: readonly DesiredPlugin[];
}

const nothing: Copied = { registry: undefined, plugins: [] };

/** Its writes follow each other; what changes meanwhile is written once. Nothing here rejects: the log tells. */
export class RegistryCopy {
  readonly #file: string;
  readonly #log: Log;
  #wanted: (() => string) | undefined;
  #written: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: string, log: Log) {
    this.#file = file;
    this.#log = log;
  }

  /** Nothing when there is no copy, or one that is damaged; a plugin that is is left out. */
  async read(): Promise<Copied> {
    try {
      const bytes = await readRegular(this.#file, mostBytes);
      const copy: unknown = JSON.parse(bytes.toString('utf8'));
      if (!isFields(copy) || copy['format'] !== format || !Array.isArray(copy['plugins']))
        throw new Error('it is no copy of a registry');
      const registry = typeof copy['registry'] === 'string' ? copy['registry'] : undefined;
      return { registry, plugins: copy['plugins'].flatMap((row: unknown) => this.#checked(row)) };
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return nothing;
      this.#log.warn({ path: this.#file, err: error }, 'the copy of the registry cannot be read, and is not used');
      return nothing;
    }
  }

  /** Written within a moment, unless it is what the file has. */
  save(registry: string | undefined, plugins: ReadonlyMap<string, DesiredPlugin>): void {
    this.#wanted = () => JSON.stringify({ format, registry, plugins: [...plugins.values()] });
    this.#timer ??= setTimeout(() => void this.flush(), debounceMs);
  }

  /** Resolves when what was to be saved is, or the log says why not. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    try {
      const text = wanted?.();
      if (text === undefined || text === this.#written) return;
      if (Buffer.byteLength(text) > mostBytes) throw new Error(`it would have more than ${mostBytes} bytes`);
      await replaceFile(this.#file, text, { durable: true });
      this.#written = text;
    } catch (error) {
      this.#log.warn({ path: this.#file, err: error }, 'the copy of the registry cannot be written');
    }
  }

  #checked(row: unknown): DesiredPlugin[] {
    try {
      return [checkedPlugin(row)];
    } catch (error) {
      if (!(error instanceof TenonError)) throw error;
      this.#log.warn({ path: this.#file }, `${error.message}; the copy on disk says so, and it is left out`);
      return [];
    }
  }
}
