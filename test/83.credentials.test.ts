import { createHmac, randomBytes, scryptSync } from 'node:crypto';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLog } from '../src/base/log.js';
import { tokenKey } from '../src/base/token-key.js';
import { loadCore } from '../src/binding/core.js';
import { CoreBench, type Life } from './load/core-bench.js';
import { inProcessOnly } from './load/isolation.js';

const tokenKeyOfTest = Buffer.alloc(32, 7);

let bench: CoreBench;
let life: Life | undefined;
let directory: string | undefined;

async function start(options: { tokenKey?: Buffer } = { tokenKey: tokenKeyOfTest }): Promise<void> {
  bench = new CoreBench('credentials', options);
  life = await bench.start();
}

afterEach(async () => {
  if (life !== undefined) {
    bench.plugin.swap(null);
    await life.end();
    bench.close();
  }
  life = undefined;
  if (directory !== undefined) await rm(directory, { recursive: true });
  directory = undefined;
});

function url64(text: string | Buffer): string {
  return Buffer.from(text).toString('base64url');
}

function sealed(text: string, key = createHmac('sha256', tokenKeyOfTest).update('credentials').digest()): string {
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

const header = url64('{"alg":"HS256","typ":"JWT"}');

describe('a password', () => {
  test('is hashed as node:crypto does it, and known by its hash', async () => {
    await start();
    const [status, hash = ''] = (await bench.post('/hash-password', {}, 'open sesame')).split(' ');
    expect(status).toBe('0');
    const [, salt = '', key = ''] = /^\$scrypt\$ln=15,r=8,p=1\$([\w+/]{22})\$([\w+/]{43})$/.exec(hash) ?? [];
    const options = { N: 32768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
    const expected = scryptSync('open sesame', Buffer.from(salt, 'base64'), 32, options);
    expect(Buffer.from(key, 'base64')).toEqual(expected);
    expect(await bench.post('/verify-password', { password: 'open sesame' }, hash)).toBe('0 ');
    expect(await bench.post('/verify-password', { password: 'open sesamE' }, hash)).toBe('11 ');
    expect(await bench.post('/verify-password', { password: '' }, hash)).toBe('11 ');
    expect(await bench.post('/verify-password', { password: 'x' }, 'x')).toBe('2 ');
    expect(await bench.post('/hash-password', {}, '')).toBe('2 ');
  });

  test('is hashed on no event loop', async () => {
    inProcessOnly('no route of a process of its own runs on the event loop');
    await start();
    expect(await bench.post('/main', {}, 'open sesame')).toBe('3 ');
  });

  test('waits for its turn when many are hashed', async () => {
    await start();
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => bench.post('/hash-password', {}, `password ${index}`)),
    );
    expect(answers.map((answer) => answer.slice(0, 22))).toEqual(answers.map(() => '0 $scrypt$ln=15,r=8,p='));
    expect(new Set(answers).size).toBe(answers.length);
  });
});

describe('a token', () => {
  test('is a JSON Web Token of its claims, signed with a key of the plugin', async () => {
    await start();
    const [status, token = ''] = (await bench.post('/sign-token', {}, '{"sub":"ada","iss":"me"}')).split(' ');
    expect(status).toBe('0');
    const [first, payload = ''] = token.split('.');
    expect(first).toBe(header);
    expect(token).toBe(sealed(`${first}.${payload}`));
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    const issued = claims['iat'] as number;
    expect(claims).toEqual({ iss: 'credentials', iat: issued, exp: issued + 60, sub: 'ada' });
    expect(Math.abs(issued - Date.now() / 1000)).toBeLessThan(300);
    expect(await bench.post('/verify-token', {}, token)).toBe(`0 ${Buffer.from(payload, 'base64url').toString()}`);
    expect(await bench.post('/sign-token', {}, '[]')).toBe('2 ');
    expect(await bench.post('/capacity', {}, '{}')).toBe('7 1');
  });

  test('of anybody else, or of another time, is denied', async () => {
    await start();
    const time = Math.floor(Date.now() / 1000);
    const claims = (change: object): string =>
      url64(JSON.stringify({ iss: 'credentials', iat: time, exp: time + 600, ...change }));
    expect(await bench.post('/verify-token', {}, sealed(`${header}.${claims({})}`))).toMatch(/^0 /);
    const wrong = [
      sealed(`${header}.${claims({})}`, randomBytes(32)),
      sealed(`${header}.${claims({})}`, tokenKeyOfTest),
      sealed(`${header}.${claims({ iss: 'other' })}`),
      sealed(`${header}.${claims({ exp: time - 31 })}`),
      sealed(`${header}.${claims({ iat: time + 300 })}`),
      sealed(`${url64('{"alg":"none"}')}.${claims({})}`),
      `${url64('{"alg":"none"}')}.${claims({})}.`,
      `${header}.${claims({})}.`,
      'a.b.c',
      '',
    ];
    for (const token of wrong) expect([token, await bench.post('/verify-token', {}, token)]).toEqual([token, '11 ']);
  });

  test('is signed by nobody without a key', async () => {
    await start({});
    expect(await bench.post('/sign-token', {}, '{}')).toBe('4 ');
    expect(await bench.post('/verify-token', {}, 'a.b.c')).toBe('4 ');
    const core = loadCore();
    for (const wrong of ['x', Buffer.alloc(31), 7])
      expect(() => new core.Front({ onReady: () => {}, onLog: () => {}, tokenKey: wrong as Buffer })).toThrow(
        /tokenKey: a Buffer of 32 bytes/,
      );
  });
});

test('random bytes differ', async () => {
  await start();
  const answers = await Promise.all([1, 2, 3, 4].map(() => bench.post('/random')));
  for (const answer of answers) expect(answer).toMatch(/^0 [0-9a-f]{16}$/);
  expect(new Set(answers).size).toBe(4);
});

describe('the key of tokens', () => {
  test('is made once, and is its owner’s alone', async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-key-'));
    const file = path.join(directory, 'token-key');
    const key = tokenKey(directory, silentLog());
    expect(key.byteLength).toBe(32);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(tokenKey(directory, silentLog())).toEqual(key);
    expect(await readFile(file)).toEqual(key);
    chmodSync(file, 0o644);
    expect(tokenKey(directory, silentLog())).toEqual(key);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('that is damaged is not made anew', async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-key-'));
    const file = path.join(directory, 'token-key');
    writeFileSync(file, 'short');
    expect(() => tokenKey(directory as string, silentLog())).toThrow(/token-key: has 5 bytes, a key has 32/);
    expect(await readFile(file, 'utf8')).toBe('short');
  });
});
