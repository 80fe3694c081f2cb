/** The API's document as a page: an explorer that is built into the package and needs nothing from anywhere else. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { TenonError } from '../base/errors.js';
import { packageRoot } from '../base/package-root.js';
import type { Asked, Operation } from './operation.js';

interface Facts {
  /** Hash of the page. */
  readonly page: string;
  /** Hash of the explorer. */
  readonly script: string;
  /** What the page may load and run. */
  readonly policy: string;
}

interface Files {
  readonly facts: Facts;
  readonly page: Buffer;
  /** gzip. */
  readonly explorer: Buffer;
}

const defaultFolder = path.join(packageRoot, 'dist', 'openapi');
const yearSeconds = 31_536_000;
const script = 'text/javascript; charset=utf-8';

/** `/docs` and what it loads. `folder` is as `scripts/openapi-page.mjs` writes it. */
export function docsOperations(folder = defaultFolder): Operation[] {
  const files = filesIn(folder);
  const tagged = { etag: { description: 'Changes with the content', schema: { type: 'string' } } };
  const known = { description: 'It is known', headers: tagged };
  const common = { tag: 'health', method: 'get', errors: ['RouteNotFound'] } as const;
  const text = { type: 'string' };
  return [
    {
      ...common,
      id: 'showDocs',
      path: '/docs',
      summary: 'The document as a page',
      answers: { 200: { description: 'The page', headers: tagged, content: { 'text/html': text } }, 304: known },
      handle: async (asked) => {
        const { facts, page } = await files();
        const headers = {
          'content-type': 'text/html; charset=utf-8',
          'content-security-policy': facts.policy,
          'x-frame-options': 'DENY',
          'referrer-policy': 'no-referrer',
          'cross-origin-opener-policy': 'same-origin',
        };
        return answer(asked, { etag: facts.page, cache: 'no-cache', headers, content: () => page });
      },
    },
    {
      ...common,
      id: 'readExplorer',
      path: '/docs/explorer.js',
      summary: 'The script of the page of the document',
      parameters: [
        { name: 'v', in: 'query', description: 'Its version: with the right one it may be kept', schema: text },
      ],
      answers: {
        200: { description: 'JavaScript', headers: tagged, content: { 'text/javascript': text } },
        304: known,
      },
      handle: async (asked) => {
        const { request } = asked;
        const { facts, explorer } = await files();
        const cache = request.query['v'] === facts.script ? `public, max-age=${yearSeconds}, immutable` : 'no-cache';
        const packed = request.acceptsEncodings('gzip') === 'gzip';
        const headers = {
          'content-type': script,
          vary: 'accept-encoding',
          ...(packed ? { 'content-encoding': 'gzip' } : {}),
        };
        // The same in another coding is another thing to whoever keeps it.
        const etag = packed ? facts.script : `${facts.script}-plain`;
        const content = packed ? () => explorer : () => promisify(gunzip)(explorer);
        return answer(asked, { etag, cache, headers, content });
      },
    },
  ];
}

interface Content {
  readonly etag: string;
  readonly cache: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: () => Buffer | Promise<Buffer>;
}

async function answer({ request, response }: Asked, { etag, cache, headers, content }: Content): Promise<undefined> {
  const tag = `"${etag}"`;
  response.setHeader('etag', tag);
  response.setHeader('cache-control', cache);
  response.setHeader('x-content-type-options', 'nosniff');
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (request.headers['if-none-match']?.replace(/^W\//, '') === tag) {
    response.removeHeader('content-encoding');
    response.status(304).end();
    return undefined;
  }
  const bytes = await content();
  response.setHeader('content-length', bytes.length);
  response.end(request.method === 'HEAD' ? undefined : bytes);
  return undefined;
}

/** Read when they are first asked for, and kept. */
function filesIn(folder: string): () => Promise<Files> {
  let read: Promise<Files> | undefined;
  return () => {
    read ??= readFiles(folder).catch((cause: unknown) => {
      read = undefined;
      const next = 'read /openapi.json, or build the page with npm run build';
      throw new TenonError('RouteNotFound', 'the page of the document is not built here', { next, cause });
    });
    return read;
  };
}

async function readFiles(folder: string): Promise<Files> {
  const [facts, page, explorer] = await Promise.all([
    readFile(path.join(folder, 'page.json'), 'utf8'),
    readFile(path.join(folder, 'index.html')),
    readFile(path.join(folder, 'explorer.js.gz')),
  ]);
  return { facts: JSON.parse(facts) as Facts, page, explorer };
}
