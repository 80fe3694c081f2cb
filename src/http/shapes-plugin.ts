/** How the API describes plugins and what they have come to. */
import type { CallCounters } from '../binding/call-counters.js';
import type { BundleFacts } from '../host/bundled.js';
import type { RegistryView } from '../host/desired.js';
import type { Standing } from '../host/grants.js';
import type { IsolationView, ShownProcess } from '../host/isolation-view.js';
import type { GenerationView, Ledger, PluginSummary, PluginView, RouteView } from '../host/plugin.js';
import { type BuildFacts, phases, type ReloadRecord } from '../host/record.js';
import type { Rehearsed, TriedLibrary } from '../host/rehearsal.js';
import type { Version } from '../host/versions.js';
import type { IsolationPlan } from '../plugin/isolation.js';
import type { Schema } from './operation.js';
import {
  always,
  anything,
  listOf,
  mapOf,
  moment,
  objectOf,
  oneOf,
  optional,
  quantity,
  ref,
  sha256,
  text,
  truth,
  whole,
} from './shapes.js';

const states = ['loading', 'running', 'stopped', 'disabled', 'failed', 'quarantined'] as const;

const route = objectOf<RouteView>({
  method: text(),
  path: text('With the prefix of the application; `:name` is a parameter, `*` the rest'),
  execution: oneOf(
    ['inline', 'pool', 'table', 'static', 'file'],
    'Who answers: the event loop, a thread, a table, the program',
  ),
  deadlineMs: whole('0: it knows none'),
  bodyLimit: whole('Bytes'),
  auth: optional(oneOf(['open', 'identity', 'roles'], 'Who may call it, when the route says so')),
  roles: optional(listOf(text())),
  needs: listOf(
    text(),
    'Who may call it, as things are: `anyone`, `identity` (whoever is known), or roles; none: nobody',
  ),
});

const summary = {
  id: text(),
  type: oneOf(['dynamic', 'static'], '`dynamic`: a library, or tables alone; `static`: a part of the program'),
  state: ref('PluginState'),
  version: optional(text('Of what runs')),
  generation: optional(whole('Number of the one that runs', { minimum: 1 })),
  loadedAt: optional(moment()),
  routes: listOf(ref('Route')),
};

const generation = objectOf<GenerationView>({
  number: whole(undefined, { minimum: 1 }),
  state: oneOf(['opening', 'ready', 'draining', 'closed', 'pinned']),
  version: text(),
  sha256: sha256('Of its library'),
  size: whole('Bytes of its library'),
  leases: whole('Calls in it now'),
  threads: objectOf<GenerationView['threads']>({
    alive: whole(),
    lost: whole('That missed a deadline and have not come back'),
  }),
  loadedAt: moment(),
  counters: objectOf<CallCounters>({
    calls: whole('Calls that ended'),
    faults: whole('Of these: answered with 5xx, or not answered as they should have been'),
    samples: whole('Calls that were timed'),
    p50Us: optional(quantity('Microseconds that half of them did not exceed')),
    p95Us: optional(quantity('Microseconds that 95 % of them did not exceed')),
  }),
  ledger: objectOf<Ledger>({
    routes: listOf(text('`METHOD pattern`, below the prefix')),
    streams: whole('Streamed answers that have not ended'),
    state: truth('Whether it hands its state over'),
    providers: listOf(text(), 'Schemes by which it says who asks'),
    hooks: listOf(text('`name/version`')),
    middleware: truth(),
    resolvesRoles: truth(),
    authorizes: truth(),
    timers: whole(),
    tasks: whole(),
    requests: whole('Outgoing requests under way'),
    subscriptions: listOf(text(), 'Topics'),
    series: whole('Of metrics'),
  }),
  pinnedReason: optional(text('Why its image cannot be unmapped')),
  gauges: optional(
    objectOf<NonNullable<GenerationView['gauges']>>(
      { threads: whole(), descriptors: whole(), memory: quantity('Bytes, an estimate') },
      'What its code has of the process, as far as it asked for it itself',
    ),
  ),
});

const error = objectOf<NonNullable<PluginView['error']>>({ code: text(), message: text(), details: anything() });

const finding = objectOf<PluginView['findings'][number]>({ rule: text(), detail: text(), pins: truth() });

