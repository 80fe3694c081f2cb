import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publicKeyText, readPublicKey, signatureKeyId, verifySignature } from '../src/bundle/minisign.js';
import { makeSecretKey, readSecretKey, type SecretKey, secretKeyText, signatureOf } from '../src/bundle/secret-key.js';
import { minisign, noMinisign } from './bundle/minisign.js';

const signed = Buffer.from('hi\n');
/** Made by minisign 0.11. */
const theirKey = 'RWR0/afjGIkeyqkaB5e6KX+XJ6xng/ACcykWJS2deFX4B6k7TGwOKNdO';
const theirs = `untrusted comment: signature from minisign secret key
RUR0/afjGIkeynlQQvx/h09A5/rmNbxUTn8/xsit2vHvUb43IuFFPQ4FNCtmi8QI/a0BFWVUFOtL7N0+YCSVYXglAfJwEculqgo=
trusted comment: timestamp:1795228996\tfile:m\thashed
ITIBXGA0nD5QGbv4vh1AMl4vlhxGBruImvKmq6nzOy+zgnwK1VrH5z0hf3NVa+fJUVk+88ZM5hinCkbTKPKZAQ==
`;

const noPassword = (): Promise<string> => Promise.reject(new Error('a password was asked for'));

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'accepted';
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tenon-signature-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a signature', () => {
  const key = makeSecretKey();
  const signature = signatureOf(signed, key, 'tenon todo 1.0.0');

  test('of minisign is accepted, with what it says', () => {
    expect(verifySignature(signed, Buffer.from(theirs), readPublicKey(theirKey))).toEqual({
      keyId: 'CA1E8918E3A7FD74',
      trustedComment: 'timestamp:1795228996\tfile:m\thashed',
    });
    expect(signatureKeyId(Buffer.from(theirs))).toBe('CA1E8918E3A7FD74');
  });

  test('is the same for the same bytes, and says whose it is', () => {
    expect(signatureOf(signed, key, 'tenon todo 1.0.0')).toEqual(signature);
    expect(verifySignature(signed, signature, key.publicKey)).toEqual({
      keyId: key.keyId,
      trustedComment: 'tenon todo 1.0.0',
    });
  });

  test('is refused with any bit of it changed, and with any bit of what it is over', () => {
    const flips = (bytes: Buffer, check: (changed: Buffer) => unknown): string[] =>
      [...bytes.keys()].flatMap((at) =>
        [1, 2, 4, 8, 16, 32, 64, 128].map((bit) => {
          const changed = Buffer.from(bytes);
          changed.writeUInt8(changed.readUInt8(at) ^ bit, at);
          return codeOf(() => check(changed));
        }),
      );
    const ofSignature = flips(signature, (changed) => verifySignature(signed, changed, key.publicKey));
    expect(ofSignature).toHaveLength(signature.byteLength * 8);
    expect(new Set(ofSignature)).toEqual(new Set(['SignatureInvalid']));
    const ofBytes = flips(signed, (changed) => verifySignature(changed, signature, key.publicKey));
    expect(new Set(ofBytes)).toEqual(new Set(['SignatureInvalid']));
  });

  test('by another key is refused, also under the same id', () => {
    const other = makeSecretKey();
    expect(codeOf(() => verifySignature(signed, signature, other.publicKey))).toBe('SignatureInvalid');
    expect(codeOf(() => verifySignature(signed, signature, { ...other.publicKey, keyId: key.keyId }))).toBe(
      'SignatureInvalid',
    );
  });

  const [untrusted = '', first = '', trusted = '', global = ''] = theirs.split('\n');
  const form = (...lines: string[]): string => `${lines.join('\n')}\n`;
  test.each([
    ['nothing', ''],
    ['a line missing', form(untrusted, first, trusted)],
    ['a line more', form(untrusted, first, trusted, global, '')],
    ['an untrusted comment that could say anything', form('untrusted comment: by the maker', first, trusted, global)],
    ['no untrusted comment', form('', first, trusted, global)],
    ['CRLF', theirs.replaceAll('\n', '\r\n')],
    ['a space behind base64', form(untrusted, `${first} `, trusted, global)],
    ['base64 without padding', form(untrusted, first.slice(0, -1), trusted, global)],
    ['base64 with idle bits set', form(untrusted, first.replace(/o=$/, 'p='), trusted, global)],
    ['base64 of URLs', form(untrusted, first.replaceAll('/', '_'), trusted, global)],
    ['another algorithm', form(untrusted, `RV${first.slice(2)}`, trusted, global)],
    ['a trusted comment nobody signed', form(untrusted, first, 'trusted comment: fine', global)],
    ['no trusted comment', form(untrusted, first, '', global)],
    ['control characters', form(untrusted, first, `${trusted}\u001b[2J`, global)],
    ['a huge comment', form(untrusted, first, `trusted comment: ${'x'.repeat(9000)}`, global)],
    ['megabytes', 'x'.repeat(2 ** 21)],
  ])('with %s is none', (_, text) => {
    expect(codeOf(() => verifySignature(signed, Buffer.from(text), readPublicKey(theirKey)))).toBe('SignatureInvalid');
  });

  test('that is not UTF-8 is none', () => {
    const bytes = Buffer.from(theirs.replace('file:m', 'file:\xff'), 'latin1');
    expect(codeOf(() => signatureKeyId(bytes))).toBe('SignatureInvalid');
  });

  test('with the last line not ended is one', () => {
    expect(signatureKeyId(Buffer.from(theirs.trimEnd()))).toBe('CA1E8918E3A7FD74');
  });
});

