/** GraphiQL as it is built into the package: one page that needs nothing from anywhere else. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { gunzip } from 'node:zlib';
import { TenonError } from '../base/errors.js';
import { packageRoot } from '../base/package-root.js';
import { sendError } from './problem.js';

interface Page {
  /** gzip. */
  readonly bytes: Buffer;
  readonly etag: string;
  /** What the page may load and run: its own scripts, by their hashes. */
  readonly policy: string;
}

const defaultFolder = path.join(packageRoot, 'dist', 'graphiql');

/** The page, read when it is first asked for and kept as it is sent. */
export class GraphiqlPage {
  readonly #folder: string;
  #page: Promise<Page> | undefined;

  /** @param folder with `index.html.gz` and `page.json`, as `scripts/graphiql-page.mjs` writes them */
  constructor(folder = defaultFolder) {
    this.#folder = folder;
  }

  /** Answer with the page; 404 when it was not built. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    this.#load().then(
      (page) => send(request, response, page),
      (cause: unknown) => {
        this.#page = undefined;
        const next = 'ask for application/json, or build the page with npm run build';
        sendError(request, response, new TenonError('RouteNotFound', 'GraphiQL is not built here', { next, cause }));
      },
    );
  }

  #load(): Promise<Page> {
    this.#page ??= readPage(this.#folder);
    return this.#page;
  }
}

async function readPage(folder: string): Promise<Page> {
  const [bytes, facts] = await Promise.all([
    readFile(path.join(folder, 'index.html.gz')),
    readFile(path.join(folder, 'page.json'), 'utf8'),
  ]);
  return { bytes, ...(JSON.parse(facts) as Omit<Page, 'bytes'>) };
}

function send(request: IncomingMessage, response: ServerResponse, { bytes, etag, policy }: Page): void {
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.setHeader('cache-control', 'no-cache');
  response.setHeader('vary', 'accept, accept-encoding');
  response.setHeader('etag', etag);
  response.setHeader('content-security-policy', policy);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('x-frame-options', 'DENY');
  response.setHeader('referrer-policy', 'no-referrer');
  if (request.headers['if-none-match'] === etag) {
    response.statusCode = 304;
    response.end();
    return;
  }
  if (/\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$|\s))/i.test(String(request.headers['accept-encoding'] ?? ''))) {
    response.setHeader('content-encoding', 'gzip');
    response.end(bytes);
    return;
  }
  gunzip(bytes, (error, plain) => {
    if (error === null) response.end(plain);
    else sendError(request, response, error);
  });
}
