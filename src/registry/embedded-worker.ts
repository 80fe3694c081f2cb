/** The thread that PGlite runs in: it takes questions one at a time and answers each. */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite, type PGliteOptions, types } from '@electric-sql/pglite';
import { NodeFS } from '@electric-sql/pglite/nodefs';
import { channel } from './migrations.js';
import { unpack } from './unpack.js';

export interface EmbeddedData {
  readonly directory: string;
  readonly template: string | null;
}

export type Question =
  | { readonly kind: 'query'; readonly id: number; readonly text: string; readonly values: readonly unknown[] }
  | { readonly kind: 'listen'; readonly id: number }
  | { readonly kind: 'close' };

export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'rows'; readonly id: number; readonly rows: readonly object[]; readonly command?: string }
  /** What the database says of a statement; `facts` has its SQLSTATE as `code`. */
  | {
      readonly kind: 'error';
      readonly id: number;
      readonly message: string;
      readonly facts: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'notified'; readonly payload: string }
  /** PGlite is of no use any more. */
  | { readonly kind: 'lost'; readonly message: string; readonly next?: string }
  | { readonly kind: 'closed' };

const tellable = ['code', 'severity', 'detail', 'hint', 'schema', 'table', 'column', 'constraint'] as const;
/** What PGlite says on its standard error before it gives up: the reason is in its last lines. */
const said: string[] = [];
const saidLimit = 20;
const toMend = 'bring it back from a copy, or remove it: what is found is registered anew then';
let running = false;

function tell(answer: Answer): void {
  parentPort?.postMessage(answer);
}

interface NodeFiles {
  readonly NODEFS: {
    realPath: (node: unknown) => string;
    stream_ops: { fsync?: (stream: { readonly nfd?: number; readonly node: unknown }) => number };
  };
}

/** EIO, as the WebAssembly knows it: PostgreSQL gives up what it could not write. */
const ioError = 29;

/**
 * What aborts is past saving, and PGlite swallows it: it is told from where it happens. And its files have no fsync: PostgreSQL
 * would believe to have one.
 */
class SafeFiles extends NodeFS {
  override async init(...[pglite, options]: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const { emscriptenOpts } = await super.init(pglite, options);
    const onAbort = (what: unknown): void => lose('PGlite has aborted', what);
    const withSync = (module: object): void => {
      const { NODEFS } = module as NodeFiles;
      NODEFS.stream_ops.fsync = ({ nfd, node }) => sync(nfd, () => NODEFS.realPath(node));
    };
    return { emscriptenOpts: { ...emscriptenOpts, onAbort, preRun: [...(emscriptenOpts.preRun ?? []), withSync] } };
  }
}

/** `opened`: of a file; a folder is opened for it. */
function sync(opened: number | undefined, folder: () => string): number {
  try {
    const descriptor = opened ?? openSync(folder(), 'r');
    fsyncSync(descriptor);
    if (opened === undefined) closeSync(descriptor);
    return 0;
  } catch {
    return ioError;
  }
}

function lose(what: string, error: unknown): void {
  tell({ kind: 'lost', message: `${what}: ${reason(error)}`, ...(running ? {} : { next: toMend }) });
}

/** What PostgreSQL has said last of what ended it, else what PGlite says. */
function reason(error: unknown): string {
  const severe = said.flatMap((line) => /\b(?:FATAL|PANIC): .*/.exec(line)?.[0].replace(/:\s+/, ': ') ?? []);
  return severe.at(-1) ?? (error instanceof Error ? error.message : String(error));
}

function options(directory: string): PGliteOptions {
  return {
    fs: new SafeFiles(directory),
    parsers: { [types.INT8]: (text: string) => text },
    startParams: [
      ...PGlite.defaultStartParams.filter((param) => param !== '-F'),
      '-c',
      'fsync=on',
      '-c',
      'wal_sync_method=fsync',
      '-c',
      'shared_buffers=8MB',
    ],
    onStderr: (line) => {
      said.push(line);
      if (said.length > saidLimit) said.shift();
      return false;
    },
  };
}

/** Made beside it and renamed, so that a process that is killed meanwhile leaves nothing that looks whole. */
async function make(directory: string, template: string | null): Promise<void> {
  const fresh = `${directory}.new`;
  rmSync(fresh, { recursive: true, force: true });
  if (template !== null && existsSync(template)) unpack(template, fresh);
  else {
    const first = await PGlite.create({ ...options(fresh), initDbStartParams: ['--wal-segsize=1'] });
    await first.close();
  }
  renameSync(fresh, directory);
  sync(undefined, () => path.dirname(directory));
}

async function open({ directory, template }: EmbeddedData): Promise<PGlite> {
  const entries = existsSync(directory) ? readdirSync(directory) : [];
  if (entries.length === 0) await make(directory, template);
  else if (!existsSync(path.join(directory, 'PG_VERSION')))
    throw new Error('it is damaged or no database: it has no PG_VERSION');
  return PGlite.create(options(directory));
}

async function answer(pglite: PGlite, question: Exclude<Question, { kind: 'close' }>): Promise<void> {
  const { id } = question;
  try {
    if (question.kind === 'listen') {
      await pglite.listen(channel, (payload) => tell({ kind: 'notified', payload }));
      tell({ kind: 'rows', id, rows: [] });
      return;
    }
    const { text, values } = question;
    const result = values.length === 0 ? (await pglite.exec(text)).at(-1) : await pglite.query(text, [...values]);
    const { rows = [], command } = (result ?? {}) as { rows?: object[]; command?: string };
    tell({ kind: 'rows', id, rows, ...(command === undefined ? {} : { command }) });
  } catch (error) {
    if (error instanceof Error && (error.name === 'RuntimeError' || error.name === 'ExitStatus'))
      lose('PGlite has failed', error);
    else
      tell({ kind: 'error', id, message: error instanceof Error ? error.message : String(error), facts: facts(error) });
  }
}

function facts(error: unknown): Record<string, string> {
  if (typeof error !== 'object' || error === null) return {};
  const known = error as Record<string, unknown>;
  return Object.fromEntries(
    tellable.flatMap((name) => (typeof known[name] === 'string' ? [[name, known[name]] as const] : [])),
  );
}

let pglite: PGlite | undefined;
try {
  pglite = await open(workerData as EmbeddedData);
} catch (error) {
  lose('PGlite does not start', error);
}
if (pglite !== undefined) {
  running = true;
  const database = pglite;
  parentPort?.on('message', (question: Question) => {
    if (question.kind !== 'close') void answer(database, question);
    else
      void database
        .close()
        .catch(() => {}) // what it has committed is on disk
        .then(() => tell({ kind: 'closed' }));
  });
  tell({ kind: 'ready' });
}
