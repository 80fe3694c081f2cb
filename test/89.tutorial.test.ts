import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { root } from './architecture/tree.js';
import { until, World } from './load/world.js';

/** What a reader does, in order: write a file of an application, or run commands, which print something. */
type Step = { application: string; file: string; text: string } | { commands: string[]; output: string };

function stepsOf(page: string): Step[] {
  const blocks = page.matchAll(
    /^```\w+\n((?:\/\/|#) applications\/([\w-]+)\/(\S+)\n[\s\S]*?)^```$|^```sh\n([\s\S]*?)^```\n\n((?: {4}.*\n)*)/gm,
  );
  return [...blocks].map(([, text = '', application = '', file = '', commands = '', output = '']) =>
    file === ''
      ? { commands: commands.trim().split('\n'), output: output.replaceAll(/^ {4}/gm, '') }
      : { application, file, text },
  );
}

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

async function run(command: string): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-c', command.replaceAll('http://localhost:8080', world.url)]);
  return stdout;
}

test('docs/tutorial-metrics.md: its files are built, and its commands print what it says', async () => {
  const page = await readFile(path.join(root, 'docs', 'tutorial-metrics.md'), 'utf8');
  const steps = stepsOf(page.replaceAll('localhost:8080', 'http://localhost:8080'));
  expect(steps.filter((step) => 'file' in step)).toHaveLength(7);
  expect(steps.filter((step) => 'commands' in step)).toHaveLength(4);
  await world.start();
  let written = new Set<string>();
  for (const step of steps) {
    if ('file' in step) {
      await world.write(step.application, step.file, step.text);
      written.add(step.application);
      continue;
    }
    await world.host.discover();
    for (const id of written) await world.host.reload(id);
    written = new Set();
    const last = step.commands.pop() ?? '';
    let printed = '';
    for (const command of step.commands) printed += await run(command);
    let answer = await run(last);
    // The host tells of requests a moment after they were answered.
    const counted = async (): Promise<boolean> => {
      answer = await run(last);
      return printed + answer.trimEnd() === step.output.trimEnd();
    };
    if (last.includes('/Metric')) await until('all are counted', counted);
    expect(printed + answer.trimEnd()).toBe(step.output.trimEnd());
  }
  expect(world.log.some(({ plugin, msg }) => plugin === 'request-metrics' && msg === 'Extension loaded')).toBe(true);
  expect(world.host.plugin('shop').generation).toBe(1);
}, 300_000);
