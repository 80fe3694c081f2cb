import { rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const slices = 12;
const perSlice = 400;

/** Its calls hang while it is there. */
const held = path.join(os.tmpdir(), `tenon-endless-${process.pid}`);
let world: World | undefined;
beforeEach(() => writeFile(held, ''));
afterEach(async () => {
  await rm(held, { force: true });
  await world?.close();
});

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
}

/** Of one request after the other, ms. */
async function p99(url: string): Promise<number> {
  const took: number[] = [];
  for (let count = 0; count < perSlice; count++) {
    const began = performance.now();
    await (await fetch(url)).text();
    took.push(performance.now() - began);
  }
  return quantile(took, 0.99);
}

async function slicesOf(url: string): Promise<number[]> {
  const found: number[] = [];
  for (let count = 0; count < slices; count++) found.push(await p99(url));
  return found;
}

test('64 endless calls leave the p99 of other routes within twice what it was', async () => {
  world = await World.make();
  await world.publish('endless', await buildPlugin('endless'));
  await world.publish('ready', await buildPlugin('audit_changes', { defines: { PLUGIN_ID: '"ready"' } }));
  await world.start({ concurrency: 64, queueLimit: 100 });
  const { url } = world;
  await p99(`${url}/ready/change`);
  const before = await slicesOf(`${url}/ready/change`);
  // As the client sees it: also the time until the host has the request.
  const late: number[] = [];
  const hung = Array.from({ length: 64 }, async () => {
    const began = performance.now();
    const answer = await fetch(`${url}/endless/endless`);
    late.push(performance.now() - began - 300);
    expect(answer.status).toBe(504);
  });
  const during = await slicesOf(`${url}/ready/change`);
  await Promise.all(hung);
  const figures = {
    before: quantile(before, 0.5),
    during: quantile(during, 0.5),
    firstSlice: during[0] ?? 0,
    late: { p50: quantile(late, 0.5), p95: quantile(late, 0.95), most: quantile(late, 1) },
  };
  process.stderr.write(`${JSON.stringify(figures)}\n`);
  expect(figures.during).toBeLessThan(2 * figures.before);
});
