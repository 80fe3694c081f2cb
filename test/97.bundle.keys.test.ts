import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readArchive } from '../src/bundle/archive.js';
import { bundleOf } from '../src/bundle/bundle.js';
import { publicKeyText, readPublicKey } from '../src/bundle/minisign.js';
import { makeSecretKey, readSecretKey, secretKeyText, signatureOf } from '../src/bundle/secret-key.js';
import { writeArchive } from '../src/bundle/write-archive.js';
import { keygen } from '../src/cli/keygen.js';
import { sign, verify } from '../src/cli/sign.js';
import { distrustKey, kill, listTrust, spare, trustKey } from '../src/cli/trust.js';
import { signArchive, smallBundle } from './bundle/signed.js';
import { hasScreen, Screen } from './load/screen.js';
import { tenon } from './load/tenon.js';
import { until, World } from './load/world.js';

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

describe('on the command line', () => {
  const place = (name: string): string => path.join(world.directory, name);

  /** What is printed by `work`, which is what a command does. */
  async function said(work: () => Promise<void>): Promise<{ out: string; err: string }> {
    const printed = { out: '', err: '' };
    const take = (name: 'out' | 'err') => (text: string | Uint8Array) => {
      printed[name] += String(text);
      return true;
    };
    const spies = [
      vi.spyOn(process.stdout, 'write').mockImplementation(take('out')),
      vi.spyOn(process.stderr, 'write').mockImplementation(take('err')),
    ];
    try {
      await work();
      return printed;
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  }

  test('keygen, sign and verify: the bundle to stdout, by whom to stderr', async () => {
    const made = await tenon(world.directory, 'keygen', '--out', 'acme', '--no-password');
    const { keyId, text } = readPublicKey(await readFile(place('acme.pub'), 'utf8'));
    expect(made).toEqual({ status: 0, out: `${text}\n`, err: expect.stringContaining(`key ${keyId}: `) });
    await writeFile(place('shop.tgz'), smallBundle('shop'));
    const signed = await tenon(world.directory, 'sign', 'shop.tgz', '--key', 'acme.key');
    expect(signed).toEqual({ status: 0, out: 'shop.tgz\n', err: `shop 1.0.0: signed by the key ${keyId}\n` });
    const verified = await tenon(world.directory, 'verify', 'shop.tgz', '--key', 'acme.pub', '--json');
    expect(verified).toMatchObject({ status: 0, err: '' });
    expect(JSON.parse(verified.out)).toMatchObject({ id: 'shop', signer: { keyId } });
    await writeFile(place('shop.tgz'), smallBundle('shop'));
    expect(await tenon(world.directory, 'verify', 'shop.tgz', '--key', 'acme.pub')).toEqual({
      status: 1,
      out: '',
      err: 'tenon: shop.tgz: the bundle is not signed; sign it with `tenon sign`\n',
    });
    expect(await tenon(world.directory, 'sign', 'shop.tgz', '--key', 'acme.tgz')).toMatchObject({ status: 2, out: '' });
  });

  test('keygen overwrites no key unless it has to, and the secret one is its owner\u2019s', async () => {
    const flags = { out: place('own'), password: false };
    await said(() => keygen(flags));
    const first = await readFile(place('own.pub'), 'utf8');
    await expect(keygen(flags)).rejects.toMatchObject({ code: 'KeyInvalid', details: { file: place('own.key') } });
    await rm(place('own.key'));
    await expect(keygen(flags)).rejects.toMatchObject({ code: 'KeyInvalid', details: { file: place('own.pub') } });
    expect(await readFile(place('own.pub'), 'utf8')).toBe(first);
    await said(() => keygen({ ...flags, force: true }));
    expect(await readFile(place('own.pub'), 'utf8')).not.toBe(first);
    expect((await stat(place('own.key'))).mode & 0o777).toBe(0o600);
    expect((await stat(place('own.pub'))).mode & 0o777).toBe(0o644);
  });

  test('sign writes in place or elsewhere, the same bytes, and verify tells whose they are', async () => {
    const [key, other] = [place('one.key'), place('other.pub')];
    await said(() => keygen({ out: place('one'), password: false }));
    await said(() => keygen({ out: place('other'), password: false }));
    const [from, to] = [place('from.tgz'), place('to.tgz')];
    await writeFile(from, smallBundle('shop'));
    await said(() => sign(from, { key, out: to }));
    expect(await readFile(from)).toEqual(smallBundle('shop'));
    await said(() => sign(from, { key }));
    expect(await readFile(from)).toEqual(await readFile(to));
    expect((await stat(from)).mode & 0o777).toBe(0o644);
    await expect(verify(from, { key: other })).rejects.toMatchObject({ code: 'SignatureInvalid' });
    const [manifest, , ...files] = await readArchive(await readFile(from));
    const bytes = signatureOf(Buffer.from('another manifest'), makeSecretKey(), 'x');
    const forged = [manifest, { path: 'manifest.sig', bytes }, ...files].filter((file) => file !== undefined);
    await writeFile(from, writeArchive(forged));
    await expect(verify(from, { key: place('one.pub') })).rejects.toMatchObject({ code: 'SignatureInvalid' });
    await writeFile(from, 'no archive');
    await expect(sign(from, { key })).rejects.toMatchObject({ code: 'ArchiveInvalid' });
    expect(await readFile(from, 'utf8')).toBe('no archive');
  });

  test('a secret key in the place of a public one goes nowhere, nor the other way round', async () => {
    const { publicKey, ...rest } = makeSecretKey();
    const secret = await secretKeyText({ publicKey, ...rest }, undefined);
    await writeFile(place('mine.key'), secret);
    await writeFile(place('mine.pub'), publicKeyText(publicKey));
    const sentence = `${place('mine.key')} is a secret key; give the public one, ${place('mine.pub')}`;
    // Nobody is there to hear it: who asked would be told that.
    const nowhere = { url: 'http://127.0.0.1:1', plugins: '*' };
    const line = secret.split('\n')[1] ?? '';
    await expect(trustKey(place('mine.key'), nowhere)).rejects.toThrow(new TypeError(sentence));
    await expect(trustKey(line, nowhere)).rejects.toThrow(new TypeError('that is a secret key; give the public one'));
    await expect(trustKey(`${publicKey.text.slice(0, -2)}=`, nowhere)).rejects.toThrow(TypeError);
    await expect(verify(place('no.tgz'), { key: place('mine.key') })).rejects.toThrow(new TypeError(sentence));
    await writeFile(place('mine.tgz'), smallBundle('shop'));
    await expect(sign(place('mine.tgz'), { key: place('mine.pub') })).rejects.toThrow(
      new TypeError(`${place('mine.pub')} is a public key; signing needs the secret one`),
    );
    const said = await tenon(world.directory, 'trust', 'add', 'mine.key', '--plugins', '*', '--data', 'state');
    expect(said).toEqual({ status: 2, out: '', err: expect.stringContaining('mine.key is a secret key') });
  });

  test('sign takes a folder whose files are those of its manifest, and a password from a file or the environment', async () => {
    await writeFile(place('word'), 'a word\nand more\n');
    await writeFile(place('wort'), 'a wort\n');
    const key = place('hidden.key');
    await said(() => keygen({ out: place('hidden'), password: true, passwordFile: place('word') }));
    const folder = place('shop');
    await mkdir(path.join(folder, 'prebuilds/linux-x64'), { recursive: true });
    for (const { path: name, bytes } of await readArchive(smallBundle('shop')))
      await writeFile(path.join(folder, name), bytes);
    await expect(sign(folder, { key, passwordFile: place('wort') })).rejects.toMatchObject({ code: 'KeyInvalid' });
    await expect(sign(folder, { key })).rejects.toThrow('set TENON_KEY_PASSWORD');
    await said(() => sign(folder, { key, passwordFile: place('word') }));
    const signature = await readFile(path.join(folder, 'manifest.sig'));
    vi.stubEnv('TENON_KEY_PASSWORD', 'a word');
    await said(() => sign(folder, { key }));
    vi.unstubAllEnvs();
    expect(await readFile(path.join(folder, 'manifest.sig'))).toEqual(signature);
    await said(() => verify(folder, { key: place('hidden.pub') }));
    await writeFile(path.join(folder, 'prebuilds/linux-x64/shop.so'), 'another library');
    await expect(verify(folder, { key: place('hidden.pub') })).rejects.toMatchObject({ code: 'BundleDamaged' });
    await writeFile(path.join(folder, 'manifest.json'), '{"id":"shop","version":"1.0.0"}');
    await expect(sign(folder, { key, passwordFile: place('word') })).rejects.toMatchObject({ code: 'InvalidManifest' });
  });

  test.each<[string, () => Promise<void>]>([
    ['a bundle that is not there', () => sign(place('no.tgz'), { key: place('no.key') })],
    ['a key for no plugin', () => trustKey(makeSecretKey().publicKey.text, { url: world.url })],
    ['a key that is not there', () => trustKey(place('no.pub'), { url: world.url, plugins: '*' })],
    ['what is no hash and no file', () => kill(place('no.tgz'), { url: world.url })],
    ['a password without use', () => keygen({ out: place('x'), password: false, passwordFile: place('x') })],
    ['an empty password', () => keygen({ out: place('x'), password: true, passwordFile: '/dev/null' })],
  ])('%s is wrong use', async (_, work) => {
    await expect(work()).rejects.toThrow(TypeError);
  });

  test('trust and audit steer a running host; verify asks its list', async () => {
    const flags = { data: world.data, token: 'a-token-of-the-tests' };
    const { keyId, publicKey, ...secret } = makeSecretKey();
    await writeFile(place('maker.pub'), publicKeyText(publicKey));
    const archive = await signArchive(smallBundle('shop'), { keyId, publicKey, ...secret });
    const signed = place('signed.tgz');
    await writeFile(signed, archive);
    await expect(verify(signed, flags)).rejects.toMatchObject({ code: 'SignerUntrusted' });
    const words = ['trust', 'add', 'maker.pub', '--plugins', 'shop,acme-*', '--name', 'Acme', '--data', 'state'];
    expect(await tenon(world.directory, ...words)).toEqual({
      status: 0,
      out: `${keyId}: trusted with shop, acme-*\n`,
      err: '',
    });
    expect(await said(() => verify(signed, flags))).toEqual({
      out: `${signed}\n`,
      err: `shop 1.0.0: signed by the key ${keyId} of Acme\n`,
    });
    const { sha256: hash } = bundleOf(await readArchive(archive), 'shop');
    expect(await said(() => kill(signed, { ...flags, reason: 'it steals' }))).toEqual({
      out: `${hash}: killed\n`,
      err: expect.stringContaining('what runs of it is stopped'),
    });
    await expect(verify(signed, flags)).rejects.toThrow('the manifest of shop is on the kill list: it steals');
    const { out } = await said(() => listTrust(flags));
    expect(out).toMatch(new RegExp(`^${keyId} +shop,acme-\\* +Acme$`, 'm'));
    expect(out).toMatch(new RegExp(`^${hash} +it steals$`, 'm'));
    expect(await said(() => spare(hash.toUpperCase(), flags))).toEqual({
      out: `${hash}: may be loaded again\n`,
      err: expect.stringContaining('comes back with `tenon load`'),
    });
    const removed = await said(() => distrustKey(keyId.toLowerCase(), flags));
    expect(removed.out).toBe(`${keyId}: not trusted any more\n`);
    await expect(distrustKey(keyId, flags)).rejects.toThrow('no key with this id is trusted');

    const log = await tenon(world.directory, 'audit', '--limit', '2', '--data', 'state');
    expect(log.out.split('\n').map((line) => line.split(/ {2,}/)[1])).toEqual([
      'ACTION',
      'distrust',
      'spare',
      undefined,
    ]);
    const file = path.join(world.data, 'audit.log');
    await writeFile(file, (await readFile(file, 'utf8')).replace('it steals', 'it served'));
    expect(await tenon(world.directory, 'audit', '--check', '--data', 'state')).toMatchObject({
      status: 1,
      err: expect.stringContaining('was changed'),
    });
  });
});

test.skipIf(!hasScreen())('at a terminal the password is asked for twice, and not shown', async () => {
  const screen = await Screen.open(world.directory, {});
  const shows = (text: string): Promise<void> => until(text, async () => (await screen.text()).includes(text));
  try {
    await screen.tenon('keygen --out typed');
    await shows('Password:');
    await screen.press('-l', 'a wore');
    await screen.press('BSpace');
    await screen.press('-l', 'd');
    await screen.press('Enter');
    await shows('Password again:');
    await screen.press('-l', 'a word');
    await screen.press('Enter');
    await shows('ended with 0');
    expect(await screen.text()).not.toMatch(/a wor/);
    const text = await readFile(path.join(world.directory, 'typed.key'), 'utf8');
    const { publicKey } = await readSecretKey(text, () => Promise.resolve('a word'));
    expect(await readFile(path.join(world.directory, 'typed.pub'), 'utf8')).toBe(publicKeyText(publicKey));
  } finally {
    await screen.close();
  }
});
