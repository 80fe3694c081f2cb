/** One plugin as the host keeps it, and as it is shown. */
import type { TenonError } from '../base/errors.js';
import type { CallCounters } from '../binding/call-counters.js';
import type { CorsRules, ExtensionUse, ResourceLimits } from '../compiler/config.js';
import type { Generation } from '../plugin/generation.js';
import type { BundleFacts } from './bundled.js';
import type { RegistryView } from './desired.js';
import type { Asked, Standing } from './grants.js';
import type { Gauges, GuardFindings } from './guard-findings.js';
import type { EffectiveConfig } from './effective-config.js';
import type { SaidIsolation } from './isolation-of.js';
import { type Isolated, type IsolationView, viewIsolation, whyWithoutProcess } from './isolation-view.js';
import type { Live, ServedRoute } from './live.js';
import type { Probation } from './probation.js';
import type { DefaultAccess } from '../tables/permissions.js';
import type { ReloadRecord } from './record.js';
import type { ServedFiles } from './served-files.js';
import type { TableWorld } from './table-world.js';
import { Turns } from './turns.js';

/**
 * `loading` before its first load is over, `stopped` by hand, `disabled` by its config, `failed` when no build of it
 * could be loaded, `quarantined` when the host keeps from loading it for what it has done. A plugin whose reload failed is still `running`.
 */
export type PluginState = 'loading' | 'running' | 'stopped' | 'disabled' | 'failed' | 'quarantined';

/** One generation that is still there. */
export interface GenerationView {
  number: number;
  state: Generation['state'];
  version: string;
  sha256: string;
  size: number;
  /** Calls in it now. */
  leases: number;
  threads: { alive: number; lost: number };
  loadedAt: string;
  /** Calls that have ended. */
  counters: CallCounters;
  /** What it has registered; all of it is withdrawn when it retires. */
  ledger: Ledger;
  /** Why its image cannot be unmapped, when it is pinned. */
  pinnedReason?: string;
  /** What its code has of the process, as far as it asked for it itself; absent where nothing is counted. */
  gauges?: Gauges;
}

/** What a generation has registered with the host. */
export interface Ledger {
  /** `METHOD pattern`, below the prefix. */
  routes: string[];
  /** Streamed answers that have not ended. */
  streams: number;
  /** Whether it hands its state over. */
  state: boolean;
  /** What it does for applications that list it. */
  providers: string[];
  hooks: string[];
  middleware: boolean;
  /** Whether it is asked which roles somebody has, and whether a request may go on. */
  resolvesRoles: boolean;
  authorizes: boolean;
  /** What it has begun. */
  timers: number;
  tasks: number;
  /** Outgoing requests under way. */
  requests: number;
  /** Topics it is given events of. */
  subscriptions: string[];
  /** Of metrics. */
  series: number;
}

/** Who uses whom. */
export interface Relations {
  /** Whether applications may list it. */
  extension: boolean | 'telemetry';
  /** What it lists; `missing`: there is no such application. */
  extensions: {
    id: string;
    required: boolean;
    state: PluginState | 'missing';
    /** Keys of what it sets there. */
    settings: string[];
  }[];
  /** Applications that list it. */
  consumers: string[];
  /** Those of them that answer 503 while it does not run. */
  requiredBy: string[];
  /** Whom its routes and tables that do not say are for. */
  auth: 'open' | 'identity';
  /** Why every request of it is answered 503 although it runs; absent or undefined: none is. */
  shut?: TenonError | undefined;
}

/** What of a config is in force without a new generation. */
export interface Applied {
  readonly uses: readonly ExtensionUse[];
  readonly auth: 'open' | 'identity' | undefined;
  /** Its own config as its application gives it, references and all, even while the registry has set another one. */
  readonly custom: string;
  /** What it asks for of what is to be granted. */
  readonly asked: Asked;
  /** Whose pages may read what it serves. */
  readonly cors?: CorsRules | undefined;
  /** Files that are served beside its routes. */
  readonly files?: ServedFiles | undefined;
  /** How much it may have of what all plugins share. */
  readonly limits?: ResourceLimits | undefined;
  /** Where its code is to run; absent: it does not say. */
  readonly isolation?: SaidIsolation | undefined;
}

/** One route that is served. */
export interface RouteView {
  method: string;
  /** With the prefix of the application. */
  path: string;
  /** `table` and `file`: it is answered for the plugin, and knows no deadline; `static`: by a static plugin, which limits bodies itself. */
  execution: 'inline' | 'pool' | 'table' | 'static' | 'file';
  deadlineMs: number;
  /** Bytes. */
  bodyLimit: number;
  /** Who may call it, when it says so: everybody, whoever is known, or whoever has one of `roles`. */
  auth?: 'open' | 'identity' | 'roles';
  roles?: readonly string[];
  /**
   * Who may call it, as things are: whoever has one of these roles; `anyone` is everybody, `identity` whoever is known. Of a
   * table: who may do what the method is for. None: nobody. Extensions may refuse more.
   */
  needs: readonly string[];
}

