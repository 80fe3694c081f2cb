import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Command, token } from './load/command.js';
import { type Said, tenon } from './load/tenon.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const execute = promisify(execFile);
const program = path.resolve(import.meta.dirname, '..', 'dist', 'cli', 'tenon.js');

let world: World;
let bin: string;

beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.start();
  bin = path.join(world.directory, 'bin');
  await mkdir(bin);
  await writeFile(path.join(bin, 'tenon'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
  await chmod(path.join(bin, 'tenon'), 0o755);
  await mkdir(path.join(world.directory, 'somewhere'));
  await writeFile(path.join(world.directory, 'some bundle.tgz'), '');
});
afterAll(() => world.close());

/** What `shell` prints for `script`, run where the files are. */
async function run(shell: string, words: string[], script: string): Promise<string> {
  const { stdout } = await execute(shell, [...words, script], {
    cwd: world.directory,
    env: {
      PATH: `${bin}:${process.env['PATH'] ?? ''}`,
      HOME: world.directory,
      TENON_ADMIN_TOKEN: token,
      TENON_DATA: world.data,
      TERM: 'dumb',
    },
    timeout: 30_000,
  });
  return stdout;
}

function words(...line: string[]): Promise<Said> {
  return tenon(world.directory, 'completion', 'words', '--', ...line);
}

async function names(...line: string[]): Promise<string[]> {
  const { out } = await words(...line);
  return out
    .split('\n')
    .filter((each) => each !== '')
    .map((each) => each.replace(/\t.*$/, ''));
}

describe('tenon completion', () => {
  test('knows commands, those below them, options, and values that are named', async () => {
    expect(await names('hot-r')).toEqual(['hot-reload']);
    expect(await names('hot-reload', 'en')).toEqual(['enable']);
    expect(await names('rollback', '--t')).toEqual(['--token', '--to']);
    expect(await names('new', 'shop', '--template', 'c')).toEqual(['c', 'cpp']);
    expect(await names('config', 'service', '')).toEqual(['get', 'set', 'unset', 'history']);
    expect(await names('list', '')).toContain('--json');
    expect(await names('install', '')).toEqual([':files']);
    expect(await names('start', '--data', '')).toEqual([':folders']);
    expect(await names('unknown', 'x', '')).toEqual([]);
  });

  test('knows what may be done with settings, logs and tokens', async () => {
    expect(await names('settings', '')).toEqual(['reload']);
    expect(await names('config', 'x', 'h')).toEqual(['history']);
    expect(await names('logs', '--data', 'state', '')).toEqual(['level', 'service']);
    expect(await names('logs', '--level', 'w')).toEqual(['warn']);
    expect(await names('logs', 'level', 'service', 'd')).toEqual(['debug', 'default']);
    expect(await names('token', 'create', 'ci', '--scope', 'r')).toEqual(['read']);
  });

  test('asks the host of the line for ids of plugins, and is silent when none answers', async () => {
    expect(await names('reload', '--data', 'state', 'ser')).toEqual(['service']);
    expect(await names('hot-reload', 'trigger', '--url', world.url, '')).toEqual(['service']);
    expect(await words('reload', '--data', 'nowhere', '')).toEqual({ status: 0, out: '', err: '' });
    const stranger = new Command(['completion', 'words', '--', 'show', '--data', 'state', ''], world.directory, {
      TENON_ADMIN_TOKEN: 'wrong',
    });
    expect(await stranger.exit).toEqual([0, null]);
    expect(stranger).toMatchObject({ out: '', err: '' });
  });

  test('has no script for other shells', async () => {
    expect(await tenon(world.directory, 'completion', 'bsh')).toEqual({
      status: 2,
      out: '',
      err: 'tenon: there is no completion for "bsh"; did you mean bash?\n',
    });
  });

  test('works in bash', async () => {
    const script = `source <(tenon completion bash)
      try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}; _tenon; printf '<%s>' "\${COMPREPLY[@]}"; echo; }
      complete -p tenon
      try tenon reloa
      try tenon reload ser
      try tenon hot-reload configure --j
      try tenon install 'some b'
      try tenon start --data so`;
    expect((await run('bash', ['--norc', '-c'], script)).split('\n')).toEqual([
      'complete -F _tenon tenon',
      '<reload><reloads>',
      '<service>',
      '<--json>',
      '<some bundle.tgz>',
      '<somewhere>',
      '',
    ]);
  });

  const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;
  const inCi = process.env['CI'] !== undefined;

  test.skipIf(!has('fish') && !inCi)('works in fish, where that is installed', async () => {
    const script = `source (tenon completion fish | psub)
      complete -C 'tenon reloa'
      complete -C 'tenon reload ser'
      complete -C 'tenon install so'
      complete -C 'tenon start --data so'`;
    const lines = (await run('fish', ['--no-config', '-c'], script)).split('\n');
    expect(lines.map((line) => line.replace(/\t.*$/, ''))).toEqual([
      'reload',
      'reloads',
      'service',
      expect.stringContaining('bundle.tgz'),
      'somewhere/',
      'somewhere/',
      '',
    ]);
  });

  test.skipIf(!has('zsh') && !inCi)('works in zsh, where that is installed', async () => {
    // Its own completion runs at a prompt only: one behind a terminal of its own.
    const script = `zmodload zsh/zpty; zpty -b z zsh -f -i
      zpty -w z "PS1='%% '; autoload -Uz compinit; compinit -u -D; source <(tenon completion zsh); bindkey '^I' complete-word; print RE''ADY"
      zpty -r z said '*READY*'
      for line in 'tenon hot-reload en' 'tenon reload ser' 'tenon install some\\ b' 'tenon list --js'; do
        zpty -w -n z "\${line}"$'\\t\\C-aprint -r -- GOT:\\C-e\\n'
        zpty -r z said $'*\\nGOT:*\\n*'
        print -r -- "\${\${said##*GOT:}%%$'\\r'*}"
      done
      zpty -d z`;
    const lines = (await run('zsh', ['-f', '-c'], script)).split('\n').map((line) => line.trim());
    expect(lines).toEqual([
      'tenon hot-reload enable',
      'tenon reload service',
      'tenon install some bundle.tgz',
      'tenon list --json',
      '',
    ]);
  });
});
