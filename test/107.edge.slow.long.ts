import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Paced, paced, SlowClients } from './edge/slow.js';
import { Command, token } from './load/command.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const rounds = 3;
const sliceMs = 6_000;
const rampMs = 8_000;

let world: World;
let command: Command;

beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.write('shop', 'config.yaml', 'name: Shop\n');
  const schema = 'type Item @table @export(rest: true, sse: true) { id: ID! @primaryKey text: String }\n';
  await world.write('shop', 'schema.graphql', schema);
  const words = ['start', '--port', '0', '--data', world.data, '--applications', world.applications];
  command = new Command(words, world.directory, {});
  await until('it serves', () => command.err.includes('Try: curl'));
});
afterAll(async () => {
  command.child.kill('SIGTERM');
  await command.exit;
  await world.close();
});

/** Something is written all the time, with and without listeners. */
async function whileWritten(act: () => Promise<Paced>): Promise<Paced> {
  let ended = false;
  const writing = (async (): Promise<void> => {
    for (let turn = 0; !ended; turn++) {
      const body = JSON.stringify({ id: 'a', text: `${turn}${'x'.repeat(2_000)}` });
      const headers = { 'content-type': 'application/json' };
      await (await fetch(`${command.url}/shop/Item/a`, { method: 'PUT', body, headers })).text();
      await new Promise((resolve) => {
        setTimeout(resolve, 200);
      });
    }
  })();
  const report = await act();
  ended = true;
  await writing;
  return report;
}

function median(values: number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN;
}

test('500 slow clients and 200 stuck ones leave the p99 of others within 2 times', async () => {
  const ratios: number[] = [];
  const measure = (): Promise<Paced> => whileWritten(() => paced(`${command.url}/service/build`, 16, sliceMs));
  await measure();
  for (let round = 0; round < rounds; round++) {
    const alone = await measure();
    const slow = new SlowClients({
      url: command.url,
      token,
      everyMs: 1_000,
      againMs: 30_000,
      rampMs,
      heads: 170,
      bodies: 170,
      readers: 160,
      stuck: 200,
    });
    await new Promise((resolve) => {
      setTimeout(resolve, rampMs + 2_000); // all of them are there
    });
    const beside = await measure();
    await slow.stop();
    expect([...alone.faults, ...beside.faults]).toEqual([]);
    ratios.push(beside.p99 / alone.p99);
    process.stderr.write(
      `p50 ${alone.p50.toFixed(2)} and ${beside.p50.toFixed(2)} ms, p99 ${alone.p99.toFixed(2)} and ` +
        `${beside.p99.toFixed(2)} ms, ratio ${(beside.p99 / alone.p99).toFixed(2)}\n`,
    );
  }
  expect(median(ratios)).toBeLessThan(2);
}, 300_000);
