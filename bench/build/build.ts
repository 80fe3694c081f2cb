// What it takes from a saved line to a library, and to a live answer, beside the compiler alone on the same file.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readApplication } from '../../src/compiler/application.js';
import { compile } from '../../src/compiler/build.js';
import type { Phase } from '../../src/index.js';
import { type Case, interleave, numberFlag, report } from '../rounds.js';
import { Edited } from './edited.js';
import { Live } from './live.js';
import { spent } from './spent.js';

interface Language {
  name: string;
  compiler: string;
  application: string;
  source: string;
  /** Beginning of the literal that is edited, once in the source. */
  marked: string;
  /** Route that says it. */
  route: string;
  /** What makes a plugin of the source, when it is none by itself: as it would be written by hand into the same file. */
  rest?: string;
}

const rounds = numberFlag('rounds', 9);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const env = process.env;
const languages: Language[] = [
  {
    name: 'C',
    compiler: env['CC'] ?? 'cc',
    application: 'counter',
    source: 'counter.c',
    marked: '"A',
    route: '/counter/value',
  },
  {
    name: 'C++',
    compiler: env['CXX'] ?? 'c++',
    application: 'hello',
    source: 'greeting.cpp',
    marked: '"Hello from C++',
    route: '/hello/greeting',
    rest: `#include <tenon/application.hpp>
static constexpr tenon::ResourceEntry resources[] = {tenon::resource<Greeting>("Greeting"),
                                                     tenon::resource<GreetingFor>("GreetingFor")};
static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  const tenon::ResourceTable tables[] = {{resources, 2}};
  return tenon::Application::create(host, out, tables, 1, nullptr);
}
TENON_PLUGIN("hello", "Hello", "1.0.0", "Greets.", nullptr, TENON_TRIAL_FULL, create)
`,
  },
];
const scratch = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));

/** A copy of the application that a case may edit, in a folder `place` of the scratch directory. */
function copyOf({ application, source, marked }: Language, place: string): Promise<Edited> {
  const from = path.join(root, 'applications', application);
  return Edited.copy(from, path.join(scratch, place, application), source, marked);
}

async function build({ folder }: Edited, data: string): Promise<void> {
  const application = await readApplication(folder);
  const { changed } = await compile(application, { dataDirectory: path.join(scratch, data), env });
  if (!changed) throw new Error(`${folder}: an edit changed nothing`);
}

async function casesOf(language: Language, live: Live, served: Edited): Promise<Case[]> {
  const { name, compiler, application, route, rest } = language;
  const alone = await copyOf(language, 'alone');
  const edited = await copyOf(language, 'edited');
  const fresh = await copyOf(language, 'fresh');
  const known = await copyOf(language, 'known');
  await build(edited, 'data-edited');
  for (const text of ['one', 'two']) {
    await known.put(text);
    await build(known, 'data-known');
  }
  let now = 'two';
  const peer = `${name}, ${path.basename(compiler)} -O2 -shared`;
  const parameters = ['-O2', '-shared', '-fPIC', `-I${path.join(root, 'native', 'include')}`];
  const bare = (source: string): Case['measure'] => {
    return async () => {
      await alone.edit();
      const library = path.join(scratch, `${application}.so`);
      return spent(() => promisify(execFile)(compiler, [...parameters, source, '-o', library]));
    };
  };
  const cases: Case[] = [{ name: peer, measure: bare(alone.source) }];
  if (rest !== undefined) {
    const whole = path.join(scratch, 'whole.cpp');
    await writeFile(whole, `#include "${alone.source}"\n${rest}`);
    // A source without the rest is no plugin: nearly nothing of it reaches the code generator.
    cases[0] = { name: peer, measure: bare(whole) };
    cases.push({ name: `${peer}, no plugin of it`, peer, measure: bare(alone.source) });
  }
  return [
    ...cases,
    {
      name: `${name}, edit to library`,
      peer,
      measure: async () => {
        await edited.edit();
        return spent(() => build(edited, 'data-edited'));
      },
    },
    {
      name: `${name}, known content`,
      peer,
      measure: async () => {
        now = now === 'one' ? 'two' : 'one';
        await known.put(now);
        return spent(() => build(known, 'data-known'));
      },
    },
    {
      name: `${name}, fresh`,
      peer,
      measure: async () => {
        await fresh.edit();
        const took = await spent(() => build(fresh, `data-fresh-${application}`));
        await rm(path.join(scratch, `data-fresh-${application}`), { recursive: true, force: true });
        return took;
      },
    },
    {
      name: `${name}, edit to live answer`,
      peer,
      measure: async () => {
        // The host forgets what it saw last before it is disturbed again.
        await new Promise((resolve) => {
          setTimeout(resolve, 300);
        });
        const values = await spent(async () => live.says(route, await served.edit()), live.pid);
        const record = await live.nextReload();
        const after: Phase[] = ['unload', 'verify', 'drain'];
        const own = Object.entries(record.phases).filter(([phase]) => !after.includes(phase as Phase));
        const known = own.reduce((sum, [, ms]) => sum + ms, 0);
        for (const [phase, ms] of [['watch', (values['ms'] ?? Number.NaN) - known] as const, ...own])
          note(name, phase, ms);
        return values;
      },
    },
  ];
}

/** Name of the language, name of the phase → ms of each edit. */
const phases = new Map<string, Map<string, number[]>>();

function note(language: string, phase: string, ms: number): void {
  const own = phases.get(language) ?? new Map<string, number[]>();
  phases.set(language, own.set(phase, [...(own.get(phase) ?? []), ms]));
}

function medians(own: ReadonlyMap<string, number[]>): string {
  const middle = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
  return [...own].map(([phase, values]) => `${phase} ${middle(values).toFixed(1)}`).join(', ');
}

let live: Live | undefined;
try {
  const served: Edited[] = [];
  for (const language of languages) served.push(await copyOf(language, 'applications'));
  live = await Live.start(path.join(scratch, 'applications'), path.join(scratch, 'data-live'));
  const cases: Case[] = [];
  for (const [at, language] of languages.entries()) {
    const edited = served[at];
    if (edited !== undefined) cases.push(...(await casesOf(language, live, edited)));
  }
  const rows = await interleave(cases, rounds);
  report('build', rounds, rows, [
    'From an edit to a live answer, medians in ms; watch: the quiet time, and all that is in no phase:',
    ...[...phases].map(([name, own]) => `  ${name}: ${medians(own)}`),
  ]);
} finally {
  await live?.close();
  await rm(scratch, { recursive: true, force: true });
}
