// One of the servers under comparison, in a process of its own: `server.ts tenon|graphql-http FOLDER`.
// Tells its port to the parent, answers every message with the processor time it has used (µs), ends when the parent goes.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSchema } from 'graphql';
import { createHandler } from 'graphql-http/lib/use/http';
import { loadCore } from '../../src/binding/core.js';
import { openStore } from '../../src/binding/store.js';
import type * as tenonModule from '../../src/index.js';
import { defineTables, rocksdb } from './engine.js';

const host = '127.0.0.1';
let end = async (): Promise<void> => process.exit(0);

// The built host, as `npm start` runs it.
async function withTenon(data: string): Promise<number> {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
  const { createHost } = (await import(path.join(root, 'dist', 'index.js'))) as typeof tenonModule;
  const applications = path.join(root, 'bench', 'tables', 'applications');
  const tenon = await createHost({ host, port: 0, data, applications, hotReload: false, logLevel: 'warn' });
  end = async () => {
    await tenon.close();
    process.exit(0);
  };
  return Number(new URL(await tenon.listen()).port);
}

// The same tables read by resolvers, as somebody would write it with graphql-http.
async function withGraphqlHttp(data: string): Promise<number> {
  const store = await openStore(loadCore(), {
    directory: path.join(data, 'tables'),
    libraries: [rocksdb],
    sync: false,
    feedBytes: 64 * 1024 * 1024,
    cacheBytes: 64 * 1024 * 1024,
  });
  const table = (await defineTables(store)).get('Item') ?? -1;
  const schema = buildSchema(`
    type Item { id: ID! title: String! rank: Int! done: Boolean! at: String! }
    type Query { item(id: ID!): Item }
  `);
  const item = async ({ id }: { id: string }): Promise<unknown> => {
    const json = store.getNow(table, id) ?? (await store.get(table, id))?.json;
    return json === undefined ? null : (JSON.parse(json.toString()) as unknown);
  };
  const handle = createHandler({ schema, rootValue: { item } });
  const server = createServer((request, response) => void handle(request, response));
  end = async () => {
    await store.close();
    process.exit(0);
  };
  return new Promise((resolve) => {
    server.listen(0, host, () => resolve((server.address() as AddressInfo).port));
  });
}

const kinds: Record<string, (folder: string) => Promise<number>> = {
  tenon: withTenon,
  'graphql-http': withGraphqlHttp,
};
const [kind = '', folder = ''] = process.argv.slice(2);
const start = kinds[kind];
if (start === undefined || process.send === undefined) throw new TypeError(`no such server: ${kind}`);
const send = process.send.bind(process);
process.on('disconnect', () => void end());
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  send(user + system);
});
send(await start(folder));
