// Puts a bundle in place and ends: `place.mjs DIRECTORY MODE TEXT`; or sweeps (MODE `sweep`), and writes what stays to the file TEXT.
// For tests that kill it on the way. It is run as it is, with what was built: the calls of a compiler of TypeScript would be counted,
// too.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadCore } from '../../dist/binding/core.js';
import { look, Places } from '../../dist/bundle/place.js';

const [directory, mode, text] = process.argv.slice(2);
const core = loadCore();
const places = new Places({
  directory,
  owner: 'test',
  exchange: (one, other) => mode !== 'steps' && core.exchangeNames(one, other),
});
const folder = path.join(directory, 'shop');
if (mode === 'sweep') {
  const wrong = await places.sweep();
  writeFileSync(text, JSON.stringify(wrong.map(({ place }) => path.basename(place))));
} else if (mode === 'take') await places.discard(await places.take(folder));
else {
  const put = await places.put(
    await places.stage([
      ['manifest.json', Buffer.from(text)],
      ['lib/shop.so', Buffer.from(text)],
    ]),
    folder,
    await look(folder),
  );
  await (mode === 'undo' ? put.undo() : put.finish());
}
