import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCodes } from '../src/index.js';
import { answersIn, exchange } from './edge/raw-client.js';
import { hidden, type RawCase, rawCases, token } from './edge/raw-cases.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
let before: unknown;

const plugins = async (): Promise<unknown> => JSON.parse((await world.get('/plugins')).body) as unknown;

beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.write('shop', 'config.yaml', 'name: Shop\n');
  const schema = 'type Item @table @export(rest: true, graphql: true) { id: ID! @primaryKey size: Int }\n';
  await world.write('shop', 'schema.graphql', schema);
  await world.start({ adminToken: token, requestMs: 5_000, headersMs: 5_000, keepAliveMs: 2_000 });
  before = await plugins();
});
afterAll(() => world.close());

/** What is wrong with how the host takes a case; undefined when nothing is. */
async function faultOf({ bytes, statuses, code, ends }: RawCase): Promise<string | undefined> {
  const text = await exchange(world.url, bytes, ends);
  const answers = answersIn(text);
  const last = answers.at(-1);
  const got = answers.map(({ status }) => status);
  if (got.join() !== statuses.join())
    return `${got.join() || 'nothing'} for ${statuses.join() || 'nothing'}: ${last?.body ?? ''}`;
  if (last === undefined) return undefined;
  if (last.headers.get('connection') !== 'close') return 'the last answer does not say so';
  if (last.headers.has('x-injected')) return 'a header is in the answer';
  if (last.status < 400) return undefined;
  if (last.headers.get('content-type') !== 'application/problem+json') return 'no problem';
  const { error, status } = JSON.parse(Buffer.from(last.body, 'latin1').toString()) as {
    error: string;
    status: number;
  };
  if (!(error in errorCodes) || status !== last.status) return `${error} with ${status}`;
  return code === undefined || code === error ? undefined : `${error} for ${code}`;
}

describe('bytes on a connection', () => {
  test('are at least 150 cases, each with a name of its own', () => {
    expect(rawCases.length).toBeGreaterThanOrEqual(150);
    expect(new Set(rawCases.map(({ name }) => name)).size).toBe(rawCases.length);
  });

  test('are each answered as they should be, and end their own connection only', async () => {
    const faults: string[] = [];
    const left = [...rawCases];
    const lane = async (): Promise<void> => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        const fault = await faultOf(next).catch((error: unknown) => String(error));
        if (fault !== undefined) faults.push(`${next.name}: ${fault}`);
        const follow = await exchange(world.url, 'GET /service/build HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
        if (!/^HTTP\/1\.1 200 [\s\S]*\r\n\r\none$/.test(follow)) faults.push(`after ${next.name}: ${follow}`);
      }
    };
    await Promise.all(Array.from({ length: 16 }, lane));
    expect(faults).toEqual([]);
  });

  test('hide no request in what belongs to another', async () => {
    const answer = await exchange(world.url, hidden.replace('Host: hidden', 'Host: x\r\nConnection: close'));
    expect(answersIn(answer).map(({ status, body }) => [status, body])).toEqual([[200, '1']]);
  });

  test('change nothing of what is served, of tables and of prototypes', async () => {
    expect(await plugins()).toEqual(before);
    expect((await world.get('/shop/Item')).body).toBe('[]');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
