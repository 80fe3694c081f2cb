import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { OutputLine } from '../src/host/output-log.js';
import { OutputQueue, OutputReader } from '../src/supervisor/output.js';
import { Command, token } from './load/command.js';
import { type Said, tenon } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

interface Logged {
  level: string;
  message: string;
  source?: string;
  plugin?: string;
  generation?: number;
  requestId?: string;
  cut?: number;
}

const mark = '0123456789abcdef';

function head(facts: string, text: string): string {
  return `\u001e${mark} ${facts} ${Buffer.byteLength(text)}\n${text}`;
}

function read(chunks: readonly Uint8Array[]): OutputLine[] {
  const lines: OutputLine[] = [];
  const reader = new OutputReader('stdout', mark, (line) => lines.push(line));
  for (const chunk of chunks) reader.read(Buffer.from(chunk));
  reader.end();
  return lines;
}

describe('what is read of a stream', () => {
  test('is the same lines, however it is cut into pieces', () => {
    const whole = Buffer.from(
      `raw\n${head('7 2 talks front-1', 'be')}of nobody ${head('8 1 other -', 'two\nthree')}${head('7 2 talks front-1', 'gun ö\n')}` +
        `\u001e${mark.slice(0, 9)}\n\u001e${mark} no head\n${head('7 2 talks front-2', 'next')}`,
    );
    const lines = read([whole]);
    const source = 'stdout';
    expect(lines).toEqual([
      { source, text: 'raw' },
      { source, text: 'two', plugin: 'other', generation: 1 },
      { source, text: 'begun ö', plugin: 'talks', generation: 2, requestId: 'front-1' },
      { source, text: `of nobody \\x1e${mark.slice(0, 9)}` },
      { source, text: `\\x1e${mark} no head` },
      { source, text: 'three', plugin: 'other', generation: 1 },
      { source, text: 'next', plugin: 'talks', generation: 2, requestId: 'front-2' },
    ]);
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: whole.length - 1 }), { maxLength: 20 });
    fc.assert(
      fc.property(cuts, (places) => {
        const ends = [0, ...places.toSorted((one, other) => one - other), whole.length];
        expect(read(ends.slice(1).map((end, index) => whole.subarray(ends[index], end)))).toEqual(lines);
      }),
      { numRuns: 200 },
    );
  });

  test('never throws and never gives what would steer a terminal', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.uint8Array(), fc.constant(Buffer.from(`\u001e${mark} 1 1 a - 9\n`)))),
        (chunks) => {
          // oxlint-disable-next-line no-control-regex
          for (const { text } of read(chunks)) expect(text).not.toMatch(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('is cut after 8 KiB of a line, between characters', () => {
    const [line] = read([Buffer.from(`${'x'.repeat(8191)}öö\n`)]);
    expect(line).toMatchObject({ text: 'x'.repeat(8191), cut: 3 });
  });

  test('is a line 100 ms after the last of it, whatever others write meanwhile', () => {
    vi.useFakeTimers();
    try {
      const lines: string[] = [];
      const reader = new OutputReader('stdout', mark, ({ text }) => lines.push(text));
      reader.read(Buffer.from(head('7 1 talks -', 'begun')));
      for (let passed = 0; passed < 150; passed += 50) {
        vi.advanceTimersByTime(50);
        reader.read(Buffer.from(head('8 1 other -', '.')));
      }
      expect(lines).toEqual(['begun']);
      vi.advanceTimersByTime(99);
      expect(lines).toEqual(['begun']);
      vi.advanceTimersByTime(2);
      expect(lines).toEqual(['begun', '...']);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('waits for the host batch by batch, and loses the oldest lines when that takes too long', () => {
    const batches: { count: number; dropped: number }[] = [];
    const queue = new OutputQueue(({ output, dropped }) => batches.push({ count: output.length, dropped }) > 0);
    const line = (index: number): OutputLine => ({ source: 'stderr', text: `${index}`.padEnd(1000) });
    for (let index = 0; index < 2000; index++) queue.add(line(index));
    expect(batches).toEqual([{ count: 1, dropped: 0 }]);
    expect(queue.left().at(-1)).toEqual(line(1999));
    const dropped = 2000 - queue.left().length;
    expect(dropped).toBeGreaterThan(900);
    queue.logged();
    expect(batches.at(-1)).toEqual({ count: 256, dropped });
  });

  test('is few lines that wait, also when they are empty', () => {
    const told = { lines: 0, dropped: 0 };
    const queue = new OutputQueue(({ output, dropped }) => {
      told.lines += output.length;
      told.dropped += dropped;
      return true;
    });
    for (let index = 0; index < 100_000; index++) queue.add({ source: 'stdout', text: '' });
    queue.add({ source: 'stdout', text: 'last' });
    expect(queue.left().length).toBeLessThan(5000);
    expect(queue.left().at(-1)).toEqual({ source: 'stdout', text: 'last' });
    while (queue.left().length > 0) queue.logged();
    expect(told.lines + told.dropped).toBe(100_001);
  });
});

describe('what plugins write to the standard streams of tenon start', () => {
  let world: World;
  let host: Command;

  beforeAll(async () => {
    world = await World.make();
    await world.publish('talks', await buildPlugin('talks'));
    await world.publish('streams', await buildPlugin('streams'));
    host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
    await until('it serves', () => host.err.includes('Try:'));
  });
  afterAll(async () => {
    host.child.kill();
    await host.exit;
    await world.close();
  });

  async function logs(query = ''): Promise<Logged[]> {
    const answer = await fetch(`${host.url}/api/v1/logs?limit=2000${query}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return ((await answer.json()) as { logs: Logged[] }).logs;
  }

  /** The lines that were written for one request. */
  async function written(target: string, count: number): Promise<Logged[]> {
    const id = await (await fetch(host.url + target)).text();
    const mine = async (): Promise<Logged[]> =>
      (await logs()).filter(({ source, requestId }) => source !== undefined && requestId === id);
    await until('it is logged', async () => (await mine()).length >= count);
    return mine();
  }

  test('is logged once, with whose code wrote it at its start', async () => {
    await until('it is logged', async () => (await logs('&plugin=talks')).some(({ source }) => source !== undefined));
    const said = (await logs()).filter(({ message }) => message === 'printed at its start');
    expect(said).toMatchObject([{ level: 'info', source: 'stdout', plugin: 'talks', generation: 1 }]);
  });

  test('is logged when it goes through the streams of C++', async () => {
    const mine = async (): Promise<Logged[]> => (await logs('&plugin=streams')).filter(({ source }) => source);
    await until('it is logged', async () => (await mine()).length === 3);
    const lines = (await mine()).map(({ source, message, level }) => `${source} ${message} ${level}`);
    expect(lines.toSorted()).toEqual([
      'stderr through cerr, 2 warn',
      'stderr through clog, 3 warn',
      'stdout through cout, 1 info',
    ]);
  });

  test('is logged without a plugin when one has taken the streams of C++ off those of C', async () => {
    const unsynced = await buildPlugin('streams', { defines: { PLUGIN_ID: '"unsynced"', UNSYNCED: '1' } });
    await world.publish('unsynced', unsynced);
    const mine = async (): Promise<Logged[]> =>
      (await logs()).filter(({ message, plugin }) => message.startsWith('through') && plugin !== 'streams');
    await until('it is logged', async () => (await mine()).length === 3);
    expect((await mine()).map(({ message }) => message).toSorted()).toEqual([
      'through cerr, 2',
      'through clog, 3',
      'through cout, 1',
    ]);
  });

  test.each([
    ['inline', 'printf', ['printed 1', 'and another']],
    ['pool', 'printf', ['printed 1', 'and another']],
    ['pool', 'partial', ['without an end']],
    ['pool', 'puts', ['put']],
    ['pool', 'stderr', ['careful, 7 left']],
    ['pool', 'binary', ['\\x01\\xff\\x1b[31mred']],
  ])('is logged with its request, %s %s', async (where, how, messages) => {
    const lines = await written(`/talks/${where}?how=${how}`, messages.length);
    expect(lines.map(({ message }) => message)).toEqual(messages);
    const source = how === 'stderr' ? 'stderr' : 'stdout';
    for (const line of lines) expect(line).toMatchObject({ source, plugin: 'talks', generation: 1 });
  });

  test('is logged with its own request when another one ends the line that it has begun', async () => {
    const id = await (await fetch(`${host.url}/talks/inline?how=half`)).text();
    expect(await written('/talks/inline?how=puts', 1)).toMatchObject([{ message: 'put' }]);
    const begun = async (): Promise<Logged[]> => (await logs()).filter(({ message }) => message.startsWith('half'));
    await until('it is logged', async () => (await begun()).length > 0);
    expect(await begun()).toMatchObject([{ message: 'half of one, ', requestId: id }]);
  });

  test('is logged as before when one has closed the streams', async () => {
    for (const how of ['close', 'close']) {
      const lines = await written(`/talks/pool?how=${how}`, 2);
      const said = lines.map(({ source, plugin, message }) => `${source} ${plugin} ${message}`);
      expect(said.toSorted()).toEqual(['stderr talks and told', 'stdout talks printed after all']);
    }
    expect(await written('/talks/inline?how=printf', 2)).toHaveLength(2);
  });

  test('is cut when a line is long', async () => {
    const id = await (await fetch(`${host.url}/talks/pool?how=long`)).text();
    // A writer that is held up in the middle of it has it told in two: all of it is in what is told, or counted as cut.
    let told: Logged[] = [];
    const bytes = (): number =>
      told.reduce((sum, { message, cut }) => sum + Buffer.byteLength(message) + Number(cut ?? 0), 0);
    await until('all of it is told', async () => {
      told = (await logs()).filter(({ source, requestId }) => source !== undefined && requestId === id);
      return bytes() >= 20_004;
    });
    expect(bytes()).toBe(20_004);
    expect(told.filter(({ message }) => message.length > 8192)).toEqual([]);
    expect(told.some(({ message, cut }) => message === 'x'.repeat(8192) && Number(cut) > 0)).toBe(true);
  });

  test.each([
    ['write', 'written raw'],
    ['thread', 'printed in a thread'],
    ['program', 'printed by a program'],
  ])('is logged without a plugin where nobody knows whose it is: %s', async (how, message) => {
    expect((await fetch(`${host.url}/talks/pool?how=${how}`)).status).toBe(200);
    const found = async (): Promise<Logged | undefined> => (await logs()).find((line) => line.message === message);
    await until('it is logged', async () => (await found()) !== undefined);
    expect(await found()).toMatchObject({ source: 'stdout', level: 'info' });
    expect(await found()).not.toHaveProperty('plugin');
  });

  test('is in the log of the process, and nothing else of it is on its standard streams', async () => {
    await until('it is there', () => host.out.includes('"printed in a thread"'));
    for (const line of host.out.trim().split('\n')) expect(() => JSON.parse(line) as unknown).not.toThrow();
    expect(host.err).not.toMatch(/printed|written/);
  });

  test('is read and steered by tenon logs', async () => {
    const ask = (...words: string[]): Promise<Said> => tenon(world.directory, 'logs', ...words, '--data', 'state');
    let id: unknown;
    let text: Said = { status: 1, out: '', err: '' };
    let json = text;
    // What was found of calls before is told when somebody looks.
    await until('its own line is the last one', async () => {
      [id] = await written('/talks/pool?how=puts', 1).then((lines) => lines.map(({ requestId }) => requestId));
      text = await ask('talks', '--since', '1h', '--limit', '1');
      json = await ask('talks', '--json', '--limit', '1');
      return [text, json].every(({ out }) => out.includes(String(id)));
    });
    expect(text).toMatchObject({ status: 0, err: '' });
    expect(text.out).toMatch(new RegExp(`^\\d{4}-\\S+Z INFO  talks#1: put  ${String(id)}\\n$`));
    expect(JSON.parse(json.out)).toMatchObject({ message: 'put', requestId: id, plugin: 'talks', type: 'log' });
    expect(await ask('level', 'talks', 'debug')).toEqual({ status: 0, out: 'host   info\ntalks  debug\n', err: '' });
    expect(JSON.parse((await ask('level', 'talks', 'default', '--json')).out)).toMatchObject({ plugins: {} });
    expect(await ask('level', 'talks')).toMatchObject({ status: 0, out: 'host   info\ntalks  info, as the host\n' });
    for (const words of [
      ['--level', 'loud'],
      ['--since', 'yesterday'],
      ['--limit', '0'],
      ['level', 'talks', 'loud'],
    ])
      expect({ words, status: (await ask(...words)).status }).toEqual({ words, status: 2 });
    for (const words of [['nobody'], ['level', 'nobody'], ['level', 'nobody', 'debug']])
      expect({ words, status: (await ask(...words)).status }).toEqual({ words, status: 1 });
  });

  test('comes by tenon logs --follow while it is written', async () => {
    const words = ['logs', 'talks', '--follow', '--limit', '1', '--data', 'state'];
    const following = new Command(words, world.directory, {});
    await until('it listens', () => following.out !== '');
    const [line] = await written('/talks/inline?how=printf', 2);
    await until('it is told', () => following.out.includes(`printed 1  ${line?.requestId ?? '?'}`));
    expect(following.err).toBe('');
    following.child.kill();
    await following.exit;
  });

  test('is said by the parent when it is the last of a host that has crashed', async () => {
    // On the event loop: elsewhere the host may still log it.
    await fetch(`${host.url}/talks/inline?how=abort`).catch(() => {});
    await expect.poll(() => host.err).toMatch(/^talks: last words of the plugin$/m);
    await expect.poll(() => host.err).toMatch(/^tenon: talks .* crashed the host \((?:abort|SIGABRT)/m);
  });
});

test('what plugins write stays where it goes when the setting log.output is false', async () => {
  const world = await World.make();
  try {
    await world.publish('talks', await buildPlugin('talks'));
    await world.write('..', 'tenon.yaml', 'log:\n  output: false\n');
    const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
    await until('it serves', () => host.err.includes('Try:'));
    host.child.kill();
    await host.exit;
    expect(host.out).toContain('printed at its start');
  } finally {
    await world.close();
  }
});
