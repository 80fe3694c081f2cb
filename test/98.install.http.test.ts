import { connect } from 'node:net';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeBundle, platform } from './load/bundles.js';
import { Clients } from './load/clients.js';
import { gauge } from './load/gauge.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;

beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

const place = '/api/v1/plugins/install';
const authorization = 'Bearer a-token-of-the-tests';

interface Reply {
  status: number;
  body: {
    status?: string;
    plugin?: { id: string; version?: string; generation?: number };
    error?: string;
    message?: string;
    library?: string;
    from?: string;
    details?: Record<string, unknown>;
    plugins?: { id: string }[];
    entries?: { action: string }[];
  };
}

async function ask(method: string, target: string, init: RequestInit = {}): Promise<Reply> {
  const answer = await world.request(method, target, {
    ...init,
    headers: { authorization, ...(init.headers as Record<string, string> | undefined) },
  });
  return { status: answer.status, body: JSON.parse(answer.body) as Reply['body'] };
}

function install(archive: Uint8Array, query = ''): Promise<Reply> {
  return ask('POST', place + query, {
    headers: { 'content-type': 'application/gzip' },
    body: new Uint8Array(archive),
  });
}

function formOf(...parts: [name: string, content: Uint8Array | string][]): FormData {
  const form = new FormData();
  for (const [name, content] of parts)
    if (typeof content === 'string') form.append(name, content);
    else form.append(name, new Blob([new Uint8Array(content)]), 'bundle.tgz');
  return form;
}

/** What the applications directory has, hidden things too. */
function entries(): Promise<string[]> {
  return readdir(world.applications).then((names) => names.toSorted());
}

const unsigned = { uploadSignatures: 'off' } as const;

test('an archive as the body is installed, upgraded in place, the same again is nothing, and it is gone when it is deleted', async () => {
  await world.start(unsigned);
  const first = await makeBundle('shop');
  expect(await install(first)).toMatchObject({
    status: 201,
    body: { status: 'installed', plugin: { id: 'shop', version: '1.0.0', generation: 1 }, library: platform },
  });
  expect((await world.get('/shop/version')).body).toBe('1.0.0');
  expect(await install(first)).toMatchObject({ status: 200, body: { status: 'unchanged' } });
  expect(await install(await makeBundle('shop', { version: '1.1.0' }))).toMatchObject({
    status: 200,
    body: { status: 'upgraded', from: '1.0.0', plugin: { version: '1.1.0', generation: 2 } },
  });
  expect((await world.get('/shop/version')).body).toBe('1.1.0');
  expect(await ask('DELETE', '/api/v1/plugins/shop')).toMatchObject({
    status: 200,
    body: { status: 'uninstalled', plugin: { id: 'shop' } },
  });
  expect((await world.get('/shop/version')).status).toBe(404);
  expect(await entries()).toEqual([]);
});

test('so is the field `file` of a form, as curl -F sends it', async () => {
  await world.start(unsigned);
  const body = formOf(['file', await makeBundle('shop')]);
  expect(await ask('POST', place, { body })).toMatchObject({ status: 201, body: { plugin: { id: 'shop' } } });
  expect((await world.get('/shop/version')).body).toBe('1.0.0');
});

test('a dry run says what would come of it, and changes nothing', async () => {
  await world.start(unsigned);
  expect(await install(await makeBundle('shop'), '?dryRun=true')).toMatchObject({
    status: 200,
    body: { status: 'valid', plugin: { id: 'shop', version: '1.0.0' } },
  });
  expect(await entries()).toEqual([]);
  expect((await world.get('/shop/version')).status).toBe(404);
});

test('an upload has to be signed, unless the host is told otherwise', async () => {
  await world.start();
  expect(await install(await makeBundle('shop'))).toMatchObject({ status: 403, body: { error: 'SignatureMissing' } });
  expect(await entries()).toEqual([]);
});

