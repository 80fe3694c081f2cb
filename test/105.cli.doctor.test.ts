import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TenonError } from '../src/base/errors.js';
import { lookAtAll } from '../src/cli/doctor-finding.js';
import { selfSigned } from './edge/certificates.js';
import { Command } from './load/command.js';
import { until } from './load/world.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

interface Finding {
  what: string;
  ok: boolean;
  state: 'ok' | 'warning' | 'missing' | 'failed';
  found: string;
  why?: string;
  next?: string;
}

interface Report {
  status: unknown;
  healthy: boolean;
  findings: Finding[];
  of: (what: string) => Finding;
}

const program = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'cli', 'tenon.js');
/** Nothing of it is at the port or in the registry of somebody else. */
const alone = { PORT: '0', TENON_REGISTRY: 'false' };

let directory: string;
let applications: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-doctor-test-'));
  applications = path.join(directory, 'applications');
  await mkdir(applications);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function reportOf(status: unknown, out: string): Report {
  const { healthy, findings } = JSON.parse(out) as Pick<Report, 'healthy' | 'findings'>;
  const of = (what: string): Finding => findings.find((one) => one.what === what) ?? expect.fail(`no ${what}`);
  return { status, healthy, findings, of };
}

async function doctor(variables: Record<string, string> = {}, ...words: string[]): Promise<Report> {
  const command = new Command(['doctor', '--json', ...words], directory, { ...alone, ...variables });
  const [status] = await command.exit;
  return reportOf(status, command.out);
}

/** A folder with links to `tools` alone, for PATH. */
async function onlyWith(name: string, ...tools: string[]): Promise<string> {
  const folder = path.join(directory, name);
  await mkdir(folder);
  for (const tool of tools)
    await symlink(
      execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim(),
      path.join(folder, tool),
    );
  return folder;
}

