/** Has a host be asked whatever its document allows and forbids, and says what was not answered as the document has it. */
import { randomInt } from 'node:crypto';
import { Agent, request } from 'node:http';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPlugin } from '../plugins/build.js';
import { makeBundle } from './bundles.js';
import { ApiDocument, isOfHost } from './documented.js';
import { type DrawnRequest, drawnRequests } from './drawn-request.js';
import { World } from './world.js';

const token = 'a-token-of-the-tests';
/** Requests under way at a time. */
const together = 8;
const ofOneRun = 40;
const options = { registry: true, registryWaitMs: 60_000, uploadSignatures: 'off' } as const;
const plugins = ['service', 'config', 'todo', 'shop'];

/** What was asked and answered. */
interface FuzzReport {
  readonly requests: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Operations that were answered with success at least once. */
  readonly succeeded: readonly string[];
}

/** A host with a plugin in C, one from a bundle, one that takes a config, and tables. */
async function startFuzzed(world: World): Promise<void> {
  await world.publish('service', await buildPlugin('service'));
  await world.publish('config', await buildPlugin('config'));
  await world.write('config', 'config.yaml', 'app_id: config\ncustom:\n  level: 1\n');
  await world.write('todo', 'config.yaml', 'app_id: todo\n');
  await world.write('todo', 'schema.graphql', 'type Task @table @export { id: ID! @primaryKey title: String! }');
  await world.start(options);
}

/** Ask `count` requests at least. Throws what is not as the document has it. */
async function fuzz(world: World, count: number, seed: number): Promise<FuzzReport> {
  const document = new ApiDocument(JSON.parse((await world.get('/openapi.json')).body) as Record<string, unknown>);
  const statuses: Record<string, number> = {};
  const succeeded = new Set<string>();
  let requests = 0;
  const agents = [undefined, '127.0.0.2'].map(
    (localAddress) => new Agent({ keepAlive: true, maxSockets: together, localAddress }),
  );
  const requestOf = await drawing(world, document);
  const ask = async (drawn: DrawnRequest): Promise<void> => {
    const { status, type, body } = await send(world.url, agents[drawn.isStranger ? 1 : 0], drawn);
    requests += 1;
    statuses[status] = (statuses[status] ?? 0) + 1;
    const complaint = document.complaint({ method: drawn.method, target: drawn.target, status, type, body });
    if (complaint !== undefined) throw new Error(complaint);
    if (body.includes('"error":"Internal"')) throw new Error(`${drawn.method} ${drawn.target}: ${body}`);
    if (drawn.expected?.includes(status) === false)
      throw new Error(`${drawn.method} ${drawn.target}: ${status} and not ${drawn.expected.join()}: ${body}`);
    if (status < 400) succeeded.add(drawn.operation);
  };
  const property = fc.asyncProperty(fc.array(requestOf, { minLength: ofOneRun, maxLength: ofOneRun }), async (all) => {
    const left = all.toReversed();
    const lane = async (): Promise<void> => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) await ask(next);
    };
    await Promise.all(Array.from({ length: together }, lane));
  });
  try {
    await fc.assert(property, { numRuns: Math.ceil(count / ofOneRun), seed, endOnFailure: true });
  } finally {
    for (const agent of agents) agent.destroy();
  }
  return { requests, statuses, succeeded: [...succeeded].toSorted() };
}

/** Of operations that take long, or take away what others are asked about. */
const weights: Readonly<Record<string, number>> = {
  loadPlugin: 2,
  unloadPlugin: 1,
  reloadPlugin: 2,
  rollbackPlugin: 2,
  triggerHotReload: 1,
  installPlugin: 6,
  uninstallPlugin: 2,
  discoverPlugins: 1,
  setConfig: 8,
  unsetConfig: 2,
  enablePlugin: 4,
  disablePlugin: 2,
  forgetPlugin: 1,
  killBundle: 1,
  spareBundle: 3,
  makeBackup: 2,
  enableHotReload: 3,
  configureHotReload: 8,
  checkAudit: 3,
  followEvents: 5,
};

