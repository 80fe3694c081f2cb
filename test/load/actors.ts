/** Applications made of test/plugins/actor.c, and what they have written down of what was done to them. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildPlugin } from '../plugins/build.js';
import { isIsolated } from './isolation.js';
import type { World } from './world.js';

const file = path.join(os.tmpdir(), `tenon-journal-${process.pid}`);
/** Where actor.c finds it: a process of its own has another TMPDIR, and of the host's variables a few, these among them. */
const variable = 'LC_TENON_JOURNAL';

/** Lines "id step", in the order in which they were written, since `begin` or the last `take`. */
export const journal = {
  begin(): void {
    process.env[variable] = file;
    writeFileSync(file, '');
  },
  read(): string[] {
    return readFileSync(file, 'utf8').split('\n').slice(0, -1);
  },
  take(): string[] {
    const lines = journal.read();
    writeFileSync(file, '');
    return lines;
  },
  end(): void {
    delete process.env[variable];
    rmSync(file, { force: true });
  },
};

/** Put the application `id` there, or its next build: macros of actor.c, and lines of its config.yaml. */
export async function stage(
  world: World,
  id: string,
  { defines = {}, config = '' }: { defines?: Record<string, string>; config?: string } = {},
): Promise<void> {
  const isolation = isIsolated && existsSync(file) ? `isolation: { writable: [${file}] }\n` : '';
  await world.write(id, 'config.yaml', `app_id: ${id}\n${isolation}${config}\n`);
  await world.publish(id, await buildPlugin('actor', { defines: { PLUGIN_ID: `"${id}"`, ...defines } }));
}