describe('tenon doctor', () => {
  test('finds nothing wrong where nothing is, leaves nothing behind, and tells each thing once', async () => {
    const before = await readdir(directory);
    const report = await doctor();
    expect(report.findings.filter(({ ok }) => !ok)).toEqual([]);
    expect(report).toMatchObject({ status: 0, healthy: true });
    expect(report.of('C compiler').found).toMatch(/\d+\.\d+/);
    expect(report.of('compiling').found).toContain('become libraries');
    expect(report.of('data directory').found).toMatch(/which the first start makes.*MiB free/);
    expect(new Set(report.findings.map(({ what }) => what)).size).toBe(report.findings.length);
    expect(await readdir(directory)).toEqual(before);
  });

  test('on a machine without a compiler and without CMake, says so of each by itself, and what to install', async () => {
    const report = await doctor({ PATH: await onlyWith('no-compiler', 'make') });
    expect(report).toMatchObject({ status: 1, healthy: false });
    for (const what of ['C compiler', 'C++ compiler', 'CMake'])
      expect(report.of(what)).toMatchObject({
        state: 'missing',
        why: expect.stringContaining('cannot be compiled') as string,
      });
    expect(report.of('C++ compiler').next).toMatch(/install|g\+\+/);
    expect(report.of('Ninja or make')).toMatchObject({
      state: 'ok',
      found: expect.stringContaining('GNU Make') as string,
    });
    expect(report.of('core').ok).toBe(true);
  });

  test('on a machine without CMake alone, says that nothing else is missing', async () => {
    const PATH = await onlyWith('no-cmake', 'cc', 'c++', 'make', 'as', 'ld');
    const report = await doctor({ PATH });
    expect(report.findings.filter(({ state }) => state === 'missing').map(({ what }) => what)).toEqual(['CMake']);
    expect(report.of('CMake').next).toContain('cmake');
  });

  test('is not taken in by a compiler that is there and makes nothing', async () => {
    const script = path.join(directory, 'cc.sh');
    await writeFile(
      script,
      '#!/bin/sh\n[ "$1" = --version ] && echo "cc 1.0" && exit 0\necho "fatal error: stdint.h" >&2\nexit 1\n',
      {
        mode: 0o755,
      },
    );
    const report = await doctor({ CC: script });
    expect(report.of('C compiler')).toMatchObject({ state: 'ok', found: `${script}: cc 1.0` });
    expect(report.of('compiling')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('stdint.h') as string,
    });
  });

  test('names what is wrong in tenon.yaml, and looks at the rest all the same', async () => {
    const place = path.join(directory, 'tenon.yaml');
    await writeFile(place, 'prot: 3000\n');
    try {
      const report = await doctor();
      expect(report.status).toBe(1);
      expect(report.of('settings')).toMatchObject({
        state: 'failed',
        found: expect.stringContaining(`${place}:1: there is no setting`) as string,
      });
      expect(report.of('core').ok).toBe(true);
    } finally {
      await rm(place);
    }
  });

  test('survives a RocksDB that ends the process that opens it', async () => {
    const source = path.join(directory, 'rocksdb.c');
    const library = path.join(directory, 'librocksdb-bad.so');
    await writeFile(source, '#include <stdlib.h>\n__attribute__((constructor)) static void end(void) { abort(); }\n');
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, source]);
    const TMPDIR = await mkdtemp(path.join(directory, 'tmp-'));
    const report = await doctor({ TENON_ROCKSDB: library, TMPDIR });
    expect(await readdir(TMPDIR)).toEqual([]);
    expect(report.of('RocksDB')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('SIGABRT') as string,
    });
    expect(report.of('core').ok).toBe(true);
  });

  test('says whose a port is that is taken', async () => {
    const server: Server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as { port: number };
    const report = await doctor({ PORT: String(port) });
    server.close();
    expect(report.of('port')).toMatchObject({
      state: 'warning',
      found: expect.stringContaining(`(process ${process.pid})`) as string,
      next: expect.stringContaining('--port') as string,
    });
    expect(report.status).toBe(0);
  });

  test('finds a host that runs with a certificate of its own and an admin port, and both ports are its', async () => {
    const { certificate, key } = await selfSigned(directory, 'own');
    const variables = { ADMIN_PORT: '0', TENON_TLS_CERTIFICATE: certificate, TENON_TLS_KEY: key };
    const host = new Command(['start', '--data', 'secure'], directory, { ...alone, ...variables });
    try {
      await until('it serves', () => host.err.includes('Try:'));
      const { url, api } = JSON.parse(await readFile(path.join(directory, 'secure', 'host.json'), 'utf8')) as {
        url: string;
        api: string;
      };
      const ports = { PORT: new URL(url).port, ADMIN_PORT: new URL(api).port };
      const report = await doctor({ ...variables, ...ports }, '--data', 'secure');
      expect(report.of('host')).toMatchObject({ state: 'ok', found: `${url}, ready` });
      for (const what of ['port', 'admin port'])
        expect(report.of(what)).toMatchObject({
          state: 'ok',
          found: expect.stringContaining('is that of the host that runs') as string,
        });
    } finally {
      host.child.kill();
      await host.exit;
    }
  });

  test('says that the registry does not answer, without its password', async () => {
    const DATABASE_URL = 'postgresql://tenon:hush@127.0.0.1:1/tenon';
    const report = await doctor({ DATABASE_URL, TENON_REGISTRY: 'true' });
    expect(report.of('registry')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('ECONNREFUSED') as string,
    });
    expect(JSON.stringify(report)).not.toContain('hush');
    expect(report.status).toBe(1);
  });

  test('says what is wrong with the files of a certificate', async () => {
    const { of } = await doctor({ TENON_TLS_CERTIFICATE: 'nowhere.pem', TENON_TLS_KEY: 'nowhere.key' });
    expect(of('certificate')).toMatchObject({
      state: 'missing',
      found: expect.stringContaining('nowhere.pem') as string,
    });
    const half = await doctor({ TENON_TLS_CERTIFICATE: 'nowhere.pem' });
    expect(half.of('certificate')).toMatchObject({
      state: 'failed',
      next: expect.stringContaining('tls.key') as string,
    });
  });

  test('prints a table, and under it what comes of what is wrong', async () => {
    const command = new Command(['doctor'], directory, { ...alone, CC: 'no-such-cc' });
    expect(await command.exit).toEqual([1, null]);
    expect(command.out).toMatch(/^C compiler +missing +CC names no-such-cc, which is not on PATH$/m);
    expect(command.out).toMatch(
      /^C compiler \(missing\): applications with sources cannot be compiled here.*\n {2}correct CC/m,
    );
  });

  test.skipIf(noPostgres !== undefined)(
    `asks a server for its tables and its clock, and makes none ${noPostgres ?? ''}`,
    async () => {
      const server = await PostgresServer.start();
      try {
        const url = await server.database();
        const report = await doctor({ DATABASE_URL: url, TENON_REGISTRY: 'true' });
        expect(report.of('registry')).toMatchObject({
          state: 'ok',
          found: expect.stringMatching(/PostgreSQL \d+.*tables of step 0, of \d+ after the next start/) as string,
        });
      } finally {
        await server.dispose();
      }
    },
  );
});

