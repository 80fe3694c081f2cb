import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { until } from './load/world.js';

const dist = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'dist');
const core = JSON.stringify(pathToFileURL(path.join(dist, 'binding', 'core.js')).href);

const begun: number[] = [];
afterEach(() => {
  for (const pid of begun.splice(0)) if (isThere(pid)) process.kill(pid, 'SIGKILL');
});

/** One that has ended and that nobody has asked about yet is gone. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\S+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch (error) {
    return process.platform !== 'linux' && (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** A host of a black box, whose event loop then does `rest`. */
function host(rest: string): string {
  return `
    import { loadCore } from ${core};
    const core = loadCore();
    core.openBlackBox({ descriptor: core.createBlackBox(), orphanMs: 300 });
    core.beat();
    process.stdout.write(process.pid + '\\n', () => { ${rest} });`;
}

/** A parent of one such process, and that one. */
async function family(rest: string): Promise<{ parent: number; child: number }> {
  const program = `
    import { spawn } from 'node:child_process';
    spawn(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(host(rest))}], { stdio: ['ignore', 'inherit', 'inherit'] });
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (parent.pid === undefined) throw new Error('it could not be started');
  begun.push(parent.pid);
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
  const child = Number(line);
  if (!(child > 1)) throw new Error(`it said ${line}`);
  begun.push(child);
  return { parent: parent.pid, child };
}

test('a host that hangs and whose parent is gone ends itself; one whose event loop turns does not', async () => {
  const [hangs, turns] = await Promise.all([family('for (;;);'), family('setInterval(() => core.beat(), 20);')]);
  for (const { parent } of [hangs, turns]) process.kill(parent, 'SIGKILL');
  await until('the one that hangs is gone', () => !isThere(hangs.child));
  expect(isThere(turns.child)).toBe(true);
});

test('one that hangs goes on as long as its parent is there to end it', async () => {
  const [alone, kept] = await Promise.all([family('for (;;);'), family('for (;;);')]);
  process.kill(alone.parent, 'SIGKILL');
  await until('the one without a parent is gone', () => !isThere(alone.child));
  expect(isThere(kept.child)).toBe(true);
});