const view = objectOf<PluginView>({
  ...summary,
  extension: { description: 'Whether applications may list it', enum: [true, false, 'telemetry'] },
  extensions: listOf(
    objectOf<PluginView['extensions'][number]>({
      id: text(),
      required: truth(),
      state: oneOf([...states, 'missing']),
      settings: listOf(text(), 'Keys of what it sets there'),
    }),
    'What it lists',
  ),
  consumers: listOf(text(), 'Applications that list it'),
  requiredBy: listOf(text(), 'Those of them that answer 503 while it does not run'),
  auth: oneOf(['open', 'identity'], 'Whom its routes and tables that do not say are for'),
  folder: text('Of the application; empty for a static plugin'),
  description: optional(text('What a static plugin says of itself')),
  registry: optional(
    objectOf<RegistryView>({
      status: ref('RegistryPluginStatus'),
      reason: optional(text('Why it has this status, when it was not asked for')),
      version: optional(text()),
      pinned: truth('Whether no other version is to serve'),
      revision: whole(),
    }),
  ),
  generations: listOf(ref('Generation')),
  tables: listOf(text(), 'Names, while it runs'),
  waiting: whole('Calls that wait at its gate'),
  bundle: optional(ref('BundleFacts')),
  permissions: optional(ref('Permissions')),
  findings: listOf(finding, 'What a person should know of the running image'),
  warnings: listOf(text()),
  lastReload: optional(ref('ReloadRecord')),
  isolation: optional(ref('Isolation')),
  health: optional(
    text('Why it serves nobody now although it runs: none of its own processes does, and another one is on its way'),
  ),
  shutBy: optional(text('The extension for want of which every request is answered 503')),
  error: optional(error),
});

const isolation = objectOf<IsolationView>({
  mode: oneOf(['inline', 'process', 'auto'], 'As its config, its bundle or the host has it'),
  processes: listOf(
    objectOf<ShownProcess>({
      pid: whole('0: none runs now'),
      restarts: whole(),
      residentBytes: whole('This and what follows as of the last second'),
      processorMs: quantity(),
      threads: optional(whole()),
      descriptors: optional(whole()),
      lastEnd: text('How the one before ended; empty for the first'),
      lastEndAt: optional(quantity('When that was, ms since 1970')),
    }),
    'Its own; none while it runs in that of the host',
  ),
  limits: optional(
    objectOf<IsolationPlan>({
      processes: whole(undefined, { minimum: 1 }),
      graceMs: whole('After a deadline, before a process is killed'),
      memoryBytes: whole('Of the data of a process; 0: no limit'),
      processorPercent: whole('100: one processor; 0: no limit'),
      descriptors: whole('0: as many as the system allows'),
      childProcesses: whole(),
      sandbox: truth('Whether the kernel confines them, where it can'),
      requireConfinement: truth('Whether none is begun where the kernel cannot'),
      writable: listOf(text(), 'Paths that they may write to'),
    }),
  ),
  confinement: optional(
    objectOf<NonNullable<IsolationView['confinement']>>(
      {
        noNewPrivileges: truth(),
        seccomp: truth(),
        landlock: whole('Version of it; 0: there is none'),
      },
      'What the kernel sees to',
    ),
  ),
  demoted: optional(ref('HeldBuild', 'Why one of `auto` runs in processes of its own')),
});

const build = objectOf<BuildFacts>({ generation: whole(), version: text(), sha256: sha256() });

const phaseTimes = objectOf<ReloadRecord['phases']>(
  Object.fromEntries(phases.map((phase) => [phase, optional(quantity())])) as Record<
    (typeof phases)[number],
    { optional: Schema }
  >,
  'Milliseconds; a phase that did not run is absent',
);

const record = objectOf<ReloadRecord>({
  id: text(undefined, { format: 'uuid' }),
  plugin: text(),
  trigger: oneOf(['start', 'watch', 'api', 'registry', 'config', 'rollback'], 'Who asked'),
  from: optional(build),
  to: optional(build),
  startedAt: moment(),
  phases: phaseTimes,
  totalMs: quantity(),
  outcome: oneOf(['succeeded', 'failed', 'rolledBack']),
  unchanged: optional(always(true)),
  kept: optional(always(true)),
  applied: optional(listOf(text(), 'Keys of its config that were taken up without a new generation')),
  error: optional(
    objectOf<NonNullable<ReloadRecord['error']>>({ code: ref('ErrorCode'), message: text(), details: anything() }),
  ),
  warnings: listOf(text()),
  attempts: whole('Which try it was', { minimum: 1 }),
  unload: optional(oneOf(['clean', 'pinned'], 'How the generation that was left behind ended')),
  pinnedReason: optional(text()),
});

