import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSecretKey } from '../src/bundle/secret-key.js';
import { World } from './load/world.js';

const token = 'Bearer a-token-of-the-tests';
const sha256 = createHash('sha256').update('a library').digest('hex');

let world: World;
beforeAll(async () => {
  world = await World.make();
  await world.start();
});
afterAll(() => world.close());

describe('the trust list of a running host', () => {
  const { publicKey, keyId } = makeSecretKey();

  async function ask(method: string, place: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const init = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
    const answer = await world.request(method, `/api/v1/${place}`, { headers: { authorization: token }, ...init });
    return { status: answer.status, body: JSON.parse(answer.body) as unknown };
  }

  test('is seen and changed over HTTP, and every change is in the audit log', async () => {
    const file = path.join(world.data, 'trust.json');
    expect(await ask('GET', 'trust')).toEqual({ status: 200, body: { file, keys: [], killed: [] } });
    const key = { key: publicKey.text, keyId, name: 'the maker', plugins: ['todo', 'shop-*'] };
    const given = { key: publicKey.text, name: 'the maker', plugins: ['todo', 'shop-*'] };
    expect(await ask('POST', 'trust/keys', given)).toEqual({ status: 200, body: { status: 'trusted', key } });
    const entry = { sha256, reason: 'it steals' };
    expect(await ask('POST', 'trust/killed', entry)).toEqual({
      status: 200,
      body: { status: 'killed', killed: entry },
    });
    expect((await ask('GET', 'trust')).body).toEqual({ file, keys: [key], killed: [entry] });
    expect((await ask('DELETE', `trust/killed/${sha256}`)).body).toEqual({ status: 'spared', sha256 });
    expect((await ask('DELETE', `trust/keys/${keyId}`)).body).toEqual({ status: 'removed', keyId });
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ keys: [], killed: [] });

    const by = expect.stringMatching(/^api (?:::ffff:)?127\.0\.0\.1$/);
    expect((await ask('GET', 'audit')).body).toMatchObject({
      entries: [
        { seq: 4, action: 'distrust', keyId, by },
        { seq: 3, action: 'spare', sha256, by },
        { seq: 2, action: 'kill', sha256, message: 'it steals', by },
        { seq: 1, action: 'trust', keyId, message: 'the maker: todo, shop-*', by },
      ],
    });
    expect((await ask('GET', 'audit?limit=1')).body).toMatchObject({ entries: [{ seq: 4 }] });
    expect((await ask('GET', 'audit/check')).body).toMatchObject({ intact: true, lines: 4, problems: [] });
    expect((await stat(path.join(world.data, 'audit.log'))).mode & 0o777).toBe(0o600);
  });

  test.each<[string, string, string, unknown, number, string]>([
    ['a key that is none', 'POST', 'trust/keys', { key: 'RW', plugins: ['*'] }, 422, 'KeyInvalid'],
    ['a key for nothing', 'POST', 'trust/keys', { key: publicKey.text }, 400, 'BadRequest'],
    ['a member nobody knows', 'POST', 'trust/killed', { sha256, reson: '' }, 400, 'BadRequest'],
    ['no hash', 'POST', 'trust/killed', { reason: '' }, 400, 'BadRequest'],
    ['no body', 'POST', 'trust/killed', undefined, 400, 'BadRequest'],
    ['a body that is no JSON', 'POST', 'trust/killed', '{', 400, 'BadRequest'],
    ['a key that is not trusted', 'DELETE', `trust/keys/${'0'.repeat(16)}`, undefined, 422, 'KeyInvalid'],
    ['an id of no key', 'DELETE', 'trust/keys/me', undefined, 400, 'BadRequest'],
    ['a hash that is not killed', 'DELETE', `trust/killed/${'0'.repeat(64)}`, undefined, 422, 'KeyInvalid'],
    ['an empty limit', 'GET', 'audit?limit=', undefined, 400, 'BadRequest'],
    ['a limit without end', 'GET', 'audit?limit=1e9', undefined, 400, 'BadRequest'],
  ])('refuses %s, and writes nothing', async (_, method, place, body, status, code) => {
    const before = await ask('GET', 'audit/check');
    expect(await ask(method, place, body)).toMatchObject({ status, body: { error: code } });
    expect(await ask('GET', 'audit/check')).toEqual(before);
  });

  test('is for whoever has the token', async () => {
    const routes = [
      ['GET', 'trust'],
      ['POST', 'trust/keys'],
      ['DELETE', `trust/keys/${keyId}`],
      ['POST', 'trust/killed'],
      ['DELETE', `trust/killed/${sha256}`],
      ['GET', 'audit'],
      ['GET', 'audit/check'],
    ] as const;
    for (const [method, place] of routes)
      expect((await world.request(method, `/api/v1/${place}`)).status, `${method} ${place}`).toBe(401);
  });

  test('that cannot be used is said by the answer, and is not overwritten', async () => {
    const file = path.join(world.data, 'trust.json');
    await writeFile(file, '{"killed":');
    expect(await ask('GET', 'trust')).toMatchObject({ status: 422, body: { error: 'KeyInvalid', details: { file } } });
    expect(await ask('POST', 'trust/killed', { sha256 })).toMatchObject({ status: 422, body: { error: 'KeyInvalid' } });
    expect(await readFile(file, 'utf8')).toBe('{"killed":');
    await writeFile(file, '{}');
  });
});
