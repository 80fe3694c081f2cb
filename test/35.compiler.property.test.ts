import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
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
const drive = path.join(path.dirname(fileURLToPath(import.meta.url)), 'compiler', 'drive.mjs');

/** What the application says now: numbers that end up in its library. */
interface Said {
  source: number;
  header: number;
  /** In a header that only the preprocessor finds. */
  deep: number;
  part: 'one' | 'two';
  /** Whether a header lies where it is found before the one of the vendored folder. */
  near: boolean;
  /** As CC says. */
  compiler: string;
}

const plainly: Said = { source: 0, header: 0, deep: 0, part: 'one', near: false, compiler: 'cc' };

type Step =
  | { kind: 'edit'; what: 'source' | 'header' | 'deep'; value: number }
  | { kind: 'stealth' | 'meanwhile'; what: 'source' | 'header' | 'deep'; value: number; ms: number }
  | { kind: 'config'; part: 'one' | 'two' }
  | { kind: 'near'; near: boolean }
  | { kind: 'compiler'; compiler: string }
  | { kind: 'twin'; value: number }
  | { kind: 'touch'; file: string; seconds: number }
  | { kind: 'revert' }
  | { kind: 'break' }
  | { kind: 'build'; profile: Profile }
  | { kind: 'abort' | 'kill' | 'killLink' | 'killHost'; profile: Profile; ms: number };

