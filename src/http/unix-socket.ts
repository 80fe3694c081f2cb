/** Unix sockets: their files, and which requests came over one. */
import { lstat, unlink } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { TenonError } from '../base/errors.js';

/** What a socket's path may have, bytes: `sun_path` with its end. */
const pathLimit = 107;

const came = new WeakSet<IncomingMessage>();

/** An address tells less: one whose connection is gone has none either. */
export function markAsLocal(request: IncomingMessage): void {
  came.add(request);
}

/** Whether it came over a unix socket that this host listens on, which only programs of this machine reach. */
export function isFromSocket(request: IncomingMessage): boolean {
  return came.has(request);
}

/**
 * Take away the socket that a process which was killed has left at `path`. Rejects with `AddressInUse` when somebody listens on it, and with
 * `SettingsInvalid` for a path that is too long or has something else.
 */
export async function clearSocket(path: string): Promise<void> {
  const length = Buffer.byteLength(path);
  if (length > pathLimit) throw refuse(path, `has ${length} bytes, and a socket's path at most ${pathLimit}`);
  const info = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw refuse(path, `cannot be looked at: ${error.message}`, error);
  });
  if (info === undefined) return;
  if (!info.isSocket()) throw refuse(path, 'is there, and is no socket');
  if (await isTaken(path))
    throw new TenonError('AddressInUse', `${path} is taken by another process`, {
      next: 'end it, or name another path with the setting admin.socket',
      details: { path },
    });
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw refuse(path, `cannot be replaced: ${error.message}`, error);
  });
}

function isTaken(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      // Of somebody else, or with more clients than it can take.
      else if (error.code === 'EACCES' || error.code === 'EAGAIN') resolve(true);
      else reject(refuse(path, `cannot be connected to: ${error.message}`, error));
    });
  });
}

function refuse(path: string, why: string, cause?: unknown): TenonError {
  return new TenonError('SettingsInvalid', `admin.socket: ${path} ${why}`, {
    next: 'name another path with the setting admin.socket',
    details: { setting: 'adminSocket', path },
    cause,
  });
}
