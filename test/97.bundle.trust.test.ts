import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeSecretKey, type SecretKey, signatureOf } from '../src/bundle/secret-key.js';
import { matchesId } from '../src/bundle/trust-list.js';
import { type SignaturePolicy, Trust } from '../src/bundle/trust.js';

let folder: string;
let file: string;
let trust: Trust;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tenon-trust-'));
  file = path.join(folder, 'trust.json');
  trust = new Trust(file);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const bytes = Buffer.from('{"id":"todo","version":"1.0.0"}');
const sha256 = createHash('sha256').update(bytes).digest('hex');
const key = makeSecretKey();

function trusted(plugins: string[], by = key): { key: string; name: string; plugins: string[]; keyId: string } {
  return { key: by.publicKey.text, keyId: by.keyId, name: 'the maker', plugins };
}

/** What `work` rejects with, or `accepted`. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'accepted',
    (error: { code?: string }) => error.code ?? 'no code',
  );
}

function signedBy(by: SecretKey, over = bytes): Buffer {
  return signatureOf(over, by, 'tenon todo 1.0.0');
}

describe('a policy', () => {
  const other = makeSecretKey();
  const cases: [string, () => Buffer | undefined, Record<SignaturePolicy, string>][] = [
    ['that is good', () => signedBy(key), { require: 'signer', warn: 'signer', off: 'nothing' }],
    ['that is not there', () => undefined, { require: 'SignatureMissing', warn: 'warning', off: 'nothing' }],
    ['by an unknown key', () => signedBy(other), { require: 'SignerUntrusted', warn: 'warning', off: 'nothing' }],
    [
      'of another bundle',
      () => signedBy(key, Buffer.from('{"id":"todo","version":"1.0.1"}')),
      { require: 'SignatureInvalid', warn: 'SignatureInvalid', off: 'nothing' },
    ],
    [
      'that is none',
      () => Buffer.from('signed, the maker'),
      { require: 'SignatureInvalid', warn: 'SignatureInvalid', off: 'nothing' },
    ],
  ];
  test.each(
    cases.flatMap(([name, signature, outcomes]) =>
      (['require', 'warn', 'off'] as const).map((policy) => [policy, name, signature(), outcomes[policy]] as const),
    ),
  )('%s of a signature %s', async (policy, _, signature, outcome) => {
    await trust.add(trusted(['todo']));
    const judged = trust.judge('todo', { bytes, sha256, signature }, policy);
    if (outcome === 'signer')
      expect(await judged).toEqual({
        signer: { keyId: key.keyId, name: 'the maker', trustedComment: 'tenon todo 1.0.0' },
        warnings: [],
      });
    else if (outcome === 'warning')
      expect(await judged).toEqual({ signer: undefined, warnings: [expect.stringMatching(/^todo: the bundle is /)] });
    else if (outcome === 'nothing') expect(await judged).toEqual({ signer: undefined, warnings: [] });
    else expect(await codeOf(judged)).toBe(outcome);
  });

  test('asks for a key that is trusted with that very plugin, and a bad signature by another is bad all the same', async () => {
    await trust.add(trusted(['shop', 'todo-*']));
    const manifest = { bytes, sha256, signature: signedBy(key) };
    await expect(trust.judge('todo', manifest, 'require')).rejects.toMatchObject({
      code: 'SignerUntrusted',
      message: `todo: the key ${key.keyId} that signed the bundle is trusted with shop, todo-* only`,
    });
    expect((await trust.judge('todo', manifest, 'warn')).warnings).toHaveLength(1);
    expect((await trust.judge('todo-list', manifest, 'require')).signer?.keyId).toBe(key.keyId);
    const changed = { ...manifest, bytes: Buffer.from('{}') };
    expect(await codeOf(trust.judge('todo', changed, 'warn'))).toBe('SignatureInvalid');
  });

  test('whatever it is, asks that the manifest was not killed', async () => {
    await trust.add(trusted(['*']));
    await trust.kill({ sha256, reason: 'steals' });
    for (const policy of ['require', 'warn', 'off'] as const)
      await expect(trust.judge('todo', { bytes, sha256, signature: signedBy(key) }, policy)).rejects.toMatchObject({
        code: 'BundleKilled',
        message: 'the manifest of todo is on the kill list: steals',
      });
    await trust.spare(sha256);
    expect((await trust.judge('todo', { bytes, sha256, signature: signedBy(key) }, 'require')).signer).toBeDefined();
  });
});

describe('a pattern of ids', () => {
  test.each([
    ['todo', 'todo', true],
    ['todo', 'todo2', false],
    ['*', 'todo', true],
    ['to*', 'todo', true],
    ['to*', 'to', true],
    ['to*', 'ato', false],
    ['*do', 'todo', true],
    ['t*o', 'to', true],
    ['to*o', 'to', false],
    ['a*b*c', 'axxbyyc', true],
    ['a*b*c', 'acb', false],
    ['a*bc*c', 'abc', false],
  ])('%s and %s: %s', (pattern, id, matches) => expect(matchesId(pattern, id)).toBe(matches));

  test('means what a regular expression would', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(pattern, text, (wanted, id) => {
        const expression = new RegExp(`^${wanted.replaceAll('*', '.*')}$`);
        expect(matchesId(wanted, id)).toBe(expression.test(id));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a trust list', () => {
  test('that is absent trusts nobody and kills nothing', async () => {
    expect(await trust.list()).toEqual({ keys: [], killed: [] });
    expect(await trust.killed(sha256)).toBeUndefined();
    expect(await codeOf(trust.judge('todo', { bytes, sha256, signature: signedBy(key) }, 'require'))).toBe(
      'SignerUntrusted',
    );
  });

  test('is written for its owner alone, and read again by another', async () => {
    await trust.add(trusted(['todo', 'todo']));
    await trust.kill({ sha256, reason: 'old' });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await new Trust(file).list()).toEqual({ keys: [trusted(['todo'])], killed: [{ sha256, reason: 'old' }] });
    await trust.add(trusted(['*']));
    expect((await trust.list()).keys).toEqual([trusted(['*'])]);
    await trust.remove(key.keyId);
    await trust.spare(sha256);
    expect(await new Trust(file).list()).toEqual({ keys: [], killed: [] });
    expect(await codeOf(trust.remove(key.keyId))).toBe('KeyInvalid');
    expect(await codeOf(trust.spare(sha256))).toBe('KeyInvalid');
  });

  test('keeps every one of many changes at once', async () => {
    const hashes = Array.from({ length: 30 }, (_, at) => createHash('sha256').update(String(at)).digest('hex'));
    await Promise.all(hashes.map((hash) => trust.kill({ sha256: hash, reason: '' })));
    expect((await trust.list()).killed.map((entry) => entry.sha256)).toEqual(hashes);
  });

  test('is read anew whenever it has changed, in place too', async () => {
    for (let at = 0; at < 50; at++) {
      const hash = createHash('sha256').update(String(at)).digest('hex');
      await writeFile(file, JSON.stringify({ killed: [{ sha256: hash }] }));
      expect(await trust.killed(hash)).toEqual({ sha256: hash, reason: '' });
    }
    await rm(file);
    expect(await trust.list()).toEqual({ keys: [], killed: [] });
  });

  test('has libraries killed by their hash, for whoever is about to load one', async () => {
    await trust.refuseKilled(sha256, 'the library of todo');
    await trust.kill({ sha256, reason: '' });
    await expect(trust.refuseKilled(sha256, 'the library of todo')).rejects.toMatchObject({
      code: 'BundleKilled',
      message: 'the library of todo is on the kill list',
      details: { sha256, reason: '' },
    });
    await trust.refuseKilled('0'.repeat(64), 'the library of todo');
  });

  test('is not changed when the change cannot be recorded', async () => {
    await trust.kill({ sha256, reason: 'kept' });
    const refuse = (): Promise<void> => Promise.reject(new Error('the disk is full'));
    await expect(trust.spare(sha256, refuse)).rejects.toThrow('the disk is full');
    expect(await trust.killed(sha256)).toEqual({ sha256, reason: 'kept' });
  });

  test('that cannot be written says so, and stays', async () => {
    const place = path.join(folder, 'gone', 'trust.json');
    await expect(new Trust(place).kill({ sha256, reason: '' })).rejects.toMatchObject({
      code: 'NotRecorded',
      details: { file: place },
    });
  });

  const good = { sha256, reason: '' };
  const hostile: [string, unknown, string][] = [
    ['nothing in it', '', 'is no JSON'],
    ['half of it', '{"killed":[{"sha256":"', 'is no JSON'],
    ['a list', '[]', 'must be an object'],
    ['a member nobody knows', { kiled: [] }, '/kiled is not known'],
    ['a member twice', '{"killed":[],"killed":[]}', '/killed is there twice'],
    ['killed that is no list', { killed: {} }, '/killed must be a list'],
    ['killed that is null', { killed: null }, '/killed must be a list'],
    ['a hash that is too short', { killed: [{ ...good, sha256: 'ab' }] }, '/killed/0/sha256 must be'],
    ['a hash in capitals', { killed: [{ ...good, sha256: 'A'.repeat(64) }] }, '/killed/0/sha256 must be'],
    ['a hash twice', { killed: [good, good] }, '/killed/1 is there twice'],
    ['a reason for a terminal', { killed: [{ ...good, reason: '\u001b[2J' }] }, '/killed/0/reason has control'],
    ['a reason without end', { killed: [{ ...good, reason: 'x'.repeat(501) }] }, '/killed/0/reason has more'],
    ['a key that is none', { keys: [{ ...trusted(['*']), key: 'RW' }] }, '/keys/0/key must be'],
    ['a key twice', { keys: [trusted(['a']), trusted(['b'])] }, '/keys/1 is there twice'],
    ['a key under another id', { keys: [{ ...trusted(['*']), keyId: '0'.repeat(16) }] }, '/keys/0/keyId must be'],
    ['a key for nothing', { keys: [trusted([])] }, '/keys/0/plugins must have'],
    ['a key without plugins', { keys: [{ key: key.publicKey.text }] }, '/keys/0/plugins must have'],
    ['a pattern with a slash', { keys: [trusted(['../x'])] }, '/keys/0/plugins/0 must be'],
    ['a pattern of stars', { keys: [trusted(['*'.repeat(9)])] }, '/keys/0/plugins/0 must be'],
    ['a prototype', '{"__proto__":{"killed":[]}}', '/__proto__ is not known'],
    ['depth', '['.repeat(10_000), 'is deeper than'],
    ['a mark of byte order', '\ufeff{}', 'byte order mark'],
    ['megabytes', `{}${' '.repeat(2 ** 21)}`, 'more than 1048576'],
  ];
  test.each(hostile)('with %s rejects every question, and is not overwritten', async (_, content, sentence) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    await writeFile(file, text);
    const questions = [
      () => trust.killed(sha256),
      () => trust.judge('todo', { bytes, sha256, signature: undefined }, 'off'),
      () => trust.judge('todo', { bytes, sha256, signature: signedBy(key) }, 'require'),
      () => trust.kill({ sha256, reason: '' }),
      () => trust.add(trusted(['*'])),
    ];
    for (const question of questions) {
      const error = await question().then(
        () => expect.unreachable('it was answered'),
        (refusal: { code: string; message: string; details: object }) => refusal,
      );
      expect(error).toMatchObject({ code: 'KeyInvalid', details: { file } });
      expect(error.message).toContain(sentence);
    }
    expect(await readFile(file, 'utf8')).toBe(text);
    await writeFile(file, '{}');
    expect(await trust.killed(sha256)).toBeUndefined();
  });

  test('that everybody may write rejects every question', async () => {
    await trust.kill({ sha256, reason: '' });
    await chmod(file, 0o606);
    await expect(trust.killed(sha256)).rejects.toThrow('everybody on this machine may write it');
  });

  test('that is a folder, or leads nowhere it can be read, rejects every question', async () => {
    await mkdir(file);
    expect(await codeOf(trust.killed(sha256))).toBe('KeyInvalid');
    await rm(file, { recursive: true });
    await symlink(file, file);
    expect(await codeOf(trust.killed(sha256))).toBe('KeyInvalid');
    await rm(file);
    await writeFile(file, '{}');
    expect(await codeOf(new Trust(path.join(file, 'trust.json')).killed(sha256))).toBe('KeyInvalid');
    await truncate(file, 2 ** 40);
    expect(await codeOf(trust.killed(sha256))).toBe('KeyInvalid');
  });
});
