/** A PostgreSQL server of the test's own: made in a temporary directory, stopped, killed and started again at will. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const startLimitMs = 60_000;

/** Folder with `initdb`, `postgres` and `psql`; undefined: there is none on this machine. */
function binaries(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((one, other) => Number(other) - Number(one)) : [];
  const candidates = versions.map((version) => path.join(debian, version, 'bin'));
  try {
    candidates.push(execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim());
  } catch {
    // not installed
  }
  candidates.push(...(process.env['PATH'] ?? '').split(path.delimiter));
  const preferred = candidates.find((folder) => folder.includes('/15/'));
  return [preferred, ...candidates].find(
    (folder) => folder !== undefined && ['initdb', 'postgres'].every((name) => existsSync(path.join(folder, name))),
  );
}

const folder = binaries();

/**
 * Why there is no server to test with, for `describe.skipIf` and for the name of what is left out; undefined: there is one.
 * Throws in CI, where one must be.
 */
export const noPostgres: string | undefined =
  folder === undefined ? 'no PostgreSQL server is installed (Debian: postgresql-15)' : undefined;
if (noPostgres !== undefined && process.env['CI'] !== undefined) throw new Error(noPostgres);

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root. */
function otherUser(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody'])
    try {
      const id = (flag: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // the next one
    }
  throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody');
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

/** One server; its superuser is `postgres`, without password, on 127.0.0.1 and a socket of its own. */
export class PostgresServer {
  readonly port: number;
  readonly #bin: string;
  readonly #home: string;
  readonly #owner: Owner | undefined;
  readonly #settings: readonly string[];
  #process: ChildProcess | undefined;
  #said = '';
  #databases = 0;

  private constructor(bin: string, home: string, owner: Owner | undefined, port: number, settings: readonly string[]) {
    this.#bin = bin;
    this.#home = home;
    this.#owner = owner;
    this.port = port;
    this.#settings = settings;
  }

  /** Make and start one; `settings` as `name=value`; with `tls` it speaks that too, with copies of those files. */
  static async start(settings: readonly string[] = [], tls?: TlsFiles): Promise<PostgresServer> {
    if (folder === undefined) throw new Error(noPostgres);
    const owner = otherUser();
    const home = mkdtempSync(path.join(os.tmpdir(), 'tenon-pg-'));
    if (owner !== undefined) chownSync(home, owner.uid, owner.gid);
    const all = [...settings];
    if (tls !== undefined) {
      for (const [file, from] of [['server.crt', tls.certificate] as const, ['server.key', tls.key] as const]) {
        const copy = path.join(home, file);
        copyFileSync(from, copy);
        chmodSync(copy, 0o600);
        if (owner !== undefined) chownSync(copy, owner.uid, owner.gid);
      }
      all.push('ssl=on', `ssl_cert_file=${home}/server.crt`, `ssl_key_file=${home}/server.key`);
    }
    const server = new PostgresServer(folder, home, owner, await freePort(), all);
    const made = [
      '-D',
      path.join(home, 'data'),
      '-U',
      'postgres',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
    ];
    await run(path.join(folder, 'initdb'), made, { ...owner, cwd: home });
    await server.start();
    return server;
  }

  /** As PostgreSQL writes it; `parameters` as `name=value`. */
  url(database = 'postgres', { port = this.port, user = 'postgres' }: { port?: number; user?: string } = {}): string {
    return `postgresql://${user}@127.0.0.1:${port}/${database}`;
  }

  /** Start it again, on the same port, when it does not run; resolves when it answers. */
  async start(): Promise<void> {
    if (this.#process !== undefined) return;
    const settings = ['fsync=off', 'max_connections=60', 'shared_buffers=16MB', ...this.#settings];
    this.#said = '';
    const child = spawn(
      path.join(this.#bin, 'postgres'),
      ['-D', path.join(this.#home, 'data'), '-p', String(this.port), '-h', '127.0.0.1', '-k', this.#home].concat(
        settings.flatMap((setting) => ['-c', setting]),
      ),
      { ...this.#owner, cwd: this.#home, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#process = child;
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#said = (this.#said + bytes.toString()).slice(-4000);
    });
    child.once('exit', () => {
      if (this.#process === child) this.#process = undefined;
    });
    const limit = performance.now() + startLimitMs;
    while (!(await this.#answers())) {
      if (this.#process === undefined || performance.now() > limit)
        throw new Error(`PostgreSQL did not start: ${this.#said}`);
      await wait(50);
    }
  }

  /** Run by `psql`, a client of its own; what it prints, without headers. */
  async psql(sql: string, database = 'postgres'): Promise<string> {
    const given = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', sql, this.url(database)];
    const { stdout } = await run('psql', given, { env: { ...process.env, PGOPTIONS: '' } });
    return stdout.trimEnd();
  }

  /** A new empty database; its URL. */
  async database(): Promise<string> {
    this.#databases += 1;
    const name = `registry_${this.#databases}`;
    await this.psql(`CREATE DATABASE ${name}`);
    return this.url(name);
  }

  /** End it; clients are told. */
  stop(): Promise<void> {
    return this.#end('SIGINT');
  }

  /** As a crash: nobody is told, and it recovers when it is started again. */
  async kill(): Promise<void> {
    const children = this.#children();
    await this.#end('SIGKILL');
    // Its processes see that the parent is gone; the next one does not start before they are.
    for (const pid of children) await gone(pid);
  }

  /** End it and remove everything. */
  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.#home, { recursive: true, force: true });
  }

  async #end(signal: 'SIGINT' | 'SIGKILL'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  #children(): number[] {
    const pid = this.#process?.pid;
    if (pid === undefined) return [];
    try {
      return execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
        .split('\n')
        .map(Number)
        .filter((child) => child > 0);
    } catch {
      return [];
    }
  }

  async #answers(): Promise<boolean> {
    try {
      await this.psql('SELECT 1');
      return true;
    } catch {
      return false;
    }
  }
}

async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await wait(20);
  }
}
