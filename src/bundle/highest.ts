/** The highest version of each plugin that was ever installed: what comes later has to be at least that. */
import { satisfies, compare, valid } from 'semver';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { replaceFile } from '../base/replace-file.js';

/** Largest file of versions, bytes. */
const fileLimit = 4 * 1024 * 1024;

/** Whether version `one` comes before `other`. */
export function isBefore(one: string, other: string): boolean {
  return compare(one, other) < 0;
}

/** Whether `version` lies in `range`; a pre-release does where its release would. */
export function isWithin(version: string, range: string): boolean {
  return satisfies(version, range, { includePrerelease: true });
}

export class HighestVersions {
  readonly file: string;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param file absolute path; made, 0600, when first written */
  constructor(file: string) {
    this.file = file;
  }

  /** Undefined for one that was never installed. Rejects with `InstallFailed` for a file that is not as it was written. */
  async of(id: string): Promise<string | undefined> {
    return (await this.#read()).get(id);
  }

  /** `version` was installed: on the disk when this resolves. */
  raise(id: string, version: string): Promise<void> {
    const done = this.#turn.then(async () => {
      const versions = await this.#read();
      const before = versions.get(id);
      if (before !== undefined && !isBefore(before, version)) return;
      const all = [...versions.set(id, version)].sort(([one], [other]) => (one < other ? -1 : 1));
      await replaceFile(this.file, `${JSON.stringify({ versions: Object.fromEntries(all) }, undefined, 2)}\n`, {
        durable: true,
      });
    });
    this.#turn = done.catch(() => {}); // who asked has been told
    return done;
  }

  async #read(): Promise<Map<string, string>> {
    let text: string;
    try {
      text = (await readRegular(this.file, fileLimit)).toString('utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
      throw this.#unusable(error);
    }
    try {
      const { versions } = JSON.parse(text) as { versions: Record<string, unknown> };
      const all = Object.entries(versions).map(([id, version]) => [id, valid(String(version))] as const);
      const wrong = all.find(([, version]) => version === null);
      if (wrong !== undefined) throw new Error(`${wrong[0]} has no version`);
      return new Map(all.map(([id, version]) => [id, String(version)]));
    } catch (error) {
      throw this.#unusable(error);
    }
  }

  #unusable(cause: unknown): TenonError {
    const { message } = cause as Error;
    return new TenonError(
      'InstallFailed',
      `which versions were installed cannot be read from ${this.file}: ${message}`,
      {
        next: 'correct it, or remove it: then older versions than were installed can be installed once',
        details: { file: this.file },
        cause,
      },
    );
  }
}
