import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Filter, TableChange } from '../src/binding/store.js';
import { recordMatcher } from '../src/tables/matches.js';
import type { Subscription } from '../src/tables/changes.js';
import { until } from './load/world.js';
import { ChangeWorld, type ChangeWorldOptions } from './tables/change-world.js';
import { EventReader } from './tables/event-reader.js';
import { filterCases, filterRecords, wrongFilters } from './tables/filter-cases.js';

let world: ChangeWorld;
const readers: EventReader[] = [];
afterEach(async () => {
  for (const reader of readers.splice(0)) reader.leave();
  await world.close();
});

async function make(options: ChangeWorldOptions = {}): Promise<void> {
  world = await ChangeWorld.make(options);
}

async function stream(target: string, headers?: Record<string, string>): Promise<EventReader> {
  const reader = (await EventReader.open(`http://${world.host}${target}`, headers)).read();
  readers.push(reader);
  await until('the stream has begun', () => reader.events.length > 0 || reader.closed);
  return reader;
}

/** The next `count` changes. */
async function take(subscription: Subscription, count: number): Promise<TableChange[]> {
  const taken: TableChange[] = [];
  while (taken.length < count) {
    const { value, done } = await subscription.next();
    if (done === true) break;
    taken.push(value);
  }
  return taken;
}

/** Write `count` records from each of four writers at once; keys `a0`, `b0`, … */
async function fourWriters(count: number, title?: string): Promise<void> {
  const write = async (writer: string): Promise<void> => {
    for (let i = 0; i < count; i++) await world.put({ id: `${writer}${i}`, priority: i, title });
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(write));
}

function sequences(changes: readonly TableChange[]): number[] {
  return changes.map(({ sequence }) => Number(sequence));
}

function keysOf(changes: readonly TableChange[]): string[] {
  return changes.map(({ key }) => key);
}

function expectEachOnceInOrder(changes: readonly TableChange[], count: number): void {
  const order = sequences(changes);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(new Set(keysOf(changes)).size).toBe(count);
  expect(changes).toHaveLength(count);
}

