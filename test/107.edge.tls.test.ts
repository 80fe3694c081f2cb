import { once } from 'node:events';
import { chmod, copyFile, symlink, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import path from 'node:path';
import { connect as connectPlain } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { findApi } from '../src/base/host-file.js';
import { type CertificateFiles, linkTo, selfSigned, signedByOther } from './edge/certificates.js';
import { tenon } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const any = { rejectUnauthorized: false } as const;

let world: World;
let first: CertificateFiles;
let links: CertificateFiles;

beforeAll(async () => {
  world = await World.make();
  first = await selfSigned(world.directory, 'first');
  links = { certificate: path.join(world.directory, 'live.pem'), key: path.join(world.directory, 'live.key') };
  await linkTo(first, links);
  await world.publish('service', await buildPlugin('service'));
  await world.write('shop', 'config.yaml', 'name: Shop\n');
  await world.write('shop', 'schema.graphql', 'type Item @table @export(ws: true) { id: ID! @primaryKey }\n');
  await world.start({ tlsCertificate: links.certificate, tlsKey: links.key });
});
afterAll(() => world.close());

const port = (): number => Number(new URL(world.url).port);

async function handshake(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port: port(), host: '127.0.0.1', ...any, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** Who the host says it is. */
async function shown(): Promise<string> {
  const socket = await handshake();
  const name = String(socket.getPeerCertificate().subject.CN);
  socket.destroy();
  return name;
}

async function build(): Promise<unknown> {
  return new Promise((resolve, reject) => {
    get(`${world.url}/service/build`, { ...any, agent: false }, (answer) => {
      answer.on('data', (chunk: Buffer) => resolve([answer.statusCode, chunk.toString()]));
    }).on('error', reject);
  });
}

describe('HTTPS', () => {
  test('is spoken in place of HTTP, by HTTP/1.1, from TLS 1.2 on', async () => {
    expect(world.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(await build()).toEqual([200, 'one']);
    const socket = await handshake({ ALPNProtocols: ['h2', 'http/1.1'], maxVersion: 'TLSv1.2' });
    expect([socket.alpnProtocol, socket.getProtocol()]).toEqual(['http/1.1', 'TLSv1.2']);
    socket.destroy();
    await expect(
      handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow();
  });

  test('is not mistaken for HTTP: who speaks that is cut off, and others are served', async () => {
    const socket = connectPlain(port(), '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    socket.on('error', () => {});
    socket.resume();
    await once(socket, 'close');
    expect(await build()).toEqual([200, 'one']);
  });

  test('carries WebSockets, and requests that offer another protocol', async () => {
    const socket = new WebSocket(`${world.url.replace('https', 'wss')}/shop/Item`, any);
    await once(socket, 'open');
    socket.terminate();
    const plain = await handshake();
    plain.write('GET /service/build HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade, close\r\n\r\n');
    const [answer] = (await once(plain, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\none$/);
    plain.destroy();
  });

  test('answers what it cannot read inside of TLS', async () => {
    const socket = await handshake();
    socket.write('nonsense\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 [\s\S]*"BadRequest"/);
    socket.destroy();
  });

  test('is trusted by the command line that finds the host by its data directory, whoever has signed', async () => {
    expect(await tenon(world.directory, 'list', '--data', world.data)).toMatchObject({ status: 0 });
    const refused = await tenon(world.directory, 'list', '--url', world.url, '--token', 'a-token-of-the-tests');
    expect(refused).toMatchObject({ status: 1, out: '' });
    expect(refused.err).toMatch(/the certificate of https:.* is not trusted: .*; name the file .* NODE_EXTRA_CA_CERTS/);
    const plain = await tenon(world.directory, 'list', '--url', world.url.replace('https:', 'http:'), '--token', 'x');
    expect(plain).toMatchObject({ status: 3, err: expect.stringContaining('write https://') as string });
  });
});

describe('a certificate', () => {
  test('that takes the place of another is shown to new clients, and connections go on', async () => {
    const kept = await handshake();
    const second = await signedByOther(world.directory, 'second');
    await linkTo(second, links);
    await until('the second one is shown', async () => (await shown()) === 'second.example');
    kept.write('GET /service/build HTTP/1.1\r\nHost: x\r\n\r\n');
    const [answer] = (await once(kept, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /);
    kept.destroy();
    expect(world.log.filter(({ msg }) => msg === 'the certificate was renewed')).toHaveLength(1);
    // Signed by an authority that nobody knows, and of another name.
    expect(await tenon(world.directory, 'list', '--data', world.data)).toMatchObject({ status: 0 });
  });

  test('that does not fit its key is told, and the one before stays, also for who asks by hand', async () => {
    const before = await shown();
    const third = await selfSigned(world.directory, 'third');
    const told = (): number => world.log.filter(({ msg }) => msg.startsWith('the new certificate cannot')).length;
    await linkTo({ certificate: third.certificate, key: first.key }, links);
    await until('it is told', () => told() === 1);
    expect(() => world.host.reloadCertificate()).toThrow(/is not the key of the certificate/);
    expect(await shown()).toBe(before);
    expect(findApi(world.data)?.certificate).toContain('BEGIN CERTIFICATE');
    await linkTo(third, links);
    world.host.reloadCertificate();
    expect(await shown()).toBe('third');
    expect(told()).toBe(1);
  });
});

test('a certificate that cannot be looked at any more is told once, and the one before stays', async () => {
  const before = await shown();
  const told = (): number => world.log.filter(({ msg }) => msg.startsWith('the new certificate cannot')).length;
  const already = told();
  const loop = path.join(world.directory, 'loop');
  await symlink(loop, loop);
  await linkTo({ certificate: loop, key: loop }, links);
  await until('it is told', () => told() === already + 1);
  expect(() => world.host.reloadCertificate()).toThrow(/ELOOP/);
  expect(await shown()).toBe(before);
  await linkTo(await selfSigned(world.directory, 'fourth'), links);
  await until('the next one is shown', async () => (await shown()) === 'fourth');
  expect(told()).toBe(already + 1);
});

describe('a host does not start', () => {
  const start = async (options: { tlsCertificate?: string; tlsKey?: string }): Promise<unknown> => {
    const other = await World.make();
    try {
      await other.start(options);
      return undefined;
    } catch (error) {
      return error;
    } finally {
      await other.close();
    }
  };

  test.each([
    ['a certificate that is not there', 'gone.pem', 'first.key', 'gone.pem cannot be read'],
    ['a key that is not there', 'first.pem', 'gone.key', 'gone.key cannot be read'],
    ['a key in place of a certificate', 'first.key', 'first.key', 'first.key has no certificate'],
    ['a certificate in place of a key', 'first.pem', 'first.pem', 'first.pem has no private key'],
    ['the key of another', 'first.pem', 'second.key', 'second.key is not the key of the certificate in'],
    ['a directory', '.', 'first.key', 'is not a file'],
    ['noise', 'noise.pem', 'first.key', 'noise.pem has no certificate'],
  ])('with %s', async (_what, certificate, key, sentence) => {
    await writeFile(path.join(world.directory, 'noise.pem'), 'noise');
    const error = await start({
      tlsCertificate: path.join(world.directory, certificate),
      tlsKey: path.join(world.directory, key),
    });
    expect(error).toMatchObject({ code: 'TlsInvalid', message: expect.stringContaining(sentence) as string });
  });

  test('with one of the two files', async () => {
    expect(await start({ tlsKey: first.key })).toMatchObject({ code: 'SettingsInvalid' });
  });
});

test('a host says that its certificate expires soon, and that its key is open to all', async () => {
  const other = await World.make();
  const files = await selfSigned(other.directory, 'short', 3);
  const key = `${files.key}.open`;
  await copyFile(files.key, key);
  await chmod(key, 0o644);
  await other.open({ tlsCertificate: files.certificate, tlsKey: key });
  expect(other.log.filter(({ level }) => level >= 40).map(({ msg, days }) => [msg, days])).toEqual([
    ['the certificate expires soon', 2],
    ['everybody on this machine can read the key of the certificate', undefined],
  ]);
  await other.close();
});
