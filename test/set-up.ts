import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const compiled = path.join(root, 'dist', 'index.js');

/**
 * Run once before the suite: a missing native part stops it with one sentence instead of a hundred failures, and dist, which
 * the tests start processes and threads from, is brought up to date.
 */
export function setup(): void {
  const missing = ['tenon.node', 'tenon-runner'].filter(
    (file) => !existsSync(path.join(root, 'build', 'Release', file)),
  );
  if (missing.length > 0)
    throw new Error(
      `build/Release has no ${missing.join(' and no ')}: run \`npm run build:native\`, then the tests again`,
    );
  if (isStale()) compile();
}

function isStale(): boolean {
  const written = statSync(compiled, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' });
  return sources.some((file) => file.endsWith('.ts') && statSync(path.join(root, 'src', file)).mtimeMs > written);
}

/** Also with wrong types, which are another command's to find. */
function compile(): void {
  const words = [path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'];
  try {
    execFileSync(process.execPath, words, { cwd: root, encoding: 'utf8' });
  } catch (error) {
    if (isStale()) throw error;
  }
}