async function drawing(world: World, document: ApiDocument): Promise<fc.Arbitrary<DrawnRequest>> {
  const archives = await Promise.all([makeBundle('shop'), makeBundle('shop', { version: '1.1.0' })]);
  const cut = archives.map((archive) => archive.subarray(0, Math.floor(archive.byteLength / 2)));
  const hashes = world.host.plugins().flatMap(({ generations }) => generations.map(({ sha256 }) => sha256));
  let backups = 0;
  const settings = fc.constantFrom('{"level":1}', '{"level":2}', '{}', '{"secret":"${NOBODY_KNOWS}"}', '[]', '1');
  const hash = fc.constantFrom(...hashes, 'a'.repeat(64), 'A'.repeat(64), 'abc');
  const keyOf = 'RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3';
  const asJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  return drawnRequests(document, {
    token,
    host: new URL(world.url).host,
    likely: {
      id: fc.constantFrom(...plugins, ...plugins, ...plugins, 'install', 'discover', '..', '\0'),
      plugin: fc.constantFrom('service', 'todo', 'nobody'),
      grant: fc.constantFrom('all', 'read:config', 'http:client:localhost'),
      to: fc.oneof(
        fc.constantFrom('1', '1.0.0', 'relative/path', world.data, ...hashes),
        fc.constant('').map(() => path.join(world.directory, 'copies', String(backups++))),
      ),
      sha256: hash,
      keyId: fc.constantFrom('E7620F1842B4E81F', 'e7620f1842b4e81f', '1'),
    },
    bodies: {
      installPlugin: fc.constantFrom(...archives, ...cut, Buffer.from('no archive'), Buffer.alloc(0)),
      setConfig: settings.map((text) => Buffer.from(text)),
      killBundle: fc.tuple(hash, fc.string({ maxLength: 10 })).map(([sha256, reason]) => asJson({ sha256, reason })),
      trustKey: fc
        .constantFrom<unknown>(
          { key: keyOf, plugins: ['*'] },
          { key: keyOf, plugins: [] },
          { key: 'x', plugins: ['a'] },
        )
        .map(asJson),
    },
    weightOf: ({ id, path: place }) => weights[id] ?? (isOfHost(place) ? 20 : 6),
  });
}

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

/** Of a stream the head alone is waited for. */
function send(url: string, agent: Agent | undefined, { method, target, headers, body }: DrawnRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // Of a DELETE, node:http would send a body without its length.
    const length = body === undefined ? {} : { 'content-length': body.byteLength };
    const outgoing = request(url, { agent, method, path: target, headers: { ...headers, ...length } }, (answer) => {
      const type = answer.headers['content-type'] ?? null;
      const status = answer.statusCode ?? 0;
      if (type?.startsWith('text/event-stream') === true) {
        outgoing.destroy();
        resolve({ status, type, body: '' });
        return;
      }
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => resolve({ status, type, body: Buffer.concat(chunks).toString() }));
      answer.on('error', reject);
    });
    outgoing.on('error', (error) => reject(new Error(`${method} ${target}: ${error.message}`, { cause: error })));
    outgoing.end(body);
  });
}

/** Bring everything back that was asked for, and say what serves then. */
async function settle(world: World): Promise<string[]> {
  const { killed } = JSON.parse((await world.admin('GET', '/api/v1/trust')).body) as { killed: { sha256: string }[] };
  for (const { sha256 } of killed) await world.admin('DELETE', `/api/v1/trust/killed/${sha256}`);
  await world.admin('POST', '/api/v1/plugins/discover');
  await world.admin('DELETE', '/api/v1/plugins/config/config');
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/gzip' };
  const body = new Uint8Array(await makeBundle('shop', { version: '2.0.0' }));
  await world.request('POST', '/api/v1/plugins/install', { headers, body });
  for (const id of plugins)
    for (const action of ['enable', 'load']) await world.admin('POST', `/api/v1/plugins/${id}/${action}`);
  return world.host.plugins().map(({ id, state }) => `${id} ${state}`);
}

/** The test of `count` requests; its seed is printed. */
export function apiFuzz(count: number): void {
  let world: World;

  beforeAll(async () => {
    world = await World.make();
    await startFuzzed(world);
  });

  afterAll(() => world.close());

  test('whatever is asked is answered as the document says, and host and data are whole afterwards', async () => {
    const seed = Number(process.env['TENON_TEST_SEED'] ?? randomInt(2 ** 31));
    console.log(`seed of the requests (TENON_TEST_SEED): ${seed}`);
    const { requests, statuses, succeeded } = await fuzz(world, count, seed);
    console.log(`${requests} requests: ${JSON.stringify(statuses)}; ${succeeded.length} operations succeeded`);
    expect(requests).toBeGreaterThanOrEqual(count);

    const all = plugins.toSorted().map((id) => `${id} running`);
    expect(await settle(world)).toEqual(all);
    expect(JSON.parse((await world.admin('GET', '/api/v1/audit/check')).body)).toMatchObject({ intact: true });
    const put = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"title":"kept"}' };
    expect((await world.request('PUT', '/todo/Task/kept', put)).status).toBeLessThan(300);

    await world.host.close();
    await world.start(options);
    expect(world.host.plugins().map(({ id, state }) => `${id} ${state}`)).toEqual(all);
    expect((await world.get('/readyz')).status).toBe(200);
    expect((await world.get('/shop/version')).body).toBe('2.0.0');
    expect((await world.get('/todo/Task/kept')).body).toContain('"kept"');
  }, 600_000);
}
