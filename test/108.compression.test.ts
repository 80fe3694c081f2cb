import { request } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

interface Raw {
  status: number;
  headers: Record<string, string | undefined>;
  bytes: Buffer;
}

/** An answer as it came, undecoded. */
function ask(url: string, headers: Record<string, string>, method = 'GET', body = ''): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers as Raw['headers'],
          bytes: Buffer.concat(chunks),
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function decoded({ headers, bytes }: Raw): string {
  const encoding = headers['content-encoding'];
  return (encoding === 'br' ? brotliDecompressSync(bytes) : encoding === 'gzip' ? gunzipSync(bytes) : bytes).toString();
}

const token = { authorization: 'Bearer a-token-of-the-tests' };

describe('answers that pay for it', () => {
  let world: World;
  const get = (target: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Raw> =>
    ask(world.url + target, headers, method);

  beforeAll(async () => {
    world = await World.make();
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: `"${'long '.repeat(600)}"` } }));
    const records = Array.from({ length: 100 }, (_, id) => ({ id: String(id), name: `record ${id} of many` }));
    await world.write('shop', 'config.yaml', 'name: Shop\nstatic_files: public\n');
    await world.write(
      'shop',
      'schema.graphql',
      'type Item @table @export(rest: true, sse: true, graphql: true) { id: ID! @primaryKey  name: String }\n',
    );
    await world.write('shop', 'data/items.json', JSON.stringify({ table: 'Item', records }));
    await world.write('shop', 'public/page.html', `<p>${'words '.repeat(1000)}</p>`);
    await world.write('shop', 'public/small.html', '<p>few</p>');
    await world.write('shop', 'public/photo.jpg', 'j'.repeat(5000));
    await world.start({ logRequests: true });
  }, 180_000);
  afterAll(() => world.close());

  test.each([
    ['a list of records', '/shop/Item?limit=100', {}],
    ['the document of the API', '/openapi.json', {}],
    ['what the API tells', '/api/v1/plugins', token],
    ['metrics', '/metrics', {}],
    ['a page of files', '/shop/page.html', {}],
  ])('leave compressed: %s', async (_, target, more) => {
    const plain = await get(target, more);
    expect([plain.status, plain.headers['content-encoding']]).toEqual([200, undefined]);
    for (const encoding of ['gzip', 'br'] as const) {
      const answer = await get(target, { ...more, 'accept-encoding': encoding });
      expect([answer.status, answer.headers['content-encoding']]).toEqual([200, encoding]);
      expect(answer.headers['vary']).toContain('Accept-Encoding');
      expect(answer.headers['content-length']).toBeUndefined();
      expect(answer.bytes.length).toBeLessThan(plain.bytes.length / 2);
      // Metrics and uptimes go on meanwhile.
      if (target !== '/metrics' && target !== '/api/v1/plugins') expect(decoded(answer)).toBe(plain.bytes.toString());
      else expect(decoded(answer).slice(0, 20)).toBe(plain.bytes.toString().slice(0, 20));
      expect(answer.headers['etag'] ?? 'W/').toMatch(/^W\//);
    }
  });

  test('leave as what the client wants most, and plain where it wants neither', async () => {
    const encodingFor = async (accept: string): Promise<string | undefined> =>
      (await get('/shop/Item?limit=100', { 'accept-encoding': accept })).headers['content-encoding'];
    expect(await encodingFor('gzip, deflate, br')).toBe('br');
    expect(await encodingFor('br;q=0.1, gzip')).toBe('gzip');
    expect(await encodingFor('br;q=0, gzip;q=0.5')).toBe('gzip');
    expect(await encodingFor('zstd')).toBeUndefined();
    expect(await encodingFor('identity')).toBeUndefined();
    expect(await encodingFor('gzip;q=0')).toBeUndefined();
  });

  test('of GraphQL too', async () => {
    const query = JSON.stringify({ query: '{ __schema { types { name fields { name } } } }' });
    const headers = { 'content-type': 'application/json', 'accept-encoding': 'br' };
    const answer = await ask(`${world.url}/shop/graphql`, headers, 'POST', query);
    expect(answer.headers['content-encoding']).toBe('br');
    expect(JSON.parse(decoded(answer))).toHaveProperty('data.__schema.types');
  });

  test.each([
    ['a plugin', '/service/build', {}, 'GET'],
    ['what is small', '/shop/small.html', {}, 'GET'],
    ['what is compressed by itself', '/shop/photo.jpg', {}, 'GET'],
    ['a range', '/shop/page.html', { range: 'bytes=0-1999' }, 'GET'],
    ['no body', '/shop/page.html', {}, 'HEAD'],
    ['one record, whose tag writing goes by', '/shop/Item/1', {}, 'GET'],
    ['a problem', '/nowhere', {}, 'GET'],
  ])('are none: %s', async (_, target, more, method) => {
    const answer = await get(target, { 'accept-encoding': 'br, gzip', ...more }, method);
    expect(answer.headers['content-encoding']).toBeUndefined();
    if (target === '/shop/Item/1') expect(answer.headers['etag']).toMatch(/^"/);
  });

  test('are asked about by their tags as before', async () => {
    const br = { 'accept-encoding': 'br' };
    for (const target of ['/openapi.json', '/docs', '/shop/page.html']) {
      const tag = (await get(target, br)).headers['etag'] ?? '';
      const again = await get(target, { ...br, 'if-none-match': tag });
      expect([again.status, again.headers['content-encoding'], again.bytes.length]).toEqual([304, undefined, 0]);
    }
  });

  test('are logged and counted as they left', async () => {
    const answer = await get('/shop/page.html', { 'accept-encoding': 'br' });
    const lines = (): unknown[] =>
      world.log.filter(({ path, bytes }) => path === '/shop/page.html' && bytes === answer.bytes.length);
    await until('it is logged', () => lines().length > 0);
    expect(lines()[0]).toMatchObject({ status: 200, plugin: 'shop', route: '/shop/*' });
    const metrics = (await get('/metrics')).bytes.toString();
    expect(metrics).toMatch(
      /tenon_http_requests_total\{plugin="shop",method="GET",route="\/shop\/\*",code="200"\} [1-9]/,
    );
    expect(metrics).not.toMatch(/code="aborted"/);
  });

  test('leave plain when the setting says so', async () => {
    const other = await World.make();
    try {
      await other.start({ compression: false });
      const answer = await ask(`${other.url}/openapi.json`, { 'accept-encoding': 'br, gzip' });
      expect([answer.status, answer.headers['content-encoding']]).toEqual([200, undefined]);
    } finally {
      await other.close();
    }
  });
});
