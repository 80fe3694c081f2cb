/** One build of one application, in a directory that is held. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { packageRoot } from '../base/package-root.js';
import { inSpan } from '../base/tracing.js';
import { type Application, librarySuffix } from './application.js';
import { type Origin, ResultCache } from './cache.js';
import { writeCommands } from './commands.js';
import { CoreShare } from './cores.js';
import { type Diagnostic, describe, parseDiagnostics } from './diagnostics.js';
import { absent, clockMargin, type Fingerprints, type Places, placesOf, sha256, unmoved } from './fingerprint.js';
import { planProject, type Project, writeProject } from './generate.js';
import type { Hold } from './hold.js';
import { type Finding, type Inspect, inspectWithCore, lint, warningOf } from './lint.js';
import { type Located, locate, missingPackage } from './locate.js';
import { buildTypeOf, type Profile } from './profile.js';
import type { Preprocessor } from './preprocess.js';
import { namedInBuild, readObjects, Stamps } from './reached.js';
import { type Ran, type RunOptions, run, usualLimits } from './run.js';
import { readMentions, Surroundings } from './surroundings.js';
import type { Target } from './target.js';
import { buildEnvironment, type Environment, type Identity, identify, type Toolchain } from './toolchain.js';
import { isBelow } from './way.js';

export interface CompileOptions {
  /**
   * Absolute. Builds are kept in `cache/builds/<id>` of it, of another folder with the same id in `<id>@` and eight
   * digits; one build per folder and profile at a time.
   */
  dataDirectory: string;
  /** The environment the tools are looked for in, see `buildEnvironment`. */
  env: Environment;
  /** `release` when absent. Each has a build, and a library, of its own. */
  profile?: Profile;
  /** What to build for, by its cross compiler; this machine when absent. */
  target?: Target;
  /** For the whole build, without waiting for others, in ms; 300,000 when absent. */
  timeoutMs?: number;
  /** Bytes of compiler output that are looked at; 1 MiB when absent. */
  outputLimit?: number;
  /** Address space of one compiler or linker, bytes; 4 GiB when absent. macOS does not keep such a limit. */
  memoryLimit?: number;
  /** Largest library, bytes; 64 MiB when absent. */
  imageLimit?: number;
  /** What is kept of former results for all applications, bytes; 1 GiB when absent. */
  cacheLimit?: number;
  /** Kills the build with everything it started; `compile` then throws the signal's reason. */
  signal?: AbortSignal;
  /** Looks at a library that was just linked; the core's inspection when absent. */
  inspect?: Inspect;
}

export interface Built {
  /** Absolute path of the library. It is only ever replaced by rename. */
  library: string;
  /** False when the library is byte for byte what it was before. */
  changed: boolean;
  ms: number;
  /** True when the result was known, and nothing was compiled. */
  cached: boolean;
  /** For `describeWarning`: those of the build that made the library, and one for each finding. */
  warnings: Diagnostic[];
  /** What will trouble whoever loads the library, such as what keeps it from being unloaded. */
  findings: Finding[];
}

/** Address space of CMake's configuration, bytes: Node, which runs it, reserves more than a compiler may have. */
const configureMemory = 16 * 1024 ** 3;
/** Bytes of an answer of a tool; it counts as a whole, whatever is looked at of what compilers say. */
const answerLimit = 1024 * 1024;
/** How often a build begins again because its sources changed under it. */
const rounds = 5;

export interface JobFacts {
  application: Application;
  options: CompileOptions;
  profile: Profile;
  toolchain: Toolchain;
  /** Of this profile. */
  directory: string;
  hold: Hold;
  fingerprints: Fingerprints;
  since: () => number;
}

export type Made = Omit<Built, 'ms'>;

interface Plan {
  /** Of the result, as far as it is known before the build. */
  key: string;
  identity: Identity;
  /** Files that say how to build, with their hashes. */
  rules: Map<string, string>;
  /** What lies around before the build. Undefined when not everything that goes into the library can be known. */
  surroundings: Surroundings | undefined;
}

/** Makes the library once. */
export class Job {
  readonly #facts: JobFacts;
  readonly #build: string;
  readonly #library: string;
  readonly #cache: ResultCache;
  readonly #env: Record<string, string>;
  /** Time spent on waiting for the directory, which is not the build's own, ms. */
  readonly #waited: number;
  readonly #share: CoreShare;
  /** What a build reached that had to begin again. */
  #reached: readonly string[] = [];

  constructor(facts: JobFacts) {
    const { application, directory, options, toolchain } = facts;
    this.#facts = facts;
    this.#build = path.join(directory, 'build');
    this.#library = path.join(directory, application.id + librarySuffix);
    this.#cache = new ResultCache(path.join(options.dataDirectory, 'cache', 'results'), options.cacheLimit);
    this.#env = buildEnvironment(options.env, toolchain);
    this.#share = new CoreShare(options.signal);
    this.#waited = facts.since();
  }

