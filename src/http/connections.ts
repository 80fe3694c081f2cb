/** The connections of a port: how many there may be, and which clients take nothing of what they asked for. */
import { readFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import type { Settings } from '../base/config.js';
import { loadCore } from '../binding/core.js';
import { sourceOf } from './address.js';

/** Settings of a port. */
export type ConnectionLimits = Pick<Settings, 'connectionLimit' | 'addressConnectionLimit' | 'stallMs'>;

/** Why a connection is not served. */
export type Refused = 'connections' | 'address' | 'descriptors';

/** What has become of the connections of a port since it began. */
export interface ConnectionCounts {
  /** Open now. */
  readonly open: number;
  readonly accepted: number;
  /** Closed at once, by the limit that they were over. */
  readonly refused: Readonly<Record<Refused, number>>;
  /** Cut off, because their clients took nothing of an answer. */
  readonly stalled: number;
}

interface Connection {
  readonly address: string | undefined;
  /** Bytes that the system had taken for it, and at how many looks these were all; undefined while nothing waits. */
  waiting: { taken: number; looks: number } | undefined;
}

/** Sockets as they were accepted: those of TLS before anything is read of them. */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #stalled: (count: number) => void;
  readonly #lookMs: number;
  readonly #open = new Map<Socket, Connection>();
  readonly #byAddress = new Map<string, number>();
  readonly #refused: Record<Refused, number> = { connections: 0, address: 0, descriptors: 0 };
  #accepted = 0;
  #cut = 0;
  #looks: NodeJS.Timeout | undefined;
  #lastDescriptor = Number.POSITIVE_INFINITY;

  /** @param stalled told how many were cut off at one look */
  constructor(limits: ConnectionLimits, stalled: (count: number) => void) {
    this.#limits = limits;
    this.#stalled = stalled;
    this.#lookMs = Math.min(1_000, Math.max(20, limits.stallMs / 4));
  }

  get counts(): ConnectionCounts {
    return {
      open: this.#open.size,
      accepted: this.#accepted,
      refused: { ...this.#refused },
      stalled: this.#cut,
    };
  }

  /** The port listens: from now on some descriptors are kept for whatever else the process opens. No plugin closes it. */
  begin(server: Server): void {
    this.#lastDescriptor = lastDescriptor();
    protect(server);
  }

  /** Count `socket` for as long as it is open, which no plugin ends; or why it may not be. */
  admit(socket: Socket): Refused | undefined {
    const address = socket.remoteAddress === undefined ? undefined : sourceOf(socket.remoteAddress);
    const refused = this.#refusal(socket, address);
    if (refused !== undefined) {
      this.#refused[refused] += 1;
      return refused;
    }
    protect(socket);
    this.#accepted += 1;
    this.#open.set(socket, { address, waiting: undefined });
    if (address !== undefined) this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1);
    socket.once('close', () => this.#leave(socket));
    this.#looks ??= setInterval(() => this.#look(), this.#lookMs).unref();
    return undefined;
  }

  /** Close all of them, whatever they are about. */
  cutAll(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }

  [Symbol.iterator](): IterableIterator<Socket> {
    return this.#open.keys();
  }

  #refusal(socket: Socket, address: string | undefined): Refused | undefined {
    // First: what is refused for another reason is told so, and keeps its descriptor meanwhile.
    if ((handleOf(socket)?.fd ?? -1) > this.#lastDescriptor) return 'descriptors';
    if (this.#open.size >= this.#limits.connectionLimit) return 'connections';
    const ofAddress = address === undefined ? 0 : (this.#byAddress.get(address) ?? 0);
    return ofAddress >= this.#limits.addressConnectionLimit ? 'address' : undefined;
  }

  #leave(socket: Socket): void {
    const connection = this.#open.get(socket);
    this.#open.delete(socket);
    if (connection?.address !== undefined) {
      const left = (this.#byAddress.get(connection.address) ?? 1) - 1;
      if (left > 0) this.#byAddress.set(connection.address, left);
      else this.#byAddress.delete(connection.address);
    }
    if (this.#open.size > 0) return;
    clearInterval(this.#looks);
    this.#looks = undefined;
  }

  #look(): void {
    // Counted, not timed: while this process stood still no client could take anything.
    const most = Math.ceil(this.#limits.stallMs / this.#lookMs);
    let cut = 0;
    for (const [socket, connection] of this.#open) {
      const handle = handleOf(socket);
      const queued = handle?.writeQueueSize ?? 0;
      if (handle === undefined || queued === 0) {
        connection.waiting = undefined;
        continue;
      }
      const taken = handle.bytesWritten - queued;
      if (connection.waiting?.taken !== taken) connection.waiting = { taken, looks: 0 };
      else if (++connection.waiting.looks >= most) {
        socket.destroy();
        cut += 1;
      }
    }
    if (cut === 0) return;
    this.#cut += cut;
    this.#stalled(cut);
  }
}

/** What Node's own time limit of sockets looks at, too: `writableLength` of a socket does not shrink while one write goes on. */
interface Handle {
  readonly fd: number;
  readonly bytesWritten: number;
  /** Bytes of these that the system has not taken yet. */
  readonly writeQueueSize: number;
}

function handleOf(socket: (Socket | Server) & { _handle?: Handle | null }): Handle | undefined {
  return socket._handle ?? undefined;
}

/** Where sockets are no descriptors there is nothing to protect. */
function protect(socket: Socket | Server): void {
  const descriptor = handleOf(socket)?.fd ?? -1;
  if (descriptor >= 0) loadCore().protectDescriptor(descriptor);
}

const keptDescriptors = 64;

/** Highest number that the descriptor of a connection may have. The system gives the lowest that is free. */
function lastDescriptor(): number {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return Number.POSITIVE_INFINITY; // not Linux: the limit is not known, and accepting pauses there
  }
  const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  return limit - 1 - Math.min(keptDescriptors, Math.floor(limit / 4));
}
