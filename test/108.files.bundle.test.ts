import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeBundle } from './load/bundles.js';
import { World } from './load/world.js';

const open = { uploadSignatures: 'off', localSignatures: 'off' };
const upload = { origin: 'upload', by: 'a test' } as const;

describe('files of a bundle', () => {
  let world: World;
  const text = async (target: string): Promise<[number, string]> => {
    const answer = await fetch(world.url + target);
    return [answer.status, await answer.text()];
  };
  const bundle = (version: string, page: string): Promise<Buffer> =>
    makeBundle('shop', {
      version,
      files: { 'config.yaml': 'app_id: shop\nstatic_files: web\n', 'web/index.html': page, 'web/.hidden': 'hidden' },
    });

  beforeAll(async () => {
    world = await World.make();
    await world.start(open);
    await world.host.install(await bundle('1.0.0', 'one'), upload);
  }, 60_000);
  afterAll(() => world.close());

  test('are those that its manifest lists, whatever is done to its folder', async () => {
    expect(await text('/shop/')).toEqual([200, 'one']);
    const page = path.join(world.folder('shop'), 'web/index.html');
    expect(await readFile(page, 'utf8')).toBe('one');
    await writeFile(page, 'somebody else’s');
    await world.write('shop', 'web/added.html', 'added');
    expect(await text('/shop/')).toEqual([200, 'one']);
    expect((await text('/shop/added.html'))[0]).toBe(404);
    await writeFile(page, 'one');
  });

  test('are others with another version', async () => {
    await world.host.install(await bundle('1.1.0', 'two'), upload);
    expect(await text('/shop/')).toEqual([200, 'two']);
  });
});
