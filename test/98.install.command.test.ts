import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeBundle } from './load/bundles.js';
import { type Said, tenon } from './load/tenon.js';
import { until, World } from './load/world.js';

let world: World;
let server: Server;
let address: string;
const asked: string[] = [];

beforeAll(async () => {
  world = await World.make();
  await world.start({ uploadSignatures: 'off' });
  server = createServer(({ url = '' }, answer) => {
    asked.push(url);
    if (url === '/page.tgz') answer.end('<h1>no archive</h1>');
    else if (url === '/broken.tgz') {
      answer.writeHead(200, { 'content-length': 1000 });
      answer.write('some', () => answer.destroy());
    } else {
      answer.statusCode = 404;
      answer.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  await world.close();
});

const run = (...words: string[]): Promise<Said> => tenon(world.directory, ...words, '--data', 'state');

describe('tenon install', () => {
  test.each<[string, () => string, string]>([
    ['is not there', () => `${address}/gone.tgz`, 'is not to be had: its server answers 404; check the address'],
    ['breaks off', () => `${address}/broken.tgz`, 'broke off: '],
    ['nobody answers for', () => 'http://127.0.0.1:1/x.tgz', 'cannot be reached: '],
    ['is no archive', () => `${address}/page.tgz`, ''],
  ])('of an address that %s fails, which is no wrong use', async (_, url, sentence) => {
    const { status, out, err } = await run('install', url());
    expect([status, out]).toEqual([1, '']);
    if (sentence !== '') expect(err).toContain(`tenon: ${url()} ${sentence}`);
  });

  test('says to programs that an address could not be fetched', async () => {
    const { out } = await run('install', `${address}/gone.tgz`, '--json');
    expect(JSON.parse(out)).toMatchObject({ error: 'BundleNotFetched', details: { url: `${address}/gone.tgz` } });
  });

  test('of what is not there, and with a hash that is none, is wrong use, and fetches nothing', async () => {
    expect(await run('install', 'nosuch.tgz')).toEqual({ status: 2, out: '', err: 'tenon: nosuch.tgz is not there\n' });
    const before = asked.length;
    const { status, err } = await run('install', `${address}/gone.tgz`, '--sha256', 'abcd');
    expect([status, err]).toEqual([2, expect.stringContaining('option sha256: "abcd" is no SHA-256')]);
    expect(asked).toHaveLength(before);
  });
});

test('tenon rollback without anything to go back to names the command that shows what is kept', async () => {
  expect((await run('rollback', 'shop')).err).toBe('tenon: there is no plugin "shop"; none is there\n');
  await writeFile(path.join(world.directory, 'shop.tgz'), await makeBundle('shop'));
  expect((await run('install', 'shop.tgz')).status).toBe(0);
  const headers = { authorization: 'Bearer a-token-of-the-tests' };
  await until('the build is kept', async () => {
    const { body } = await world.request('GET', '/api/v1/plugins/shop/versions', { headers });
    return (JSON.parse(body) as { versions: unknown[] }).versions.length > 0;
  });
  expect(await run('rollback', 'shop')).toMatchObject({
    status: 1,
    err: expect.stringMatching(/; see `tenon versions shop`\n$/),
  });
});