const triedLibrary = objectOf<TriedLibrary>({
  id: text(),
  version: text(),
  sha256: sha256(),
  size: whole('Bytes'),
  abi: text('`1.0`'),
  compiler: text(),
  routes: listOf(text('`GET /items/:id`')),
  moreRoutes: optional(whole('Routes that are too many to be told', { minimum: 1 })),
  findings: listOf(finding, 'What a person should know of it'),
});

const rehearsed = objectOf<Rehearsed>({
  status: always('valid'),
  would: oneOf(['load', 'replace', 'unchanged', 'disabled']),
  plugin: objectOf<Rehearsed['plugin']>({
    id: text(),
    state: ref('PluginState'),
    generation: optional(whole(undefined, { minimum: 1 })),
  }),
  from: optional(build),
  to: optional(ref('TriedLibrary')),
  tables: optional(listOf(text(), 'Names')),
  warnings: listOf(text()),
  phases: phaseTimes,
});

const bundle = objectOf<BundleFacts>({
  sha256: sha256('Of its manifest'),
  version: text(),
  library: text('Platform whose library was chosen; `sources`: it was built here'),
  signer: optional(objectOf({ keyId: text(), name: text() })),
  installedAt: optional(moment()),
  permissions: listOf(text(), 'What it asks for'),
  warnings: listOf(text()),
});

const version = {
  sha256: sha256(),
  version: text(),
  size: whole('Bytes'),
  generation: whole('That it last served as; 0 when that was lost'),
  servedAt: moment('When it last began to serve'),
  condemned: optional(text('Why it was taken back; such a build is loaded by hand only')),
  condemnedApart: optional(
    truth('Whether it ran in processes of its own then; one that did not is loaded there by itself'),
  ),
  bundle: optional(ref('BundleFacts')),
};

/** The standing of a plugin, in which `plugin` says whose it is. */
export const standing = {
  asked: listOf(text(), 'What it asks for'),
  granted: listOf(text(), 'What of that it may'),
  missing: listOf(text(), 'What of that is not granted, or not all of it'),
  by: oneOf(['manifest', 'config'], 'Who asks; of what `config.yaml` says nothing is to be granted'),
};

/** A plugin after something was done to it. */
export const actedOn = objectOf<Record<string, unknown>>({
  id: text(),
  state: oneOf([...states, 'missing'], '`missing`: its application is not on this host'),
  version: optional(text()),
  generation: optional(whole()),
  loadedAt: optional(moment()),
});

export const pluginShapes: Readonly<Record<string, Schema>> = {
  PluginState: oneOf(states, '`loading` before its first load is over; one whose reload failed is still `running`'),
  Route: route,
  PluginSummary: objectOf<PluginSummary>(summary, 'What everybody may see of a plugin'),
  PluginView: { ...view, description: 'What its operator may see of a plugin' },
  Isolation: { ...isolation, description: 'Where the code of a plugin runs' },
  Generation: { ...generation, description: 'One life of a plugin; several may be there at a time' },
  ReloadRecord: { ...record, description: 'What happened in one reload' },
  BundleFacts: { ...bundle, description: 'The bundle that a build comes from' },
  KeptBuild: objectOf<Version & { running: boolean }>(
    { ...version, running: truth() },
    'A build that can be gone back to',
  ),
  Permissions: objectOf<Standing>(standing, 'What a plugin asks for beyond its own, and has of it'),
  PluginAction: objectOf(
    {
      status: text('What it has come to: `loaded`, `unloaded`, `reloaded`, `unchanged`, `rolledBack` …'),
      plugin: actedOn,
      reload: optional(ref('ReloadRecord')),
    },
    'What was done to a plugin',
  ),
  TriedLibrary: { ...triedLibrary, description: 'A library as it was admitted and tried' },
  Rehearsed: { ...rehearsed, description: 'What an action would come to' },
  Metrics: mapOf({ type: 'number' }),
};
