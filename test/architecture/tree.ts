import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Absolute path of the project. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

const left = new Set(['.git', 'node_modules', 'dist', 'build', 'data', 'coverage']);

/** Every text file of the project, by its path from the root; made and installed ones left out. */
export function readTree(): Map<string, string> {
  const files = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const file = path.posix.join(folder, entry.name);
      if (entry.isDirectory() && !left.has(file)) walk(file);
      if (!entry.isFile()) continue;
      const bytes = readFileSync(path.join(root, file));
      if (!bytes.subarray(0, 8192).includes(0)) files.set(file, bytes.toString('utf8'));
    }
  };
  walk('');
  return files;
}