describe('Changes', () => {
  test('tells every change of the tables asked for, in order, and none of other tables', async () => {
    await make();
    const subscription = world.changes.subscribe([world.task.number]);
    await world.put({ id: '1', title: 'one' });
    await world.put({ id: 'x' }, world.note);
    await world.put({ id: '1', title: 'two' });
    await world.remove('1');
    const changes = await take(subscription, 3);
    expect(changes.map(({ removed, key, record }) => [removed, key, record?.json.toString()])).toEqual([
      [false, '1', '{"id":"1","title":"one"}'],
      [false, '1', '{"id":"1","title":"two"}'],
      [true, '1', undefined],
    ]);
    await subscription.return();
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
    expect(world.changes.figures).toEqual({ subscribers: 0, catchingUp: 0, tooSlow: 0 });
  });

  test('begins with what is new, not with what was', async () => {
    await make();
    await world.put({ id: 'before' });
    const subscription = world.changes.subscribe([world.task.number]);
    await world.put({ id: 'after' });
    expect(keysOf(await take(subscription, 1))).toEqual(['after']);
  });

  test('gives the changes of several tables in one order', async () => {
    await make();
    const subscription = world.changes.subscribe([world.task.number, world.note.number]);
    await world.put({ id: '1' });
    await world.put({ id: '2' }, world.note);
    await world.put({ id: '3' });
    expect(keysOf(await take(subscription, 3))).toEqual(['1', '2', '3']);
  });

  test('goes on from any sequence without a gap or a double while four writers write', async () => {
    await make();
    const from = world.store.sequence();
    // Somebody who follows from the beginning is what the shared feed is there for; the others join it.
    const first = world.changes.subscribe([world.task.number]);
    const writing = fourWriters(250);
    const all = await take(first, 1000);
    const marks = [0, 100, 400, 900];
    const late = marks.map((mark) =>
      world.changes.subscribe([world.task.number], {
        from: mark === 0 ? from : (all[mark - 1] as TableChange).sequence,
      }),
    );
    await writing;
    await fourWriters(50, 'again');
    expectEachOnceInOrder(all, 1000);
    const more = await take(first, 200);
    for (const [at, subscription] of late.entries())
      expect(sequences(await take(subscription, 1200 - (marks[at] ?? 0)))).toEqual(
        sequences([...all, ...more]).slice(marks[at]),
      );
  });

  test('hands over from an own feed to the shared one in the midst of writes', async () => {
    await make({ queueBytes: 16 * 1024 });
    const from = world.store.sequence();
    const reading = take(world.changes.subscribe([world.task.number], { from }), 800);
    const writing = fourWriters(200);
    const joined: Promise<TableChange[]>[] = [];
    for (let i = 0; i < 10; i++) {
      await world.put({ id: `extra${i}` });
      joined.push(take(world.changes.subscribe([world.task.number], { from }), 810));
    }
    await writing;
    const late = await take(world.changes.subscribe([world.task.number], { from }), 810);
    expectEachOnceInOrder(late, 810);
    expect(sequences(await reading)).toEqual(sequences(late).slice(0, 800));
    for (const one of joined) expect(sequences(await one)).toEqual(sequences(late));
  });

  test('needs no feed of its own for long, though nothing happens in its tables', async () => {
    await make();
    const from = world.store.sequence();
    for (let i = 0; i < 10; i++) await world.put({ id: String(i) }, world.note);
    const subscription = world.changes.subscribe([world.task.number], { from });
    expect(world.changes.figures.catchingUp).toBe(1);
    await until('it has caught up', () => world.changes.figures.catchingUp === 0);
    await world.put({ id: '1' });
    expect(keysOf(await take(subscription, 1))).toEqual(['1']);
  });

  test('stands where the store is, also when nothing is told', async () => {
    await make();
    const subscription = world.changes.subscribe([world.task.number], { key: 'none' });
    await world.put({ id: '1' });
    await world.put({ id: '2' }, world.note);
    await until('it has moved', () => subscription.position === world.store.sequence());
    const other = world.changes.subscribe([world.task.number]);
    await world.put({ id: '3' });
    await world.put({ id: '4' });
    await until('all is there', () => subscription.position === world.store.sequence());
    const [third] = await take(other, 1);
    expect(other.position).toBe(third?.sequence);
  });

  test('goes on after the store was closed and opened again', async () => {
    await make();
    await world.put({ id: '1' });
    const from = world.store.sequence();
    await world.put({ id: '2' });
    await world.shut();
    await world.open();
    await world.put({ id: '3' });
    expect(keysOf(await take(world.changes.subscribe([world.task.number], { from }), 2))).toEqual(['2', '3']);
  });

  test('tells of one record only', async () => {
    await make();
    const subscription = world.changes.subscribe([world.task.number], { key: '2' });
    for (const id of ['1', '2', '3', '2']) await world.put({ id, title: `at ${world.store.sequence()}` });
    await world.remove('2');
    expect(keysOf(await take(subscription, 3))).toEqual(['2', '2', '2']);
  });

  test('tells of the records that meet a filter, and of every removal', async () => {
    await make();
    const filter = {
      and: [
        { field: 'state', op: 'eq' as const, value: 'open' },
        { field: 'priority', op: 'gt' as const, value: 2 },
      ],
    };
    const subscription = world.changes.subscribe([world.task.number], { filter });
    await world.put({ id: '1', state: 'open', priority: 1 });
    await world.put({ id: '2', state: 'open', priority: 3 });
    await world.put({ id: '3', state: 'done', priority: 4 });
    await world.remove('3');
    expect((await take(subscription, 2)).map(({ key, removed }) => [key, removed])).toEqual([
      ['2', false],
      ['3', true],
    ]);
  });

  test('ends who does not read with SubscriberTooSlow, and nobody else', async () => {
    await make({ queueBytes: 8 * 1024 });
    const slow = world.changes.subscribe([world.task.number]);
    const quick = world.changes.subscribe([world.task.number]);
    const read = take(quick, 100);
    for (let i = 0; i < 100; i++) await world.put({ id: String(i), title: 'x'.repeat(200) });
    expect(await read).toHaveLength(100);
    await expect(slow.next()).rejects.toMatchObject({ code: 'SubscriberTooSlow' });
    expect(await slow.next()).toEqual({ done: true, value: undefined });
    expect(world.changes.figures).toEqual({ subscribers: 1, catchingUp: 0, tooSlow: 1 });
  });

  test('lets who catches up read at leisure, whatever waits', async () => {
    await make({ queueBytes: 8 * 1024 });
    const from = world.store.sequence();
    for (let i = 0; i < 300; i++) await world.put({ id: String(i), title: 'x'.repeat(200) });
    const subscription = world.changes.subscribe([world.task.number], { from });
    const some = await take(subscription, 10);
    await world.put({ id: 'last' });
    const rest = await take(subscription, 291);
    expect(keysOf([...some, ...rest]).slice(0, 300)).toEqual(Array.from({ length: 300 }, (_, i) => String(i)));
    expect(rest.at(-1)?.key).toBe('last');
  });

  test('takes a change that is larger than the whole queue from who has read all', async () => {
    await make({ queueBytes: 1024 });
    const subscription = world.changes.subscribe([world.task.number]);
    const reading = take(subscription, 2);
    await world.put({ id: '1', title: 'x'.repeat(5000) });
    await world.put({ id: '2', title: 'x'.repeat(5000) });
    expect(keysOf(await reading)).toEqual(['1', '2']);
  });

  test('ends by its signal, by return while next waits, and by close', async () => {
    await make();
    const stop = new AbortController();
    const tables = [world.task.number];
    const [signalled, returned, closed] = [
      world.changes.subscribe(tables, { signal: stop.signal }),
      world.changes.subscribe(tables),
      world.changes.subscribe(tables),
    ];
    const waiting = [signalled.next(), returned.next(), closed.next()];
    stop.abort();
    await returned.return();
    await world.changes.close();
    const done = { done: true, value: undefined };
    expect(await Promise.all(waiting)).toEqual([done, done, done]);
    expect(() => world.changes.subscribe(tables)).toThrow(expect.objectContaining({ code: 'HostClosing' }));
  });

  test('refuses a sequence that lies ahead, one that is none, and a filter that does not fit', async () => {
    await make();
    const refusal = (options: object): unknown => {
      try {
        world.changes.subscribe([world.task.number], options);
        return undefined;
      } catch (error) {
        return (error as { code?: unknown }).code;
      }
    };
    expect(refusal({ from: '999999999' })).toBe('ChangesGone');
    expect(refusal({ from: '-1' })).toBe('BadRequest');
    expect(refusal({ filter: { field: 'colour', op: 'eq', value: 'red' } })).toBe('QueryInvalid');
    expect(world.changes.figures.subscribers).toBe(0);
  });
});

