/** When nobody waits for an answer any more. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What to do when a connection closes, for answers that wait behind another of it: node:http does not tell them. */
const queued = new WeakMap<Socket, Set<() => void>>();

/** Call `gone` when the answer has left, or its connection has closed before; in rare cases twice. */
export function onDisconnect(request: IncomingMessage, response: ServerResponse, gone: () => void): void {
  response.on('close', gone);
  if (response.socket !== null) return;
  const { socket } = request;
  let waiting = queued.get(socket);
  if (waiting === undefined) {
    const all = new Set<() => void>();
    socket.once('close', () => {
      for (const one of all) one();
    });
    queued.set(socket, all);
    waiting = all;
  }
  waiting.add(gone);
  response.on('close', () => waiting.delete(gone));
}