  async make(): Promise<Made> {
    try {
      return await this.#make();
    } finally {
      await this.#share.giveBack();
    }
  }

  async #make(): Promise<Made> {
    const { application, directory, fingerprints, toolchain, options } = this.#facts;
    const identity = await identify(toolchain, options.env, async () => {
      await this.#share.take();
      return this.#ask;
    });
    const rules = await fingerprints.of(this.#rules(), application.folder);
    const scratch = path.join(directory, 'trial.tmp');
    for (let round = 1; ; round += 1) {
      options.signal?.throwIfAborted();
      const located = await locate(application, {
        toolchain,
        env: this.#env,
        identity: identity.text,
        ask: this.#ask,
        scratch,
      });
      const project = await planProject(application, this.#preprocessor(located, identity));
      const key = sha256(project.key, identity.text, JSON.stringify([...rules]));
      const traceable = located.cmake.length === 0 && located.traced;
      const surroundings = traceable ? await this.#look(located, identity) : undefined;
      const known =
        surroundings && (await this.#cache.find(key, { fingerprints, fresh: application.folder, surroundings }));
      if (known !== undefined) {
        const changed = await this.#deliver(known.bytes);
        // A test that has come makes no other library.
        await writeCommands(this.#facts);
        const { warnings, findings } = known;
        return { library: this.#library, changed, cached: true, warnings, findings };
      }
      const made = await this.#attempt(project, located, { key, identity, rules, surroundings });
      if (made !== undefined) return made;
      if (round === rounds)
        throw new TenonError(
          'BuildFailed',
          `the sources of ${application.id} changed during every one of ${rounds} builds`,
          {
            next: 'let them rest, and save once more',
            details: { application: application.id },
          },
        );
    }
  }

  #preprocessor(located: Located, { searched }: Identity): Preprocessor {
    const { toolchain, profile, directory, options, hold } = this.#facts;
    const ask: Preprocessor['ask'] = async (program, parameters, file) => {
      await this.#share.take();
      const { memoryLimit: memory = usualLimits.memory } = options;
      const mark = await hold.mark();
      return run(program, parameters, { ...this.#limits(memory), limits: { memory, file }, mark });
    };
    return { toolchain, located, profile, searched, directory, ask, signal: options.signal };
  }

  /** Files that say how to build, or which version does. */
  #rules(): string[] {
    const own = ['cmake/tenon.cmake', 'cmake/plugin.map', 'package.json'].map((file) => path.join(packageRoot, file));
    return [...own, createRequire(import.meta.url).resolve('cmake-js/package.json')];
  }

  #look({ includes }: Located, identity: Identity): Promise<Surroundings | undefined> {
    const { application, options } = this.#facts;
    return Surroundings.look({
      folders: [application.folder, path.join(packageRoot, 'native', 'include'), ...includes],
      system: identity.searched,
      without: path.join(options.dataDirectory, 'cache'),
    });
  }

  /** Undefined when the sources changed under the build. */
  async #attempt(project: Project, located: Located, plan: Plan): Promise<Made | undefined> {
    const { application, directory, hold, fingerprints, options } = this.#facts;
    const { key, identity, rules, surroundings } = plan;
    const { folder } = application;
    const salt = sha256(identity.text, this.#facts.profile, directory, JSON.stringify([...rules]));
    const stamps = Stamps.open(directory, salt);
    if (surroundings === undefined) await stamps.forget();
    const mark = await hold.disturb();
    const jobs = await this.#share.take();
    let ran: Ran;
    let before: Map<string, string>;
    let places: Places;
    const own = project.sources.map(({ file }) => path.join(folder, file));
    try {
      // The clock of the file system is the one that its times are compared with.
      const started = (await stat(path.join(directory, 'building'), { bigint: true })).ctimeNs;
      if (stamps.empty) await rm(this.#build, { recursive: true, force: true });
      await this.#write(project);
      const inputs = [...stamps.files(), ...project.included, ...own, ...located.inputs, ...this.#reached];
      places = placesOf(inputs, [
        path.join(packageRoot, 'native', 'include'),
        ...located.includes,
        ...identity.searched,
      ]);
      before = await fingerprints.of(inputs, folder);
      for (const [file, hash] of project.read) if (before.get(file) !== hash) return undefined;
      if (surroundings !== undefined) await stamps.removeStale(this.#build, before, surroundings);
      await rm(this.#built(), { force: true });
      ran = await this.#run(jobs, mark);
      // A build that fails without saying what is wrong with the sources is itself what is wrong.
      if (ran.status !== 0 && ran.killed === undefined && !stamps.empty && !this.#read(ran, project).some(isError)) {
        await rm(this.#build, { recursive: true, force: true });
        ran = await this.#run(jobs, mark);
      }
      options.signal?.throwIfAborted();
      if (ran.killed === 'timeout') throw this.#late(ran);
      // Somebody killed it: what it was writing is half-written, and the next build begins anew.
      if (ran.status === null || ran.killed !== undefined) throw failure(application, ran, this.#read(ran, project));
      const objects = readObjects(this.#build);
      const packages = located.cmake.length > 0 ? namedInBuild(this.#build) : [];
      const all = new Set([...own, ...located.inputs, ...packages, ...[...(objects?.values() ?? [])].flat()]);
      const after = await fingerprints.of(all, folder);
      // What is generated is part of the key.
      const foreign = new Map([...after].filter(([file]) => !isBelow(directory, file)));
      if (!unmoved(before, places, foreign, started)) {
        // What was made of the sources as they were for a moment must not be taken for what they are now.
        await rm(path.join(this.#build, 'CMakeFiles', 'plugin.dir'), { recursive: true, force: true });
        this.#reached = [...foreign.keys()];
        return undefined;
      }
      const origin = objects && surroundings && (await this.#origin(foreign, surroundings, started));
      if (origin !== undefined && objects !== undefined) await stamps.keep(objects, after, origin.surroundings);
      else await stamps.forget();
      await hold.settle();
      const diagnostics = this.#read(ran, project);
      if (ran.status !== 0) throw missingPackage(application, ran.output) ?? failure(application, ran, diagnostics);
      if (project.nothing !== undefined) throw project.nothing;
      return await this.#finish(project, located, diagnostics, origin && { key, origin });
    } finally {
      await this.#share.giveBack();
    }
  }

  /** Undefined when something went into the build that leaves no trace, or that came or went meanwhile. */
  async #origin(
    reached: ReadonlyMap<string, string>,
    surroundings: Surroundings,
    started: bigint,
  ): Promise<Origin | undefined> {
    // What a depfile names is not there: it was misread, or is gone.
    if ([...reached.values()].includes(absent)) return undefined;
    const { asked, embeds } = await readMentions(reached.keys(), reached);
    surroundings.around({ files: [...reached.keys()], asked });
    return embeds || surroundings.latest > started - clockMargin ? undefined : { reached, asked, surroundings };
  }

  /** `kept`: where the result may be found later. */
  async #finish(
    project: Project,
    located: Located,
    diagnostics: readonly Diagnostic[],
    kept: { key: string; origin: Origin } | undefined,
  ): Promise<Made> {
    const { options, application } = this.#facts;
    const { imageLimit = 64 * 1024 * 1024, inspect = inspectWithCore } = options;
    const { size } = await stat(this.#built());
    if (size > imageLimit)
      throw new TenonError(
        'ImageTooLarge',
        `${application.id}: the library has ${size} bytes, more than ${imageLimit}`,
        {
          next: 'look for large tables in the sources, and load them at run time',
          details: { application: application.id, size, limit: imageLimit },
        },
      );
    const bytes = await readFile(this.#built());
    const sources = project.sources.map(({ file }) => file);
    const findings = await lint(bytes, this.#build, sources, inspect);
    const warnings = [
      ...located.warnings,
      ...project.warnings,
      ...diagnostics.filter((each) => each.severity === 'warning'),
      ...findings.map(warningOf),
    ];
    const changed = await this.#deliver(bytes);
    if (kept !== undefined) await this.#cache.keep(kept.key, kept.origin, { bytes, warnings, findings });
    return { library: this.#library, changed, cached: false, warnings, findings };
  }

  /** Write the project; a build that was configured for another one is made to notice. */
  async #write(project: Project): Promise<void> {
    const written = await writeProject(project, this.#facts.directory);
    if (!written.has('CMakeLists.txt')) return;
    for (const name of ['build.ninja', 'Makefile']) await utimes(path.join(this.#build, name), 1, 1).catch(() => {});
  }

  /** cmake-js configures; the configured build is driven directly, which saves an edit 140 ms. */
  async #run(jobs: number, mark: string): Promise<Ran> {
    const { directory, options, toolchain, profile } = this.#facts;
    const { memoryLimit = usualLimits.memory } = options;
    const { cmake, ninja, cc, cxx } = toolchain;
    const step = (program: string, parameters: string[], memory = memoryLimit): Promise<Ran> =>
      inSpan(`tenon.build.${program === process.execPath ? 'configure' : 'compile'}`, {}, async (span) => {
        const ran = await run(program, parameters, { ...this.#limits(memory), mark });
        if (ran.status !== null) span?.setAttribute('process.exit.code', ran.status);
        return ran;
      });
    const rules = ninja === undefined ? 'Makefile' : 'build.ninja';
    if (!existsSync(path.join(this.#build, 'CMakeCache.txt')) || !existsSync(path.join(this.#build, rules))) {
      await rm(this.#build, { recursive: true, force: true });
      const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
      const generator = ninja === undefined ? 'Unix Makefiles' : 'Ninja';
      const parameters = [cmakeJs, 'configure', '-d', directory, '-O', this.#build, '-c', cmake, '-G', generator];
      parameters.push('-B', buildTypeOf(profile));
      // A compiler behind a launcher cannot be said like this; CMake takes it from CC and CXX.
      if (!/\s/.test(cc + cxx)) parameters.push('--cc', cc, '--cxx', cxx);
      const configured = await step(process.execPath, parameters, Math.max(memoryLimit, configureMemory));
      if (configured.status !== 0) return configured;
    }
    // Ninja would take the depfiles away, which say what every object was made of.
    const ran = await (ninja === undefined
      ? step(cmake, ['--build', this.#build, '--parallel', String(jobs)])
      : step(ninja, ['-C', this.#build, '-j', String(jobs), '-d', 'keepdepfile']));
    // A source that has come is known to CMake only now.
    await writeCommands(this.#facts);
    return ran;
  }

  /** For one tool, from now on; `memory` is its address space, bytes. */
  #limits(memory: number): RunOptions {
    const { directory, options, since } = this.#facts;
    const { timeoutMs = 300_000, outputLimit = 1024 * 1024, signal } = options;
    const timeLimitMs = Math.max(1, timeoutMs - since() + this.#waited + this.#share.waitedMs);
    const limits = { memory, file: usualLimits.file };
    return { cwd: directory, env: this.#env, timeLimitMs, outputLimit, signal, limits };
  }

  /** For `identify` and `locate`: no build is disturbed by what they ask. */
  readonly #ask = async (program: string, parameters: readonly string[]): Promise<Ran> => {
    await this.#share.take();
    const { signal, memoryLimit = usualLimits.memory } = this.#facts.options;
    const mark = await this.#facts.hold.mark();
    const ran = await run(program, parameters, { ...this.#limits(memoryLimit), outputLimit: answerLimit, mark });
    signal?.throwIfAborted();
    if (ran.killed === 'timeout') throw this.#late(ran);
    if (ran.status === null) throw failure(this.#facts.application, ran, []);
    return ran;
  };

  #built(): string {
    const { application, profile } = this.#facts;
    return path.join(this.#build, buildTypeOf(profile), application.id + librarySuffix);
  }

  #read(ran: Ran, project: Project): Diagnostic[] {
    const { application, directory } = this.#facts;
    const files = project.sources.map(({ file }) => file);
    const ends = project.sources.map(({ end }) => end);
    return parseDiagnostics(ran.output, application.folder, files, { directory, ends });
  }

  #late(ran: Ran): TenonError {
    const { application, options } = this.#facts;
    const { timeoutMs = 300_000 } = options;
    return new TenonError('BuildTimeout', `the build of ${application.id} was not done after ${timeoutMs} ms`, {
      next: 'look for code that takes the compiler long, or raise the time limit',
      details: { timeoutMs, output: ran.output.slice(-4096) },
    });
  }

  /** Put `bytes` at the library's place by rename, unless they are there already. */
  async #deliver(bytes: Buffer): Promise<boolean> {
    const library = this.#library;
    const before = await readFile(library).catch(() => undefined);
    if (before?.equals(bytes)) return false;
    const fresh = `${library}.${process.pid}.tmp`;
    try {
      await mkdir(path.dirname(library), { recursive: true });
      await writeFile(fresh, bytes, { mode: 0o755 });
      await rename(fresh, library);
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
    return true;
  }
}

function isError(diagnostic: Diagnostic): boolean {
  return diagnostic.severity === 'error';
}

function failure(application: Application, ran: Ran, diagnostics: Diagnostic[]): TenonError {
  const errors = diagnostics.filter(isError);
  const first = errors[0];
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const last = ran.output.trimEnd().split('\n').at(-1) ?? '';
  const sentence = first === undefined ? `${application.id} was not built, ${ran.end}: ${last}` : describe(first);
  return new TenonError('BuildFailed', sentence + more, {
    next: 'correct it; a host that serves an earlier build goes on with it',
    details: {
      application: application.id,
      ...(first === undefined ? {} : { file: first.file, line: first.line, column: first.column }),
      diagnostics: diagnostics.slice(0, 100),
      output: ran.output.slice(0, 16 * 1024),
    },
  });
}
