import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { EventReader, type ServerEvent } from './tables/event-reader.js';
import { KilledHost } from './tables/killed-host.js';
import { Random } from './tables/random.js';
import {
  type Change,
  type Contents,
  type Lane,
  PluginLane,
  placeOf,
  RestLane,
  type Row,
  states,
} from './tables/writing-lane.js';

const long = process.env['TENON_TEST_LONG'] === '1';
const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const kills = Number(process.env['TENON_TEST_KILLS'] ?? (long ? 200 : 12));

const fields = `  id: ID! @primaryKey
  title: String!
  state: String @indexed
  rank: Int @indexed
  padding: String
`;
const tables = ['Task', 'Entry'] as const;
const schema = tables.map((table) => `type ${table} @table @export {\n${fields}}\n`).join('');

let world: World;
let host: KilledHost;
beforeEach(async () => {
  world = await World.make();
  await world.publish('tables', await buildPlugin('tables', { defines: { PLUGIN_ID: '"tables"' } }));
  await world.write('tables', 'config.yaml', 'name: Tables\n');
  await world.write('tables', 'schema.graphql', schema);
  await KilledHost.prepare(world);
});
afterEach(async () => {
  await host.kill();
  await world.close();
});

async function read(target: string, accept = 'application/json'): Promise<string> {
  const reply = await fetch(`${host.url}/tables/${target}`, { headers: { accept } });
  const text = await reply.text();
  expect(reply.status, text).toBe(200);
  return text;
}

async function scan(table: string): Promise<Row[]> {
  const lines = (await read(table, 'application/x-ndjson')).split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Row);
}

async function query(table: string, wanted: string): Promise<Row[]> {
  return JSON.parse(await read(`${table}?limit=10000&${wanted}`)) as Row[];
}

async function contents(): Promise<Contents> {
  const places = new Map<string, string>();
  for (const table of tables)
    for (const row of await scan(table)) places.set(placeOf({ table, key: String(row['id']) }), JSON.stringify(row));
  return places;
}

/** What an index says and what all records say are the same. */
async function checkIndexes(table: string): Promise<void> {
  const all = await scan(table);
  const inOrder = (rows: Row[]): string[] => rows.map(({ id }) => String(id)).toSorted();
  for (const state of states) {
    const wanted = inOrder(all.filter((row) => row['state'] === state));
    expect(inOrder(await query(table, `state==${state}`))).toEqual(wanted);
    expect(inOrder(await query(table, `filter=state==${state},title==none`))).toEqual(wanted);
  }
  const without = all.filter(({ state }) => state === null || state === undefined);
  expect(inOrder(await query(table, 'state=null=true'))).toEqual(inOrder(without));
  const ranked = all.toSorted((left, right) => Number(left['rank']) - Number(right['rank']));
  expect(await query(table, 'sort=rank')).toEqual(ranked);
}

/** The changes of one table, told by host after host. */
class Follower {
  readonly #table: Change['table'];
  #reader: EventReader | undefined;
  #taken = 0;
  #told: ServerEvent[] = [];
  /** After the changes that were taken last. */
  #from = '';
  #lastId = '';
  readonly #copy = new Map<string, string>();

  constructor(table: Change['table']) {
    this.#table = table;
  }

