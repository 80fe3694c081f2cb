import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const secret = 'nobody-is-to-read-this';
const script = `/* ${'letters '.repeat(1000)} */\n`;

/** All that comes back for a request target, as it is written here. */
function raw(url: string, target: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
    socket.write(`GET ${target} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  });
}

describe('files of an application', () => {
  let world: World;
  const get = (target: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
    fetch(world.url + target, { method, headers, redirect: 'manual' });

  beforeAll(async () => {
    world = await World.make();
    await world.publish('service', await buildPlugin('service'));
    await world.write('service', 'config.yaml', `name: ${secret}\nstatic_files: public\n`);
    await world.write('service', 'public/index.html', '<h1>home</h1>');
    await world.write('service', 'public/app.js', script);
    await world.write('service', 'public/build', 'a file named as a route');
    await world.write('service', 'public/sub/index.html', '<h1>below</h1>');
    await world.write('service', 'public/sub/a b%.txt', 'odd name');
    await world.write('service', 'public/empty/none.txt', '');
    await world.write('service', 'public/.hidden', secret);
    await world.write('service', 'public/.git/config', secret);
    await world.write('service', 'public/photo.bin', 'x'.repeat(4000));
    await writeFile(path.join(world.folder('service'), 'public/app.js.br'), brotliCompressSync(script));
    const shown = path.join(world.folder('service'), 'public');
    await symlink(path.join(world.folder('service'), 'config.yaml'), path.join(shown, 'link.yaml'));
    await symlink(world.folder('service'), path.join(shown, 'up'));
    await symlink('.hidden', path.join(shown, 'plain.txt'));
    await symlink('app.js', path.join(shown, 'same.js'));
    await mkdir(path.join(world.folder('service'), 'public-too'));
    await writeFile(path.join(world.folder('service'), 'public-too', 'x.txt'), secret);
    await world.write(
      'page',
      'config.yaml',
      [
        'route_prefix: /site',
        'static_files:',
        '  directory: web',
        '  path: /app',
        '  fallback: index.html',
        '  maxAgeSeconds: 60',
        '  immutable: ["assets/**"]',
      ].join('\n'),
    );
    await world.write('page', 'web/index.html', '<title>page</title>');
    await world.write('page', 'web/about.html', '<title>about</title>');
    await world.write('page', 'web/assets/app.1234.css', 'body {}');
    await world.publish('keys', await buildPlugin('keys'));
    await world.write('keys', 'config.yaml', 'extension: true\n');
    await world.write('members', 'config.yaml', 'extensions: [keys]\ncors: true\nstatic_files: web\n');
    await world.write('members', 'web/index.html', '<p>for members</p>');
    await world.start();
  }, 120_000);
  afterAll(() => world.close());

  test('are served by their names, with their types, and a folder by its index', async () => {
    const page = await get('/service/');
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await page.text()).toBe('<h1>home</h1>');
    expect(await (await get('/service/sub/')).text()).toBe('<h1>below</h1>');
    expect(await (await get('/service/sub/a%20b%25.txt')).text()).toBe('odd name');
    expect(await (await get('/service/same.js')).text()).toBe(script);
    const head = await get('/service/photo.bin', {}, 'HEAD');
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '4000', '']);
  });

  test('of a folder are reached below its slash, with the query, and there is no listing', async () => {
    const led = await get('/service/sub?a=1');
    expect([led.status, led.headers.get('location')]).toEqual([308, '/service/sub/?a=1']);
    expect((await get('/service')).headers.get('location')).toBe('/service/');
    expect((await get('/service/empty')).status).toBe(404);
    expect((await get('/service/empty/')).status).toBe(404);
  });

  test('stand behind the routes of the plugin', async () => {
    expect(await (await get('/service/build')).text()).toBe('one');
  });

  test('are asked about by tags, dates and ranges', async () => {
    const first = await get('/service/photo.bin');
    const tag = first.headers.get('etag') ?? '';
    const since = first.headers.get('last-modified') ?? '';
    expect((await get('/service/photo.bin', { 'if-none-match': tag, 'cache-control': 'max-age=0' })).status).toBe(304);
    expect((await get('/service/photo.bin', { 'if-modified-since': since, 'cache-control': 'max-age=0' })).status).toBe(
      304,
    );
    const part = await get('/service/photo.bin', { range: 'bytes=10-19' });
    expect([part.status, part.headers.get('content-range'), (await part.text()).length]).toEqual([
      206,
      'bytes 10-19/4000',
      10,
    ]);
    expect((await get('/service/photo.bin', { range: 'bytes=10-19', 'if-range': tag })).status).toBe(200);
    const beyond = await get('/service/photo.bin', { range: 'bytes=5000-' });
    expect(beyond.headers.get('content-range')).toBe('bytes */4000');
    expect(await beyond.json()).toMatchObject({ status: 416, error: 'RangeInvalid' });
    const other = await get('/service/photo.bin', { 'if-match': '"another"' });
    expect(await other.json()).toMatchObject({ status: 412, error: 'PreconditionFailed' });
  });

  test('leave as the sibling that is compressed, where the client takes that', async () => {
    const small = await get('/service/app.js', { 'accept-encoding': 'gzip, br' });
    expect(small.headers.get('content-encoding')).toBe('br');
    expect(small.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(small.headers.get('vary')).toBe('Accept-Encoding');
    expect(await small.text()).toBe(script);
    const other = await get('/service/app.js', { 'accept-encoding': 'gzip' });
    expect([other.headers.get('content-encoding'), await other.text()]).toEqual(['gzip', script]);
    const plain = await get('/service/app.js', { 'accept-encoding': 'br;q=0, identity' });
    expect([plain.headers.get('content-encoding'), await plain.text()]).toEqual([null, script]);
    const part = await get('/service/app.js', { 'accept-encoding': 'br', range: 'bytes=0-2' });
    expect([part.status, part.headers.get('content-encoding'), await part.text()]).toEqual([206, null, '/* ']);
  });

  test('may have a page that answers for those that are not there, to whoever wants a page', async () => {
    const page = await get('/site/app/orders/7', { accept: 'text/html,*/*;q=0.8' });
    expect([page.status, await page.text()]).toEqual([200, '<title>page</title>']);
    expect(page.headers.get('cache-control')).toBe('public, max-age=0');
    expect((await get('/site/app/orders/7', { accept: 'application/json' })).status).toBe(404);
    expect((await get('/site/orders/7', { accept: 'text/html' })).status).toBe(404);
    const about = await get('/site/app/about.html');
    expect(about.headers.get('cache-control')).toBe('public, max-age=60');
    const asset = await get('/site/app/assets/app.1234.css');
    expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  });

  test('need no library, and are listed as routes', () => {
    const { state, routes } = world.host.plugin('page');
    expect(state).toBe('running');
    expect(routes.map((route) => `${route.method} ${route.path} ${route.execution}`)).toEqual([
      'GET /site/app/* file',
      'GET /site/app file',
    ]);
  });

  test('are known to other methods as what they are', async () => {
    const answer = await get('/service/app.js', {}, 'DELETE');
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
  });

  test('are behind the extensions of the application, and preflights are not', async () => {
    const nobody = await get('/members/');
    expect(await nobody.json()).toMatchObject({ status: 401, error: 'Unauthenticated' });
    expect(nobody.headers.get('www-authenticate')).toBe('ApiKey realm="test"');
    const known = await get('/members/', { authorization: 'ApiKey reader' });
    expect([known.status, await known.text()]).toEqual([200, '<p>for members</p>']);
    expect(known.headers.get('cache-control')).toBe('private, max-age=0');
    expect(known.headers.get('x-keys')).toBe('looked');
    const asked = await get(
      '/members/',
      { origin: 'https://a.example', 'access-control-request-method': 'GET' },
      'OPTIONS',
    );
    expect([asked.status, asked.headers.get('x-keys')]).toEqual([204, null]);
  });

  test('change without a reload', async () => {
    const reloads = world.host.reloads().length;
    await world.write('service', 'public/new.txt', 'new');
    expect(await (await get('/service/new.txt')).text()).toBe('new');
    await rm(path.join(world.folder('service'), 'public/new.txt'));
    expect((await get('/service/new.txt')).status).toBe(404);
    expect(world.host.reloads()).toHaveLength(reloads);
  });

  test('are nothing that is watched, and config.yaml is', async () => {
    await world.host.hotReload.enable();
    const before = world.host.reloads().length;
    await world.write('page', 'web/more.html', 'more');
    await world.write('page', 'web/note.c', 'int a;');
    await world.write('page', 'config.yaml', 'route_prefix: /site\nstatic_files: web\n');
    await until('the files have moved', async () => (await get('/site/more.html')).status === 200);
    expect((await get('/site/app/about.html')).status).toBe(404);
    const mine = world.host.reloads().slice(0, world.host.reloads().length - before);
    expect(mine.map(({ outcome, applied, unchanged }) => ({ outcome, applied, unchanged }))).toEqual([
      { outcome: 'succeeded', applied: ['static_files'], unchanged: true },
    ]);
    await world.host.hotReload.disable();
  });

  const outside = [
    '/service/../config.yaml',
    '/service/..%2fconfig.yaml',
    '/service/%2e%2e/config.yaml',
    '/service/%2e%2e%2fconfig.yaml',
    '/service/.%2e/config.yaml',
    '/service/sub/../../config.yaml',
    '/service/sub/%2e%2e/%2e%2e/config.yaml',
    '/service/..%5cconfig.yaml',
    '/service/..\\config.yaml',
    '/service/%252e%252e/config.yaml',
    '/service/%c0%ae%c0%ae/config.yaml',
    '/service//etc/passwd',
    '/service//../config.yaml',
    '/service/./config.yaml',
    '/service/%00../config.yaml',
    '/service/config.yaml%00.html',
    '/service/.hidden',
    '/service/%2ehidden',
    '/service/.git/config',
    '/service/sub/..%2f.hidden',
    '/service/link.yaml',
    '/service/up/config.yaml',
    '/service/up/',
    '/service/up',
    '/service/plain.txt',
    '/service/../public-too/x.txt',
    '/service-too/x.txt',
    '/service/..;/config.yaml',
    '/service/%2fetc%2fpasswd',
    '/service/~root',
    `/service/${'a/'.repeat(3000)}`,
    `/service/${'n'.repeat(5000)}`,
    '/service/sub/../../../../../../../../etc/passwd',
    'http://127.0.0.1/service/../config.yaml',
    '//service/../config.yaml',
    '/service?/../config.yaml',
  ];
  test.each(outside)('show nothing that is not theirs: %#', async (target) => {
    const answer = await raw(world.url, target);
    expect(answer).toMatch(/^HTTP\/1\.1 (?:400|404|414|431|308)/);
    expect(answer).not.toContain(secret);
    expect(answer).not.toContain('root:');
    expect(answer).not.toMatch(/location: (?:\/\/|https?:)/i);
  });
});
