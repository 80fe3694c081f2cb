import { execFile } from 'node:child_process';
import { appendFile, copyFile, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from './architecture/tree.js';

const binding = {
  targets: [
    { target_name: 'tenon', sources: ['native/addon.cc'] },
    { target_name: 'tenon-runner', type: 'executable', sources: ['native/runner.cc'] },
  ],
};
let clone = '';

/** A clone whose native parts are next to nothing. */
beforeAll(async () => {
  clone = await mkdtemp(path.join(tmpdir(), 'tenon-clone-'));
  await mkdir(path.join(clone, 'native'));
  await mkdir(path.join(clone, 'scripts'));
  for (const script of ['build-native.mjs', 'native-sources.mjs', 'native-target.mjs'])
    await copyFile(path.join(root, 'scripts', script), path.join(clone, 'scripts', script));
  await symlink(path.join(root, 'node_modules'), path.join(clone, 'node_modules'));
  await writeFile(path.join(clone, 'package.json'), '{"type":"module"}');
  await writeFile(path.join(clone, 'binding.gyp'), JSON.stringify(binding));
  await writeFile(
    path.join(clone, 'native', 'addon.cc'),
    '#include <node_api.h>\nNAPI_MODULE_INIT() { return exports; }\n',
  );
  await writeFile(path.join(clone, 'native', 'runner.cc'), 'int main() { return 0; }\n');
});
afterAll(() => rm(clone, { recursive: true, force: true }));

interface Build {
  code: number;
  output: string;
}

async function build(variables: NodeJS.ProcessEnv = {}): Promise<Build> {
  const script = path.join(clone, 'scripts', 'build-native.mjs');
  const env = { ...process.env, ...variables };
  // a folder that is not the clone: where it is started from must not matter
  return promisify(execFile)(process.execPath, [script], { cwd: tmpdir(), env }).then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      output: error.stdout + error.stderr,
    }),
  );
}

function built(): Promise<number[]> {
  const release = path.join(clone, 'build', 'Release');
  return Promise.all(
    ['tenon.node', 'tenon-runner'].map(async (file) => (await stat(path.join(release, file))).mtimeMs),
  );
}

test('a missing compiler is named, with what to install', async () => {
  const { code, output } = await build({ PATH: clone, CXX: '', PYTHON: '' });
  expect(code).toBe(1);
  expect(output).toMatch(
    /a C\+\+ compiler, make, Python 3 needed.*(?:apt-get install g\+\+ make python3|xcode-select)/,
  );
});

test('builds once, two at a time do it once, and again after a change', async () => {
  const both = await Promise.all([build(), build()]);
  expect(both.map(({ code, output }) => (code === 0 ? '' : output))).toEqual(['', '']);
  expect(both.filter(({ output }) => output.includes('built in'))).toHaveLength(1);
  expect(both.filter(({ output }) => output.includes('being built, the first time for a minute'))).toHaveLength(1);
  const first = await built();

  expect(await build()).toEqual({ code: 0, output: 'native parts: up to date\n' });
  expect(await built()).toEqual(first);

  await appendFile(path.join(clone, 'native', 'runner.cc'), '// changed\n');
  expect((await build()).output).toContain('built in');
  expect(await build()).toEqual({ code: 0, output: 'native parts: up to date\n' });
});

test('a compile error fails, shows the error, and does not count as built', async () => {
  await appendFile(path.join(clone, 'native', 'runner.cc'), 'int main() { return missing; }\n');
  for (const attempt of [await build(), await build()]) {
    expect(attempt.code).toBe(1);
    expect(attempt.output).toMatch(/runner\.cc:\d+:\d+: error/);
  }
});
