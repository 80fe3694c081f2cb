/** Files of applications, as they are: found below their folder, and sent with all that HTTP knows about files. */
import { realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import picomatch from 'picomatch';
import send from 'send';
import { asTenonError, TenonError } from '../base/errors.js';
import type { ServedRoute } from '../host/live.js';
import type { FileRoutes } from '../host/routes.js';
import type { ServedFiles } from '../host/served-files.js';
import { preferred } from './accept.js';
import type { Compress } from './compression.js';
import { addVary } from './cors.js';
import { sendError } from './problem.js';
import { originForm, pathOf } from './router.js';
import type { Gateway } from './table-gate.js';

export interface FileEndpointsOptions extends Gateway {
  compress: Compress;
}

/** A file that may be sent. */
interface Found {
  /** Relative to the real root, links resolved. */
  readonly name: string;
  readonly root: string;
}

const redirect = 308;
const yearSeconds = 31_536_000;
/** Types of files that become smaller, as the package `send` has them. */
const compressibleTypes: Readonly<Record<string, string | undefined>> = {
  '.html': 'text/html; charset=utf-8',
  '.htm': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.xml': 'application/xml',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.ttf': 'font/ttf',
  '.otf': 'font/otf',
};
/** Files that lie beside another one, with the same in fewer bytes. */
const siblings = { br: '.br', gzip: '.gz' } as const;

/** Makes the routes by which the files of applications are served. */
export function fileServing(options: FileEndpointsOptions): FileRoutes {
  return (plugin, files) => routesOf(options, plugin, files);
}

function routesOf(options: FileEndpointsOptions, plugin: string, files: ServedFiles): ServedRoute[] {
  const { base } = files;
  const facts = { plugin, method: 'GET', slot: -1, bodyLimit: 0, execution: 'file', deadlineMs: 0 } as const;
  const below = `${base}/*`;
  const folder = new Folder(options, plugin, files);
  const routes: ServedRoute[] = [{ ...facts, path: below, endpoint: folder.endpoint(below) }];
  if (base !== '') routes.push({ ...facts, path: base, endpoint: folder.endpoint(base) });
  return routes;
}

/** The files of one application. */
class Folder {
  readonly #options: FileEndpointsOptions;
  readonly #plugin: string;
  readonly #files: ServedFiles;
  readonly #isImmutable: (name: string) => boolean;

  constructor(options: FileEndpointsOptions, plugin: string, files: ServedFiles) {
    this.#options = options;
    this.#plugin = plugin;
    this.#files = files;
    const { immutable } = files;
    this.#isImmutable =
      immutable.length === 0
        ? () => false
        : picomatch([...immutable], { noextglob: true, nonegate: true, regex: false });
  }

  /** Extensions of the application are asked first, as before its tables. */
  endpoint(route: string): (request: IncomingMessage, response: ServerResponse) => void {
    const { gateOf, pass } = this.#options;
    const plugin = this.#plugin;
    return (request, response) => {
      const gate = gateOf(plugin);
      if (gate === undefined) {
        void this.#answer(request, response, true);
        return;
      }
      const go = (identity: string): void => {
        // As it is by now: an extension may have begun to ask who comes.
        const now = gateOf(plugin) ?? gate;
        if (now.auth === 'open' || identity !== '') void this.#answer(request, response, false);
        else refuseNobody(request, response, plugin, now.challenges() ?? []);
      };
      const slot = gate.slot('GET', route);
      pass(request, response, { plugin, method: 'GET', path: route, slot, answering: () => {}, go });
    };
  }

  /** @param forAll whether caches may give it to everybody */
  async #answer(request: IncomingMessage, response: ServerResponse, forAll: boolean): Promise<void> {
    try {
      await this.#send(request, response, forAll);
    } catch (error) {
      sendError(request, response, error);
    }
  }

  async #send(request: IncomingMessage, response: ServerResponse, forAll: boolean): Promise<void> {
    const { base, root, index, fallback, maxAgeSeconds } = this.#files;
    const target = originForm(request.url ?? '/');
    const place = pathOf(target);
    const asked = nameOf(place.slice(base.length));
    // Not where an endless loop may begin: a client is led on only to where a folder is.
    if (asked === undefined) throw this.#notThere(request);
    const isFolder = place.endsWith('/');
    const name = isFolder ? `${asked}${index}` : asked;
    let found = name === '' ? 'folder' : await find(root, name);
    if (found === 'folder' && !isFolder) {
      const inside = asked === '' ? index : `${asked}/${index}`;
      if (typeof (await find(root, inside)) === 'object') {
        response.statusCode = redirect;
        // A name alone would be another host's where the path begins with two slashes.
        response.setHeader('location', `${place}/${target.slice(place.length)}`);
        response.setHeader('content-length', 0);
        response.end();
        return;
      }
    }
    const isPage = typeof found === 'object' && isFolder;
    let isFallback = false;
    if (typeof found !== 'object' && fallback !== undefined && wantsPage(request)) {
      found = await find(root, fallback);
      isFallback = true;
    }
    if (typeof found !== 'object') throw this.#notThere(request);
    const scope = forAll ? 'public' : 'private';
    const age = this.#isImmutable(name) && !isFallback ? yearSeconds : isPage || isFallback ? 0 : maxAgeSeconds;
    const immutable = age === yearSeconds && this.#isImmutable(name) ? ', immutable' : '';
    response.setHeader('cache-control', `${scope}, max-age=${age}${immutable}`);
    response.setHeader('x-content-type-options', 'nosniff');
    await this.#transmit(request, response, found);
  }

  async #transmit(request: IncomingMessage, response: ServerResponse, found: Found): Promise<void> {
    let { name } = found;
    const type = compressibleTypes[path.extname(name).toLowerCase()];
    // The tags are weak: whoever goes on by one gets the whole.
    if (request.headers['if-range'] !== undefined) delete request.headers.range;
    if (type !== undefined && request.headers.range === undefined) {
      addVary(response, 'Accept-Encoding');
      const encoding = encodingOf(request);
      const smaller = encoding && (await find(found.root, name + siblings[encoding]));
      if (encoding !== undefined && typeof smaller === 'object') {
        response.setHeader('content-encoding', encoding);
        response.setHeader('content-type', type);
        ({ name } = smaller);
      }
      this.#options.compress(request, response);
    }
    const escaped = `/${name.split('/').map(encodeURIComponent).join('/')}`;
    send(request, escaped, { root: found.root, index: false, dotfiles: 'deny', cacheControl: false })
      .on('directory', () => this.#fail(request, response, this.#notThere(request)))
      .on('error', (error: Error & { status?: number }) => this.#fail(request, response, this.#whyNot(request, error)))
      .pipe(response);
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: TenonError): void {
    for (const name of ['etag', 'last-modified', 'content-encoding', 'accept-ranges'])
      if (!response.headersSent) response.removeHeader(name);
    sendError(request, response, error);
  }

  #whyNot(request: IncomingMessage, error: Error & { status?: number }): TenonError {
    const details = { plugin: this.#plugin };
    if (error.status === 412)
      return new TenonError('PreconditionFailed', 'the file is not as the request asks for', { details });
    if (error.status === 416)
      return new TenonError('RangeInvalid', 'the file has no such range', {
        next: 'see Content-Range for its size',
        details,
      });
    if (error.status === 500) return asTenonError(error);
    return this.#notThere(request);
  }

  #notThere(request: IncomingMessage): TenonError {
    const place = pathOf(originForm(request.url ?? '/'));
    return new TenonError('RouteNotFound', `${this.#plugin} has no file at ${place}`, {
      details: { plugin: this.#plugin, method: request.method, path: place },
    });
  }
}