describe('a look', () => {
  test('that throws or never comes back is a finding, and holds up no other one', async () => {
    const { findings, stuck } = await lookAtAll(
      [
        { what: 'silent', look: () => new Promise<string>(() => {}), why: 'nobody knows' },
        { what: 'cross', look: () => Promise.reject(new Error('no')) },
        {
          what: 'missing',
          look: () => Promise.reject(new TenonError('NativePartMissing', 'not there', { next: 'get it' })),
        },
        { what: 'well', look: () => 'it is' },
      ],
      50,
    );
    expect(stuck).toBe(true);
    expect(findings).toEqual([
      { what: 'silent', ok: false, state: 'failed', found: 'no answer within 0.05 s', why: 'nobody knows' },
      { what: 'cross', ok: false, state: 'failed', found: 'no' },
      { what: 'missing', ok: false, state: 'missing', found: 'not there', next: 'get it' },
      { what: 'well', ok: true, state: 'ok', found: 'it is' },
    ]);
  });
});

const namespaces = spawnSync('unshare', ['-rm', 'true']).status === 0;
const noNamespaces = namespaces ? '' : ', left out: `unshare -rm` does not work here';
if (!namespaces && process.env['CI'] !== undefined) throw new Error(noNamespaces);

describe.skipIf(!namespaces)(`tenon doctor on a machine made for it${noNamespaces}`, () => {
  /** In a mount namespace of its own, after `script`; `$PLACE` is an empty folder to mount on. */
  async function doctorAfter(script: string, variables: Record<string, string>, ...words: string[]): Promise<Report> {
    const PLACE = await mkdtemp(path.join(directory, 'place-'));
    const { PATH = '', HOME = '' } = process.env;
    const given = Object.fromEntries(
      Object.entries({ PATH, HOME, PLACE, ...alone, ...variables }).map(([name, value]) => [
        name,
        value.replace('$PLACE', PLACE),
      ]),
    );
    const all = `set -e\n${script}\nexec "$0" "$@"`;
    const told = words.map((word) => word.replace('$PLACE', PLACE));
    const ran = spawnSync('unshare', ['-rm', 'sh', '-c', all, process.execPath, program, 'doctor', '--json', ...told], {
      cwd: directory,
      env: given,
      encoding: 'utf8',
    });
    expect(ran.stderr).toBe('');
    return reportOf(ran.status, ran.stdout);
  }

  test('whose temporary files may not be run, says what may come of it, and that staging is elsewhere', async () => {
    const report = await doctorAfter('mount -t tmpfs -o noexec none "$PLACE"', { TMPDIR: '$PLACE' });
    expect(report.of('temporary files')).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('noexec') as string,
      next: expect.stringContaining('TMPDIR') as string,
    });
    expect(report.of('compiling').state).toBe('ok');
    expect(report.of('staging').ok).toBe(true);
    expect(report.status).toBe(0);
  });

  test('where neither /dev/shm nor the data directory lets programs run, says that nothing can be opened', async () => {
    const script = 'mount -t tmpfs -o noexec none "$PLACE"\nmount -t tmpfs -o noexec none /dev/shm';
    const report = await doctorAfter(script, {}, '--data', '$PLACE');
    expect(report.of('staging')).toMatchObject({ state: 'failed', next: expect.stringContaining('exec') as string });
    expect(report.status).toBe(1);
  });

  test('whose data directory is full, or read-only, says so', async () => {
    const full =
      'mount -t tmpfs -o size=1m none "$PLACE"\nhead -c 2000000 /dev/zero >"$PLACE/fill" 2>/dev/null || true';
    expect((await doctorAfter(full, {}, '--data', '$PLACE')).of('data directory')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('full') as string,
    });
    const fixed = await doctorAfter('mount -t tmpfs -o ro none "$PLACE"', {}, '--data', '$PLACE');
    expect(fixed.of('data directory')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('mounted read-only') as string,
    });
  });

  test('that gives no more inotify instances, says which limit to raise', async () => {
    const report = await doctorAfter('echo 0 >/proc/sys/user/max_inotify_instances', {});
    expect(report.of('file watches')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('all instances are in use') as string,
      next: expect.stringContaining('fs.inotify.max_user_instances=') as string,
    });
  });
});
