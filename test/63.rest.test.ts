import { once } from 'node:events';
import { type IncomingMessage, request as send, type ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { TableDefinition } from '../src/binding/store.js';
import { bodyLimit, type Reply, RestWorld } from './tables/rest-world.js';

const task: TableDefinition = {
  database: 'todo',
  name: 'Task',
  primaryKey: 'id',
  fields: [
    { name: 'id', type: { kind: 'ID', required: true } },
    { name: 'title', type: { kind: 'String', required: true } },
    { name: 'state', type: { kind: 'Enum', values: ['open', 'done'] }, indexed: true },
    { name: 'priority', type: { kind: 'Int' }, indexed: true },
    { name: 'owner', type: { kind: 'String' } },
    { name: 'due', type: { kind: 'Date' } },
    { name: 'tags', type: { kind: 'List', item: { kind: 'String', required: true } } },
    { name: 'address', type: { kind: 'Object', members: [{ name: 'city', type: { kind: 'String' } }] } },
  ],
};
const counter: TableDefinition = {
  database: 'todo',
  name: 'Counter',
  primaryKey: 'number',
  fields: [
    { name: 'number', type: { kind: 'Int', required: true } },
    { name: 'text', type: { kind: 'String' } },
  ],
};

describe('tables over REST', () => {
  let world: RestWorld;
  let ask: RestWorld['ask'];
  beforeAll(async () => {
    world = await RestWorld.open([task, counter]);
    ask = world.ask.bind(world);
  });
  afterAll(() => world.close());
  const clear = (): Promise<void> => world.clear();

  describe('one record', () => {
    beforeEach(clear);

    test('is created by POST, at the place it tells', async () => {
      const made = await ask('POST', '/Task', { id: 'a/b', title: 'Paint', state: 'open' });
      expect(made.status).toBe(201);
      expect(made.json).toEqual({ id: 'a/b', title: 'Paint', state: 'open' });
      expect(made.headers.get('location')).toBe('/todo/Task/a%2Fb');
      const read = await ask('GET', '/Task/a%2Fb');
      expect(read.status).toBe(200);
      expect(read.text).toBe(made.text);
      expect(read.headers.get('content-type')).toBe('application/json');
      expect(read.headers.get('etag')).toMatch(/^"[0-9a-f]{16}"$/);
      expect(read.headers.get('etag')).toBe(made.headers.get('etag'));
    });

    test('gets a key when it brings none', async () => {
      const made = await ask('POST', '/Task', { title: 'Paint' });
      const { id } = made.json as { id: string };
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
      expect((await ask('GET', `/Task/${id}`)).json).toEqual(made.json);
    });

    test('is not created twice', async () => {
      await ask('POST', '/Task', { id: '1', title: 'Paint' });
      const again = await ask('POST', '/Task', { id: '1', title: 'Other' });
      expect(again.status).toBe(409);
      expect(again.json).toMatchObject({ error: 'RecordExists', details: { table: 'Task', key: '1' } });
      expect((await ask('GET', '/Task/1')).json).toMatchObject({ title: 'Paint' });
      expect((await ask('POST', '/Task?mode=upsert', { id: '1', title: 'Other' })).status).toBe(200);
      expect((await ask('GET', '/Task/1')).json).toMatchObject({ title: 'Other' });
    });

    test('is created and replaced by PUT', async () => {
      const made = await ask('PUT', '/Task/1', { title: 'Paint', state: 'open' });
      expect([made.status, made.headers.get('location')]).toEqual([201, '/todo/Task/1']);
      const replaced = await ask('PUT', '/Task/1', { id: '1', title: 'Dry' });
      expect([replaced.status, replaced.headers.get('location')]).toEqual([200, null]);
      expect((await ask('GET', '/Task/1')).json).toEqual({ id: '1', title: 'Dry' });
      const other = await ask('PUT', '/Task/1', { id: '2', title: 'Dry' });
      expect([other.status, other.json]).toMatchObject([400, { error: 'RecordInvalid' }]);
    });

    test('is changed by PATCH, object by object', async () => {
      await ask('PUT', '/Task/1', { title: 'Paint', owner: 'ann', tags: ['a'], address: { city: 'Bonn' } });
      for (const type of ['application/merge-patch+json', 'application/json; charset=UTF-8']) {
        const changed = await ask(
          'PATCH',
          '/Task/1',
          { tags: ['b'], address: {}, owner: null },
          { 'content-type': type },
        );
        expect(changed.status).toBe(200);
        expect(changed.json).toEqual({ id: '1', title: 'Paint', owner: null, tags: ['b'], address: { city: 'Bonn' } });
      }
      expect((await ask('PATCH', '/Task/none', { title: 'x' })).status).toBe(404);
    });

    test('is deleted once', async () => {
      await ask('PUT', '/Task/1', { title: 'Paint' });
      const gone = await ask('DELETE', '/Task/1');
      expect([gone.status, gone.text]).toEqual([204, '']);
      for (const method of ['GET', 'DELETE']) {
        const missing = await ask(method, '/Task/1');
        expect(missing.status).toBe(404);
        expect(missing.json).toMatchObject({ error: 'RecordNotFound', details: { table: 'Task', key: '1' } });
      }
    });

    test('has a key that is a number', async () => {
      expect((await ask('PUT', '/Counter/-7', { text: 'x' })).json).toEqual({ number: -7, text: 'x' });
      expect((await ask('GET', '/Counter/-7')).status).toBe(200);
      expect((await ask('GET', '/Counter/seven')).status).toBe(404);
      expect((await ask('PUT', '/Counter/seven', { text: 'x' })).json).toMatchObject({ error: 'RecordInvalid' });
    });

    test.each(['', 'x'.repeat(1025), '%00', '..', '%2e%2e%2f', '%C3%A4'.repeat(600)])(
      'has a key that is text of up to 1,024 bytes: %.20s',
      async (key) => {
        const good = !['', '%00'].includes(key) && Buffer.byteLength(decodeURIComponent(key)) <= 1024;
        // A client takes dots out of a path by itself.
        const target = `/Task/${key.replaceAll('.', '%252E').replaceAll('%2e', '%252e')}`;
        const put = await ask('PUT', target, { title: 'x' });
        expect([put.status, put.json]).toMatchObject(good ? [201, {}] : [400, { error: 'RecordInvalid' }]);
        expect((await ask('GET', target)).status).toBe(good ? 200 : 404);
        expect((await ask('DELETE', target)).status).toBe(good ? 204 : 404);
      },
    );

    test('shows the fields that are selected', async () => {
      await ask('PUT', '/Task/1', { title: 'Pa,"int', state: 'open', address: { city: 'Bonn' } });
      const { text, headers } = await ask('GET', '/Task/1?select=address,title,owner');
      expect(text).toBe('{"address":{"city":"Bonn"},"title":"Pa,\\"int"}');
      expect(headers.get('content-length')).toBe(String(text.length));
      expect((await ask('GET', '/Task/1?select=titel')).json).toMatchObject({
        error: 'QueryInvalid',
        message: 'Task has no field "titel"; did you mean title?',
      });
      expect((await ask('GET', '/Task/1?fields=title')).status).toBe(400);
    });

    test('answers HEAD with the same headers', async () => {
      await ask('PUT', '/Task/1', { title: 'Paint' });
      const get = await ask('GET', '/Task/1');
      const head = await ask('HEAD', '/Task/1');
      expect([head.status, head.text]).toEqual([200, '']);
      for (const name of ['etag', 'content-type', 'content-length'])
        expect(head.headers.get(name)).toBe(get.headers.get(name));
      expect((await ask('HEAD', '/Task/2')).status).toBe(404);
    });

    test('is left out of the answer on request', async () => {
      const prefer = { prefer: 'respond-async, return=minimal' };
      const made = await ask('PUT', '/Task/1', { title: 'Paint' }, prefer);
      expect([made.status, made.text, made.headers.get('preference-applied')]).toEqual([201, '', 'return=minimal']);
      expect((await ask('PATCH', '/Task/1', { title: 'Dry' }, prefer)).status).toBe(204);
      expect((await ask('GET', '/Task/1')).json).toMatchObject({ title: 'Dry' });
    });

    test.each([
      [{ title: 'Paint', stat: 'open' }, 'stat'],
      [{ state: 'open' }, 'title'],
      [{ title: null }, 'title'],
      [{ title: 'Paint', state: 'opened' }, 'state'],
      [{ title: 'Paint', priority: 1.5 }, 'priority'],
      [{ title: 'Paint', tags: ['a', null] }, 'tags[1]'],
      [{ title: 'Paint', address: { town: 'x' } }, 'address.town'],
    ])('that breaks the definition is refused: %j', async (record, field) => {
      for (const [method, target] of [
        ['PUT', '/Task/1'],
        ['POST', '/Task'],
      ] as const) {
        const refused = await ask(method, target, record);
        expect(refused.status).toBe(400);
        expect(refused.json).toMatchObject({ error: 'RecordInvalid', details: { table: 'Task', field } });
        expect((refused.json as { message: string }).message).toContain(field.split('.').at(-1));
      }
      expect((await ask('GET', '/Task')).json).toEqual([]);
    });

    test.each(['"a"', '{"title":"a","title":"b"}', `{"title":"a","tags":${'['.repeat(100)}${']'.repeat(100)}}`])(
      'that is no object is refused: %.30s',
      async (body) => {
        const refused = await ask('PUT', '/Task/1', body);
        expect([refused.status, refused.json]).toMatchObject([400, { error: 'RecordInvalid' }]);
      },
    );

    test.each([
      ['', 0],
      ['{', 1],
      ['{"title":"a"} x', 14],
      ['{"title" "a"}', 9],
    ])('that is no JSON is refused with the place: %j', async (body, byte) => {
      for (const [method, target] of [
        ['PUT', '/Task/1'],
        ['POST', '/Task'],
      ] as const)
        expect((await ask(method, target, body)).json).toMatchObject({
          status: 400,
          error: 'BadRequest',
          message: expect.stringMatching(new RegExp(`^The text is not JSON: .* at byte ${byte}; `)) as string,
        });
      const lines = await ask('POST', '/Task', `{"title":"a"}\n{"title":`, { 'content-type': 'application/x-ndjson' });
      expect(lines.json).toMatchObject({ error: 'BadRequest', details: { index: 1 } });
      expect((await ask('GET', '/Task')).json).toEqual([]);
    });

    test('pollutes nothing', async () => {
      const body = '{"title":"a","__proto__":{"polluted":1},"address":{"constructor":{"prototype":{"polluted":1}}}}';
      expect((await ask('PUT', '/Task/1', body)).status).toBe(400);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    });
  });

  describe('conditions', () => {
    let etag = '';
    beforeEach(async () => {
      await clear();
      etag = (await ask('PUT', '/Task/1', { title: 'Paint' })).headers.get('etag') ?? '';
    });

    test('a client that has it is told so', async () => {
      for (const tags of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        const same = await ask('GET', '/Task/1', undefined, { 'if-none-match': tags });
        expect([same.status, same.text, same.headers.get('etag')]).toEqual([304, '', etag]);
      }
      expect((await ask('GET', '/Task/1', undefined, { 'if-none-match': '"x"' })).status).toBe(200);
      expect((await ask('GET', '/Task/1', undefined, { 'if-match': '"x"' })).status).toBe(412);
      expect((await ask('GET', '/Task/1', undefined, { 'if-match': etag })).status).toBe(200);
    });

    test.each(['PUT', 'PATCH', 'DELETE'])('%s only with the tag that is there', async (method) => {
      const body = method === 'DELETE' ? undefined : { title: 'Dry' };
      for (const tags of ['"0000000000000000"', `W/${etag}`, '"x"']) {
        const refused = await ask(method, '/Task/1', body, { 'if-match': tags });
        expect([refused.status, refused.json]).toMatchObject([412, { error: 'PreconditionFailed' }]);
      }
      expect((await ask('GET', '/Task/1')).headers.get('etag')).toBe(etag);
      expect((await ask(method, '/Task/1', body, { 'if-match': `"x", ${etag}` })).status).toBe(body ? 200 : 204);
    });

    test('only when there is one, or none', async () => {
      expect((await ask('PUT', '/Task/2', { title: 'x' }, { 'if-match': '*' })).status).toBe(412);
      expect((await ask('PUT', '/Task/1', { title: 'x' }, { 'if-none-match': '*' })).status).toBe(412);
      expect((await ask('PUT', '/Task/2', { title: 'x' }, { 'if-none-match': '*' })).status).toBe(201);
      expect((await ask('PUT', '/Task/2', { title: 'y' }, { 'if-match': '*' })).status).toBe(200);
      expect((await ask('PUT', '/Task/2', { title: 'z' }, { 'if-none-match': `W/${etag}` })).status).toBe(200);
    });

    test('of many with the same tag one wins', async () => {
      const attempts = Array.from({ length: 20 }, (_, i) =>
        ask('PUT', '/Task/1', { title: `t${i}` }, { 'if-match': etag }),
      );
      const statuses = (await Promise.all(attempts)).map(({ status }) => status).sort((a, b) => a - b);
      expect(statuses).toEqual([200, ...Array<number>(19).fill(412)]);
    });

    test('that cannot be read are refused', async () => {
      const refused = await ask('PUT', '/Task/1', { title: 'x' }, { 'if-match': 'abc' });
      expect([refused.status, refused.json]).toMatchObject([
        400,
        { error: 'BadRequest', details: { header: 'If-Match' } },
      ]);
    });
  });

  describe('a list', () => {
    beforeAll(async () => {
      await clear();
      const records = Array.from({ length: 25 }, (_, i) => ({
        id: String(i).padStart(2, '0'),
        title: `Task ${i}`,
        state: i % 3 === 0 ? 'done' : 'open',
        priority: i % 5,
        ...(i % 2 === 0 ? { owner: 'ann' } : {}),
        tags: i < 2 ? ['first', `t${i}`] : [],
        address: { city: i < 3 ? 'Bonn' : 'Köln' },
      }));
      await ask('POST', '/Task', records);
    });

    async function ids(target: string): Promise<number[]> {
      const { status, json, text } = await ask('GET', target);
      if (status !== 200) throw new Error(text);
      return (json as { id: string }[]).map(({ id }) => Number(id));
    }
    const all = Array.from({ length: 25 }, (_, i) => i);

    test.each<[string, (i: number) => boolean]>([
      ['', () => true],
      ['?state=open', (i) => i % 3 !== 0],
      ['?state=open&owner=ann', (i) => i % 3 !== 0 && i % 2 === 0],
      ['?state==open;priority=gt=2', (i) => i % 3 !== 0 && i % 5 > 2],
      ['?state==done,priority<1', (i) => i % 3 === 0 || i % 5 < 1],
      ['?state==open;(priority==1,owner==ann)', (i) => i % 3 !== 0 && (i % 5 === 1 || i % 2 === 0)],
      ['?state!=open', (i) => i % 3 === 0],
      ['?priority=in=(1,3)', (i) => [1, 3].includes(i % 5)],
      ['?priority=out=(1,3)', (i) => ![1, 3].includes(i % 5)],
      ['?priority=ge=1;priority=le=2', (i) => i % 5 >= 1 && i % 5 <= 2],
      ['?owner=null=true', (i) => i % 2 === 1],
      ['?owner=null=false', (i) => i % 2 === 0],
      ['?title==*1', (i) => `Task ${i}`.endsWith('1')],
      ["?title=='*1'", () => false],
      ['?title=ends=4', (i) => `${i}`.endsWith('4')],
      ['?title=starts=%22Task%202%22', (i) => `Task ${i}`.startsWith('Task 2')],
      ['?title=contains=sk', () => true],
      ['?tags=contains=first', (i) => i < 2],
      ['?address.city==Bonn', (i) => i < 3],
      ['?address.city=K%C3%B6ln', (i) => i >= 3],
      ['?id=gt=20', (i) => i > 20],
    ])('%s', async (target, condition) => expect(await ids(`/Task${target}`)).toEqual(all.filter(condition)));

    test('in another order', async () => {
      expect(await ids('/Task?sort=-id')).toEqual(all.toReversed());
      const sorted = all.toSorted((a, b) => (b % 5) - (a % 5) || a - b);
      expect(await ids('/Task?sort=-priority,+id')).toEqual(sorted);
      expect(await ids('/Task?sort=-priority,id&limit=7&offset=3')).toEqual(sorted.slice(3, 10));
      expect(await ids('/Task?sort=-priority')).toEqual(all.toSorted((a, b) => (b % 5) - (a % 5) || b - a));
      expect(await ids('/Task?sort=owner,-id')).toEqual([
        ...all.filter((i) => i % 2 === 1).toReversed(),
        ...all.filter((i) => i % 2 === 0).toReversed(),
      ]);
    });

    test('of some fields', async () => {
      const { text } = await ask('GET', '/Task?select=title,id&limit=2');
      expect(text).toBe('[{"title":"Task 0","id":"00"},{"title":"Task 1","id":"01"}]');
    });

    test('with the count of all that match', async () => {
      const { headers, json } = await ask('GET', '/Task?state=open&count=true&limit=1');
      expect(json).toHaveLength(1);
      expect(headers.get('x-total-count')).toBe('16');
      expect((await ask('GET', '/Task?count=true')).headers.get('x-total-count')).toBe('25');
      expect((await ask('GET', '/Task')).headers.get('x-total-count')).toBeNull();
    });

    function linkOf({ headers }: Reply, rel: string): string | undefined {
      const links = headers.get('link') ?? '';
      return new RegExp(`<(?:/todo)([^>]*)>; rel="${rel}"`).exec(links)?.[1];
    }

    test.each([
      'sort=id',
      'sort=-priority',
      'sort=priority,-id',
      'sort=owner',
      'state==open',
      'title==%22%3E%22,id!=x',
    ])('page by page, there and back: %s', async (query) => {
      const whole = await ids(`/Task?${query}`);
      const there: number[][] = [];
      let reply = await ask('GET', `/Task?${query}&limit=7`);
      expect(linkOf(reply, 'prev')).toBeUndefined();
      for (;;) {
        there.push((reply.json as { id: string }[]).map(({ id }) => Number(id)));
        const next = linkOf(reply, 'next');
        if (next === undefined) break;
        reply = await ask('GET', next);
        expect(reply.status).toBe(200);
      }
      expect(there.flat()).toEqual(whole);
      expect(there.length).toBe(Math.ceil(whole.length / 7));
      const back = [there.at(-1)];
      for (let previous = linkOf(reply, 'prev'); previous !== undefined; previous = linkOf(reply, 'prev')) {
        reply = await ask('GET', previous);
        back.unshift((reply.json as { id: string }[]).map(({ id }) => Number(id)));
      }
      expect(back).toEqual(there);
      expect(linkOf(reply, 'next')).toBeDefined();
    });

    test.each([
      ['?limit=10001', 'QueryInvalid'],
      ['?stat=open', 'QueryInvalid'],
      ['?state==opened', 'QueryInvalid'],
      ['?cursor=fnonsense', 'CursorInvalid'],
      ['?tags=gt=a', 'QueryInvalid'],
      ['?sort=tags', 'QueryInvalid'],
    ])('%s is refused', async (query, code) => {
      const refused = await ask('GET', `/Task${query}`);
      expect([refused.status, refused.json]).toMatchObject([400, { error: code }]);
    });

    test('as lines', async () => {
      const reply = await ask('GET', '/Task?state=open&select=id', undefined, { accept: 'application/x-ndjson' });
      expect(reply.headers.get('content-type')).toBe('application/x-ndjson');
      const open = all.filter((i) => i % 3 !== 0);
      expect(reply.text).toBe(open.map((i) => `{"id":"${String(i).padStart(2, '0')}"}\n`).join(''));
      const some = await ask('GET', '/Task?limit=3&offset=2&select=id', undefined, { accept: 'application/x-ndjson' });
      expect(some.text).toBe('{"id":"02"}\n{"id":"03"}\n{"id":"04"}\n');
    });

    test('without a body for HEAD', async () => {
      const get = await ask('GET', '/Task?limit=3');
      const head = await ask('HEAD', '/Task?limit=3');
      expect([head.status, head.text]).toEqual([200, '']);
      expect(head.headers.get('content-length')).toBe(get.headers.get('content-length'));
      expect(head.headers.get('link')).toBe(get.headers.get('link'));
    });
  });

  describe('many records', () => {
    beforeEach(clear);
    const accept = { accept: 'application/x-ndjson' };

    test('from a list, in its order, all or none', async () => {
      const made = await ask('POST', '/Task', ' [ {"id":"b","title":"x"} ,\n{"id":"a","title":"[,]"} ] ');
      expect(made.status).toBe(201);
      expect(made.text).toBe('[{"id":"b","title":"x"},{"id":"a","title":"[,]"}]');
      const refused = await ask('POST', '/Task', [
        { id: 'c', title: 'x' },
        { id: 'a', title: 'x' },
        { id: 'd', title: 'x' },
      ]);
      expect([refused.status, refused.json]).toMatchObject([
        409,
        { error: 'RecordExists', details: { index: 1, key: 'a' } },
      ]);
      const broken = await ask('POST', '/Task', [{ id: 'c', title: 'x' }, { id: 'd', title: 'x' }, { id: 'e' }]);
      expect([broken.status, broken.json]).toMatchObject([
        400,
        { error: 'RecordInvalid', details: { index: 2, field: 'title' } },
      ]);
      expect((broken.json as { message: string }).message).toMatch(/^record 2: title /);
      expect((await ask('GET', '/Task?select=id')).json).toEqual([{ id: 'a' }, { id: 'b' }]);
    });

    test('from lines, answered as lines', async () => {
      const type = { 'content-type': 'application/x-ndjson', ...accept };
      const made = await ask('POST', '/Task', '{"id":"1","title":"x"}\r\n\n{"id":"2","title":"y"}', type);
      expect(made.status).toBe(201);
      expect(made.headers.get('content-type')).toBe('application/x-ndjson');
      expect(made.text).toBe('{"id":"1","title":"x"}\n{"id":"2","title":"y"}\n');
      const again = await ask('POST', '/Task?mode=upsert', '{"id":"2","title":"z"}\n{"id":"3","title":"z"}', type);
      expect(again.status).toBe(201);
      expect((await ask('POST', '/Task?mode=upsert', made.text, { ...type, prefer: 'return=minimal' })).status).toBe(
        204,
      );
      expect((await ask('GET', '/Task?select=title')).json).toEqual([{ title: 'x' }, { title: 'y' }, { title: 'z' }]);
    });

    test('that are none', async () => {
      const made = await ask('POST', '/Task', []);
      expect([made.status, made.text]).toEqual([200, '[]']);
    });

    test('that are ten thousand, and not one more', async () => {
      const records = Array.from({ length: 10_000 }, (_, number) => ({ number, text: 'x' }));
      expect((await ask('POST', '/Counter', records, { prefer: 'return=minimal' })).status).toBe(201);
      expect((await ask('GET', '/Counter?limit=1&count=true')).headers.get('x-total-count')).toBe('10000');
      const more = await ask('POST', '/Counter?mode=upsert', [...records, { number: 10_000 }]);
      expect([more.status, more.json]).toMatchObject([413, { error: 'BodyTooLarge', details: { limit: 10_000 } }]);
      const lines = (await ask('GET', '/Counter', undefined, accept)).text.trimEnd().split('\n');
      expect(lines.map((line) => (JSON.parse(line) as { number: number }).number)).toEqual(
        records.map(({ number }) => number),
      );
    });

    test.each([
      '[{"id":"1","title":"x"},]',
      '[{"id":"1","title":"x"} {"title":"y"}]',
      '[[{"id":"1","title":"x"}]]',
      '[1]',
      '[{"id":"1","title":"x"}',
    ])('that are wrong JSON are refused: %s', async (body) => {
      expect((await ask('POST', '/Task', body)).status).toBe(400);
      expect((await ask('GET', '/Task')).json).toEqual([]);
    });

    test('are read no faster than the client reads, and no further when it goes', async () => {
      const text = 'x'.repeat(100_000);
      for (let begin = 0; begin < 400; begin += 40) {
        const records = Array.from({ length: 40 }, (_, i) => ({ number: begin + i, text }));
        expect((await ask('POST', '/Counter', records, { prefer: 'return=minimal' })).status).toBe(201);
      }
      const query = vi.spyOn(world.store, 'query');
      const answered = once(world.server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
      const outgoing = send(`${world.url}/Counter`, { headers: accept, agent: false });
      outgoing.end();
      const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
      await once(incoming, 'data');
      incoming.pause();
      const [, response] = await answered;
      await expect.poll(() => response.writableNeedDrain).toBe(true);
      const gone = once(response, 'close');
      outgoing.destroy();
      await gone;
      // The buffers of a connection take some megabytes; the table has forty.
      expect((await ask('GET', '/Counter?limit=1')).status).toBe(200);
      expect(query.mock.calls.length).toBeLessThan(30);
      query.mockRestore();
    });
  });

  describe('what is not served', () => {
    test('a body of another type, or of none', async () => {
      for (const headers of [
        { 'content-type': 'text/plain' },
        { 'content-type': 'application/json; charset=latin1' },
      ]) {
        const refused = await ask('POST', '/Task', '{"title":"x"}', headers);
        expect([refused.status, refused.json]).toMatchObject([415, { error: 'ContentTypeUnsupported' }]);
        expect(refused.headers.get('accept-post')).toBe('application/json, application/x-ndjson');
      }
      const zipped = await ask('PUT', '/Task/1', '{}', { 'content-encoding': 'gzip' });
      expect([zipped.status, zipped.headers.get('accept-encoding')]).toEqual([415, 'identity']);
      const bare = await fetch(`${world.url}/Task`, { method: 'POST', body: Buffer.from('{"title":"x"}') });
      expect(bare.status).toBe(415);
      const patch = await ask('PATCH', '/Task/1', '[]', { 'content-type': 'application/json-patch+json' });
      expect([patch.status, patch.headers.get('accept-patch')]).toEqual([
        415,
        'application/merge-patch+json, application/json',
      ]);
    });

    test('an answer of another type', async () => {
      for (const target of ['/Task', '/Task/1']) {
        const refused = await ask('GET', target, undefined, { accept: 'text/html' });
        expect([refused.status, refused.json]).toMatchObject([406, { error: 'NotAcceptable' }]);
      }
      expect((await ask('GET', '/Task', undefined, { accept: 'text/html, */*;q=0.1' })).status).toBe(200);
      const lines = { accept: 'application/x-ndjson' };
      expect((await ask('POST', '/Task', { id: 'not', title: 'made' }, lines)).status).toBe(406);
      expect((await ask('GET', '/Task/not')).status).toBe(404);
    });

    test('tables of a store that is closed', async () => {
      const closed = await RestWorld.open([counter]);
      await closed.store.close();
      for (const [method, target, body] of [
        ['GET', '/Counter/1', undefined],
        ['GET', '/Counter', undefined],
        ['PUT', '/Counter/1', {}],
      ] as const)
        expect(await closed.ask(method, target, body)).toMatchObject({
          status: 503,
          json: { error: 'StoreClosed', details: { table: 'Counter' } },
        });
      await closed.close();
    });

    test('a store that fails, without its words', async () => {
      const failing = await RestWorld.open([counter]);
      for (const [code, status] of [
        ['StoreFull', 507],
        ['StoreFailed', 503],
        [undefined, 500],
      ] as const) {
        const error = Object.assign(new Error('While appending to /disk/data/000007.log'), code && { code });
        failing.store.write = () => Promise.reject(error);
        const answer = await failing.ask('PUT', '/Counter/1', {});
        expect(answer).toMatchObject({ status, json: { error: code ?? 'Internal' } });
        expect(JSON.stringify(answer.json)).not.toContain('/disk/data');
      }
      await failing.close();
    });

    test('a body over the limit, announced or not', async () => {
      const body = JSON.stringify({ title: 'x'.repeat(bodyLimit) });
      const announced = await ask('PUT', '/Task/1', body);
      expect([announced.status, announced.json]).toMatchObject([
        413,
        { error: 'BodyTooLarge', details: { limit: bodyLimit } },
      ]);
      const stream = new Blob([body]).stream();
      const init = { method: 'PUT', body: stream, duplex: 'half', headers: { 'content-type': 'application/json' } };
      expect((await fetch(`${world.url}/Task/1`, init as RequestInit)).status).toBe(413);
    });

    test('a method that a table or a record has not', async () => {
      for (const [method, target, allow] of [
        ['DELETE', '/Task', 'GET, HEAD, POST, OPTIONS'],
        ['POST', '/Task/1', 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS'],
      ] as const) {
        const refused = await ask(method, target);
        expect([refused.status, refused.headers.get('allow'), refused.json]).toMatchObject([
          405,
          allow,
          { error: 'MethodNotAllowed' },
        ]);
        const options = await ask('OPTIONS', target);
        expect([options.status, options.headers.get('allow')]).toEqual([204, allow]);
      }
    });

    test('parameters that a request has not', async () => {
      for (const [method, target, body] of [
        ['PUT', '/Task/1?mode=upsert', { title: 'x' }],
        ['DELETE', '/Task/1?force=true', undefined],
        ['POST', '/Task?mod=upsert', { title: 'x' }],
        ['POST', '/Task?mode=replace', { title: 'x' }],
      ] as const) {
        const refused = await ask(method, target, body);
        expect([refused.status, refused.json]).toMatchObject([400, { error: 'QueryInvalid' }]);
      }
    });
  });
});
