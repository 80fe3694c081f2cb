import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** The process that answers. */
async function processOf(id: string): Promise<number> {
  const { status, body } = await world.get(`/${id}/pid`);
  expect(status, body).toBe(200);
  return Number(body);
}

const plugin = (id: string): Promise<string> => buildPlugin('whereabouts', { defines: { PLUGIN_ID: `"${id}"` } });

describe('where a plugin runs', () => {
  test('is the process of the host when nobody says anything', async () => {
    await world.publish('here', await plugin('here'));
    await world.start({ isolation: 'inline' });
    expect(await processOf('here')).toBe(process.pid);
  });

  test('is for the setting to say, and for config.yaml over it', async () => {
    for (const id of ['unsaid', 'apart', 'inside']) await world.publish(id, await plugin(id));
    await world.write('apart', 'config.yaml', 'isolation: process\n');
    await world.write('inside', 'config.yaml', 'isolation: inline\n');
    await world.start({ isolation: 'process' });
    const [unsaid, apart, inside] = await Promise.all(['unsaid', 'apart', 'inside'].map(processOf));
    expect(inside).toBe(process.pid);
    expect(new Set([unsaid, apart, inside]).size).toBe(3);
  });

  test('is a process of its own for a mapping that does not name the mode', async () => {
    await world.publish('apart', await plugin('apart'));
    await world.write('apart', 'config.yaml', 'isolation: {memory: 268435456}\n');
    await world.start({ isolation: 'inline' });
    expect(await processOf('apart')).not.toBe(process.pid);
  });

  test('changes with its config.yaml, by a reload', async () => {
    await world.publish('moves', await plugin('moves'));
    await world.start({ isolation: 'inline' });
    expect(await processOf('moves')).toBe(process.pid);
    await world.write('moves', 'config.yaml', 'isolation: process\n');
    await world.host.reload('moves');
    const apart = await processOf('moves');
    expect(apart).not.toBe(process.pid);
    await world.write('moves', 'config.yaml', 'isolation: {mode: process, descriptors: 64}\n');
    await world.host.reload('moves');
    expect(await processOf('moves')).not.toBe(apart);
    await world.write('moves', 'config.yaml', 'isolation: inline\n');
    await world.host.reload('moves');
    expect(await processOf('moves')).toBe(process.pid);
  });

  test('is shown as it is when a reload that would change it fails', async () => {
    await world.publish('stays', await plugin('stays'));
    await world.start({ isolation: 'inline' });
    await world.write('stays', 'config.yaml', 'isolation: auto\n');
    await world.publish('stays', await buildPlugin('refuse_initialize', { defines: { PLUGIN_ID: '"stays"' } }));
    await expect(world.host.reload('stays')).rejects.toMatchObject({ code: 'TrialRefused' });
    expect(world.host.plugin('stays').isolation).toEqual({ mode: 'inline', processes: [] });
    expect(await processOf('stays')).toBe(process.pid);
  });

  test('is for a bundle to ask more of than the setting, and not less', async () => {
    for (const id of ['more', 'less']) await world.publish(id, await plugin(id));
    const manifest = (id: string, isolation: unknown): Promise<void> =>
      world.write(id, 'manifest.json', JSON.stringify({ id, version: '1.0.0', isolation }));
    await manifest('more', 'process');
    await manifest('less', { mode: 'inline', sandbox: false, processes: 16, graceMs: 600_000, descriptors: 1_000_000 });
    await world.start({ isolation: 'auto' });
    expect(await processOf('more')).not.toBe(process.pid);
    await world.host.close();
    await world.start({ isolation: 'process' });
    expect(await processOf('less')).not.toBe(process.pid);
    expect(world.host.plugin('less').isolation).toMatchObject({
      processes: [{}],
      limits: { processes: 1, graceMs: 1000, descriptors: 1024, sandbox: true },
    });
    expect(world.log.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('`isolation.sandbox` of a bundle does not count'),
        expect.stringContaining('`isolation.graceMs` of a bundle is at most 1000'),
        expect.stringContaining('less: the bundle asks for isolation inline'),
      ]),
    );
  });
});

describe('the setting that requires plugins to be confined', () => {
  const ownSandbox = (mode: string): string => `isolation: {mode: ${mode}, sandbox: false}\n`;

  test.each(['process', 'auto'])('refuses one of %s whose own config takes that away', async (mode) => {
    await world.publish('open', await plugin('open'));
    await world.write('open', 'config.yaml', ownSandbox(mode));
    await world.start({ isolation: 'inline', requireConfinement: true });
    expect(world.host.plugin('open')).toMatchObject({
      state: 'failed',
      error: {
        code: 'ConfigInvalid',
        message: expect.stringMatching(/`sandbox: false`, and `requireConfinement` of the host's settings/) as string,
        details: { plugin: 'open' },
      },
    });
  });

  test('leaves one that runs in the host as it is', async () => {
    await world.publish('inside', await plugin('inside'));
    await world.write('inside', 'config.yaml', ownSandbox('inline'));
    await world.start({ isolation: 'process', requireConfinement: true });
    expect(await processOf('inside')).toBe(process.pid);
  });

  test('does not count against a bundle what that may not say anyway', async () => {
    await world.publish('bundle', await plugin('bundle'));
    const isolation = { mode: 'process', sandbox: false };
    await world.write('bundle', 'manifest.json', JSON.stringify({ id: 'bundle', version: '1.0.0', isolation }));
    await world.start({ isolation: 'process', requireConfinement: true });
    // Where the kernel cannot confine it, it is not begun.
    const { state, error, isolation: shown } = world.host.plugin('bundle');
    if (state === 'running') expect(shown?.limits).toMatchObject({ sandbox: true, requireConfinement: true });
    else expect(error?.code).toBe('ConfinementMissing');
  });
});

test.each([
  [
    'isolation: apart',
    1,
    12,
    /^isolation must be inline, process or auto, or a mapping of any of mode, processes, .*, writable$/,
  ],
  ['isolation: {mode: apart}', 1, 19, /^isolation\.mode must be inline, process or auto$/],
  ['isolation: {processes: 17}', 1, 24, /^isolation\.processes must be a whole number from 1 to 16$/],
  ['isolation: {memory: 64MB}', 1, 21, /^isolation\.memory must be a whole number from 8388608/],
  ['isolation: {proceses: 2}', 1, 13, /^unknown key "isolation\.proceses"; did you mean "isolation\.processes"\?$/],
  [
    'isolation: {sandbox: false, requireConfinement: true}',
    1,
    12,
    /^isolation cannot have `requireConfinement: true` with `sandbox: false`$/,
  ],
  [
    'isolation: {mode: auto, requireConfinement: true}',
    1,
    12,
    /^isolation cannot have `requireConfinement: true` with `mode: auto`, which runs it in the host$/,
  ],
  ['isolation: {writable: /tmp}', 1, 23, /^isolation\.writable must be a list of paths$/],
])('%s is refused with its place', async (text, line, column, message) => {
  await world.publish('odd', await plugin('odd'));
  await world.write('odd', 'config.yaml', `${text}\n`);
  await world.start();
  expect(world.host.plugin('odd')?.error).toMatchObject({
    code: 'ConfigInvalid',
    details: { problems: [{ line, column, message: expect.stringMatching(message) as string }] },
  });
});
