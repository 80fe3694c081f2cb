/** One request to a host: over TCP, TLS or a unix socket, which node's `fetch` does not know. */
import { type IncomingMessage, request as plainRequest, type RequestOptions } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { ConnectionOptions } from 'node:tls';

/** What is asked for. */
export interface Asked {
  method: string;
  headers: Readonly<Record<string, string>>;
  body?: string | Uint8Array | undefined;
  signal?: AbortSignal | undefined;
  /** The only certificate that is trusted, PEM, whatever name and authority are in it; else those that the system trusts. */
  certificate?: string | undefined;
}

/** From a request to the beginning of its answer, ms. */
const answerMs = 300_000;

/** There is no answer within 5 minutes; what was asked for goes on. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/**
 * The answer to what is asked of `url`, which is `unix:/path` or one of HTTP, as soon as it begins; its body is still to be read. Redirections
 * are not followed. Rejects with `NoAnswer`, and with what the system says when nobody answers.
 */
export function exchange(
  url: string,
  target: string,
  { method, headers, body, signal, certificate }: Asked,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const isLocal = url.startsWith('unix:');
    const options: RequestOptions & ConnectionOptions = {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
      agent: false,
      ...(signal === undefined ? {} : { signal }),
      ...(certificate === undefined ? {} : trustOnly(certificate)),
      ...(isLocal ? { socketPath: url.slice('unix:'.length), path: target, host: 'localhost' } : {}),
    };
    const request = isLocal
      ? plainRequest(options)
      : (url.startsWith('https:') ? secureRequest : plainRequest)(url + target, options);
    const wait = setTimeout(() => request.destroy(new NoAnswer(`${url} has not answered for 5 minutes`)), answerMs);
    request.once('response', (answer) => {
      clearTimeout(wait);
      resolve(answer);
    });
    request.on('error', (error) => {
      clearTimeout(wait);
      reject(reasonOf(error));
    });
    request.end(body);
  });
}

function trustOnly(certificate: string): ConnectionOptions & { allowPartialTrustChain: boolean } {
  return { ca: certificate, allowPartialTrustChain: true, checkServerIdentity: () => undefined };
}

/** Of several addresses that a name has, the first one says why. */
function reasonOf(error: Error): Error {
  const [first] = error instanceof AggregateError ? (error.errors as Error[]) : [];
  return first ?? error;
}

/** The whole body. */
export async function textOf(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of answer) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}
