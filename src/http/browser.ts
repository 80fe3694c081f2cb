/** What tells of a request that a page of another site has a browser send, and of a token that stands in the URL. */
import type { IncomingMessage } from 'node:http';
import { hasToken } from './token-text.js';

const readingMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Whether it would change something and a browser sends it for a page of another origin. What the browser says of the site cannot be forged by a
 * page, and is right behind a proxy that gives the host another name; older browsers tell the origin alone.
 */
export function isForeign({ method = 'GET', headers }: IncomingMessage): boolean {
  if (readingMethods.has(method)) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const { origin, host = '' } = headers;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host.toLowerCase() !== portless(origin, host);
}

/** As URL has hosts: without the port that is the scheme's own. */
function portless(origin: string, host: string): string {
  const url = `${origin.slice(0, origin.indexOf(':'))}://${host}`;
  return URL.canParse(url) ? new URL(url).host.toLowerCase() : '';
}

const tokenNames = ['token', 'access_token', 'admin_token', 'authorization', 'api_key', 'apikey'];

export function urlCarriesToken(request: IncomingMessage & { originalUrl?: string }): boolean {
  const url = request.originalUrl ?? request.url ?? '';
  if (hasToken(url)) return true;
  const at = url.indexOf('?');
  if (at < 0) return false;
  return [...new URLSearchParams(url.slice(at + 1)).keys()].some((name) => tokenNames.includes(name.toLowerCase()));
}
