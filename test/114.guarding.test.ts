import { describe, expect, test } from 'vitest';
import { type LogRecord, silentLog, tapLog } from '../src/base/log.js';
import type { GuardNote, PluginGauges } from '../src/binding/black-box.js';
import type { ResourceLimits } from '../src/compiler/config.js';
import { parseConfig } from '../src/compiler/config.js';
import { GuardFindings } from '../src/host/guard-findings.js';
import { Guarding } from '../src/host/guarding.js';
import type { HostEvent } from '../src/host/journal.js';

/** Looks after one plugin, of which the core says what a test wants. */
class Watch {
  readonly findings = new GuardFindings();
  readonly told: HostEvent[] = [];
  readonly logged: LogRecord[] = [];
  readonly quarantined: string[] = [];
  notes: GuardNote[] = [];
  gauges: Partial<PluginGauges> = {};
  lost = 0;
  /** Generation that runs. */
  running = 1;
  #now = 0;
  readonly #guarding: Guarding;

  constructor(limits?: ResourceLimits, hasParent = true) {
    const applied = {
      uses: [],
      auth: undefined,
      custom: '{}',
      asked: { permissions: [], by: 'config' as const },
      limits,
    };
    this.#guarding = new Guarding({
      log: tapLog(silentLog(), (record) => void this.logged.push(record)),
      findings: this.findings,
      door: {
        pluginGauges: () => [
          { plugin: 'greedy', generation: 1, threads: 0, descriptors: 0, memory: 0, ...this.gauges },
        ],
        takeGuardNotes: () => this.notes.splice(0),
      },
      plugins: () => [
        { id: 'greedy', applied, running: { number: this.running, handle: { threads: { lost: this.lost } } } },
      ],
      tell: (event) => void this.told.push(event),
      quarantine: hasParent ? (_, reason) => void this.quarantined.push(reason) : undefined,
      hangsIn: () => ['GET /x', 'GET /y'],
      now: () => this.#now,
    });
  }

  /** Look after `ms` more. */
  after(ms: number): void {
    this.#now += ms;
    this.#guarding.look();
  }

  types(): string[] {
    return this.told.splice(0).map(({ type }) => type);
  }
}

function note(guard: string, generation = 1): GuardNote {
  return { plugin: 'greedy', generation, guard, detail: 'it changed the directory', restored: true, certain: true };
}

describe('limits', () => {
  test('a soft one warns, and again when there is twice as much', () => {
    const watch = new Watch();
    watch.gauges = { threads: 64 };
    watch.after(1000);
    expect(watch.types()).toEqual([]);
    watch.gauges = { threads: 65 };
    watch.after(1000);
    expect(watch.told).toMatchObject([{ type: 'plugin.overSoftLimit', gauge: 'threads', value: 65, limit: 64 }]);
    expect(watch.findings.warningsOf('greedy')).toEqual(['greedy has 65 threads of its own, and 64 are expected']);
    watch.gauges = { threads: 129 };
    watch.after(1000);
    watch.gauges = { threads: 130 };
    watch.after(1000);
    watch.after(1000);
    expect(watch.types()).toEqual(['plugin.overSoftLimit', 'plugin.overSoftLimit']);
    watch.gauges = { threads: 3 };
    watch.after(1000);
    watch.gauges = { threads: 65 };
    watch.after(1000);
    expect(watch.types()).toEqual(['plugin.overSoftLimit']);
    expect(watch.quarantined).toEqual([]);
  });

  test('over a hard one the host is to begin anew, once a minute', () => {
    const watch = new Watch({ descriptors: { hard: 10 } });
    watch.gauges = { descriptors: 11 };
    watch.after(120_000);
    for (let second = 0; second < 59; second++) watch.after(1000);
    expect(watch.types()).toEqual(['plugin.overHardLimit', 'host.full']);
    watch.after(1000);
    expect(watch.types()).toEqual(['plugin.overHardLimit', 'host.full']);
    expect(watch.quarantined).toEqual([]);
  });

  test('over a hard one within a minute after the start, to which a fresh host is no help, it is quarantined', () => {
    const watch = new Watch({ memory: { hard: 1000 } });
    watch.gauges = { memory: 1001 };
    watch.after(59_000);
    expect(watch.types()).toEqual(['plugin.overHardLimit']);
    expect(watch.quarantined).toEqual([
      'greedy has 1001 bytes of memory, and may have 1000; 59 s after the start of the host',
    ]);
  });

  test('a host without a parent tells, and goes on', () => {
    const watch = new Watch({ memory: { hard: 1000 } }, false);
    watch.gauges = { memory: 1001 };
    watch.lost = 8;
    watch.notes = [note('overrun'), note('overrun')];
    watch.after(1000);
    watch.after(10_000);
    expect(watch.types()).toEqual(['plugin.guarded', 'plugin.guarded', 'plugin.overHardLimit', 'host.full']);
  });
});

