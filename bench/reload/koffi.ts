// The loop of loop.c in Node, through koffi: `koffi.ts library library directory times restMs`.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import koffi from 'koffi';

const [first = '', second = '', directory = '', times = '', restMs = ''] = process.argv.slice(2);
const libraries = [readFileSync(first), readFileSync(second)];
const entry = koffi.proto('void *()');

function reload(bytes: Uint8Array, file: string): void {
  writeFileSync(file, bytes, { flag: 'wx', mode: 0o500 });
  const library = koffi.load(file);
  if (koffi.call(library.symbol('tenon_plugin_entry'), entry) === null) throw new Error('no descriptor');
  library.unload();
  rmSync(file);
}

for (let turn = 0; turn < Number(times); turn++) {
  const bytes = libraries[turn % 2];
  if (bytes === undefined) throw new TypeError('two libraries are needed');
  await sleep(Number(restMs));
  const begin = performance.now();
  reload(bytes, path.join(directory, `${turn}.so`));
  process.stdout.write(`${performance.now() - begin}\n`);
}
