/** Builds that hosts with one data directory, one after the other, have found to be good. */
import { readFile, rm } from 'node:fs/promises';
import { replaceFile } from '../base/replace-file.js';
import { trialSession } from '../plugin/trial-session.js';

const most = 1024;
const mostBytes = 1024 * 1024;
const hash = /^[0-9a-f]{64}$/;

/** Kept in a file, as the next host is another process. A file that says nothing costs that they are found so again. */
export class TriedBuilds {
  readonly #file: string;
  readonly #session: string | undefined;
  #known: Promise<Set<string>> | undefined;

  /**
   * @param file absolute path; its folder is there by the time of the first `add`
   * @param session for which that holds: as long as one process runs the hosts; undefined: it is not kept
   */
  constructor(file: string, session: string | undefined = trialSession()) {
    this.#file = file;
    this.#session = session;
  }

  /** Whether the build with this hash was added in this session. */
  async has(sha256: string): Promise<boolean> {
    return (await this.#read()).has(sha256);
  }

  /** It is good. Rejects with what the system says; it is known here all the same. */
  async add(sha256: string): Promise<void> {
    const known = await this.#read();
    if (this.#session === undefined || known.has(sha256)) return;
    known.add(sha256);
    const builds = [...known].slice(-most);
    await replaceFile(this.#file, JSON.stringify({ session: this.#session, builds }), { shared: true });
  }

  /** Nothing is known of these any more. Rejects with what the system says. */
  async remove(builds: readonly string[]): Promise<void> {
    const known = await this.#read();
    if (this.#session === undefined || builds.filter((build) => known.delete(build)).length === 0) return;
    if (known.size === 0) await rm(this.#file, { force: true });
    else
      await replaceFile(this.#file, JSON.stringify({ session: this.#session, builds: [...known] }), { shared: true });
  }

  #read(): Promise<Set<string>> {
    this.#known ??= this.#load();
    return this.#known;
  }

  async #load(): Promise<Set<string>> {
    try {
      const text = await readFile(this.#file, 'utf8');
      const { session, builds } = JSON.parse(text) as Record<string, unknown>;
      const valid = text.length < mostBytes && this.#session !== undefined && session === this.#session;
      return new Set(valid && Array.isArray(builds) ? builds.filter((build) => hash.test(String(build))) : []);
    } catch {
      return new Set();
    }
  }
}