test('an older version is meant only when it is said', async () => {
  await world.start(unsigned);
  const older = await makeBundle('shop');
  await install(await makeBundle('shop', { version: '2.0.0' }));
  expect(await install(older)).toMatchObject({ status: 409, body: { error: 'BundleDowngrade' } });
  expect((await world.get('/shop/version')).body).toBe('2.0.0');
  expect(await install(older, '?allowDowngrade=true')).toMatchObject({ status: 200, body: { from: '2.0.0' } });
  expect((await world.get('/shop/version')).body).toBe('1.0.0');
});

describe('refused, with nothing left and what runs left alone', () => {
  beforeEach(async () => {
    await world.start({ ...unsigned, bundleLimit: 200_000 });
    await install(await makeBundle('shop'));
  });

  /** What is there when nothing has come of it. */
  async function present(): Promise<[string[], string]> {
    return [await entries(), (await world.get('/shop/version')).body];
  }
  const before: [string[], string] = [['shop'], '1.0.0'];

  const gzip = { 'content-type': 'application/gzip' };
  const bytes = new Uint8Array(1000);
  const over = new Uint8Array(300_000);
  test.each<[string, number, string, string, RequestInit]>([
    [
      'another kind of body',
      415,
      'ContentTypeUnsupported',
      '',
      { body: 'x', headers: { 'content-type': 'text/plain' } },
    ],
    ['no body', 400, 'BadRequest', '', { headers: gzip }],
    ['bytes that are no archive', 400, 'ArchiveInvalid', '', { headers: gzip, body: bytes }],
    ['more than the limit', 413, 'ArchiveTooLarge', '', { headers: gzip, body: over }],
    ['more than the limit in a form', 413, 'ArchiveTooLarge', '', { body: formOf(['file', over]) }],
    ['a mistyped parameter', 400, 'BadRequest', '?dryrun=true', { headers: gzip, body: bytes }],
    ['a wrong parameter', 400, 'BadRequest', '?dryRun=1', { headers: gzip, body: bytes }],
    ['a form without a file', 400, 'BadRequest', '', { body: formOf() }],
    ['a form with another field', 400, 'BadRequest', '', { body: formOf(['archive', bytes]) }],
    ['a form with two files', 400, 'BadRequest', '', { body: formOf(['file', bytes], ['file', bytes]) }],
    ['a form with a word beside the file', 400, 'BadRequest', '', { body: formOf(['file', bytes], ['a', 'b']) }],
    [
      'a form that does not end',
      400,
      'BadRequest',
      '',
      {
        headers: { 'content-type': 'multipart/form-data; boundary=x' },
        body: '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
      },
    ],
    [
      'a form without a boundary',
      400,
      'BadRequest',
      '',
      { headers: { 'content-type': 'multipart/form-data' }, body: 'x' },
    ],
  ])('%s: %i %s', async (_, status, error, query, init) => {
    expect(await ask('POST', place + query, init)).toMatchObject({ status, body: { error } });
    expect(await present()).toEqual(before);
  });

  test('a body without an end: 400 ArchiveInvalid, at its first bytes', async () => {
    const body = new ReadableStream<Uint8Array>({ pull: (stream) => stream.enqueue(new Uint8Array(10_000)) });
    const init = { headers: gzip, body, duplex: 'half' } as RequestInit;
    expect(await ask('POST', place, init)).toMatchObject({ status: 400, body: { error: 'ArchiveInvalid' } });
    expect(await present()).toEqual(before);
  });

  test('a client that sends all of its body first hears why it was refused', async () => {
    const { port } = new URL(world.url);
    const socket = connect(Number(port), '127.0.0.1');
    const length = 6 * 1024 * 1024;
    socket.write(
      `POST ${place} HTTP/1.1\r\nhost: localhost\r\nauthorization: ${authorization}\r\ncontent-type: application/gzip\r\ncontent-length: ${length}\r\n\r\n`,
    );
    await new Promise<void>((resolve) => void socket.write(Buffer.alloc(length), () => resolve()));
    const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string];
    expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*"error":"ArchiveTooLarge"/);
    socket.destroy();
  });

  test('who has no token: 401, before anything is read', async () => {
    const answer = await world.request('POST', place, { headers: gzip, body: over });
    expect(answer.status).toBe(401);
  });

  test('a client that goes in the middle leaves neither a file nor a descriptor', async () => {
    const archive = await makeBundle('other');
    const { descriptors } = gauge(world.data);
    const { port } = new URL(world.url);
    const head = `POST ${place} HTTP/1.1\r\nhost: localhost\r\nauthorization: ${authorization}\r\ncontent-type: application/gzip\r\ncontent-length: ${archive.length}\r\n\r\n`;
    const begun = Buffer.concat([Buffer.from(head), archive.subarray(0, archive.length >> 1)]);
    for (let turn = 0; turn < 20; turn++) connect(Number(port), '127.0.0.1').resume().end(begun);
    const refused = async (): Promise<number> =>
      (await ask('GET', '/api/v1/audit?limit=100')).body.entries?.filter(({ action }) => action === 'refuse').length ??
      0;
    await until('each of them was begun, and refused', async () => (await refused()) === 20);
    await until('descriptors are given back', () => gauge(world.data).descriptors <= descriptors);
    expect((await ask('GET', '/api/v1/plugins')).body.plugins?.map(({ id }) => id)).toEqual(['shop']);
    expect(await present()).toEqual(before);
  });
});

