/** A request without a socket, for tests: over a connection in memory, to what answers behind the checks and limits of a port. */
import { createServer, type IncomingMessage, request as ask, type RequestListener } from 'node:http';
import { duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';

/** What is asked. */
export interface InjectedRequest {
  /** GET by default. */
  method?: string;
  /** Path and query. */
  url: string;
  /** `host` is `localhost` when it is not given. */
  headers?: Readonly<Record<string, string | string[]>>;
  /** An object becomes JSON, and says so in `content-type` when no header does. */
  body?: string | Uint8Array | object;
  /** Gives the request up. */
  signal?: AbortSignal;
}

/** What is answered, whole. */
export interface InjectedAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Uint8Array;
  /** The bytes as UTF-8. */
  readonly text: string;
  /** Throws SyntaxError. */
  json<Value = unknown>(): Value;
}

/**
 * Give `asked` to `handle`; resolves when the answer has ended. A stream without an end never does: give it up by a signal.
 * Rejects with TypeError for what is no request, when the signal aborts, and when the connection is cut.
 */
export async function inject(handle: RequestListener, asked: string | InjectedRequest): Promise<InjectedAnswer> {
  if (typeof asked !== 'string' && (typeof asked !== 'object' || asked === null))
    throw new TypeError('inject: a path that begins with /, or an object with it as `url`, is needed');
  const { url, method = 'GET', headers = {}, body, signal } = typeof asked === 'string' ? { url: asked } : asked;
  if (typeof url !== 'string' || !url.startsWith('/'))
    throw new TypeError(`inject: url ${JSON.stringify(url)} is no path that begins with /`);
  const [near, far] = duplexPair();
  createServer(handle).emit('connection', far);
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const asking = ask({
        method,
        path: url,
        headers: { host: 'localhost', ...contentOf(body), ...headers },
        createConnection: () => near,
        ...(signal === undefined ? {} : { signal }),
      });
      asking.once('response', resolve);
      asking.once('error', reject);
      asking.end(bytesOf(body));
    });
    const bytes = await buffer(answer);
    const text = bytes.toString();
    return {
      status: answer.statusCode ?? 0,
      headers: answer.headers,
      bytes,
      text,
      json: <Value>() => JSON.parse(text) as Value,
    };
  } finally {
    near.destroy();
    far.destroy();
  }
}

type Body = InjectedRequest['body'];

function contentOf(body: Body): Record<string, string> {
  return typeof body === 'object' && !(body instanceof Uint8Array) ? { 'content-type': 'application/json' } : {};
}

function bytesOf(body: Body): string | Uint8Array | undefined {
  return typeof body === 'object' && !(body instanceof Uint8Array) ? JSON.stringify(body) : body;
}