const value = fc.integer({ min: 0, max: 2 });
const what = fc.constantFrom('source', 'header', 'deep');
const ms = fc.integer({ min: 0, max: 400 });
const compilers = ['cc', 'cc -DFLAG=1', ...(existsSync('/usr/bin/clang') ? ['clang'] : [])];
const profile = fc.constantFrom<Profile>('release', 'release', 'debug');
const files = ['resources/a.c', 'resources/a.h', 'resources/deep/b.h', 'resources/one.c', 'config.yaml'];
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('edit'), what, value }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('stealth', 'meanwhile'), what, value, ms }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('near'), near: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compiler'), compiler: fc.constantFrom(...compilers) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('twin'), value }) },
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
      kind: fc.constantFrom('abort', 'kill', 'killLink'),
      profile,
      ms,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('killHost'), profile, ms }) },
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
#include ".order"
#ifndef FLAG
#define FLAG 0
#endif
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
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
  said = plainly;

  constructor(place: string, dataDirectory = path.join(place, 'data')) {
    this.folder = path.join(place, 'app');
    this.dataDirectory = dataDirectory;
  }

  async write(file: string, text: string): Promise<void> {
    const target = path.join(this.folder, file);
    if ((await readFile(target, 'utf8').catch(() => undefined)) !== text) await writeFile(target, text);
  }

  async lay(): Promise<void> {
    const { source, header, deep, part, near } = this.said;
    await mkdir(path.join(this.folder, 'resources', 'deep'), { recursive: true });
    await mkdir(path.join(this.folder, 'vendored'), { recursive: true });
    await this.write('vendored/.order', '#define ORDER "far"\n');
    if (near) await this.write('resources/.order', '#define ORDER "near"\n');
    else await rm(path.join(this.folder, 'resources/.order'), { force: true });
    const text = `"[s${source} " HEADER DEEP " " ORDER " f" TEXT(FLAG) "]"`;
    const declared = `TENON_PLUGIN("app", "App", "1.0.0", ${text}, NULL, TENON_TRIAL_OPEN, create)`;
    await this.write('resources/a.c', `${plain}${declared}\n`);
    await this.write('resources/a.h', `#define HEADER "h${header} "\n`);
    await this.write('resources/deep/b.h', `#define DEEP "b${deep}"\n`);
    for (const name of ['one', 'two'])
      await this.write(
        `resources/${name}.c`,
        `const char *part(void);\nconst char *part(void) { return "part ${name}"; }\n`,
      );
    await this.write(
      'config.yaml',
      `resources: [resources/a.c, resources/${part}.c]\ndependencies: {vendored: vendored}\n`,
    );
  }

  async build(options: Partial<CompileOptions> = {}): Promise<string> {
    const application = await readApplication(this.folder);
    const env = { ...process.env, CC: this.said.compiler };
    const { library } = await compile(application, { dataDirectory: this.dataDirectory, env, ...options });
    return library;
  }

  check(library: string): void {
    const { source, header, deep, part, near, compiler } = this.said;
    const text = readFileSync(library, 'latin1');
    const order = near ? 'near' : 'far';
    const flag = compiler.includes('FLAG') ? 1 : 0;
    assert.equal(/\[s\d [^\]]*\]/.exec(text)?.[0], `[s${source} h${header} b${deep} ${order} f${flag}]`);
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
    if (step.kind === 'edit') this.said = { ...this.said, [step.what]: step.value };
    else if (step.kind === 'config') this.said = { ...this.said, part: step.part };
    else if (step.kind === 'near') this.said = { ...this.said, near: step.near };
    else if (step.kind === 'compiler') this.said = { ...this.said, compiler: step.compiler };
    else if (step.kind === 'revert') this.said = plainly;
    else if (step.kind === 'stealth') {
      const place = path.join(this.folder, { source: files[0], header: files[1], deep: files[2] }[step.what] ?? '');
      const { atime, mtime } = await stat(place);
      this.said = { ...this.said, [step.what]: step.value };
      await this.lay();
      await utimes(place, atime, mtime);
    } else if (step.kind === 'meanwhile') {
      const built = this.build();
      await Promise.race([sleep(step.ms), built]);
      this.said = { ...this.said, [step.what]: step.value };
      await this.lay();
      await built;
    } else if (step.kind === 'twin') {
      const twin = new World(path.join(path.dirname(this.folder), 'twin'), this.dataDirectory);
      twin.said = { ...plainly, source: step.value + 3 };
      await twin.lay();
      const [own, other] = await Promise.all([this.build(), twin.build()]);
      this.check(own);
      twin.check(other);
    }
    if (step.kind === 'touch') {
      const time = Date.now() / 1000 + step.seconds;
      await utimes(path.join(this.folder, step.file), time, time);
    }
    if (step.kind === 'build') this.check(await this.build({ profile: step.profile }));
    if (step.kind === 'break') {
      await writeFile(path.join(this.folder, 'resources/a.h'), '#error broken\n');
      await assert.rejects(this.build(), { code: 'BuildFailed' });
    }
    if (step.kind === 'abort' || step.kind === 'kill' || step.kind === 'killLink' || step.kind === 'killHost')
      await this.interrupt(step.kind, step.profile, step.ms);
    await this.lay();
  }

  /** Whether a linker is at work here. */
  links(): boolean {
    return readdirSync('/proc').some((pid) => {
      try {
        const words = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, 'latin1') : '';
        return words.includes('\0-shared\0') && words.includes('plugin.dir') && !words.startsWith('/bin/sh');
      } catch {
        return false;
      }
    });
  }

  async interrupt(how: 'abort' | 'kill' | 'killLink' | 'killHost', profile: Profile, ms: number): Promise<void> {
    if (how === 'killHost') {
      const parameters = [drive, this.folder, this.dataDirectory, profile];
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
    let ended = false;
    void built.then(() => {
      ended = true;
    });
    if (how === 'killLink' && process.platform === 'linux') while (!ended && !this.links()) await sleep(1);
    else await Promise.race([sleep(ms), built]);
    if (how === 'abort' || process.platform !== 'linux') controller.abort();
    else this.kill();
    await built;
  }
}

it(`whatever happens, the library is that of a clean build (TENON_TEST_SEED=${seed})`, {
  timeout: long ? 3_600_000 : 180_000,
}, async () => {
  const sequence = fc.array(step, { minLength: 4, maxLength: long ? 24 : 10 });
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
    { numRuns: long ? 120 : 3, seed, endOnFailure: !long },
  );
});