describe('a filter', () => {
  test('means for changes what it means for the store', async () => {
    await make();
    for (const record of filterRecords) await world.put(record);
    const rows: unknown[] = [];
    for (const [filter, ids] of filterCases) {
      const matches = recordMatcher(world.task.definition, filter);
      const page = await world.store.query(world.task.number, { filter, limit: 100, fields: ['id'] });
      const found = (JSON.parse(page.json.toString()) as { id: string }[]).map(({ id }) => id);
      const met = filterRecords.filter(matches).map(({ id }) => id as string);
      rows.push([filter, { store: found.toSorted(), changes: met.toSorted(), expected: ids }]);
    }
    expect(rows).toEqual(filterCases.map(([filter, ids]) => [filter, { store: ids, changes: ids, expected: ids }]));
  });

  test('that is none is refused by both', async () => {
    await make();
    for (const filter of wrongFilters as Filter[]) {
      const shown = JSON.stringify(filter).slice(0, 100);
      const invalid = expect.objectContaining({ code: 'QueryInvalid' }) as Error;
      expect(() => recordMatcher(world.task.definition, filter), shown).toThrow(invalid);
      await expect(world.store.count(world.task.number, filter), shown).rejects.toThrow(invalid);
    }
  });
});

describe('server-sent events', () => {
  test('are put and delete with the id to go on from, after ready', async () => {
    await make();
    const reader = await stream('/Task');
    expect(reader.answer.statusCode).toBe(200);
    expect(reader.answer.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    expect(reader.text).toMatch(/^retry: \d+\n\n/);
    await world.put({ id: 'ü/1', title: 'line\nbreak' });
    await world.remove('ü/1');
    await until('all is told', () => reader.events.length === 3);
    expect(reader.told).toEqual(['ready', 'put ü/1', 'delete ü/1']);
    expect(reader.events[1]?.data.record).toMatchObject({ title: 'line\nbreak' });
    expect(reader.events[1]?.id).toMatch(new RegExp(`^${world.store.identity.slice(0, 8)}-\\d+$`));
  });

  test('go on after Last-Event-ID, also when nothing was told before the connection broke', async () => {
    await make();
    const first = await stream('/Task');
    first.leave();
    await until('it has gone', () => world.streams.size === 0);
    await world.put({ id: '1' });
    await world.put({ id: '2' });
    const second = await stream('/Task', { 'last-event-id': first.lastId });
    await until('all is told', () => second.events.length === 3);
    expect(second.told).toEqual(['ready', 'put 1', 'put 2']);
    expect(second.events[0]?.data).toEqual({ resumed: true });
    const third = await stream(`/Task?from=${second.events[1]?.id}`);
    await until('all is told', () => third.events.length === 2);
    expect(third.told).toEqual(['ready', 'put 2']);
  });

  test('begin with reset when the id is of another database or of the future', async () => {
    await make();
    const foreign = await stream('/Task', { 'last-event-id': '00000000-1' });
    const ahead = await stream('/Task', { 'last-event-id': `${world.store.identity.slice(0, 8)}-99999999` });
    await world.put({ id: '1' });
    for (const reader of [foreign, ahead]) {
      await until('all is told', () => reader.events.length === 3);
      expect(reader.told).toEqual(['reset', 'ready', 'put 1']);
      expect(reader.lastId).toMatch(new RegExp(`^${world.store.identity.slice(0, 8)}-`));
    }
  });

  test('begin with reset when what comes after the id is not kept any more', async () => {
    await make();
    const first = await stream('/Task');
    first.leave();
    await until('it has gone', () => world.streams.size === 0);
    await world.put({ id: '1' });
    const feed = world.store.feed.bind(world.store);
    const gone = Object.assign(new Error('changes are not kept any more'), { code: 'ChangesGone' });
    const spy = vi.spyOn(world.store, 'feed').mockImplementation((tables, from) => {
      const begun = feed(tables, from);
      if (!first.lastId.endsWith(`-${from}`)) return begun;
      return {
        begin: () => Promise.reject(gone),
        next: (most) => begun.next(most),
        position: () => begun.position(),
        close: () => begun.close(),
      };
    });
    const second = await stream('/Task', { 'last-event-id': first.lastId });
    await until('it is ready', () => second.events.length === 2);
    spy.mockRestore();
    await world.put({ id: '2' });
    await until('all is told', () => second.events.length === 3);
    expect(second.told).toEqual(['reset', 'ready', 'put 2']);
  });

  test('of one record', async () => {
    await make();
    const reader = await stream('/Task/a%20b');
    await world.put({ id: 'a' });
    await world.put({ id: 'a b' });
    await until('it is told', () => reader.events.length === 2);
    expect(reader.told).toEqual(['ready', 'put a b']);
  });

  test('are filtered like a list of REST', async () => {
    await make();
    const reader = await stream('/Task?state==open;priority=gt=2');
    await world.put({ id: '1', state: 'open', priority: 2 });
    await world.put({ id: '2', state: 'open', priority: 3 });
    await world.put({ id: '3', state: 'done', priority: 3 });
    await world.put({ id: '4', state: 'open', priority: 5 });
    await until('all is told', () => reader.events.length === 3);
    expect(reader.told).toEqual(['ready', 'put 2', 'put 4']);
  });

  test('begin with all records when a snapshot is asked for, then tell what changes', async () => {
    await make();
    for (let i = 0; i < 1200; i++)
      await world.put({ id: String(i).padStart(4, '0'), state: i % 2 === 0 ? 'open' : 'done' });
    const reader = await stream('/Task?snapshot=true&state=open');
    await until('the snapshot is whole', () => reader.told.includes('ready'));
    expect(reader.told[0]).toBe('reset');
    expect(reader.keys).toEqual(Array.from({ length: 600 }, (_, i) => String(i * 2).padStart(4, '0')));
    // Only a client that has all of it may go on from somewhere.
    expect(reader.events.slice(0, 601).every(({ id }) => id === '')).toBe(true);
    await world.put({ id: 'new', state: 'open' });
    await until('it is told', () => reader.told.at(-1) === 'put new');
    const again = await stream('/Task?snapshot=true', { 'last-event-id': reader.lastId });
    expect(again.told).toEqual(['ready']);
  });

  test('with a snapshot make a copy that is right while four writers write', async () => {
    await make();
    await fourWriters(50);
    const writing = fourWriters(200);
    const reader = await stream('/Task?snapshot=true');
    const removing = Promise.all(Array.from({ length: 20 }, (_, i) => world.remove(`a${i}`)));
    await Promise.all([writing, removing]);
    await world.put({ id: 'end' });
    await until('all is told', () => reader.keys.includes('end'));
    const copy = new Map<string, unknown>();
    for (const { type, data } of reader.events) {
      if (type === 'put') copy.set(data.key as string, data.record);
      if (type === 'delete') copy.delete(data.key as string);
    }
    const page = await world.store.query(world.task.number, { limit: 10_000, lines: true });
    const lines = page.json.toString().split('\n');
    const truth = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as { id: string });
    expect([...copy.keys()].toSorted()).toEqual(truth.map(({ id }) => id).toSorted());
    for (const record of truth) expect(copy.get(record.id)).toEqual(record);
  });

  test('keep a silent connection open with comments', async () => {
    await make({ heartbeatMs: 20 });
    const reader = await stream('/Task');
    const begun = reader.lastId;
    await world.put({ id: '1' }, world.note);
    await until('two heartbeats', () => reader.text.split('\n\n').filter((block) => block.startsWith(':')).length >= 2);
    await until('they tell where the client stands', () => reader.lastId !== begun);
    expect(reader.told).toEqual(['ready']);
    const again = await stream('/Task', { 'last-event-id': reader.lastId });
    expect(again.told).toEqual(['ready']);
  });

  test('cut off who does not read, while others go on', async () => {
    await make({ queueBytes: 64 * 1024 });
    const deaf = await EventReader.open(`http://${world.host}/Task`);
    readers.push(deaf);
    deaf.answer.pause();
    const reader = await stream('/Task');
    let written = 0;
    await until('the deaf one is cut off', async () => {
      for (let i = 0; i < 20; i++) await world.put({ id: String(written++), title: 'x'.repeat(20_000) });
      return world.streams.size === 1;
    });
    await until('all is told', () => reader.keys.length === written);
    expect(reader.keys).toEqual(Array.from({ length: written }, (_, i) => String(i)));
    expect(world.changes.figures.tooSlow).toBe(1);
  });

  test('hold no more for many who do not read than what may wait for one', async () => {
    await make({ queueBytes: 256 * 1024 });
    const deaf = await Promise.all(Array.from({ length: 40 }, () => EventReader.open(`http://${world.host}/Task`)));
    readers.push(...deaf);
    for (const { answer } of deaf) answer.pause();
    const held = (): number => process.memoryUsage().arrayBuffers;
    const before = held();
    let most = 0;
    for (let i = 0; i < 2000; i++) {
      await world.put({ id: String(i % 10), title: `${i}`.repeat(5_000) });
      most = Math.max(most, held() - before);
    }
    await until('all are cut off', () => world.streams.size === 0);
    expect(world.changes.figures).toMatchObject({ subscribers: 0, tooSlow: 40 });
    // 40 MB were written, for 40 clients. The queues share what they hold.
    expect(most).toBeLessThan(30 * 1024 * 1024);
  });

  test('cut off who stops reading while he catches up', async () => {
    await make({ heartbeatMs: 20 });
    const from = `${world.store.identity.slice(0, 8)}-${world.store.sequence()}`;
    for (let i = 0; i < 500; i++) await world.put({ id: String(i), title: 'x'.repeat(20_000) });
    const deaf = await EventReader.open(`http://${world.host}/Task?from=${from}`);
    readers.push(deaf);
    deaf.answer.pause();
    await until('it is cut off', () => world.streams.size === 0 && world.changes.figures.subscribers === 0);
    expect(world.log.map(({ msg }) => msg)).toContain('a client of changes did not read: cut off');
  });

  test('answer a wrong query, and a HEAD', async () => {
    await make();
    const ask = (target: string, init?: RequestInit): Promise<Response> => fetch(`http://${world.host}${target}`, init);
    for (const target of ['/Task?limit=3', '/Task?sort=title', '/Task?colour=red', '/Task?snapshot=maybe']) {
      const answer = await ask(target);
      expect([target, answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
        target,
        400,
        'QueryInvalid',
      ]);
    }
    const nonsense = await ask('/Task', { headers: { 'last-event-id': 'nonsense' } });
    expect([nonsense.status, ((await nonsense.json()) as { error: string }).error]).toEqual([400, 'BadRequest']);
    const head = await ask('/Task', { method: 'HEAD' });
    expect([head.status, head.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    await until('nothing is left', () => world.streams.size === 0 && world.changes.figures.subscribers === 0);
  });

  test('end in the midst of changes without a word behind the end', async () => {
    await make();
    for (let round = 0; round < 20; round++) {
      const reader = await stream('/Task');
      const stop = world.changes.subscribe([world.task.number]);
      const writing = world.put({ id: 'one', priority: round });
      // The moment at which the change is on its way to the stream.
      await stop.next();
      world.streams.end([world.task]);
      await until('it has ended', () => reader.closed);
      await Promise.all([writing, stop.return()]);
      expect(reader.answer.complete).toBe(true);
    }
  });

  test('end with their application and with the host', async () => {
    await make();
    const first = await stream('/Task');
    world.streams.end([world.note]);
    expect(world.streams.size).toBe(1);
    world.streams.end([world.task]);
    await until('it has ended', () => first.closed);
    const second = await stream('/Task');
    world.streams.close();
    await until('it has ended', () => second.closed);
    const late = await fetch(`http://${world.host}/Task`);
    // A browser that is refused would not come again.
    expect([late.status, await late.text()]).toEqual([200, 'retry: 2000\n\n']);
  });
});
