import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { root } from './architecture/tree.js';
import { callOnce } from './load/clients.js';
import { hostProcess } from './load/command.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const program = path.join(root, 'dist', 'cli', 'tenon.js');
const { PATH = '' } = process.env;

/** A process, and what it says. */
class Said {
  readonly child: ChildProcess;
  readonly exit: Promise<unknown[]>;
  text = '';

  constructor(command: string, words: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv; third?: number }) {
    const { third, ...others } = options;
    const stdio = ['ignore', 'pipe', 'pipe', ...(third === undefined ? [] : [third])] as const;
    this.child = spawn(command, words, { ...others, stdio: [...stdio] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (text: Buffer) => {
        this.text += text.toString();
      });
    this.exit = once(this.child, 'close');
  }

  get url(): string {
    return /listens on (\S+)/.exec(this.text)?.[1] ?? '';
  }
}

/** Tells each datagram that comes to a socket of systemd's kind as one line of JSON. */
const receiver = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace('@', chr(0), 1))
print('bound', flush=True)
while True: print(json.dumps(s.recv(65536).decode()), flush=True)
`;

const running: Said[] = [];
let world: World;

function run(...given: ConstructorParameters<typeof Said>): Said {
  const said = new Said(...given);
  running.push(said);
  return said;
}

beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await writeFile(path.join(world.directory, 'tenon.yaml'), 'hotReload:\n  enabled: false\n');
});
afterEach(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  await Promise.all(running.splice(0).map(({ exit }) => exit));
});
afterAll(() => world.close());

const environment = { PATH, TENON_REGISTRY: 'false' };
const words = [program, 'start', '--port', '0', '--data', 'state'];

describe('a service manager', () => {
  test.each(['a path', 'a name that is in no file system'])('is told by %s how the host does', async (kind) => {
    const socket = kind === 'a path' ? path.join(world.directory, 'notify') : `@tenon-test-${process.pid}`;
    const heard = run('python3', ['-c', receiver, socket], {});
    await until('it listens', () => heard.text.startsWith('bound'));
    const lines = (): string[] => heard.text.split('\n').filter((line) => line.startsWith('"'));
    const has = (text: string): boolean => lines().some((line) => line.includes(text));
    const host = run(process.execPath, words, {
      cwd: world.directory,
      env: { ...environment, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' },
    });
    await until('it is ready', () => has('READY=1'));
    expect(has(`STATUS=1 plugins on ${host.url}`)).toBe(true);
    expect(lines().findIndex((line) => line.includes('WATCHDOG=1'))).toBeGreaterThanOrEqual(0);
    host.child.kill('SIGHUP');
    await until('it reloads', () => has('RELOADING=1\\nMONOTONIC_USEC='));
    await until('it is ready again', () =>
      (
        lines().findLast(
          (line) => line.includes('=1 plugins') || line.includes('READY=1') || line.includes('RELOADING=1'),
        ) ?? ''
      ).includes('READY=1'),
    );
    const pid = (await hostProcess(world.data)) ?? 0;
    process.kill(pid, 'SIGSTOP');
    const isSign = (line: string): boolean => line.includes('WATCHDOG=1');
    const reloads = (): string[] => lines().filter((line) => line.includes('RELOADING=1'));
    /** The parent turns: by its own clock at what time, µs, and behind which line. */
    const turn = async (): Promise<{ at: number; line: number }> => {
      const before = reloads().length;
      host.child.kill('SIGHUP');
      await until('the parent turns', () => reloads().length > before);
      const last = reloads().at(-1) ?? '';
      return { at: Number(/MONOTONIC_USEC=(\d+)/.exec(last)?.[1]), line: lines().lastIndexOf(last) };
    };
    await until('signs of life end', async () => {
      const first = await turn();
      let later = await turn();
      // Two beats: the next turn comes behind one that is due.
      while (later.at - first.at < 400_000) later = await turn();
      return !lines()
        .slice(first.line, (await turn()).line)
        .some(isSign);
    });
    const before = lines().filter(isSign).length;
    process.kill(pid, 'SIGCONT');
    await until('they come again', () => lines().filter(isSign).length > before);
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
    await until('it was told of the end', () => has('STOPPING=1'));
  });

  test('binds the port: the host listens on what it is given', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
    const command = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"';
    const host = run('sh', ['-c', command, 'sh', process.execPath, ...words], {
      cwd: world.directory,
      env: environment,
      third: fd,
    });
    await until('it serves', () => host.text.includes('Try: '));
    server.close();
    expect(host.url).toBe(`http://127.0.0.1:${port}`);
    expect((await callOnce(host.url, { method: 'GET', path: '/service/build' })).body).toBe('one');
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
  });
});

const mayUnshare = spawnSync('unshare', ['-m', '-p', '--fork', '--mount-proc', 'true']).status === 0;

