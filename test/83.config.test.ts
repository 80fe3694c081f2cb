import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CoreBench, type Life, type LifeOptions } from './load/core-bench.js';

let bench: CoreBench;
let life: Life | undefined;

const settings = {
  config: '{"name":"caf\u00e9"}',
  consumers: [
    { application: 'shop', settings: '{"b":1}' },
    { application: 'blog', settings: '{}' },
  ],
};

async function start(options: LifeOptions = settings): Promise<Life> {
  life = await bench.start(options);
  return life;
}

function said(text: string): Record<string, string>[] {
  return bench.log.filter(({ message }) => message === text).map(({ fields }) => fields);
}

beforeEach(() => {
  bench = new CoreBench('config');
});

afterEach(async () => {
  bench.plugin.swap(null);
  await life?.end();
  life = undefined;
  bench.close();
});

describe('a plugin reads its config', () => {
  test('from create on, and what each of its consumers has set', async () => {
    await start();
    expect(said('create')).toEqual([{ own: settings.config }]);
    expect(said('initialize')).toEqual([{ own: settings.config }]);
    expect(await bench.post('/own')).toBe(settings.config);
    expect(await bench.post('/consumers')).toBe('blog {}\nshop {"b":1}\n');
  });

  test('which is an empty object where nothing is set', async () => {
    await start({});
    expect(await bench.post('/own')).toBe('{}');
    expect(await bench.post('/consumers')).toBe('');
  });
});

describe('a change of config', () => {
  test('holds when the plugin has taken it', async () => {
    const { generation } = await start();
    expect(await generation.configure('', '{"b":2}', 5000)).toBe('taken');
    expect(await bench.post('/own')).toBe('{"b":2}');
    expect(await generation.configure('wiki', '{"c":3}', 5000)).toBe('taken');
    expect(await generation.configure('shop', '', 5000)).toBe('taken');
    expect(await bench.post('/consumers')).toBe('blog {}\nwiki {"c":3}\n');
    expect(said('changed')).toEqual([
      { application: '', json: '{"b":2}' },
      { application: 'wiki', json: '{"c":3}' },
      { application: 'shop', json: '' },
    ]);
  });

  test('needs another generation when the plugin says so, or takes none', async () => {
    const { generation } = await start();
    expect(await generation.configure('', '{"a":4}', 5000)).toBe('reload');
    expect(await bench.post('/own')).toBe(settings.config);
    bench.plugin.swap(null);
    await life?.end();
    const second = await start({ ...settings, defines: { TAKES_NO_CHANGE: '1' } });
    expect(await second.generation.configure('blog', '{"d":1}', 5000)).toBe('reload');
    expect(await bench.post('/consumers')).toBe('blog {}\nshop {"b":1}\n');
  });

  test('is refused with what the plugin logged, and changes nothing', async () => {
    const { generation } = await start();
    await expect(generation.configure('', '{"a":1}', 5000)).rejects.toMatchObject({
      code: 'LifecycleFailed',
      message: 'configure of config failed: no',
    });
    expect(await bench.post('/own')).toBe(settings.config);
  });

  test('is misused with the name of the argument', async () => {
    const { generation } = await start();
    expect(() => generation.configure(7 as unknown as string, '{}', 5000)).toThrow(/application, json/);
    expect(() => generation.configure('', '{}', 0)).toThrow(/deadlineMs/);
    for (const wrong of [{ config: 7 }, { consumers: {} }, { consumers: [{ application: 'x' }] }, { consumers: ['x'] }])
      await expect(bench.bringUp(wrong as unknown as LifeOptions)).rejects.toThrow(
        /config must be a string, consumers a list/,
      );
  });
});
