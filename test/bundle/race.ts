/** What lies in a folder is swapped while it is read. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { readArchive } from '../../src/bundle/archive.js';
import { asTenonError } from '../../src/base/errors.js';
import { swapping } from './swapping.js';
import { makeBundle, platform } from '../load/bundles.js';
import { World } from '../load/world.js';
import { buildPlugin } from '../plugins/build.js';

/** Reload so many times; how often a byte was run that the manifest does not name. Throws when there was no race. */
export async function race(attempts: number): Promise<number> {
  const world = await World.make();
  const mark = path.join(world.directory, 'mark');
  try {
    const evil = await buildPlugin('marks', {
      defines: { PLUGIN_ID: '"shop"', PLUGIN_VERSION: '"1.0.0"', MARK: `"${mark}"` },
    });
    // It would, were it opened.
    await world.publish('shop', evil);
    await world.start({ localSignatures: 'off' });
    expect(existsSync(mark)).toBe(true);
    await world.host.unload('shop');
    await rm(world.folder('shop'), { recursive: true });
    await rm(mark);
    await world.host.discover();

    const place = path.join(world.folder('shop'), `prebuilds/${platform}/shop.so`);
    const manifest = path.join(world.folder('shop'), 'manifest.json');
    const good: { manifest: Buffer; library: Buffer }[] = [];
    for (const version of ['1.0.0', '1.1.0']) {
      const files = await readArchive(await makeBundle('shop', { version }));
      const bytesOf = (name: string): Buffer =>
        files.find((file) => file.path.endsWith(name))?.bytes ?? Buffer.alloc(0);
      good.push({ manifest: bytesOf('manifest.json'), library: bytesOf('.so') });
    }
    const [first, second] = good as [(typeof good)[0], (typeof good)[0]];
    await mkdir(path.dirname(place), { recursive: true });
    await writeFile(place, first.library);
    await writeFile(manifest, first.manifest);
    // Without the manifest this would be the application's library.
    await writeFile(path.join(world.folder('shop'), 'shop.so'), await readFile(evil));
    await world.host.discover();
    expect((await world.get('/shop/version')).body).toBe('1.0.0');

    const bad = await readFile(evil);
    const swaps = swapping([
      { place, bytes: bad, ms: 1 },
      { place, bytes: first.library, ms: 4 },
      { place, link: evil },
      { place: manifest, bytes: second.manifest },
      { place, bytes: second.library, ms: 40 },
      { place, bytes: bad, ms: 1 },
      { place: manifest, bytes: first.manifest },
      { place, bytes: first.library, ms: 40 },
    ]);
    let executed = 0;
    const ended = new Map<string, number>();
    const count = (what: string): void => void ended.set(what, (ended.get(what) ?? 0) + 1);
    // How often one meets the other is the machine's affair: a race goes on until there was one.
    const met = (): boolean => (ended.get('BundleDamaged') ?? 0) >= attempts / 50 && (ended.get('loaded') ?? 0) > 0;
    for (let attempt = 0; attempt < attempts || (!met() && attempt < 20 * attempts); attempt++) {
      await world.host.reload('shop').then(
        ({ unchanged }) => count(unchanged === true ? 'unchanged' : 'loaded'),
        (error: unknown) => count(asTenonError(error).code),
      );
      if (!existsSync(mark)) continue;
      executed += 1;
      await rm(mark);
    }
    await swaps.stop();
    const serves = (await world.get('/shop/version')).body;
    expect(['1.0.0', '1.1.0']).toContain(serves);
    expect(met()).toBe(true);
    return executed;
  } finally {
    await world.close();
  }
}