describe.skipIf(!mayUnshare)('in a container (needs leave to make namespaces)', () => {
  test('the first process takes what orphans leave', async () => {
    const host = run('unshare', ['-p', '--fork', '--mount-proc', '--kill-child', process.execPath, ...words], {
      cwd: world.directory,
      env: environment,
    });
    await until('it serves', () => host.text.includes('Try: '));
    const first = (await readFile(`/proc/${host.child.pid}/task/${host.child.pid}/children`, 'utf8')).trim();
    const inside = (...given: string[]): string =>
      execFileSync('nsenter', ['-t', first, '-p', '-m', ...given], { encoding: 'utf8' });
    inside('sh', '-c', '(sleep 1 > /dev/null 2>&1 &); (sleep 2 > /dev/null 2>&1 &)');
    expect(inside('ps', '-eo', 'ppid=,comm=')).toMatch(/^ *1 sleep$/m);
    await until('nobody is left', () => !inside('ps', '-eo', 'comm=').includes('sleep'));
    process.kill(Number(first), 'SIGTERM');
    expect(await host.exit).toEqual([0, null]);
  });

  test('a user without rights and home, everything read-only but the data directory: it builds, serves, reloads', async () => {
    const place = await mkdtemp(path.join(os.tmpdir(), 'tenon-sealed-'));
    try {
      await cp(path.join(root, 'applications', 'hello'), path.join(place, 'applications', 'hello'), {
        recursive: true,
      });
      execFileSync('sh', ['-c', 'chmod -R a+rX "$0"; mkdir "$0/data"; chown 65534:65534 "$0/data"', place]);
      const seal = `set -e; cd "$0"; mount --make-rprivate /; mount --bind data data
mount -t tmpfs -o ro,noexec tmpfs /dev/shm
awk '{print $5}' /proc/self/mountinfo | while read -r at; do case "$at" in "$0/data"|/proc*|/sys*|/dev/pts) ;;
*) mount -o remount,bind,ro "$at" || true;; esac; done 2>/dev/null
touch "$0/x" 2>/dev/null && exit 9
cd "$0"; exec setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH="$PATH" TENON_REGISTRY=false "$@"`;
      const start = [process.execPath, program, 'start', '--port', '0'];
      const host = run('unshare', ['-m', 'sh', '-c', seal, place, ...start], { env: { PATH } });
      await until('it serves', () => host.text.includes('Try: ') || host.child.exitCode !== null);
      expect(host.text).toContain('hello 1.0.0: running');
      const token = (await readFile(path.join(place, 'data', 'admin-token'), 'utf8')).trim();
      const source = path.join(place, 'applications', 'hello', 'resources');
      const [file = ''] = (await readdir(source)).filter((name) => name.endsWith('.cpp'));
      const text = await readFile(path.join(source, file), 'utf8');
      await writeFile(path.join(source, file), `${text}\nstatic_assert(true);\n`);
      const answer = await fetch(`${host.url}/api/v1/plugins/hello/reload`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
      });
      expect(answer.status).toBe(200);
      expect((await fetch(`${host.url}/hello/greeting`)).status).toBe(200);
      host.child.kill('SIGTERM');
      expect(await host.exit).toEqual([0, null]);
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  });
});

describe('deploy/', () => {
  const file = (name: string): Promise<string> => readFile(path.join(root, 'deploy', name), 'utf8');

  test('has a unit that does what it says', async () => {
    const unit = await file('tenon.service');
    const settings = new Map([...unit.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
    expect(settings.get('Type')).toBe('notify');
    expect(settings.get('Environment')).toBe('TENON_DATA=/var/lib/tenon');
    expect(settings.get('StateDirectory')).toBe('tenon');
    expect(settings.has('MemoryDenyWriteExecute')).toBe(false);
  });

  const mayVerify = spawnSync('systemd-analyze', ['--version']).status === 0;

  test.skipIf(!mayVerify)('has units that systemd understands (needs systemd-analyze)', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-unit-'));
    try {
      const units = ['tenon.service', 'tenon.socket'].map((name) => path.join(folder, name));
      // Where the command is installed is another matter.
      await writeFile(units[0] ?? '', (await file('tenon.service')).replace('/usr/bin/tenon', '/bin/true'));
      await writeFile(units[1] ?? '', await file('tenon.socket'));
      const verified = spawnSync('systemd-analyze', ['verify', ...units], { encoding: 'utf8' });
      expect(verified.error).toBeUndefined();
      expect(verified.stderr.split('\n').filter((line) => line.includes('tenon'))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('has a container that runs as nobody in particular, and a composition of it', async () => {
    const text = await file('Containerfile');
    const targets = [...text.matchAll(/^FROM \S+ AS (\w+)$/gm)].map(([, name]) => name);
    expect(targets).toEqual(['build', 'runtime', 'full']);
    for (const target of text.split(/^FROM /m).slice(2))
      expect([...target.matchAll(/^USER (\w+)$/gm)].at(-1)?.[1]).toBe('node');
    const runtime = text.split(/^FROM /m)[2] ?? '';
    expect(runtime).not.toContain('g++');
    const { services } = parse(await file('compose.yaml')) as {
      services: { tenon: { read_only: boolean; volumes: string[]; ports: string[]; build: { target: string } } };
    };
    const { read_only: isReadOnly, volumes, ports, build } = services.tenon;
    expect(isReadOnly).toBe(true);
    expect(targets).toContain(build.target);
    const data = /TENON_DATA=(\S+)/.exec(runtime)?.[1] ?? '';
    expect(runtime).toContain(`VOLUME ${data}\n`);
    expect(volumes).toContain(`data:${data}`);
    // Not on the port that is published.
    expect(runtime).toContain(`TENON_ADMIN_SOCKET=${data}/`);
    const port = /EXPOSE (\d+)/.exec(runtime)?.[1] ?? '';
    expect(runtime).toContain(`PORT=${port}`);
    expect(ports.every((one) => one.endsWith(`:${port}`))).toBe(true);
  });
});
