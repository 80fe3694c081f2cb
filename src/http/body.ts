/** Reading a request's body as a whole. */
import type { IncomingMessage } from 'node:http';
import { TenonError } from '../base/errors.js';

/** Bytes of body that are announced: 0 without a body, -1 when the length is not told. Reads only the raw headers. */
export function announcedLength(request: IncomingMessage): number {
  const headers = request.rawHeaders;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (name.length === 14 && name.toLowerCase() === 'content-length') return Number(headers[i + 1]);
    if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') return -1;
  }
  return 0;
}

/** Throws `ContentTypeUnsupported` for a body that is packed: the host unpacks none, as it would have to bound what comes out. */
export function requirePlain({ headers }: IncomingMessage): void {
  const { 'content-encoding': coding = 'identity' } = headers;
  if (coding.trim().toLowerCase() !== 'identity')
    throw new TenonError('ContentTypeUnsupported', `a body with content-encoding ${coding} is not read`, {
      next: 'send it as it is',
    });
}

/** What to do when the body of a request is read, for clients that wait for that before they send it. */
const waiting = new WeakMap<IncomingMessage, () => void>();

/** Call `begin` when the body begins to be read, at most once. */
export function beforeBody(request: IncomingMessage, begin: () => void): void {
  waiting.set(request, begin);
}

/** The body is about to be read by somebody else. */
export function beginBody(request: IncomingMessage): void {
  waiting.get(request)?.();
  waiting.delete(request);
}

export function isAwaited(request: IncomingMessage): boolean {
  return waiting.has(request);
}

/**
 * Collect the body. Exactly one of the callbacks is called, once; none when the client goes away before the end.
 * @param tooLarge more than `limit` bytes came; the rest is still to be discarded
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  done: (body: Uint8Array) => void,
  tooLarge: () => void,
): void {
  beginBody(request);
  const chunks: Buffer[] = [];
  let size = 0;
  const take = (chunk: Buffer): void => {
    size += chunk.length;
    if (size <= limit) {
      chunks.push(chunk);
      return;
    }
    request.off('data', take);
    request.off('end', end);
    tooLarge();
  };
  const end = (): void => done(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size));
  request.on('data', take);
  request.on('end', end);
}
