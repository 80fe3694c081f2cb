// Writes dist/registry-template.tar.gz, the empty database that the embedded registry begins with, and beside it what that
// was made of. Does nothing when both are there and the same. A first start from it takes a third of one from nothing.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

const folder = path.resolve(import.meta.dirname, '..', 'dist');
const archive = path.join(folder, 'registry-template.tar.gz');
const facts = path.join(folder, 'registry-template.json');

/** What the template is made of, so that it is made again when that is another. */
async function madeOf() {
  const entry = createRequire(import.meta.url).resolve('@electric-sql/pglite');
  const { version } = JSON.parse(await readFile(path.join(path.dirname(entry), '..', 'package.json'), 'utf8'));
  const script = await readFile(import.meta.filename);
  return `${version}-${createHash('sha256').update(script).digest('hex').slice(0, 16)}`;
}

async function isThere(parts) {
  try {
    const { madeOf: made, sha256 } = JSON.parse(await readFile(facts, 'utf8'));
    return made === parts && sha256 === sha256Of(await readFile(archive));
  } catch {
    return false;
  }
}

function sha256Of(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

const parts = await madeOf();
if (!(await isThere(parts))) {
  const { PGlite } = await import('@electric-sql/pglite');
  const database = await PGlite.create({ initDbStartParams: ['--wal-segsize=1'] });
  await database.exec('CHECKPOINT');
  const dump = await database.dumpDataDir('gzip');
  await database.close();
  const bytes = Buffer.from(await dump.arrayBuffer());
  await mkdir(folder, { recursive: true });
  await writeFile(`${archive}.new`, bytes);
  await rename(`${archive}.new`, archive);
  await writeFile(facts, `${JSON.stringify({ madeOf: parts, sha256: sha256Of(bytes) }, undefined, 2)}\n`);
}
