/** Which plugin a call of the admin API is about. */
import type { IncomingMessage } from 'node:http';

/** Calls that stand where an id would, and are about no single plugin. */
const others: ReadonlySet<string> = new Set(['install', 'discover', 'validate']);
const asOne = /^\/api\/v1\/(?:plugins|hot-reload\/trigger)\/([^/]+)/i;
/** Lists that may be asked about one plugin. */
const list = /^\/api\/v1\/(?:reloads|logs|crashes)\/?$/i;

/** Its id; undefined for a call about all of them, about the host, or one that is not known here. */
export function aboutPlugin(request: IncomingMessage & { originalUrl?: string }): string | undefined {
  const url = request.originalUrl ?? request.url ?? '';
  // A query may have further question marks.
  const [, path = '', query = ''] = /^([^?]*)\??(.*)$/s.exec(url) ?? [];
  if (list.test(path)) {
    const given = new URLSearchParams(query).getAll('plugin');
    return given.length === 1 ? given[0] : undefined;
  }
  const [whole = '', id] = asOne.exec(path) ?? [];
  if (id === undefined) return undefined;
  const isAlone = whole.length === path.replace(/\/$/, '').length;
  if (isAlone && request.method === 'POST' && others.has(id.toLowerCase())) return undefined;
  try {
    return decodeURIComponent(id);
  } catch {
    return undefined;
  }
}
