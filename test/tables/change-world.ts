/** A store of a test with changes, streams and sockets over it, served on a port of its own. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { FieldDefinition, Store, TableWritten } from '../../src/binding/store.js';
import { openAccess } from '../../src/http/access.js';
import { ChangeSockets } from '../../src/http/change-socket.js';
import { ChangeStreams } from '../../src/http/change-stream.js';
import { pathOf } from '../../src/http/router.js';
import { type UpgradeOptions, Upgrades } from '../../src/http/upgrade.js';
import { Changes } from '../../src/tables/changes.js';
import type { ServedTable } from '../../src/tables/served.js';
import { openTestStore } from './test-store.js';

export interface ChangeWorldOptions {
  queueBytes?: number;
  heartbeatMs?: number;
  pingMs?: number;
  messagesPerSecond?: number;
  origins?: string[];
  hosts?: string[];
  feedBytes?: number;
  /** Streams, and sockets, at one time. */
  clients?: number;
}

const optional = (name: string, kind: FieldDefinition['type']['kind']): FieldDefinition => ({ name, type: { kind } });

export const taskFields: FieldDefinition[] = [
  { name: 'id', type: { kind: 'ID', required: true } },
  optional('title', 'String'),
  { name: 'state', type: { kind: 'Enum', values: ['open', 'done'] }, indexed: true },
  { ...optional('priority', 'Int'), indexed: true },
  optional('weight', 'Float'),
  optional('urgent', 'Boolean'),
  optional('dueAt', 'Date'),
  { name: 'tags', type: { kind: 'List', item: { kind: 'String' } } },
  {
    name: 'address',
    type: {
      kind: 'Object',
      members: [optional('city', 'String'), optional('number', 'Int'), optional('since', 'Date')],
    },
  },
  optional('note', 'Any'),
];

export class ChangeWorld {
  readonly directory: string;
  readonly log: { msg: string; code?: string }[] = [];
  store!: Store;
  changes!: Changes;
  streams!: ChangeStreams;
  sockets!: ChangeSockets;
  upgrades!: Upgrades;
  task!: ServedTable;
  note!: ServedTable;
  readonly #options: ChangeWorldOptions;
  #server: Server | undefined;

  private constructor(directory: string, options: ChangeWorldOptions) {
    this.directory = directory;
    this.#options = options;
  }

  static async make(options: ChangeWorldOptions = {}): Promise<ChangeWorld> {
    const world = new ChangeWorld(await mkdtemp(path.join(os.tmpdir(), 'tenon-changes-')), options);
    await world.open();
    return world;
  }

  /** `host:port`. */
  get host(): string {
    if (this.#server === undefined) throw new Error('the world is shut');
    const { port } = this.#server.address() as AddressInfo;
    return `127.0.0.1:${port}`;
  }

  async open(): Promise<void> {
    const { queueBytes, heartbeatMs, pingMs, messagesPerSecond, feedBytes, clients } = this.#options;
    const limit = clients === undefined ? {} : { clients };
    const lines = this.log;
    const log = pino(
      { level: 'debug' },
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          lines.push(JSON.parse(chunk.toString()) as { msg: string });
          done();
        },
      }),
    );
    const store = await openTestStore(path.join(this.directory, 'tables'), feedBytes);
    this.store = store;
    this.task = await this.#serve('Task');
    this.note = await this.#serve('Note');
    const changes = new Changes({ store, log, ...(queueBytes === undefined ? {} : { queueBytes }) });
    this.changes = changes;
    this.streams = new ChangeStreams({
      store,
      changes,
      log,
      ...limit,
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    });
    this.sockets = new ChangeSockets({
      store,
      changes,
      log,
      ...limit,
      ...(pingMs === undefined ? {} : { pingMs }),
      ...(messagesPerSecond === undefined ? {} : { messagesPerSecond }),
    });
    this.upgrades = new Upgrades(this.#upgradeOptions());
    await this.#listen();
  }

  async close(): Promise<void> {
    await this.shut();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Close everything but the directory. */
  async shut(): Promise<void> {
    this.upgrades.close();
    this.streams.close();
    await this.sockets.close();
    await this.changes.close();
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    await this.store.close();
  }

  /** Write one record and give what became of it. */
  async put(record: Record<string, unknown>, table = this.task): Promise<TableWritten> {
    const [written] = await this.store.write([
      { table: table.number, kind: 'put', json: Buffer.from(JSON.stringify(record)) },
    ]);
    return written as TableWritten;
  }

  async remove(key: string, table = this.task): Promise<void> {
    await this.store.write([{ table: table.number, kind: 'remove', key }]);
  }

  async #serve(name: string): Promise<ServedTable> {
    const definition = { database: 'todo', name, primaryKey: 'id', fields: taskFields };
    const number = await this.store.define(definition);
    const kept = this.store.definition(number);
    const exports = { rest: true, graphql: true, sse: true, ws: true };
    return {
      application: 'todo',
      number,
      definition: kept,
      schema: { definition: kept, exports, fields: [], relationships: [] },
    };
  }

  /** Table and key of `/Task/1`. */
  #find(target: string): { served: ServedTable; key: string | undefined } | undefined {
    const [, name, key] = pathOf(target).split('/');
    const served = [this.task, this.note].find((table) => table.definition.name === name);
    return served && { served, key: key === undefined ? undefined : decodeURIComponent(key) };
  }

  #upgradeOptions(): UpgradeOptions {
    const { origins, hosts } = this.#options;
    return {
      find: (target) => {
        const found = this.#find(target);
        return (
          found && {
            admit: (_request, _response, { open }) =>
              open((socket) => this.sockets.serve(socket, found.served, found.key, openAccess)),
          }
        );
      },
      handle: (request, response) => response.end(`plain ${request.url}`),
      ...(origins === undefined ? {} : { origins }),
      ...(hosts === undefined ? {} : { hosts }),
    };
  }

  async #listen(): Promise<void> {
    const server = createServer((request, response) => {
      const found = this.#find(request.url ?? '/');
      if (found === undefined) response.writeHead(404).end();
      else this.streams.handle(request, response, found.served, found.key, openAccess);
    });
    server.on('upgrade', (request, socket, head) => this.upgrades.handle(request, socket, head));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
  }
}
