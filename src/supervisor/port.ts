/** The listening socket of the parent: bound here, listened on by one child after the other. */
import { lookup } from 'node:dns/promises';
import { closeSync } from 'node:fs';
import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { Environment } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { cannotListen } from '../http/server.js';
import { clearSocket } from '../http/unix-socket.js';

/** A bound socket that no one in this process accepts on. What connects while nobody listens waits in its backlog. */
export interface HeldPort {
  readonly descriptor: number;
  /** Give it up. Twice is fine. */
  close(): void;
}

interface Handle {
  readonly fd: number;
  /** 0, or an error that binding has kept for later; of ports alone. */
  getsockname?(address: object): number;
  close(): void;
}

/** What node:cluster binds the sockets of its workers with. There is no public name for a socket that is only bound. */
const { _createServerHandle: bind } = net as unknown as {
  _createServerHandle?: (
    address: string,
    port: number,
    family: number,
    fd: undefined,
    flags: number,
  ) => Handle | number;
};

/** The first descriptor that is given. */
const firstGiven = 3;

/**
 * The socket that a service manager has bound for this process (socket activation); undefined when it has none. Throws
 * `SettingsInvalid` for more than one.
 */
export function givenPort({ LISTEN_PID: pid, LISTEN_FDS: count = '' }: Environment): HeldPort | undefined {
  if (pid !== String(process.pid) || count === '' || count === '0') return undefined;
  if (count !== '1')
    throw new TenonError('SettingsInvalid', `environment variable LISTEN_FDS: ${count} sockets were given`, {
      next: 'give one, of type stream',
    });
  let open = true;
  return {
    descriptor: firstGiven,
    close: () => {
      if (open) closeSync(firstGiven);
      open = false;
    },
  };
}

/**
 * Bind `host:port`; 0 takes a free one. Undefined where the runtime cannot: then the child has to listen by itself.
 * Rejects with `AddressInUse`.
 */
export async function holdPort(host: string, port: number): Promise<HeldPort | undefined> {
  if (bind === undefined) return undefined;
  const fail = (number: number): never => {
    const code = getSystemErrorName(number);
    throw cannotListen(host, port, Object.assign(new Error(code), { code }));
  };
  const { address, family } = await lookup(host).catch((error: NodeJS.ErrnoException) => {
    throw cannotListen(host, port, error);
  });
  const handle = bind(address, port, family, undefined, 0);
  if (typeof handle === 'number') return fail(handle);
  const late = handle.getsockname?.({}) ?? 0;
  if (late !== 0) {
    handle.close();
    fail(late);
  }
  return held(handle);
}

/**
 * Make the unix socket `path`, 0600; its file goes when it is given up. Undefined where the runtime cannot. Rejects with `AddressInUse` and
 * `SettingsInvalid`; what a host that was killed has left there is replaced.
 */
export async function holdSocket(path: string): Promise<HeldPort | undefined> {
  if (bind === undefined) return undefined;
  await clearSocket(path);
  const before = process.umask(0o177);
  const handle = bind(path, -1, -1, undefined, 0);
  process.umask(before);
  if (typeof handle !== 'number') return held(handle);
  const code = getSystemErrorName(handle);
  throw cannotListen(path, 0, Object.assign(new Error(code), { code }));
}

function held(handle: Handle): HeldPort {
  let open = true;
  return {
    descriptor: handle.fd,
    close: () => {
      if (open) handle.close();
      open = false;
    },
  };
}