test('two uploads of one plugin at once: one is installed, the other told to wait; others go on', async () => {
  await world.publish('counting', await buildPlugin('says_version', { defines: { PLUGIN_ID: '"counting"' } }));
  await world.start({ ...unsigned, trialMs: 60_000 });
  const clients = new Clients({
    url: world.url,
    count: 8,
    next: () => ({ method: 'GET', path: '/counting/version' }),
    judge: ({ status, body }) => (status === 200 && body === '1.0.0' ? undefined : `${status} ${body}`),
  });
  const gate = path.join(world.directory, 'gate');
  const library = await buildPlugin('says_version', { defines: { PLUGIN_ID: '"shop"', WAITS_AT: `"${gate}"` } });
  const first = install(await makeBundle('shop', { library }));
  await until('the first one is tried', () => existsSync(`${gate}.seen`));
  expect(await install(await makeBundle('shop', { version: '1.1.0' }))).toMatchObject({
    status: 409,
    body: { error: 'InstallRunning' },
  });
  expect((await install(await makeBundle('other'))).status).toBe(201);
  await writeFile(`${gate}.go`, '');
  expect((await first).status).toBe(201);
  expect((await clients.stop()).unexpected).toEqual([]);
});

test('what was gone back to right after an upgrade stays, whatever the watch has seen; installing the newer one again brings it back', async () => {
  await world.start({ ...unsigned, hotReload: true, libraryDebounceMs: 20, sourceDebounceMs: 20 });
  const newer = await makeBundle('shop', { version: '1.1.0' });
  await install(await makeBundle('shop'));
  await install(newer);
  expect((await ask('POST', '/api/v1/plugins/shop/rollback')).status).toBe(200);
  // What is put there after all that is told, too: until then the watch has said what it had to say.
  await world.publish('later', await buildPlugin('says_version', { defines: { PLUGIN_ID: '"later"' } }));
  await until('the watch is heard', async () => (await world.get('/later/version')).status === 200);
  expect(world.host.reloads().filter(({ plugin, trigger }) => plugin === 'shop' && trigger === 'watch')).toEqual([]);
  expect((await world.get('/shop/version')).body).toBe('1.0.0');
  expect(await install(newer)).toMatchObject({ status: 200, body: { status: 'upgraded', from: '1.0.0' } });
  expect((await world.get('/shop/version')).body).toBe('1.1.0');
});

