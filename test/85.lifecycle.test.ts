import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { journal, stage } from './load/actors.js';
import { World } from './load/world.js';

/**
 * Five extensions, each after the one above it, so that there is one order only, and two applications that may come in
 * either. All of them hand their state over.
 */
const cast = {
  watch: 'extension: telemetry',
  store: 'extension: true',
  login: 'extension: true\nextensions: [store]',
  audit: 'extension: true\nextensions: [login]',
  mail: 'extension: true\nextensions: [audit, store]',
  shop: 'extensions: [login, {id: audit, required: false}, mail]',
  stall: 'extensions: [mail]',
} as const;
type Id = keyof typeof cast;
/** What they offer, and the steps in which it is read, in the order of life. */
const offers: { [Name in Id]?: { defines: Record<string, string>; steps: string } } = {
  store: { defines: { WITH_HOOK: '1' }, steps: 'hooks ' },
  login: { defines: { WITH_PROVIDER: '1', WITH_HOOK: '1' }, steps: 'providers hooks ' },
};
const extensions = ['watch', 'store', 'login', 'audit', 'mail'] as const;
const applications = ['shop', 'stall'] as const;

let world: World;
beforeEach(async () => {
  world = await World.make();
  journal.begin();
});
afterEach(async () => {
  await world.close();
  journal.end();
});

function put(id: Id, defines: Record<string, string> = {}): Promise<void> {
  return stage(world, id, { config: cast[id], defines: { WITH_STATE: '1', ...offers[id]?.defines, ...defines } });
}

async function putAll(): Promise<void> {
  await Promise.all([...extensions, ...applications].map((id) => put(id)));
}

const of = (id: Id, steps: string): string[] =>
  steps
    .replace('routes', `${offers[id]?.steps ?? ''}routes`)
    .split(' ')
    .map((step) => `${id} ${step}`);
const up = (id: Id): string[] => of(id, 'create initialize routes ready');
const kept = (id: Id): string[] => of(id, 'save');
const down = (id: Id): string[] => of(id, 'save shutdown destroy');
/** In this order: all say what they know before the first is shut down. */
const end = (...ids: Id[]): string[] => [...ids.flatMap(kept), ...ids.flatMap(down)];

/** What `journal` says of the extensions, all of it; and of each application, which may do things at the same time. */
function taken(): { extensions: string[]; shop: string[]; stall: string[]; first: string; last: string } {
  const lines = journal.take();
  const by = (ids: readonly Id[]): string[] => lines.filter((line) => ids.some((id) => line.startsWith(`${id} `)));
  const kind = (line = ''): string => (by(extensions).includes(line) ? 'an extension' : 'an application');
  return {
    extensions: by(extensions),
    shop: by(['shop']),
    stall: by(['stall']),
    first: kind(lines[0]),
    last: kind(lines.at(-1)),
  };
}

describe('five extensions and two applications', () => {
  test('come up one after the other, are each reloaded alone, and go in reverse', async () => {
    await putAll();
    await world.start();
    expect(taken()).toEqual({
      extensions: extensions.flatMap(up),
      shop: up('shop'),
      stall: up('stall'),
      first: 'an extension',
      last: 'an application',
    });
    for (const id of [...extensions, ...applications]) {
      await put(id, { BUILD: '"2"' });
      expect(await world.host.reload(id)).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
      expect(journal.take()).toEqual(of(id, 'save create initialize routes save try load ready shutdown destroy'));
    }
    await world.host.close();
    expect(taken()).toEqual({
      extensions: end(...extensions.toReversed()),
      shop: end('shop'),
      stall: end('stall'),
      first: 'an application',
      last: 'an extension',
    });
  });

  test('begin with what they knew when the host comes again', async () => {
    await putAll();
    await world.start();
    await world.host.close();
    journal.take();
    await world.start();
    const again = (id: Id): string[] => of(id, 'create initialize routes try load ready');
    expect(taken()).toMatchObject({
      extensions: extensions.flatMap(again),
      shop: again('shop'),
      stall: again('stall'),
    });
  });

  test.each([
    ['create', 'create'],
    ['initialize', 'create initialize destroy'],
    ['routes', 'create initialize routes shutdown destroy'],
    ['ready', 'create initialize routes ready shutdown destroy'],
  ])('one that fails in %s at a start is taken down, and nobody who needs it is begun', async (step, steps) => {
    await putAll();
    await put('login', { FAIL_AT: `"${step}"` });
    await world.start();
    expect(journal.take()).toEqual([...up('watch'), ...up('store'), ...of('login', steps)]);
    const { error } = world.host.plugin('login');
    expect(error).toMatchObject({ details: { plugin: 'login', generation: 1, step } });
    expect(world.host.plugin('audit').error).toMatchObject({ code: 'ExtensionUnavailable' });
    await world.host.close();
    expect(journal.take()).toEqual(end('store', 'watch'));
  });

  test('one whose new build fails at any step goes on, and nobody else is touched', async () => {
    await putAll();
    await world.start();
    journal.take();
    const failures = {
      create: 'save create',
      initialize: 'save create initialize destroy',
      routes: 'save create initialize routes shutdown destroy',
      try: 'save create initialize routes save try shutdown destroy',
      load: 'save create initialize routes save try load shutdown destroy',
      ready: 'save create initialize routes save try load ready shutdown destroy',
    };
    for (const [step, steps] of Object.entries(failures)) {
      await put('login', { FAIL_AT: `"${step}"` });
      await expect(world.host.reload('login')).rejects.toMatchObject({ details: { plugin: 'login' } });
      expect([step, journal.take()]).toEqual([step, of('login', steps)]);
      expect(world.host.plugin('login')).toMatchObject({ state: 'running', generation: 1 });
    }
    expect(world.host.plugins().map(({ generation }) => generation)).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });

  test('one that does not say what it knows keeps its successor away, and ends all the same', async () => {
    await putAll();
    await put('login', { FAIL_AT: '"save"' });
    await world.start();
    journal.take();
    await put('login', { BUILD: '"2"' });
    await expect(world.host.reload('login')).rejects.toMatchObject({ code: 'StateRefused' });
    expect(journal.take()).toEqual(of('login', 'save create initialize routes save shutdown destroy'));
    await world.host.close();
    expect(taken().extensions).toEqual(end(...extensions.toReversed()));
  });
});
