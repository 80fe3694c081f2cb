import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TenonError } from '../src/base/errors.js';
import { type ArchiveFile, readArchive } from '../src/bundle/archive.js';
import { writeArchive } from '../src/bundle/write-archive.js';
import { mutant } from './bundle/mutants.js';
import { type Found, foundByTars, noTars } from './bundle/tar-tools.js';

const budgetMs = 600_000;
const seed = Date.now() % 2 ** 31;

async function readOrRefused(archive: Buffer): Promise<ArchiveFile[] | undefined> {
  try {
    return await readArchive(archive);
  } catch (error) {
    if (error instanceof TenonError && error.code.startsWith('Archive')) return undefined;
    throw error;
  }
}

describe(`many archives, of seed ${seed}`, () => {
  test.skipIf(noTars !== undefined)(
    `20,000 mutants: each is refused, or GNU tar and bsdtar find the same ${noTars ?? ''}`,
    async () => {
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(mutant, async (archive) => {
          const files = await readOrRefused(archive);
          if (files === undefined) return;
          accepted += 1;
          const found: Found = {
            listed: files.map(({ path }) => path),
            extracted: new Map(files.map(({ path, bytes }) => [path, bytes])),
          };
          expect(foundByTars(archive)).toEqual({ gnu: found, bsd: found });
        }),
        { numRuns: 20_000, seed, interruptAfterTimeLimit: budgetMs },
      );
      expect(accepted).toBeGreaterThan(100);
    },
    budgetMs + 60_000,
  );

  test(
    '20,000 damaged ones: each is refused, or is the same',
    async () => {
      const files = [
        { path: 'manifest.json', bytes: Buffer.from('{"id": "damaged"}') },
        { path: 'library.so', bytes: Buffer.from(Array.from({ length: 20_000 }, (_, at) => (at * at) >>> (at % 7))) },
      ];
      const archive = writeArchive(files);
      let accepted = 0;
      const change = fc.record({ at: fc.nat(archive.length - 1), by: fc.integer({ min: 1, max: 255 }) });
      await fc.assert(
        fc.asyncProperty(change, async ({ at, by }) => {
          const damaged = Buffer.from(archive);
          damaged[at] = (damaged[at] ?? 0) ^ by;
          const read = await readOrRefused(damaged);
          if (read === undefined) return;
          accepted += 1;
          expect(read).toEqual(files);
        }),
        { numRuns: 20_000, seed, interruptAfterTimeLimit: budgetMs },
      );
      // Six bytes of the gzip header, and codes that nothing uses, of an archive of a few hundred bytes.
      expect(accepted).toBeLessThan(2000);
    },
    budgetMs + 60_000,
  );
});