describe('a public key', () => {
  test('is its line, or the file of it', () => {
    const key = readPublicKey(theirKey);
    expect(key.keyId).toBe('CA1E8918E3A7FD74');
    expect(readPublicKey(publicKeyText(key))).toEqual(key);
    expect(publicKeyText(key)).toBe(`untrusted comment: minisign public key CA1E8918E3A7FD74\n${theirKey}\n`);
  });

  test.each([
    ['nothing', ''],
    ['a word', 'key'],
    ['one that is too short', theirKey.slice(4)],
    ['another algorithm', `RU${theirKey.slice(2)}`],
    ['two keys', `${theirKey}\n${theirKey}`],
    ['three lines', `untrusted comment: x\n${theirKey}\n${theirKey}`],
    ['a secret key', `untrusted comment: x\n${'RW'.padEnd(212, 'A')}`],
  ])('is not %s', (_, text) => {
    expect(codeOf(() => readPublicKey(text))).toBe('KeyInvalid');
  });

  test.each([
    ['zero', '00'.repeat(32)],
    ['one', `01${'00'.repeat(31)}`],
    ['one with a sign', `01${'00'.repeat(30)}80`],
    ['of order eight', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['of order eight, the other', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['minus one', `ec${'ff'.repeat(30)}7f`],
  ])('for which anybody could sign is none: %s', (_, key) => {
    const text = Buffer.concat([Buffer.from('Ed'), Buffer.alloc(8, 7), Buffer.from(key, 'hex')]).toString('base64');
    expect(() => readPublicKey(text)).toThrow('anybody could sign');
  });
});

describe('a secret key', () => {
  const key = makeSecretKey();

  test('in the open is read again', async () => {
    const read = await readSecretKey(await secretKeyText(key, undefined), noPassword);
    expect(read.publicKey).toEqual(key.publicKey);
    expect(signatureOf(signed, read, 'x')).toEqual(signatureOf(signed, key, 'x'));
  });

  test('under a password is read with that one only', async () => {
    const text = await secretKeyText(key, 'a word');
    const read = await readSecretKey(text, () => Promise.resolve('a word'));
    expect(read.publicKey).toEqual(key.publicKey);
    await expect(readSecretKey(text, () => Promise.resolve('a wort'))).rejects.toMatchObject({
      code: 'KeyInvalid',
      message: 'the password is not the one of the secret key',
    });
    expect(await secretKeyText(key, 'a word'), 'a fresh salt').not.toBe(text);
  });

  async function changed(change: (bytes: Buffer) => unknown): Promise<string> {
    const [comment = '', line = ''] = (await secretKeyText(key, undefined)).split('\n');
    const bytes = Buffer.from(line, 'base64');
    change(bytes);
    return `${comment}\n${bytes.toString('base64')}\n`;
  }

  test.each<[string, (bytes: Buffer) => unknown]>([
    ['another algorithm', (bytes) => bytes.write('ED', 0)],
    ['another way from the password', (bytes) => bytes.write('Ar', 2)],
    ['another checksum', (bytes) => bytes.write('B3', 4)],
    ['a changed seed', (bytes) => bytes.fill(7, 62, 64)],
    ['a changed seed, and no checksum', (bytes) => bytes.fill(7, 62, 64).fill(0, 126)],
    ['memory without end asked for', (bytes) => bytes.write('Sc', 2) + bytes.writeBigUInt64LE(2n ** 40n, 46)],
    ['time without end asked for', (bytes) => bytes.write('Sc', 2) + bytes.writeBigUInt64LE(2n ** 63n, 38)],
  ])('with %s is refused', async (_, change) => {
    const text = await changed(change);
    await expect(readSecretKey(text, () => Promise.resolve('x'))).rejects.toMatchObject({ code: 'KeyInvalid' });
  });

  test('is not a public one', async () => {
    const text = publicKeyText(key.publicKey);
    await expect(readSecretKey(text, noPassword)).rejects.toMatchObject({ code: 'KeyInvalid' });
  });
});

describe.skipIf(noMinisign !== undefined)(`minisign itself${noMinisign === undefined ? '' : `: ${noMinisign}`}`, () => {
  const file = (name: string): string => path.join(folder, name);

  async function keyOf(name: string): Promise<SecretKey> {
    return readSecretKey(await readFile(file(`${name}.key`), 'utf8'), () => Promise.resolve('a word'));
  }

  async function verifiesOurs(key: SecretKey): Promise<void> {
    await writeFile(file('signed'), signed);
    await writeFile(file('signed.minisig'), signatureOf(signed, key, 'tenon todo 1.0.0'));
    const said = minisign(folder, ['-V', '-m', 'signed', '-P', key.publicKey.text]);
    expect(said).toContain('Signature and comment signature verified\nTrusted comment: tenon todo 1.0.0');
  }

  test('accepts what is signed here, and its key in the open is one here', async () => {
    minisign(folder, ['-G', '-W', '-p', 'open.pub', '-s', 'open.key']);
    const key = await keyOf('open');
    // minisign leaves out the zeros that a key's number begins with.
    const theirs = (await readFile(file('open.pub'), 'utf8')).replace(/[0-9A-F]+$/m, (id) => id.padStart(16, '0'));
    expect(publicKeyText(key.publicKey)).toBe(theirs);
    await verifiesOurs(key);
    await writeFile(file('signed'), 'other');
    expect(() => minisign(folder, ['-V', '-m', 'signed', '-P', key.publicKey.text])).toThrow(
      'Signature verification failed',
    );
  });

  test.each([
    ['in the open', undefined],
    ['under a password', 'a word'],
  ])('signs with a key made here, %s; of the bytes and of their hash', async (_, password) => {
    const key = makeSecretKey();
    await writeFile(file('own.key'), await secretKeyText(key, password), { mode: 0o600 });
    await writeFile(file('signed'), signed);
    for (const kind of ['-H', '-l']) {
      const words = ['-S', kind, '-s', 'own.key', '-m', 'signed', '-x', 'own.sig', '-t', 'a comment'];
      minisign(folder, words, password === undefined ? undefined : `${password}\n`);
      const signature = await readFile(file('own.sig'));
      expect(verifySignature(signed, signature, key.publicKey)).toEqual({
        keyId: key.keyId,
        trustedComment: 'a comment',
      });
      expect(codeOf(() => verifySignature(Buffer.from('ho\n'), signature, key.publicKey))).toBe('SignatureInvalid');
    }
  });
});
