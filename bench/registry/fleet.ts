import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { buildPlugin } from '../../test/plugins/build.js';

const token = 'a-token-of-the-bench';

/** What a host shows of a plugin. */
export interface Shown {
  status: number;
  state?: string;
  version?: string;
  generation?: number;
}

/** Hosts on one registry, each a process with directories of its own, that serve the plugin `steered` and have kept 1.0.0 of it. */
export class Fleet {
  readonly #children: ChildProcess[] = [];
  readonly #urls: string[] = [];

  static async start(folder: string, databaseUrl: string, count: number): Promise<Fleet> {
    const fleet = new Fleet();
    const [first, second] = [await library('1.0.0'), await library('2.0.0')];
    for (let at = 0; at < count; at++) {
      const applications = path.join(folder, String(at), 'applications');
      const home = path.join(applications, 'steered');
      await mkdir(home, { recursive: true });
      await writeFile(path.join(home, 'config.yaml'), 'app_id: steered\n');
      await copyFile(first, path.join(home, 'steered.so'));
      const data = path.join(folder, String(at), 'data');
      const options = { port: 0, data, applications, hotReload: false, registry: true, databaseUrl, adminToken: token };
      const words = [JSON.stringify(options)];
      const child = fork(path.join(import.meta.dirname, 'host.ts'), words, {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      fleet.#children.push(child);
      const [url] = (await once(child, 'message')) as [string];
      fleet.#urls.push(url);
      const fresh = path.join(folder, `fresh-${at}`);
      await copyFile(second, fresh);
      await rename(fresh, path.join(home, 'steered.so'));
      await fleet.#ask(url, 'POST', '/api/v1/plugins/steered/reload');
    }
    return fleet;
  }

  /** Resolves when `holds` does of what each of them serves. */
  async serves(holds: (body: string | undefined) => boolean): Promise<void> {
    await this.#each(async (url) => {
      const { status, body } = await this.#ask(url, 'GET', '/steered/state');
      return holds(status === 200 ? body : undefined);
    });
  }

  /** Resolves when `holds` does of what each of them shows. */
  async shows(holds: (shown: Shown) => boolean): Promise<void> {
    await this.#each(async (url) => holds(await this.#shown(url)));
  }

  /** Greatest generation of the plugin that one of them has. */
  async generation(): Promise<number> {
    const all = await Promise.all(this.#urls.map((url) => this.#shown(url)));
    return Math.max(0, ...all.map(({ generation = 0 }) => generation));
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    }
  }

  async #shown(url: string): Promise<Shown> {
    const { status, body } = await this.#ask(url, 'GET', '/api/v1/plugins/steered');
    return status === 200 ? { ...(JSON.parse(body) as Omit<Shown, 'status'>), status } : { status };
  }

  async #each(holds: (url: string) => Promise<boolean>): Promise<void> {
    await Promise.all(
      this.#urls.map(async (url) => {
        while (!(await holds(url))) await sleep(1);
      }),
    );
  }

  async #ask(url: string, method: string, target: string): Promise<{ status: number; body: string }> {
    const answer = await fetch(url + target, { method, headers: { authorization: `Bearer ${token}` } });
    return { status: answer.status, body: await answer.text() };
  }
}

/** Resolves when all `count` hosts have told the registry that they have come to what it says of the plugin. */
export async function told(client: Client, count: number): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ come: string }>(
      `SELECT count(*) AS come FROM hosts LEFT JOIN plugins ON plugins.name = 'steered' WHERE
         CASE WHEN plugins.name IS NULL THEN NOT hosts.plugins ? 'steered'
         ELSE (hosts.plugins -> 'steered' ->> 'revision')::bigint >= plugins.revision END`,
    );
    if (Number(rows[0]?.come) === count) return;
    await sleep(2);
  }
}

function library(version: string): Promise<string> {
  return buildPlugin('steered', { defines: { VERSION: `"${version}"` } });
}
