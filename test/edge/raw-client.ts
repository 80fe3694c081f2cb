/** Bytes on a connection as they are, and what comes back as it is. */
import { connect } from 'node:net';

/** One answer on a connection. */
export interface RawAnswer {
  status: number;
  /** Names in lower case. */
  headers: Map<string, string>;
  /** Bytes as characters. */
  body: string;
}

/**
 * Send `bytes` on a connection of their own and read until the server ends it. Bytes are characters from 0 to 255.
 * @param ends whether nothing follows: our side of the connection ends behind them
 */
export function exchange(url: string, bytes: string, ends = false): Promise<string> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    let answer = '';
    socket.setEncoding('latin1');
    socket.write(bytes, 'latin1');
    if (ends) socket.end();
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('end', () => socket.end());
    socket.on('error', () => {}); // a reset is an end
    socket.on('close', () => resolve(answer));
  });
}

/** Answers as their own framing says; throws where that does not fit what came. */
export function answersIn(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n');
    const [line = '', ...fields] = rest.slice(0, end).split('\r\n');
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(line) ?? [];
    if (end < 0 || status === undefined) throw new Error(`no head of an answer: ${JSON.stringify(rest.slice(0, 200))}`);
    const headers = new Map(
      fields.map((field) => [field.replace(/:.*$/s, '').toLowerCase(), field.replace(/^[^:]*: ?/, '')]),
    );
    rest = rest.slice(end + 4);
    if (Number(status) === 100) continue;
    let body: string;
    if (headers.get('transfer-encoding') === 'chunked') [body, rest] = readChunks(rest);
    else {
      // Without a length it goes on to the end.
      const isEmpty = status === '204' || status === '304';
      const size = Number(headers.get('content-length') ?? (isEmpty ? 0 : rest.length));
      if (size > rest.length) throw new Error(`${status}: ${rest.length} of ${size} bytes came`);
      [body, rest] = [rest.slice(0, size), rest.slice(size)];
    }
    answers.push({ status: Number(status), headers, body });
  }
  return answers;
}

function readChunks(text: string): [body: string, rest: string] {
  let body = '';
  for (let rest = text; ; ) {
    const [line = '', digits = ''] = /^([\da-f]+)\r\n/.exec(rest) ?? [];
    const size = Number.parseInt(digits, 16);
    if (line === '') throw new Error(`no chunk: ${JSON.stringify(rest.slice(0, 50))}`);
    body += rest.slice(line.length, line.length + size);
    rest = rest.slice(line.length + size + 2);
    if (size === 0) return [body, rest];
  }
}