/** What `escaped`, the rest of a path, names; without the slash at its end. Undefined for what can be no name of a file. */
function nameOf(escaped: string): string | undefined {
  let text: string;
  try {
    text = decodeURIComponent(escaped.replace(/^\//, ''));
  } catch {
    return undefined;
  }
  // An escaped slash would make two names of one segment.
  if (/%2f/i.test(escaped)) return undefined;
  const names = text.split('/');
  const plain = names.every(
    (name, at) => (name !== '' || at === names.length - 1) && !name.startsWith('.') && !/[\0\\]/.test(name),
  );
  return plain ? text : undefined;
}

/** Where `name` below `root` leads: links count when they stay below it, and lead to nothing hidden. */
async function find(root: string, name: string): Promise<Found | 'folder' | undefined> {
  try {
    const realRoot = await realpath(root);
    const place = await realpath(path.join(realRoot, name));
    if (!place.startsWith(realRoot + path.sep)) return undefined;
    const inside = place.slice(realRoot.length + 1);
    if (inside.split(path.sep).some((each) => each.startsWith('.'))) return undefined;
    const info = await stat(place);
    if (info.isDirectory()) return 'folder';
    return info.isFile() ? { name: inside.split(path.sep).join('/'), root: realRoot } : undefined;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES', 'EINVAL'].includes(code)) return undefined;
    throw error;
  }
}

function wantsPage({ headers }: IncomingMessage): boolean {
  const { accept } = headers;
  return accept?.includes('text/html') === true && preferred(accept, ['text/html']) !== undefined;
}

/** What of the encodings of siblings the client wants most. */
function encodingOf({ headers }: IncomingMessage): keyof typeof siblings | undefined {
  const accept = headers['accept-encoding'];
  if (typeof accept !== 'string' || accept === '' || accept === '*/*') return undefined;
  const wanted = preferred(accept, ['br', 'gzip', 'identity']);
  return wanted === 'br' || wanted === 'gzip' ? wanted : undefined;
}

function refuseNobody(
  request: IncomingMessage,
  response: ServerResponse,
  plugin: string,
  challenges: readonly string[],
): void {
  if (challenges.length > 0) response.setHeader('www-authenticate', [...challenges]);
  sendError(
    request,
    response,
    new TenonError('Unauthenticated', `the files of ${plugin} need somebody who is known, and nobody is`, {
      details: { plugin },
    }),
  );
}