/** What everybody may see. */
export interface PluginSummary {
  id: string;
  /** `dynamic`: a library, or tables alone; `static`: a part of the program. */
  type: 'dynamic' | 'static';
  state: PluginState;
  version?: string;
  generation?: number;
  loadedAt?: string;
  routes: RouteView[];
}

/** What its operator may see. */
export interface PluginView extends PluginSummary, Omit<Relations, 'shut'> {
  /** Folder of the application; empty for a static plugin. */
  folder: string;
  /** What a static plugin says of itself. */
  description?: string;
  /** What the registry says of it, when it does. */
  registry?: RegistryView;
  generations: GenerationView[];
  /** Names of its tables, while it runs. */
  tables: readonly string[];
  /** Calls that wait at the gate; of a static plugin, those in its handlers. */
  waiting: number;
  /** The bundle that what runs comes from, where it comes from one. */
  bundle?: BundleFacts;
  /** What it asks for beyond its own, and has of it; absent for a static plugin. */
  permissions?: Standing;
  /** What a person should know of the running image. */
  findings: { rule: string; detail: string; pins: boolean }[];
  /** What is not as the application says although it runs: seed data that was not loaded. */
  warnings: string[];
  lastReload?: ReloadRecord;
  /** Where its code runs; absent for a static plugin, and before it was looked at. */
  isolation?: IsolationView;
  /** Why it serves nobody now although it runs: none of its own processes does, and another one is on its way. */
  health?: string;
  /** The extension that is needed and does not run, where every request is answered 503 for want of it. */
  shutBy?: string;
  /** Why every request is answered 503, or else why the last attempt to load it failed. */
  error?: { code: string; message: string; details: Record<string, unknown> };
}

/** One plugin of the living set. Only the host changes it. */
export class Plugin {
  readonly id: string;
  readonly folder: string;
  readonly turns = new Turns();
  /** Generations that no call enters any more and whose images are still there. */
  readonly leaving = new Set<Generation>();
  /** The pointer its calls come through; kept from the first load until it is stopped. */
  live: Live | undefined;
  /** Path before its routes when it last ran, or was to. */
  prefix: string | undefined;
  /** The generation that serves, also while calls wait for its successor. */
  running: Generation | undefined;
  /** The bundle that the running generation comes from. */
  bundle: BundleFacts | undefined;
  /** Its tables, while it runs. */
  tables: TableWorld | undefined;
  /** What of its config is in force; while it runs. */
  applied: Applied | undefined;
  /** What its application asked for when it was last to be loaded. */
  asks: Asked | undefined;
  /** The config that the running generation has. */
  config: EffectiveConfig | undefined;
  /** What the running generation was told that each application sets, by id: JSON. */
  told: ReadonlyMap<string, string> = new Map();
  /** Applications whose settings the running generation has begun with, and has not been asked for or does not take. */
  unasked = new Set<string>();
  /** What applications are about to set there, by id: JSON; empty where one does not list it any more. */
  readonly asked = new Map<string, string>();
  /** State while nothing runs. */
  rest: Exclude<PluginState, 'running'> = 'loading';
  /** Whether what the running generation knows goes to the next one, and to the next host. */
  preservesState = true;
  /** False from the moment somebody asks to unload it until somebody asks for it again. */
  wanted = true;
  /** Whether the next reload was asked for by somebody, and not only by a change of files. */
  byHand = false;
  /** SHA-256 of the build that somebody went back to; undefined from the next reload on. */
  chosen: string | undefined;
  /** Set once its application is gone: settles when it has left. No reload joins its turns from then on. */
  leave: Promise<void> | undefined;
  error: TenonError | undefined;
  /** The generation that ran on when a reload failed last. */
  outlasted: Generation | undefined;
  /** Builds (hashes) that were replaced before their probation was over. */
  readonly unproven = new Set<string>();
  /** Where it was to run when it was loaded last. */
  isolated: Isolated | undefined;
  /** Of the running generation; it may be over. */
  probation: Probation | undefined;
  lastReload: ReloadRecord | undefined;

  constructor(id: string, folder: string) {
    this.id = id;
    this.folder = folder;
  }

  get state(): PluginState {
    return this.running === undefined ? this.rest : 'running';
  }

  /** Whether it would serve below `path` if it ran; one that never did is taken to use its id. */
  owns(path: string): boolean {
    const prefix = this.prefix ?? `/${this.id}`;
    // What is held back for a crash is refused wherever it was; who has it at the root has what nobody else serves.
    if (prefix === '') return isHeldBack(this.error);
    return path === prefix || path.startsWith(`${prefix}/`);
  }

