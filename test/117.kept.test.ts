import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ReloadRecord } from '../src/index.js';
import { Command, hostProcess, token } from './load/command.js';
import { inProcessOnly } from './load/isolation.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

function keeper(build: string, ...macros: string[]): Promise<string> {
  const defines = Object.fromEntries(macros.map((macro) => [macro, '1']));
  return buildPlugin('keeper', { defines: { BUILD: `"${build}"`, ...defines }, flags: ['-pthread'] });
}

let world: World;
let host: Command | undefined;
beforeEach(async () => {
  inProcessOnly('a build in a process of its own ends that, and no host');
  world = await World.make();
});
afterEach(async () => {
  host?.child.kill('SIGKILL');
  await host?.exit;
  await world.close();
});

async function start(): Promise<Command> {
  const command = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {
    TENON_HOT_RELOAD_ENABLED: 'false',
  });
  host = command;
  await until('it listens', () => command.url !== '');
  return command;
}

const headers = { authorization: `Bearer ${token}` };

test('a build that has taken over is kept before the one before it is shut down, which may end the host', async () => {
  await world.publish('keeper', await keeper('one', 'DIE_SHUTDOWN'));
  const { url } = await start();
  await until('it serves', async () => (await fetch(`${url}/keeper/build`)).status === 200);
  const before = await hostProcess(world.data);
  await world.publish('keeper', await keeper('two'));
  await fetch(`${url}/api/v1/plugins/keeper/reload`, { method: 'POST', headers }).catch(() => undefined);
  await until('another one serves', async () => ![undefined, before].includes(await hostProcess(world.data)));
  await until('its plugin is back', async () => (await fetch(`${url}/keeper/build`)).status === 200);
  expect(await (await fetch(`${url}/keeper/build`)).text()).toBe('two');
  const answer = await fetch(`${url}/api/v1/reloads`, { headers });
  const { reloads } = (await answer.json()) as { reloads: ReloadRecord[] };
  expect(reloads.at(-1)).toMatchObject({ trigger: 'start', kept: true, outcome: 'succeeded' });
}, 60_000);

test('a first build that ends the host leaves nothing that could not be kept', async () => {
  await world.publish('keeper', await keeper('one', 'DIE_INITIALIZE'));
  const command = await start();
  await until('it is held back', async () =>
    fetch(`${command.url}/keeper/build`).then(
      async (answer) => answer.status === 503 && (await answer.text()).includes('BuildCrashed'),
      () => false,
    ),
  );
  command.child.kill('SIGTERM');
  await command.exit;
  expect(command.out).toContain('BuildCrashed');
  expect(command.out).not.toContain('could not be kept');
}, 60_000);
