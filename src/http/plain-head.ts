/** A request that wants another protocol, as one that does not. */
import type { IncomingMessage } from 'node:http';

/** The bytes of a request up to its body, without a word about another protocol. */
export function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method ?? 'GET'} ${url ?? '/'} HTTP/${httpVersion}`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const value = rawHeaders[at + 1] ?? '';
    const lower = name.toLowerCase();
    if (lower === 'upgrade' || lower === 'http2-settings') continue;
    lines.push(`${name}: ${lower === 'connection' ? withoutUpgrade(value) : value}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** The options of a connection that are left. */
function withoutUpgrade(value: string): string {
  const hops = ['upgrade', 'http2-settings'];
  const kept = value.split(',').filter((option) => !hops.includes(option.trim().toLowerCase()));
  return kept.join(',').trim();
}
