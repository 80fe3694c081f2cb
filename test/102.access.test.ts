import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLog } from '../src/base/log.js';
import { sourceOf } from '../src/http/address.js';
import { Guard } from '../src/http/guard.js';
import { kindOf, makeToken } from '../src/http/token-text.js';
import { Tokens } from '../src/http/tokens.js';
import { type Answer, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const admin = 'a-token-of-the-tests';

interface Problem {
  error: string;
  message: string;
  details: Record<string, unknown>;
}

function problemOf({ body }: Answer): Problem {
  return JSON.parse(body) as Problem;
}

describe('tokens over HTTP', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
    await world.publish('service', await buildPlugin('service'));
    await world.start({ drainMs: 500 });
  });
  afterAll(() => world.close());

  function call(token: string, method: string, target: string, body?: unknown, more = {}): Promise<Answer> {
    const headers = { authorization: `Bearer ${token}`, ...more };
    return world.request(method, target, { headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  }

  async function make(wish: object): Promise<string> {
    const made = await call(admin, 'POST', '/api/v1/tokens', wish);
    expect({ status: made.status, body: made.body }).toMatchObject({ status: 201 });
    return (JSON.parse(made.body) as { token: string }).token;
  }

  test('a token may what its scopes say, and is told which one is missing', async () => {
    const reader = await make({ name: 'reader', scopes: ['read'] });
    expect((await call(reader, 'GET', '/api/v1/plugins')).status).toBe(200);
    const refused = await call(reader, 'POST', '/api/v1/plugins/service/reload');
    expect(refused.status).toBe(403);
    expect(problemOf(refused)).toMatchObject({
      error: 'ScopeMissing',
      message: expect.stringContaining('needs the scope config, and the token reader has read'),
      details: { token: 'reader', needed: 'config', scopes: ['read'] },
    });
    expect(refused.headers.get('www-authenticate')).toBe(
      'Bearer realm="tenon", error="insufficient_scope", scope="config"',
    );
    for (const [method, target] of [
      ['POST', '/api/v1/plugins/install'],
      ['DELETE', '/api/v1/plugins/service'],
      ['GET', '/api/v1/tokens'],
      ['POST', '/api/v1/tokens'],
      ['DELETE', '/api/v1/tokens/reader'],
      ['POST', '/api/v1/trust/keys'],
    ] as const) {
      const { status } = await call(reader, method, target, method === 'POST' ? {} : undefined);
      expect({ method, target, status }).toEqual({ method, target, status: 403 });
    }
  });

  test('one with the scope admin may everything, also make others, and the audit log has its name', async () => {
    const chief = await make({ name: 'chief', scopes: ['admin'] });
    const made = await call(chief, 'POST', '/api/v1/tokens', { name: 'deputy', scopes: ['read', 'config'] });
    expect(JSON.parse(made.body)).toMatchObject({
      name: 'deputy',
      scopes: ['read', 'config'],
      createdBy: expect.stringMatching(/^api (?:::ffff:)?127\.0\.0\.1 token chief$/),
    });
    expect((await call(chief, 'POST', '/api/v1/plugins/service/reload')).status).toBe(200);
    const { entries } = JSON.parse((await call(chief, 'GET', '/api/v1/audit')).body) as { entries: object[] };
    expect(entries).toContainEqual(
      expect.objectContaining({
        action: 'createToken',
        message: expect.stringMatching(/^deputy \([0-9a-f]{8}\): read, config$/),
        by: expect.stringContaining('token chief'),
      }),
    );
  });

  test('one for plugins may what is about those, and nothing about others or the host', async () => {
    const token = await make({ name: 'team', scopes: ['read', 'config', 'install'], plugins: ['service'] });
    const statusOf = async (method: string, target: string): Promise<number> =>
      (await call(token, method, target)).status;
    for (const target of [
      '/api/v1/plugins/service',
      '/API/v1/plugins/%73ervice/versions',
      '/api/v1/reloads?plugin=service',
      '/api/v1/logs?plugin=service',
    ])
      expect({ target, status: await statusOf('GET', target) }).toEqual({ target, status: 200 });
    for (const [method, target] of [
      ['GET', '/api/v1/plugins'],
      ['GET', '/api/v1/plugins/other'],
      ['GET', '/api/v1/plugins/service%2F..%2Fother'],
      ['GET', '/api/v1/reloads'],
      ['GET', '/api/v1/reloads?plugin=other'],
      ['GET', '/api/v1/reloads?plugin=service&plugin=other'],
      ['GET', '/api/v1/logs'],
      ['GET', '/api/v1/logs?plugin=other'],
      ['GET', '/api/v1/logs?plugin=service?&plugin=other'],
      ['GET', '/api/v1/logs?plugin=service&plugin=other'],
      ['GET', '/api/v1/events?plugin=service'],
      ['GET', '/api/v1/status'],
      ['POST', '/api/v1/plugins/discover'],
      ['POST', '/api/v1/plugins/install'],
      ['POST', '/api/v1/plugins/other/unload'],
      ['POST', '/api/v1/backup'],
    ] as const)
      expect({ target, status: await statusOf(method, target) }).toEqual({ target, status: 403 });
    // What everybody may see says no more to it.
    const { plugins } = JSON.parse((await call(token, 'GET', '/readyz?verbose')).body) as { plugins: object[] };
    expect(plugins).toEqual([{ id: 'service', state: 'running', generation: expect.any(Number), healthy: true }]);
  });

  test('an expired one is refused with the time, a revoked one at once, and neither is a guess', async () => {
    const short = await make({ name: 'short', scopes: ['read'], lifetimeMs: 1000 });
    await until('it has expired', async () => (await call(short, 'GET', '/api/v1/status')).status === 401);
    for (let turn = 0; turn < 25; turn++) await call(short, 'GET', '/api/v1/status');
    const late = await call(short, 'GET', '/api/v1/status');
    expect(problemOf(late)).toMatchObject({ error: 'Unauthorized', message: expect.stringContaining('short expired') });
    expect(late.headers.get('www-authenticate')).toContain('error="invalid_token"');
    const gone = await make({ name: 'gone', scopes: ['read'] });
    expect((await call(gone, 'GET', '/api/v1/status')).status).toBe(200);
    expect((await call(admin, 'DELETE', '/api/v1/tokens/gone')).status).toBe(200);
    expect(problemOf(await call(gone, 'GET', '/api/v1/status')).message).toContain('none of this host');
    expect(problemOf(await call(admin, 'DELETE', '/api/v1/tokens/gone'))).toMatchObject({ error: 'TokenNotFound' });
  });

  test('only the hash of a token is kept, in a file of its owner alone, and none is shown again', async () => {
    const token = await make({ name: 'kept', scopes: ['read'] });
    const file = path.join(world.data, 'tokens.json');
    const text = await readFile(file, 'utf8');
    expect(text).not.toContain(token.slice(15));
    expect(text).toContain(createHash('sha256').update(token).digest('hex'));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await call(token, 'GET', '/api/v1/status');
    const { body } = await call(admin, 'GET', '/api/v1/tokens');
    const { tokens } = JSON.parse(body) as { tokens: { name: string }[] };
    expect(tokens.find(({ name }) => name === 'kept')).toEqual({
      name: 'kept',
      id: token.slice(6, 14),
      scopes: ['read'],
      createdAt: expect.any(String),
      createdBy: expect.any(String),
      lastUsedAt: expect.any(String),
      expired: false,
    });
    expect(body).not.toContain('sha256');
  });

  test.each([
    ['nothing', undefined, 'scopes: must be'],
    ['a list', [], 'JSON object'],
    ['no scope', { name: 'x', scopes: [] }, 'at least one'],
    ['an unknown scope', { name: 'x', scopes: ['root'] }, '"root" is none of'],
    ['a name with a blank', { name: 'a b', scopes: ['read'] }, 'name: must be'],
    ['an admin for one plugin', { name: 'x', scopes: ['admin'], plugins: ['a'] }, 'cannot be limited'],
    ['no plugin', { name: 'x', scopes: ['read'], plugins: [] }, 'ids are needed'],
    ['what is no id', { name: 'x', scopes: ['read'], plugins: ['../x'] }, 'no id'],
    ['no time', { name: 'x', scopes: ['read'], lifetimeMs: 0 }, 'lifetimeMs'],
    ['a member too many', { name: 'x', scopes: ['read'], admin: true }, '"admin" is not known'],
  ])('a token of %s is not made', async (_, wish, reason) => {
    const refused = await call(admin, 'POST', '/api/v1/tokens', wish);
    expect({ status: refused.status, ...problemOf(refused) }).toMatchObject({
      status: 400,
      error: 'BadRequest',
      message: expect.stringContaining(reason),
    });
  });

  test('one that was taken out of the file is admitted no more once that is read again', async () => {
    const token = await make({ name: 'removed', scopes: ['read'] });
    const file = path.join(world.data, 'tokens.json');
    const { tokens } = JSON.parse(await readFile(file, 'utf8')) as { tokens: { name: string }[] };
    await writeFile(file, JSON.stringify({ tokens: tokens.filter(({ name }) => name !== 'removed') }));
    expect((await call(token, 'GET', '/api/v1/status')).status).toBe(200);
    await world.host.reloadTokens();
    expect((await call(token, 'GET', '/api/v1/status')).status).toBe(401);
  });

  test('two tokens have not the same name', async () => {
    await make({ name: 'twin', scopes: ['read'] });
    const second = await call(admin, 'POST', '/api/v1/tokens', { name: 'twin', scopes: ['read'] });
    expect({ status: second.status, error: problemOf(second).error }).toEqual({ status: 409, error: 'TokenExists' });
  });

  test('a page of another site changes nothing, whatever token it has', async () => {
    const post = (headers: Record<string, string>): Promise<number> =>
      call(admin, 'POST', '/api/v1/hot-reload/disable', undefined, headers).then(({ status }) => status);
    const own = world.url;
    expect(await post({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await post({ 'sec-fetch-site': 'same-site', origin: own })).toBe(403);
    expect(await post({ origin: 'https://evil.example' })).toBe(403);
    expect(await post({ origin: 'null' })).toBe(403);
    expect(await post({ origin: own.replace(/\d+$/, '1') })).toBe(403);
    expect(await post({ origin: own })).toBe(200);
    expect(await post({ 'sec-fetch-site': 'same-origin', origin: 'https://behind.a.proxy' })).toBe(200);
    expect(await post({ 'sec-fetch-site': 'none' })).toBe(200);
    const read = await call(admin, 'GET', '/api/v1/status', undefined, { 'sec-fetch-site': 'cross-site' });
    expect(read.status).toBe(200);
  });

  test('a token in the URL is refused and not repeated, beside a right one too', async () => {
    const { token } = makeToken();
    for (const query of [`token=${admin}`, `access_token=${admin}`, `plugin=${token}`]) {
      const refused = await call(admin, 'GET', `/api/v1/reloads?${query}`);
      expect(refused.status).toBe(401);
      expect(problemOf(refused).message).toContain('should be revoked');
      expect(refused.body).not.toContain(query.split('=')[1]);
    }
  });

  test('a header that is there twice, or is empty, or huge, admits nobody', async () => {
    const wire = (lines: string[]): Promise<string> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(world.url);
        const head = ['GET /api/v1/status HTTP/1.1', 'Host: localhost', ...lines, 'Connection: close', '', ''];
        const socket = connect(Number(port), hostname, () => socket.write(head.join('\r\n')));
        let answer = '';
        socket.on('data', (chunk: Buffer) => {
          answer += chunk.toString();
        });
        socket.on('close', () => resolve(answer.split('\r\n')[0] ?? ''));
        socket.on('error', reject);
      });
    const right = `Authorization: Bearer ${admin}`;
    expect(await wire([right])).toContain(' 200 ');
    expect(await wire([right, right])).toContain(' 401 ');
    expect(await wire([right, 'authorization: Bearer wrong'])).toContain(' 401 ');
    expect(await wire(['Authorization:'])).toContain(' 401 ');
    expect(await wire([`Authorization: Bearer ${'x'.repeat(10_000)}`])).toContain(' 401 ');
    expect(await wire([`Authorization: Bearer ${'x'.repeat(40_000)}`])).toContain(' 431 ');
  });
});