  #summary(routes: readonly ServedRoute[], auth: DefaultAccess): PluginSummary {
    const generation = this.running;
    return {
      id: this.id,
      type: 'dynamic',
      state: this.state,
      ...(generation === undefined
        ? {}
        : {
            version: generation.version,
            generation: generation.number,
            loadedAt: generation.loadedAt.toISOString(),
          }),
      routes: routes.map((route) => viewRoute(route, auth)),
    };
  }

  view(routes: readonly ServedRoute[], { shut, ...relations }: Relations, findings: GuardFindings): PluginView {
    const current = this.running;
    // Who knows better why it does not run says so.
    const error = this.error?.code.startsWith('Extension') === true ? this.error : (shut ?? this.error);
    const generations = current === undefined ? [...this.leaving] : [current, ...this.leaving];
    const health = whyWithoutProcess(current);
    return {
      ...this.#summary(routes, relations.auth),
      ...relations,
      folder: this.folder,
      generations: generations.map((one) => {
        const gauges = findings.ofGeneration(this.id, one.number);
        return { ...viewGeneration(one), ...(gauges === undefined ? {} : { gauges }) };
      }),
      tables: this.tables?.names ?? [],
      waiting: this.live?.waiting ?? 0,
      ...(current === undefined || this.bundle === undefined ? {} : { bundle: this.bundle }),
      findings: current?.findings ?? [],
      warnings: [
        ...(this.tables?.served.seedErrors ?? []).map(({ message }) => message),
        ...findings.warningsOf(this.id),
      ],
      ...(this.isolated === undefined ? {} : { isolation: viewIsolation(this.isolated, current) }),
      ...(this.lastReload === undefined ? {} : { lastReload: this.lastReload }),
      ...(health === undefined ? {} : { health }),
      ...(shut === undefined ? {} : { shutBy: String(shut.details['extension']) }),
      ...(error === undefined ? {} : { error: { code: error.code, message: error.message, details: error.details } }),
    };
  }
}

/** Whether it is `error` why something is not loaded although it could be. */
export function isHeldBack(error: { readonly code: string } | undefined): boolean {
  return error !== undefined && ['PluginQuarantined', 'BuildCrashed', 'SafeMode'].includes(error.code);
}

/** What of a view everybody may see. */
export function summaryOf({ id, type, state, version, generation, loadedAt, routes }: PluginView): PluginSummary {
  const life = { ...(version === undefined ? {} : { version }), ...(generation === undefined ? {} : { generation }) };
  return { id, type, state, ...life, ...(loadedAt === undefined ? {} : { loadedAt }), routes };
}

export function viewRoute(route: ServedRoute, otherwise: DefaultAccess): RouteView {
  const { method, path, execution, deadlineMs, bodyLimit, auth, roles } = route;
  return {
    method,
    path,
    execution,
    deadlineMs,
    bodyLimit,
    ...(auth === undefined || auth === 'none' ? {} : { auth }),
    ...(auth === 'roles' ? { roles: roles ?? [] } : {}),
    needs: route.needs?.(otherwise) ?? needsOf(route, otherwise),
  };
}

function needsOf({ auth, roles = [] }: ServedRoute, otherwise: DefaultAccess): readonly string[] {
  if (auth === 'roles') return roles;
  return (auth === undefined || auth === 'none' ? otherwise : auth) === 'open' ? ['anyone'] : ['identity'];
}

function viewLedger({ state, routes, handle }: Generation): Ledger {
  const { ledger, streams, hasState } = handle;
  const offers = state === 'ready' ? handle.offers : undefined;
  return {
    routes: state === 'ready' ? routes.map(({ method, pattern }) => `${method} ${pattern}`) : [],
    streams,
    state: hasState,
    providers: (offers?.auth?.providers ?? []).map(({ scheme }) => scheme),
    hooks: (offers?.hooks ?? []).map(({ name, version }) => `${name}/${version}`),
    middleware: offers?.middleware !== undefined,
    resolvesRoles: offers?.auth?.resolvesRoles === true,
    authorizes: offers?.auth?.authorizes === true,
    timers: ledger.timers,
    tasks: ledger.tasks,
    requests: ledger.requests,
    subscriptions: [...ledger.subscriptions],
    series: ledger.series,
  };
}

function viewGeneration(generation: Generation): GenerationView {
  const { number, state, version, sha256, size, outcome } = generation;
  return {
    number,
    state,
    version,
    sha256,
    size,
    leases: generation.handle.leases,
    threads: generation.handle.threads,
    loadedAt: generation.loadedAt.toISOString(),
    counters: generation.counters,
    ledger: viewLedger(generation),
    ...(outcome?.unload === 'pinned' ? { pinnedReason: outcome.reason } : {}),
  };
}
