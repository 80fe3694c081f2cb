import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readApplication } from '../src/compiler/application.js';
import { type CompileOptions, compile, type Profile } from '../src/compiler/build.js';

const long = process.env['TENON_TEST_LONG'] === '1';
const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const drive = path.join(path.dirname(fileURLToPath(import.meta.url)), 'compiler', 'drive.ts');

/** What the application says now: numbers that end up in its library. */
interface Said {
  source: number;
  header: number;
  /** In a header that only the preprocessor finds. */
  deep: number;
  part: 'one' | 'two';
}

type Step =
  | { kind: 'edit'; what: 'source' | 'header' | 'deep'; value: number }
  | { kind: 'config'; part: 'one' | 'two' }
  | { kind: 'touch'; file: string; seconds: number }
  | { kind: 'revert' }
  | { kind: 'break' }
  | { kind: 'build'; profile: Profile }
  | { kind: 'abort' | 'kill' | 'killHost'; profile: Profile; ms: number };

const value = fc.integer({ min: 0, max: 2 });
const profile = fc.constantFrom<Profile>('release', 'release', 'debug');
const files = ['resources/a.c', 'resources/a.h', 'resources/deep/b.h', 'resources/one.c', 'config.yaml'];
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('edit'), what: fc.constantFrom('source', 'header', 'deep'), value }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('config'), part: fc.constantFrom('one', 'two') }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('touch'),
      file: fc.constantFrom(...files),
      seconds: fc.constantFrom(-1_000_000, -1, 0, 1, 1000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('revert') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('break') }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('build'), profile }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('abort', 'kill'),
      profile,
      ms: fc.integer({ min: 0, max: 400 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('killHost'), profile, ms: fc.integer({ min: 0, max: 400 }) }) },
) as fc.Arbitrary<Step>;

let parent: string;
let runs = 0;

beforeAll(async () => {
  parent = await mkdtemp(path.join(os.tmpdir(), 'tenon-property-'));
});
afterAll(() => rm(parent, { recursive: true, force: true }));

const plain = `#include <tenon/entry.h>
#include "a.h"
#define NAME "deep/b.h"
#include NAME
const char *part(void);
static tenon_status create(const tenon_host_t *host, tenon_plugin_t **out) {
  (void)host;
  (void)out;
  return part() == 0 ? TENON_OK : TENON_ERROR;
}
`;

class World {
  readonly folder: string;
  readonly dataDirectory: string;
  said: Said = { source: 0, header: 0, deep: 0, part: 'one' };

  constructor(place: string) {
    this.folder = path.join(place, 'app');
    this.dataDirectory = path.join(place, 'data');
  }

  async write(file: string, text: string): Promise<void> {
    const target = path.join(this.folder, file);
    if ((await readFile(target, 'utf8').catch(() => undefined)) !== text) await writeFile(target, text);
  }

  async lay(): Promise<void> {
    const { source, header, deep, part } = this.said;
    await mkdir(path.join(this.folder, 'resources', 'deep'), { recursive: true });
    const declared = `TENON_PLUGIN("app", "App", "1.0.0", "[s${source} " HEADER DEEP "]", NULL, TENON_TRIAL_OPEN, create)`;
    await this.write('resources/a.c', `${plain}${declared}\n`);
    await this.write('resources/a.h', `#define HEADER "h${header} "\n`);
    await this.write('resources/deep/b.h', `#define DEEP "b${deep}"\n`);
    for (const name of ['one', 'two'])
      await this.write(
        `resources/${name}.c`,
        `const char *part(void);\nconst char *part(void) { return "part ${name}"; }\n`,
      );
    await this.write('config.yaml', `resources: [resources/a.c, resources/${part}.c]\n`);
  }

  async build(options: Partial<CompileOptions> = {}): Promise<string> {
    const application = await readApplication(this.folder);
    const { library } = await compile(application, { dataDirectory: this.dataDirectory, env: process.env, ...options });
    return library;
  }

  check(library: string): void {
    const { source, header, deep, part } = this.said;
    const text = readFileSync(library, 'latin1');
    assert.equal(/\[s\d h\d b\d\]/.exec(text)?.[0], `[s${source} h${header} b${deep}]`);
    assert.equal(/part (?:one|two)/.exec(text)?.[0], `part ${part}`);
  }

  /** SIGKILL to everything that builds here. */
  kill(): void {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes('TENON_BUILD=')) continue;
        if (readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(this.dataDirectory))
          process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended in the meantime.
      }
    }
  }

  async take(step: Step): Promise<void> {
    if (step.kind === 'edit') this.said[step.what] = step.value;
    else if (step.kind === 'config') this.said.part = step.part;
    else if (step.kind === 'revert') this.said = { source: 0, header: 0, deep: 0, part: 'one' };
    else if (step.kind === 'touch') {
      const time = Date.now() / 1000 + step.seconds;
      await utimes(path.join(this.folder, step.file), time, time);
    } else if (step.kind === 'build') this.check(await this.build({ profile: step.profile }));
    else if (step.kind === 'break') {
      await writeFile(path.join(this.folder, 'resources/a.h'), '#error broken\n');
      await assert.rejects(this.build(), { code: 'BuildFailed' });
    } else await this.interrupt(step.kind, step.profile, step.ms);
    await this.lay();
  }

  async interrupt(how: 'abort' | 'kill' | 'killHost', profile: Profile, ms: number): Promise<void> {
    if (how === 'killHost') {
      const tsx = import.meta.resolve('tsx');
      const parameters = ['--import', tsx, drive, this.folder, this.dataDirectory, profile];
      const child = spawn(process.execPath, parameters, { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = once(child, 'exit');
      await Promise.race([once(child.stdout, 'data'), ended]);
      await sleep(ms);
      child.kill('SIGKILL');
      await ended;
      return;
    }
    const controller = new AbortController();
    const built = this.build({ profile, signal: controller.signal }).then(
      (library) => this.check(library),
      () => {},
    );
    await Promise.race([sleep(ms), built]);
    if (how === 'abort' || process.platform !== 'linux') controller.abort();
    else this.kill();
    await built;
  }
}

it(`whatever happens, the library is that of a clean build (TENON_TEST_SEED=${seed})`, {
  timeout: long ? 3_600_000 : 180_000,
}, async () => {
  const sequence = fc.array(step, { minLength: 4, maxLength: 14 });
  await fc.assert(
    fc.asyncProperty(sequence, async (steps) => {
      const place = path.join(parent, String((runs += 1)));
      const world = new World(path.join(place, 'one'));
      await world.lay();
      for (const each of steps) await world.take(each);
      const library = await world.build();
      world.check(library);
      const clean = await world.build({ dataDirectory: path.join(place, 'clean') });
      expect((await readFile(library)).equals(await readFile(clean))).toBe(true);
      await rm(place, { recursive: true, force: true });
    }),
    { numRuns: long ? 300 : 4, seed, endOnFailure: !long },
  );
});
