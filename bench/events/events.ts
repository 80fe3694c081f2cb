// What an event costs who publishes it, and whether all of them reach a subscriber.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { destination, pino } from 'pino';
import { interleave, numberFlag, report } from '../rounds.js';
import { Pair } from './pair.js';

const rounds = numberFlag('rounds', 7);
const count = numberFlag('count', 200_000);
const rate = numberFlag('rate', 100_000);
/** TENON_EVENTS_QUEUE */
const bound = 131_072;
const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));

try {
  const pair = await Pair.open(folder);

  /** Until the subscriber has been given `wanted` more than `before`, or no more come. */
  const settled = async (before: number, wanted: number): Promise<number> => {
    for (let last = -1; ; ) {
      const given = (await pair.heard()).given - before;
      if (given >= wanted || given === last) return given;
      last = given;
      await sleep(100);
    }
  };

  const speak = (kind: 'log' | 'event') => async (): Promise<Record<string, number>> => {
    const before = await pair.heard();
    const [seconds = Number.NaN, each = Number.NaN] = await pair.ask(
      'source',
      `/run?kind=${kind}&count=${count}&rate=${rate}`,
    );
    const given = await settled(before.given, count);
    return { 'ns/call': each, 'thousand/s': count / seconds / 1000, lost: count - given };
  };

  const toNull = (): Promise<Record<string, number>> => {
    const stream = destination({ dest: '/dev/null', sync: false });
    const log = pino({ level: 'info' }, stream);
    const begin = process.hrtime.bigint();
    for (let each = 0; each < count; each++)
      log.info({ order: '0123456789abcdef' }, 'an order of 64 bytes, more or less, as a plugin logs it.....');
    const ns = Number(process.hrtime.bigint() - begin) / count;
    return new Promise((resolve) => {
      stream.on('close', () => resolve({ 'ns/call': ns, 'thousand/s': 1e6 / ns, lost: 0 }));
      stream.end();
    });
  };

  const rows = await interleave(
    [
      { name: 'pino, as fast as it can, /dev/null', measure: toNull },
      { name: 'log records', peer: 'pino, as fast as it can, /dev/null', measure: speak('log') },
      { name: 'events', peer: 'pino, as fast as it can, /dev/null', measure: speak('event') },
    ],
    rounds,
  );

  const work = async (events: number): Promise<Record<string, number>> => {
    const [p50 = Number.NaN, p99 = Number.NaN, p999 = Number.NaN] = await pair.ask(
      'source',
      `/work?count=20000&events=${events}`,
    );
    return { p50, p99, p999 };
  };
  const handlers = await interleave(
    [
      { name: 'handler without events', measure: () => work(0) },
      { name: 'handler, 10 events', peer: 'handler without events', measure: () => work(10) },
      {
        name: 'handler, 10 events, queue full',
        peer: 'handler without events',
        measure: async () => {
          await pair.ask('subscriber', '/hold?on=1');
          await pair.ask('source', `/run?kind=event&count=${2 * bound}&rate=0`);
          const times = await work(10);
          await pair.ask('subscriber', '/hold?on=0');
          return times;
        },
      },
    ],
    rounds,
  );
  await settled((await pair.heard()).given, bound);
  const { dropped } = await pair.heard();
  report('events', rounds, rows, [
    `${rate} a second from two threads of a plugin; ns/call: what one costs the thread that publishes it`,
  ]);
  report('events, in a handler of 10 us, ns', rounds, handlers, [
    `${dropped} events beyond the bound of ${bound} were dropped and counted`,
  ]);
  await pair.close();
} finally {
  await rm(folder, { recursive: true, force: true });
}
