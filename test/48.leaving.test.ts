import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadCore } from '../src/binding/core.js';
import { gauge } from './load/gauge.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

/** What a client has seen of a streamed answer. */
interface Seen {
  text: string;
  /** How it ended: `complete` is the chunk of length 0 that says so. */
  end?: 'complete' | 'cut';
  leave: () => void;
}

async function listen(url: string): Promise<Seen> {
  const request = get(url, { agent: false });
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  const seen: Seen = { text: '', leave: () => request.destroy() };
  answer.setEncoding('utf8');
  answer.on('data', (chunk: string) => {
    seen.text += chunk;
  });
  answer.on('error', () => {
    seen.end = 'cut';
  });
  answer.on('end', () => {
    seen.end = answer.complete ? 'complete' : 'cut';
  });
  return seen;
}

describe('a generation that leaves', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  test('ends its event streams in order, and their clients find the next one', async () => {
    await world.publish('events', await buildPlugin('events'));
    await world.start();
    const listeners = await Promise.all([1, 2, 3].map(() => listen(`${world.url}/events/stream`)));
    await until('events come', () => listeners.every(({ text }) => text.includes('\n\ndata: one')));
    await world.publish('events', await buildPlugin('events', { defines: { BUILD: '"two"' } }));
    const reload = world.host.reload('events');
    await until('every stream has ended', () => listeners.every(({ end }) => end !== undefined));
    for (const { text, end } of listeners) {
      expect(end).toBe('complete');
      expect(text).toMatch(/^(data: one\n\n)+$/);
    }
    expect(await reload).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    const again = await listen(`${world.url}/events/stream`);
    await until('events come', () => again.text.length > 0);
    expect(again.text).toMatch(/^(data: two\n\n)+$/);
    again.leave();
  });

  test('ends them also before it hands its state over, and when the host closes', async () => {
    const defines = { WITH_STATE: '1' };
    await world.publish('events', await buildPlugin('events', { defines }));
    await world.start({ lifecycleMs: 1000 });
    const first = await listen(`${world.url}/events/stream`);
    await until('events come', () => first.text !== '');
    await world.publish('events', await buildPlugin('events', { defines: { ...defines, BUILD: '"two"' } }));
    expect(await world.host.reload('events')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    await until('the stream has ended', () => first.end !== undefined);
    expect(first.end).toBe('complete');
    const last = await listen(`${world.url}/events/stream`);
    await until('events come', () => last.text !== '');
    await world.host.close();
    expect(last.end).toBe('complete');
  });

  test('ends them although another call holds it for longer than it may', async () => {
    await world.publish('events', await buildPlugin('events'));
    await world.start({ drainMs: 1000 });
    const events = await listen(`${world.url}/events/stream`);
    const slow = world.get('/events/slow?count=200');
    await until('both are in', () => world.host.plugin('events').generations[0]?.leases === 2);
    await world.publish('events', await buildPlugin('events', { defines: { BUILD: '"two"' } }));
    expect(await world.host.reload('events')).toMatchObject({ unload: 'pinned', pinnedReason: '1 call holds it' });
    expect(events.end).toBe('complete');
    expect((await slow).status).toBe(200);
  });

  // Nobody could tell that its end came early.
  test('lets a stream of another kind come to its own end', async () => {
    await world.publish('events', await buildPlugin('events'));
    await world.start();
    const lines = await listen(`${world.url}/events/lines?count=100`);
    await until('lines come', () => lines.text !== '');
    await world.publish('events', await buildPlugin('events', { defines: { BUILD: '"two"' } }));
    expect(await world.host.reload('events')).toMatchObject({ outcome: 'succeeded' });
    await until('it is unmapped', () => world.host.reloads()[0]?.unload === 'clean');
    expect(lines).toMatchObject({ text: 'data: one\n\n'.repeat(100), end: 'complete' });
  });

  const leftBehind = /^thread still running: left behind \(\d+\) was started by the plugin and did not end$/;

  test('is not unmapped under a thread of its own that waits for ever', async () => {
    const { images } = gauge(world.data);
    await world.publish('fault', await buildPlugin('own_thread', { defines: { READ: '1' } }));
    await world.start();
    const { generations } = await world.host.unload('fault');
    expect(generations).toMatchObject([{ state: 'pinned', pinnedReason: expect.stringMatching(leftBehind) }]);
    expect(gauge(world.data).images).toBe(images + 1);
  });

  test.each([
    ['sleeps', { SLEEP: '1', MS: '1000' }],
    ['runs', { SPIN: '1', MS: '1000' }],
  ])('is unmapped when a thread of its own that %s has ended', async (_, defines) => {
    const { images } = gauge(world.data);
    await world.publish('fault', await buildPlugin('own_thread', { defines }));
    await world.start();
    await world.publish('fault', await buildPlugin('ok'));
    expect(await world.host.reload('fault')).toMatchObject({
      outcome: 'succeeded',
      unload: 'pinned',
      pinnedReason: expect.stringMatching(/^thread still running: .*left behind \(\d+\)/),
    });
    await until('it is told', () => world.events.some((event) => event.type === 'generation.unloaded'));
    expect(world.host.plugin('fault').generations).toMatchObject([{ number: 2, state: 'ready' }]);
    expect(world.host.reloads()[0]).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    expect(gauge(world.data).images).toBe(images + 1);
  });

  test('is looked for together with the others that are pinned', async () => {
    const core = loadCore();
    const looks = vi.spyOn(core, 'threadsIn');
    await world.publish('fault', await buildPlugin('own_thread', { defines: { READ: '1' } }));
    await world.start();
    await world.publish('fault', await buildPlugin('own_thread', { defines: { READ: '1', MS: '1' } }));
    expect(await world.host.reload('fault')).toMatchObject({ unload: 'pinned' });
    const { generations } = await world.host.unload('fault');
    expect(generations).toMatchObject([{ state: 'pinned' }, { state: 'pinned' }]);
    await until('both are looked for', () => looks.mock.calls.some(([paths]) => paths.length === 2));
    looks.mockRestore();
  });

  test('is not unmapped under a young thread that does not answer, which is not said to be its own', async () => {
    await world.publish('fault', await buildPlugin('own_thread', { defines: { SPIN: '1', DEAF: '1', MS: '1000' } }));
    await world.start();
    const { generations } = await world.host.unload('fault');
    expect(generations).toMatchObject([
      {
        state: 'pinned',
        pinnedReason: expect.stringMatching(
          /^thread still running: .*left behind \(\d+\).* did not answer, and may be in it$/,
        ),
      },
    ]);
    await until('it is told', () => world.events.some((event) => event.type === 'generation.unloaded'));
  });
});
