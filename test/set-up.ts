import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Run once before the suite: a missing native part stops it with one sentence instead of a hundred failures. */
export function setup(): void {
  const missing = ['tenon.node', 'tenon-runner'].filter(
    (file) => !existsSync(path.join(root, 'build', 'Release', file)),
  );
  if (missing.length > 0)
    throw new Error(
      `build/Release has no ${missing.join(' and no ')}: run \`npm run build:native\`, then the tests again`,
    );
}
