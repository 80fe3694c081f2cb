import { type ChildProcess, fork } from 'node:child_process';
import { pbkdf2 } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

// So many that the few before the calls are given up, and before both processes are done with what the change makes them
// collect and compile, are not the median.
const slices = 40;
const perSlice = 400;
const deadlineMs = 300; // of endless.c

/** Its calls hang while it is there. */
const held = path.join(os.tmpdir(), `tenon-endless-${process.pid}`);
let world: World | undefined;
let clients: ChildProcess[] = [];
beforeEach(() => writeFile(held, ''));
afterEach(async () => {
  for (const client of clients) client.disconnect();
  clients = [];
  await rm(held, { force: true });
  await world?.close();
});

function startClient(): ChildProcess {
  const client = fork(fileURLToPath(new URL('load/lone-client.mjs', import.meta.url)), { execArgv: [] });
  clients.push(client);
  return client;
}

type Answers = readonly (readonly [status: number, ms: number])[];

async function ask(client: ChildProcess, url: string, count: number, atOnce: boolean): Promise<Answers> {
  const answers = once(client, 'message') as Promise<[Answers]>;
  client.send({ url, count, atOnce });
  return (await answers)[0];
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
}

/** ms, from when the host has the request until its answer is written. */
function tookInHost(host: World): number[] {
  const records = host.log.filter(({ path: asked, status }) => asked === '/endless/endless' && status === 504);
  return records.flatMap(({ ms }) => (typeof ms === 'number' ? [ms] : []));
}

function latenessOf(took: readonly number[]): object {
  const late = took.map((ms) => ms - deadlineMs);
  return { count: late.length, p50: quantile(late, 0.5), p95: quantile(late, 0.95), most: quantile(late, 1) };
}

async function checkProcess(): Promise<void> {
  expect(await readFile(fileURLToPath(import.meta.url), 'utf8')).toContain('endless');
  expect(await promisify(pbkdf2)('a', 'b', 1000, 16, 'sha256')).toHaveLength(16);
}

/** p99 of one request after the other, ms, of each slice; files and crypto answer between them. */
async function slicesOf(client: ChildProcess, url: string): Promise<number[]> {
  const found: number[] = [];
  for (let count = 0; count < slices; count++) {
    const answers = await ask(client, url, perSlice, false);
    expect(answers.filter(([status]) => status !== 200)).toEqual([]);
    const took = answers.map(([, ms]) => ms);
    found.push(quantile(took, 0.99));
    await checkProcess();
  }
  return found;
}

test('64 endless calls leave the p99 of other routes within twice what it was, and files and crypto answer', async () => {
  world = await World.make();
  await world.publish('endless', await buildPlugin('endless'));
  await world.publish('ready', await buildPlugin('audit_changes', { defines: { PLUGIN_ID: '"ready"' } }));
  await world.start({ concurrency: 64, queueLimit: 100, logRequests: true });
  const { url } = world;
  const [steady, hanging] = [startClient(), startClient()];
  // Connected, compiled and warm.
  await ask(hanging, `${url}/ready/change`, 64, true);
  await slicesOf(steady, `${url}/ready/change`);
  const before = await slicesOf(steady, `${url}/ready/change`);
  const hung = ask(hanging, `${url}/endless/endless`, 64, true);
  const during = await slicesOf(steady, `${url}/ready/change`);
  const answers = await hung;
  const figures = {
    before: quantile(before, 0.5),
    during: quantile(during, 0.5),
    slices: during.map((ms) => Number(ms.toFixed(2))).join(' '),
    lateInHost: latenessOf(tookInHost(world)),
    // Also the time until the host has the request, and until the client has the answer.
    lateAtClient: latenessOf(answers.map(([, ms]) => ms)),
  };
  process.stderr.write(`${JSON.stringify(figures)}\n`);
  expect(answers.map(([status]) => status)).toEqual(Array.from({ length: 64 }, () => 504));
  expect(figures.during).toBeLessThan(2 * figures.before);
});
