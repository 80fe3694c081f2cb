/** The one id of a request: in its log records, in what it is answered, and for the plugin. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** What is known of a request. */
interface Known {
  id: string;
  /** The generation that has handled it. */
  generation?: number | undefined;
}

const known = new WeakMap<IncomingMessage, Known>();
let numbered = 0;

/** The core has numbered it. The first id stays. */
export function nameRequest(request: IncomingMessage, id: string, generation?: number): void {
  const before = known.get(request);
  if (before === undefined) known.set(request, { id, generation });
  else before.generation ??= generation;
}

/** For a request that the core has not seen: `h` and a number. */
export function freshRequestId(): string {
  numbered += 1;
  return `h${numbered}`;
}

/** Of a request that the core has not seen it is `h` and a number. */
export function requestIdOf(request: IncomingMessage): string {
  const before = known.get(request);
  if (before !== undefined) return before.id;
  const id = freshRequestId();
  known.set(request, { id });
  return id;
}

export function generationOf(request: IncomingMessage): number | undefined {
  return known.get(request)?.generation;
}

/** Put it on the answer, unless the server around an embedded host has put its own there. */
export function carryRequestId(response: ServerResponse, id: string): void {
  if (!response.hasHeader('x-request-id')) response.setHeader('x-request-id', id);
}
