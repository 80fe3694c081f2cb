/** Scans texts, the large ones beside the event loop, and remembers what it found. */
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { TenonError } from '../base/errors.js';
import { packageRoot } from '../base/package-root.js';
import { type Language, type Scan, scanSource } from './scan.js';

/** A text of more characters is scanned in a thread of its own, one at a time. */
const largest = 256 * 1024;
const remembered = 512;
/** Beside the sources as well, so that they can be run without being built. */
const thread = path.join(packageRoot, 'dist', 'compiler', 'scan-thread.js');

/** What was found, by the key of the text; the least recent first. */
const known = new Map<string, Scan>();
let queue: Promise<unknown> = Promise.resolve();

/**
 * As `scanSource`; `key` is another one for every other text. Throws the reason of `signal`, and `BuildFailed` when the
 * text takes more memory than a scan may have.
 */
export async function scanText(text: string, key: string, language: Language, signal?: AbortSignal): Promise<Scan> {
  const name = `${language} ${key}`;
  const before = known.get(name);
  const scan = before ?? (text.length > largest ? await scanApart(text, language, signal) : scanSource(text, language));
  known.delete(name);
  known.set(name, scan);
  for (const oldest of known.keys()) {
    if (known.size <= remembered) break;
    known.delete(oldest);
  }
  return scan;
}

function scanApart(text: string, language: Language, signal: AbortSignal | undefined): Promise<Scan> {
  const turn = queue.then(() => inThread(text, language, signal));
  queue = turn.catch(() => {});
  return turn;
}

function inThread(text: string, language: Language, signal: AbortSignal | undefined): Promise<Scan> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const worker = new Worker(thread, {
      workerData: { text, language },
      resourceLimits: { maxOldGenerationSizeMb: 1024 },
    });
    const abort = (): void => settle(() => reject(signal?.reason as Error));
    const settle = (then: () => void): void => {
      signal?.removeEventListener('abort', abort);
      void worker.terminate().then(then);
    };
    signal?.addEventListener('abort', abort, { once: true });
    worker.once('message', (scan: Scan) => settle(() => resolve(scan)));
    worker.once('error', (cause) =>
      settle(() =>
        reject(
          new TenonError('BuildFailed', `a source of ${text.length} characters cannot be scanned: ${cause.message}`, {
            next: 'split the source',
            cause,
          }),
        ),
      ),
    );
  });
}