describe('guards', () => {
  test('say that it was somebody where nobody is known, and name no plugin', () => {
    const watch = new Watch();
    watch.notes = [{ ...note('signals', 0), plugin: '', certain: false, detail: 'meanwhile SIGTERM was ignored' }];
    watch.after(1000);
    const [{ level, message, fields } = {}, ...others] = watch.logged;
    expect([level, message, others]).toEqual(['warn', 'somebody: meanwhile SIGTERM was ignored; it was put right', []]);
    expect(fields).toEqual({ guard: 'signals', restored: true, certain: false });
    expect(watch.findings.warningsOf('')).toEqual([]);
    expect(watch.types()).toEqual(['plugin.guarded']);
  });

  test('tell what they caught a plugin at, and keep the last 8', () => {
    const watch = new Watch();
    watch.notes = [note('directory'), { ...note('umask'), certain: false, restored: false }];
    watch.after(1000);
    watch.after(1000);
    expect(watch.told).toMatchObject([
      { type: 'plugin.guarded', plugin: 'greedy', guard: 'directory', restored: true },
      { type: 'plugin.guarded', guard: 'umask', certain: false },
    ]);
    expect(watch.findings.warningsOf('greedy')).toEqual([
      'generation 1: it changed the directory (directory, put right)',
      'generation 1, or another plugin at the same time: it changed the directory (umask)',
    ]);
    expect(watch.logged).toMatchObject([
      { message: 'greedy: it changed the directory; it was put right', fields: { plugin: 'greedy', generation: 1 } },
      { message: 'greedy, or another plugin at the same time: it changed the directory' },
    ]);
    watch.notes = Array.from({ length: 9 }, (_, at) => note('fork', at));
    watch.after(1000);
    expect(watch.findings.warningsOf('greedy')).toHaveLength(8);
  });

  test('two overruns within a minute lead to quarantine, two in more do not', () => {
    const watch = new Watch();
    for (const pause of [1000, 60_000]) {
      watch.notes = [note('overrun')];
      watch.after(pause);
    }
    expect(watch.quarantined).toEqual([]);
    watch.notes = [note('overrun')];
    watch.after(59_000);
    expect(watch.quarantined).toEqual([
      'it wrote beyond memory that it was given 2 times within a minute: it changed the directory',
    ]);
  });

  test('overruns of a generation that runs no more do not count', () => {
    const watch = new Watch();
    watch.notes = [note('overrun')];
    watch.after(1000);
    watch.running = 2;
    watch.notes = [note('overrun'), note('overrun', 2)];
    watch.after(1000);
    expect(watch.quarantined).toEqual([]);
    watch.notes = [note('overrun', 2)];
    watch.after(1000);
    expect(watch.quarantined).toHaveLength(1);
  });

  test('the first thread that is lost is told once for each generation, with where it hangs', () => {
    const watch = new Watch();
    watch.after(1000);
    for (const lost of [1, 0, 2]) {
      watch.lost = lost;
      watch.after(1000);
    }
    const first = 'a thread of greedy hangs in GET /x since its deadline; 1 of 8 that it may lose';
    expect(watch.findings.warningsOf('greedy')).toEqual([`generation 1: ${first}`]);
    watch.running = 2;
    watch.after(1000);
    const next = 'threads of greedy hang in GET /x, GET /y since their deadlines; 2 of 8 that it may lose';
    expect(watch.findings.warningsOf('greedy').slice(1)).toEqual([`generation 2: ${next}`]);
    expect(watch.logged.map(({ message }) => message)).toEqual([first, next]);
  });

  test('without a thread to serve for 5 s a plugin is quarantined, one whose threads come back is not', () => {
    const watch = new Watch();
    watch.lost = 8;
    watch.after(1000);
    watch.after(4000);
    watch.lost = 7;
    watch.after(1000);
    watch.lost = 8;
    watch.after(1000);
    watch.after(4999);
    expect(watch.quarantined).toEqual([]);
    watch.after(1);
    expect(watch.quarantined).toEqual(['8 of its threads hang in GET /x, GET /y']);
  });
});

describe('limits of config.yaml', () => {
  const limits = (text: string): ResourceLimits => parseConfig(`limits:\n${text}`, '/applications/greedy').limits;

  test('are a hard one, or a soft and a hard one', () => {
    expect(limits('  threads: 3\n  memory: { soft: 10, hard: 20 }\n')).toEqual({
      threads: { hard: 3 },
      memory: { soft: 10, hard: 20 },
    });
  });

  test.each([
    ['  threads: no\n', 'limits.threads must be a whole number from 1 to 100000, or a mapping'],
    ['  threads: 0\n', 'limits.threads must be a whole number from 1 to 100000'],
    ['  thread: 3\n', 'unknown key "limits.thread"; did you mean "limits.threads"?'],
    ['  memory: { sofd: 3 }\n', 'limits.memory has the unknown key "sofd"'],
    ['  memory: { soft: 3, hard: 2 }\n', 'limits.memory has a `soft` above its `hard`'],
    ['  descriptors: { hard: -1 }\n', 'limits.descriptors has a wrong `hard`: it must be a whole number'],
  ])('are refused when they are %j', (text, message) => {
    expect(() => limits(text)).toThrow(message);
  });
});