/** A request as the guard sees it. */
function requestOf(authorization: string[], address = '192.0.2.1', url = '/api/v1/status'): IncomingMessage {
  const headers = { host: 'localhost' };
  const all = { method: 'GET', url, headers, headersDistinct: { authorization }, socket: { remoteAddress: address } };
  return all as unknown as IncomingMessage;
}

describe('the guard', () => {
  test('looks every token up by its digest, whatever its length', () => {
    const asked: string[] = [];
    const find = (digest: Buffer): undefined => void asked.push(digest.toString('hex'));
    const guard = new Guard({ token: admin, names: [], tokens: { find, used: () => {} } });
    const given = ['x', 'a-token-of-the-testx', admin.slice(0, -1), `${admin}x`, 'y'.repeat(5000), admin];
    const denied = given.map((token) => guard.deny(requestOf([`Bearer ${token}`])) !== undefined);
    expect(denied).toEqual([true, true, true, true, true, false]);
    expect(asked).toEqual(given.map((token) => createHash('sha256').update(token).digest('hex')));
  });

  test('admits no header but the right one', () => {
    const spaced = fc.nat(3).map((count) => ' '.repeat(count));
    const word = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.constantFrom(admin.toUpperCase(), admin.slice(1), `${admin}${admin}`, `"${admin}"`, `${admin},`, 'tenon_'),
      fc.nat(makeToken().token.length).map((at) => `${makeToken().token.slice(0, at)}x`),
    );
    const scheme = fc.constantFrom('Bearer', 'bearer', 'Basic', 'Token', 'Bearer:', '');
    const header = fc
      .tuple(spaced, scheme, spaced, word, spaced)
      .map((parts) => parts.join(''))
      .filter((text) => !/^bearer +a-token-of-the-tests$/i.test(text));
    fc.assert(
      fc.property(header, (text) => {
        const denial = new Guard({ token: admin, names: [] }).deny(requestOf([text]));
        expect(denial?.error.code).toBe('Unauthorized');
        expect(denial?.headers['www-authenticate']).toMatch(/^Bearer /);
      }),
      { numRuns: 200 },
    );
  });

  test('counts wrong tokens by address, of IPv6 by network, and listens to others meanwhile', () => {
    const guard = new Guard({ token: admin, names: [] });
    const codeOf = (token: string, address: string): string | undefined =>
      guard.deny(requestOf([`Bearer ${token}`], address))?.error.code;
    for (let turn = 0; turn < 20; turn++) expect(codeOf('wrong', `2001:db8:0:1::${turn}`)).toBe('Unauthorized');
    expect(codeOf(admin, '2001:db8:0:1:ffff::1')).toBe('TooManyAttempts');
    expect(codeOf(admin, '2001:db8:0:2::1')).toBeUndefined();
    expect(codeOf(admin, '192.0.2.7')).toBeUndefined();
  });

  test('knows an address by what its owner cannot choose', () => {
    expect(sourceOf('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(sourceOf('192.0.2.1')).toBe('192.0.2.1');
    expect(sourceOf('2001:db8::1')).toBe('2001:db8:0:0::/64');
    expect(sourceOf('2001:DB8:0:0:ffff:1:2:3')).toBe('2001:db8:0:0::/64');
    expect(sourceOf('fe80::1%eth0')).toBe('fe80:0:0:0::/64');
    expect(sourceOf('::1')).toBe('0:0:0:0::/64');
  });
});

describe('a token', () => {
  test('is known as one by its beginning and its checksum', () => {
    for (let turn = 0; turn < 50; turn++) {
      const { token, id } = makeToken();
      expect(token).toMatch(/^tenon_[0-9a-f]{8}_[\w-]{49}$/);
      expect(token.slice(6, 14)).toBe(id);
      expect(kindOf(token)).toBe('whole');
      const at = 15 + (turn % 49);
      const other = token[at] === 'A' ? 'B' : 'A';
      expect(kindOf(token.slice(0, at) + other + token.slice(at + 1))).toBe('damaged');
      expect(kindOf(token.slice(0, -1))).toBe('damaged');
    }
    expect(kindOf('something-else')).toBe('other');
  });
});

describe('tokens.json', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-tokens-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));
  const log = openLog({ level: 'silent' });
  const audit = { write: () => Promise.resolve() };
  const wish = { name: 'one', scopes: ['read'], by: 'test' } as const;

  test('is read again by the next host, with the last use', async () => {
    const file = path.join(directory, 'kept.json');
    const tokens = await Tokens.open({ file, audit, log });
    const { token } = await tokens.create(wish);
    const digest = createHash('sha256').update(token).digest();
    const found = tokens.find(digest);
    expect(found?.name).toBe('one');
    if (found !== undefined) tokens.used(found);
    await tokens.close();
    const next = await Tokens.open({ file, audit, log });
    expect(next.find(digest)?.name).toBe('one');
    expect(next.list()).toMatchObject([{ name: 'one', lastUsedAt: expect.any(String) }]);
  });

  test('follows what is written into it when it is read again', async () => {
    const file = path.join(directory, 'again.json');
    const tokens = await Tokens.open({ file, audit, log });
    await tokens.create(wish);
    await writeFile(file, '{"tokens": []}');
    await tokens.reload();
    expect(tokens.list()).toEqual([]);
  });

  test('is not written over unread: who was taken out of it by hand does not come back', async () => {
    const file = path.join(directory, 'by-hand.json');
    const tokens = await Tokens.open({ file, audit, log });
    await tokens.create(wish);
    const [only] = (JSON.parse(await readFile(file, 'utf8')) as { tokens: { id: string }[] }).tokens;
    const before = tokens.find(
      createHash('sha256')
        .update((await tokens.create({ ...wish, name: 'two' })).token)
        .digest(),
    );
    if (before !== undefined) tokens.used(before);
    await writeFile(file, JSON.stringify({ tokens: [only] }));
    await tokens.create({ ...wish, name: 'three' });
    expect(tokens.list().map(({ name }) => name)).toEqual(['one', 'three']);
    const left = tokens.find(Buffer.from((only as { id: string; sha256?: string }).sha256 ?? '', 'hex'));
    if (left !== undefined) tokens.used(left);
    await writeFile(file, '{"tokens": []}');
    await tokens.close();
    expect(await readFile(file, 'utf8')).toBe('{"tokens": []}');
  });

  test('is not open to others for long', async () => {
    const file = path.join(directory, 'open.json');
    await writeFile(file, '{"tokens": []}');
    await chmod(file, 0o644);
    await Tokens.open({ file, audit, log });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test('is as it was when a token cannot be written down', async () => {
    const file = path.join(directory, 'unheard.json');
    const deaf = { write: () => Promise.reject(new Error('the disk is full')) };
    const tokens = await Tokens.open({ file, audit: deaf, log });
    await expect(tokens.create(wish)).rejects.toThrow('the disk is full');
    expect(tokens.list()).toEqual([]);
    await expect(stat(file)).rejects.toThrow('ENOENT');
  });

  const entry = {
    name: 'one',
    id: '0123abcd',
    sha256: 'a'.repeat(64),
    scopes: ['read'],
    createdAt: '2026-01-01T00:00:00.000Z',
    createdBy: 'api',
  };
  test.each([
    ['nothing', ''],
    ['half of it', '{"tokens": ['],
    ['a list', '[]'],
    ['a member too many', '{"tokens": [], "more": 1}'],
    ['a member twice', '{"tokens": [], "tokens": []}'],
    ['a scope that is none', JSON.stringify({ tokens: [{ ...entry, scopes: ['root'] }] })],
    ['no scope', JSON.stringify({ tokens: [{ ...entry, scopes: [] }] })],
    ['a hash that is none', JSON.stringify({ tokens: [{ ...entry, sha256: 'A'.repeat(64) }] })],
    ['a time that is none', JSON.stringify({ tokens: [{ ...entry, expiresAt: 'tomorrow' }] })],
    ['one token twice', JSON.stringify({ tokens: [entry, entry] })],
    ['an unknown member', JSON.stringify({ tokens: [{ ...entry, admin: true }] })],
    ['an admin of one plugin', JSON.stringify({ tokens: [{ ...entry, scopes: ['admin'], plugins: ['a'] }] })],
  ])('with %s admits nobody, and stays', async (_, text) => {
    const file = path.join(directory, 'damaged.json');
    await writeFile(file, text);
    const tokens = await Tokens.open({ file, audit, log });
    expect(tokens.find(Buffer.alloc(32, 0xaa))).toBeUndefined();
    expect(() => tokens.list()).toThrow(expect.objectContaining({ code: 'TokensInvalid' }));
    await expect(tokens.create(wish)).rejects.toMatchObject({ code: 'TokensInvalid' });
    await expect(tokens.revoke('one', 'test')).rejects.toMatchObject({ code: 'TokensInvalid' });
    await tokens.close();
    expect(await readFile(file, 'utf8')).toBe(text);
  });

  test('admits what it has when nothing is wrong with it', async () => {
    const file = path.join(directory, 'damaged.json');
    await writeFile(file, JSON.stringify({ tokens: [entry] }));
    const tokens = await Tokens.open({ file, audit, log });
    expect(tokens.find(Buffer.alloc(32, 0xaa))?.name).toBe('one');
  });

  test('that is damaged does not keep a host from serving', async () => {
    const world = await World.make();
    try {
      await world.write('..', 'state/tokens.json', 'not JSON');
      await chmod(world.data, 0o700);
      await world.start();
      expect((await world.admin('GET', '/api/v1/status')).status).toBe(200);
      const listed = await world.admin('GET', '/api/v1/tokens');
      expect({ status: listed.status, error: problemOf(listed).error }).toEqual({
        status: 500,
        error: 'TokensInvalid',
      });
      expect(world.log.filter(({ level }) => level === 50).map(({ msg }) => msg)).toEqual([
        expect.stringContaining('the tokens cannot be read'),
      ]);
    } finally {
      await world.close();
    }
  });
});