describe('the codes of old', () => {
  beforeEach(() => world.start(unsigned));

  test('ManifestNotFound', async () => {
    const { writeArchive } = await import('../src/bundle/write-archive.js');
    const archive = writeArchive([{ path: 'README.md', bytes: Buffer.from('x') }]);
    expect(await install(archive)).toMatchObject({ status: 422, body: { error: 'ManifestNotFound' } });
  });

  test('InvalidManifest, with the place in it', async () => {
    expect(await install(await makeBundle('shop', { manifest: { version: 'new' } }))).toMatchObject({
      status: 422,
      body: { error: 'InvalidManifest', details: { pointer: '/version' } },
    });
  });

  test('EntrypointNotFound', async () => {
    const library = await buildPlugin('no_entry');
    expect(await install(await makeBundle('fault', { library }))).toMatchObject({
      status: 422,
      body: { error: 'EntrypointNotFound' },
    });
  });

  test('EntrypointNotFound of a folder whose library is not there', async () => {
    await world.write('shop', 'manifest.json', JSON.stringify({ id: 'shop', version: '1.0.0' }));
    await world.host.discover();
    expect(world.host.plugin('shop')).toMatchObject({ state: 'failed', error: { code: 'EntrypointNotFound' } });
    expect(await ask('POST', '/api/v1/plugins/shop/load')).toMatchObject({
      status: 422,
      body: { error: 'EntrypointNotFound' },
    });
  });
});

describe('put into the applications directory', () => {
  const local = { ...unsigned, hotReload: true, libraryDebounceMs: 20, sourceDebounceMs: 20 };

  test('of a running host, an archive is installed and then gone', async () => {
    await world.start(local);
    await world.put('shop-1.0.0.tgz', await makeBundle('shop'));
    await until('it serves', async () => (await world.get('/shop/version')).body === '1.0.0');
    await until('the archive is gone', async () => (await entries()).join() === 'shop');
    await world.put('shop-1.1.0.tar.gz', await makeBundle('shop', { version: '1.1.0' }));
    await until('it is upgraded', async () => (await world.get('/shop/version')).body === '1.1.0');
    expect(world.log.filter(({ level }) => level >= 50)).toEqual([]);
  });

  test('before the host starts, it is installed at the start', async () => {
    await world.put('shop-1.0.0.tgz', await makeBundle('shop'));
    await world.start(local);
    expect((await world.get('/shop/version')).body).toBe('1.0.0');
    expect(await entries()).toEqual(['shop']);
  });

  test('one that is refused stays, and is said once', async () => {
    await world.put('shop-1.0.0.tgz', await makeBundle('shop', { manifest: { version: 'new' } }));
    await world.start(local);
    const told = (): number => world.log.filter(({ file, level }) => file === 'shop-1.0.0.tgz' && level >= 50).length;
    expect(told()).toBe(1);
    await world.host.discover();
    expect(told()).toBe(1);
    expect(await entries()).toEqual(['shop-1.0.0.tgz']);
    await world.put('shop-1.0.0.tgz', await makeBundle('shop'));
    await until('what is right is installed', async () => (await world.get('/shop/version')).body === '1.0.0');
  });

  test('one that is still being written raises no alarm', async () => {
    await world.start(local);
    const archive = await makeBundle('shop');
    await world.put('shop-1.0.0.tgz', archive.subarray(0, 1000));
    await until('it was looked at', () => world.log.some(({ msg }) => msg.includes('is not whole yet')));
    await world.put('shop-1.0.0.tgz', archive);
    await until('it serves', async () => (await world.get('/shop/version')).body === '1.0.0');
    expect(world.log.filter(({ file, level }) => file !== undefined && level >= 40)).toEqual([]);
  });

  test('a folder of a manifest and a library is a plugin', async () => {
    await world.start(local);
    await world.write('shop', 'manifest.json', JSON.stringify({ name: 'Shop', version: '1.0.0' }));
    await world.publish('shop', await buildPlugin('says_version', { defines: { PLUGIN_ID: '"shop"' } }));
    await until('it serves', async () => (await world.get('/shop/version')).body === '1.0.0');
    expect(world.host.plugin('shop')).toMatchObject({
      version: '1.0.0',
      bundle: { library: platform, warnings: [expect.stringContaining('not signed')] },
    });
  });
});
