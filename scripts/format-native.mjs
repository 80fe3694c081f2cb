// Checks the C and C++ sources against .clang-format, or with --write formats them. Other versions of clang-format
// lay some lines out differently, so only one version counts; without it there is nothing to check with.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const major = 14; // Debian 12's
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

const command = [`clang-format-${major}`, 'clang-format'].find((name) =>
  new RegExp(`version ${major}\\.`).test(spawnSync(name, ['--version'], { encoding: 'utf8' }).stdout ?? ''),
);
if (command === undefined) {
  console.log(`clang-format ${major} is not installed: C and C++ sources not looked at`);
  process.exit(0);
}
const files = ['native', 'applications', 'test', 'bench', 'docs', 'templates', 'examples']
  .flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true }).map((file) => path.join(root, folder, file)),
  )
  .filter((file) => /\.(?:c|cc|cpp|h|hpp)$/.test(file));
const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror'];
const run = spawnSync(command, [...mode, ...files], { stdio: 'inherit' });
process.exit(run.status ?? 1);
