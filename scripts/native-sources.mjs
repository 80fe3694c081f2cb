// What the addon and the runner are made of.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const others = ['tests', 'fuzz'].map((room) => path.join('native', room) + path.sep);

/** SHA-256 of the sources below `root` and of how they are built. */
export function hashOfSources(root) {
  const hash = createHash('sha256');
  const sources = readdirSync(path.join(root, 'native'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .filter((file) => !others.some((room) => file.startsWith(room)))
    .sort();
  for (const file of [...sources, 'binding.gyp']) {
    const bytes = readFileSync(path.join(root, file));
    hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}
