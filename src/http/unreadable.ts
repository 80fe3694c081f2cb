/** Answers to what is no request: on connections that node:http has given up. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { TenonError } from '../base/errors.js';
import { lastAnswer } from './problem.js';
import { urlTooLong } from './request-head.js';

/** The answer that a connection is busy with; node:http's own mark. */
export function answerOn(socket: Socket & { _httpMessage?: ServerResponse | null }): ServerResponse | undefined {
  return socket._httpMessage ?? undefined;
}

/** The request that a connection is busy with reading; node:http's own mark. */
function requestOn(
  socket: Socket & { parser?: { incoming?: IncomingMessage | null } | null },
): IncomingMessage | undefined {
  const request = socket.parser?.incoming ?? undefined;
  return request?.complete === false ? request : undefined;
}

interface ClientFault extends NodeJS.ErrnoException {
  reason?: string;
  rawPacket?: Buffer;
}

/** Answers `clientError` of a server, once for each connection. */
export class Unreadable {
  readonly #headersLimit: number;
  readonly #given = new WeakSet<Socket>();
  readonly #counts: Record<string, number> = {};

  constructor(headersLimit: number) {
    this.#headersLimit = headersLimit;
  }

  /** How many there were, by the code that they were answered. */
  get counts(): Readonly<Record<string, number>> {
    return { ...this.#counts };
  }

  /** Say what is wrong, behind the answers to the requests before it; then the connection ends. */
  answer(fault: ClientFault, socket: Socket): void {
    if (this.#given.has(socket)) return;
    this.#given.add(socket);
    const isOfTransport = !/^(?:HPE_|ERR_HTTP_)/.test(fault.code ?? '');
    if (isOfTransport || !socket.writable || socket.bytesRead === 0) {
      socket.destroy();
      return;
    }
    const request = requestOn(socket);
    const current = answerOn(socket);
    // What follows a request that said it is the last is nobody's.
    if (fault.code === 'HPE_CLOSED_CONNECTION' && current !== undefined) return;
    // The rest of a body whose request is answered already.
    if (request !== undefined && current === undefined) {
      socket.destroySoon();
      return;
    }
    atTurn(socket, request, (answer) => {
      if (answer?.headersSent === true) {
        socket.destroy();
        return;
      }
      const error = this.#errorOf(fault);
      this.#counts[error.code] = (this.#counts[error.code] ?? 0) + 1;
      endWith(socket, error);
    });
  }

  #errorOf({ code, reason = 'it is not HTTP', rawPacket }: ClientFault): TenonError {
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
      return new TenonError('RequestTimeout', 'the request did not arrive in time');
    if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW')
      return new TenonError('BodyTooLarge', 'the extensions of the chunks of the body are over the limit');
    if (code !== 'HPE_HEADER_OVERFLOW') return new TenonError('BadRequest', `the request cannot be read: ${reason}`);
    const limit = this.#headersLimit;
    if (rawPacket !== undefined && /^[A-Z]+ [^\n]*$/.test(rawPacket.toString('latin1', 0, limit)))
      return urlTooLong(limit / 2);
    return new TenonError('HeadersTooLarge', `the head is over the limit of ${limit} bytes`, { details: { limit } });
  }
}

/** Once `request`, or what comes behind all that was asked for, is next to be answered; never, when the connection ends before. */
function atTurn(
  socket: Socket,
  request: IncomingMessage | undefined,
  go: (answer: ServerResponse | undefined) => void,
): void {
  const answer = answerOn(socket);
  if (answer === undefined || answer.req === request) {
    if (socket.writable) go(answer);
    return;
  }
  answer.once('finish', () => atTurn(socket, request, go));
}

/** For the last answer to be read by a client that still sends, ms. */
const lastWordsMs = 1_000;

/** Answer with `error`, and end the connection. */
export function endWith(socket: Socket, error: TenonError, headers?: Record<string, string>): void {
  socket.on('error', () => {}); // of a client that has gone
  socket.end(lastAnswer(error, headers));
  // A connection that is closed with something unread is reset, and the answer with it.
  socket.resume();
  const cut = setTimeout(() => socket.destroy(), lastWordsMs);
  socket.once('close', () => clearTimeout(cut));
}