  async follow(): Promise<void> {
    this.#reader = await this.#open(this.#lastId);
    this.#lastId = this.#reader.lastId;
    if (this.#from === '') this.#from = this.#lastId;
  }

  /** The host is gone: what it told stays. */
  async cut(): Promise<void> {
    const reader = this.#reader;
    if (reader === undefined) return;
    await until('the stream ends', () => reader.closed);
    this.#collect();
    this.#reader = undefined;
    this.#taken = 0;
  }

  /** Compare with the changes of this table that became true, in order for each key. */
  async check(changes: readonly Change[], stored: Contents): Promise<void> {
    const wanted = changes.filter(({ table }) => table === this.#table);
    await until(`${wanted.length} changes of ${this.#table} are told`, () => {
      this.#collect();
      return this.#told.length >= wanted.length;
    });
    assert.deepEqual(byPlace(this.#told.map((event) => this.#changeOf(event))), byPlace(wanted));
    await this.#checkAgain();
    for (const event of this.#told) {
      const { key = '', record } = event.data;
      if (record === undefined) this.#copy.delete(`${this.#table}/${key}`);
      else this.#copy.set(`${this.#table}/${key}`, JSON.stringify(record));
    }
    assert.deepEqual(this.#copy, new Map([...stored].filter(([place]) => this.#owns(place))));
    this.#told = [];
    this.#from = this.#lastId;
  }

  /** Another client, which heard nothing since the last time, is told the same. */
  async #checkAgain(): Promise<void> {
    const again = await this.#open(this.#from);
    await until('a client that comes later is told', () => changesOf(again.events).length >= this.#told.length);
    again.leave();
    assert.deepEqual(changesOf(again.events), this.#told);
  }

  async #open(lastId: string): Promise<EventReader> {
    const headers: Record<string, string> = lastId === '' ? {} : { 'last-event-id': lastId };
    const reader = (await EventReader.open(`${host.url}/tables/${this.#table}`, headers)).read();
    await until('a stream is ready', () => reader.events.length > 0 || reader.closed);
    const [first] = reader.events;
    assert.deepEqual([first?.type, first?.data], ['ready', { resumed: lastId !== '' }]);
    return reader;
  }

  #collect(): void {
    if (this.#reader === undefined) return;
    const { events, lastId } = this.#reader;
    const fresh = events.slice(this.#taken);
    this.#taken = events.length;
    const others = fresh.filter(({ type }) => !['ready', 'put', 'delete'].includes(type));
    // A test that is kept from running may read too slowly; the next reader goes on where this one was ended.
    for (const { data } of others) assert.equal(data.error, 'SubscriberTooSlow');
    this.#told.push(...changesOf(fresh));
    this.#lastId = lastId;
  }

  #changeOf({ data }: ServerEvent): Change {
    return { table: this.#table, key: data.key ?? '', record: data.record };
  }

  #owns(place: string): boolean {
    return place.startsWith(`${this.#table}/`);
  }
}

const changesOf = (events: readonly ServerEvent[]): ServerEvent[] =>
  events.filter(({ data }) => data.key !== undefined);

function byPlace(changes: readonly Change[]): Record<string, string[]> {
  const lists: Record<string, string[]> = {};
  for (const change of changes) (lists[placeOf(change)] ??= []).push(JSON.stringify(change.record) ?? 'gone');
  return lists;
}

test(`${kills} hosts are killed amid writes: each write that was acknowledged is there, whole, in its indexes, and told once (TENON_TEST_SEED=${seed})`, {
  timeout: 60_000 + kills * 20_000,
}, async () => {
  const random = new Random(seed);
  const lanes: Lane[] = [
    ...['a', 'b', 'c'].map((name, index) => new RestLane(name, new Random(seed + 1 + index))),
    ...['p', 'q'].map((name, index) => new PluginLane(name, new Random(seed + 11 + index))),
  ];
  const followers = tables.map((table) => new Follower(table));

  async function check(): Promise<void> {
    const stored = await contents();
    for (const lane of lanes) lane.settle(stored);
    for (const table of tables) await checkIndexes(table);
    const changes = lanes.flatMap((lane) => lane.takeChanges());
    for (const follower of followers) await follower.follow();
    for (const follower of followers) await follower.check(changes, stored);
  }

  for (let killed = 0; killed < kills; killed++) {
    host = KilledHost.begin(world);
    if (random.below(4) === 0) {
      await sleep(random.below(1500)); // while it starts, as far as it comes
      await host.kill();
      continue;
    }
    await host.serves();
    await check();
    const writing = lanes.map((lane) => lane.run(host.url));
    await sleep(random.below(500));
    await host.kill();
    await Promise.all(writing);
    for (const follower of followers) await follower.cut();
  }
  host = KilledHost.begin(world);
  await host.serves();
  await check();
  for (const lane of lanes) expect(lane.acknowledged, `writes of ${lane.name}`).toBeGreaterThan(0);
});

test(`an index that is built when the host is killed is whole in the end (TENON_TEST_SEED=${seed})`, {
  timeout: 240_000,
}, async () => {
  const random = new Random(seed);
  const count = 60_000;
  const rows = Array.from({ length: count }, (_, index) => ({
    id: `k${String(index).padStart(5, '0')}`,
    title: 'a',
    padding: `n${random.below(200)}`,
  }));
  host = KilledHost.begin(world);
  await host.serves();
  for (let sent = 0; sent < count; sent += 10_000) {
    const body = rows.slice(sent, sent + 10_000).map((row) => JSON.stringify(row));
    const headers = { 'content-type': 'application/x-ndjson', prefer: 'return=minimal' };
    const reply = await fetch(`${host.url}/tables/Task`, { method: 'POST', headers, body: body.join('\n') });
    expect(reply.status).toBe(201);
  }
  await host.kill();
  await world.write('tables', 'schema.graphql', schema.replace('padding: String', 'padding: String @indexed'));
  for (let killed = 0; killed < 3; killed++) {
    host = KilledHost.begin(world);
    await until('the host listens', () => host.url !== '', 60_000);
    await sleep(random.below(400)); // while it loads the application and begins to build
    await host.kill();
  }
  host = KilledHost.begin(world);
  await host.serves();
  for (const note of ['n0', 'n17', 'n139']) {
    const wanted = rows.filter(({ padding }) => padding === note);
    const target = `${host.url}/tables/pool?op=scan&table=Task&field=padding&lower=${note}&upper=${note}`;
    let indexed = '';
    await until('the index is complete', async () => {
      indexed = await (await fetch(target, { method: 'POST' })).text();
      return !indexed.startsWith('AGAIN');
    });
    expect(indexed).toBe([...wanted.map((row) => JSON.stringify(row)), 'END'].map((text) => ` ${text}`).join(''));
    expect(await query('Task', `padding==${note}`)).toEqual(wanted);
    expect(await query('Task', `filter=padding==${note},title==none`)).toEqual(wanted);
  }
  const inOrder = rows.toSorted((left, right) =>
    left.padding < right.padding ? -1 : Number(left.padding > right.padding),
  );
  expect(await query('Task', 'sort=padding')).toEqual(inOrder.slice(0, 10_000));
});
