/** Which requests came over a unix socket: that has no address, and neither has one whose connection is gone. */
import type { IncomingMessage } from 'node:http';

const came = new WeakSet<IncomingMessage>();

export function markAsLocal(request: IncomingMessage): void {
  came.add(request);
}

/** Whether it came over a unix socket that this host listens on, which only programs of this machine reach. */
export function isFromSocket(request: IncomingMessage): boolean {
  return came.has(request);
}
