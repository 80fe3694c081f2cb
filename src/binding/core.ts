/**
 * The door to the native core: loads the addon and gives its objects their types.
 *
 * Addon and runner are taken from `build/Release` (a clone, built by `npm run build:native`), else from
 * `prebuilds/<os>-<arch>/` (the published package). Everything here runs on the thread that loaded it.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { asTenonError } from '../base/errors.js';
import type { BlackBoxDoor } from './black-box.js';
import type { CallCounters } from './call-counters.js';
import type { ImageFacts, ImageThread } from './image.js';
import { nativeFolder, nativePartMissing } from './native-parts.js';
import type { PluginLogRecord } from './plugin-log-record.js';
import type { OutgoingAnswer, OutgoingRequest } from './outgoing.js';
import type { Store, StoreDoor } from './store.js';
import type { Isolation, IsolationOptions } from './isolation.js';

/** What a call or a completion is; the first word of {@link Front.result}. */
export const Outcome = {
  /** `next()` had nothing. */
  None: 0,
  /** The answer comes later under the call id in `result`. */
  Pending: 1,
  /** Whole response: status in `result`, body returned. */
  Response: 2,
  /** A stream begins: status in `result`, first bytes returned. */
  Head: 3,
  /** Bytes of a stream, returned; answer with `acknowledge`. */
  Chunk: 4,
  /** The stream is complete. */
  End: 5,
  /** The stream broke after it began; the connection must be cut. The message is returned. */
  Abort: 6,
  /** No response of the plugin: HTTP status and {@link Refusal} in `result`, message returned. */
  Refused: 7,
} as const;

/** Index into {@link Front.result}. */
export const Word = {
  /** One of {@link Outcome}. */
  Outcome: 0,
  /** HTTP status. */
  Status: 1,
  /** Identity of the header block: equal numbers mean equal blocks, so a parsed one can be kept; 0: no headers. */
  Headers: 2,
  /** Call id, for everything but a response that came at once. */
  Call: 3,
  /** One of {@link Refusal}, with `Outcome.Refused`. */
  Refusal: 4,
  /** Number of the request since the host began, low and high 32 bits. */
  RequestLow: 5,
  RequestHigh: 6,
  /** Number of the generation that answered, low 32 bits; 0 when none did. */
  Generation: 7,
} as const;

/** One route as a generation declares it. */
export interface RouteFacts {
  /** Position in the plugin's list. */
  index: number;
  method: string;
  /** Below the application's prefix. */
  pattern: string;
  execution: 'inline' | 'pool';
  deadlineMs: number;
  bodyLimit: number;
  /** Who may call it; `none`: it does not say. */
  auth: 'none' | 'open' | 'identity' | 'roles';
  /** With `roles`: whoever has one of them. */
  roles: readonly string[];
  /** For the document of the API; what could not be taken is absent, and `flaw` says why. */
  summary?: string;
  description?: string;
  openapi?: string;
  flaw?: string;
}

/** What a generation offers to applications that list it; known after its routes were read. */
export interface Offers {
  /** Whether it takes events, and changes of its config. */
  events: boolean;
  config: boolean;
  auth?: {
    providers: readonly { scheme: string; header: string; challenge: string }[];
    authorizes: boolean;
    resolvesRoles: boolean;
  };
  middleware?: { order: number };
  hooks: readonly { name: string; version: number; order: number }[];
}

/** What a generation has open with the services of the host; it ends with it. */
export interface CoreLedger {
  /** Timers, and other tasks that wait or run. */
  timers: number;
  tasks: number;
  /** To other servers, under way. */
  requests: number;
  /** Topics and patterns it has subscribed to. */
  subscriptions: readonly string[];
  /** Series of metrics of its plugin, once it has used one. */
  series: number;
  /** What runs now on the threads of its services, each under a lease: `task 12`, `on_event`, `done of request 7`. */
  running: readonly string[];
}

/** One extension of an application. */
export interface ChainEntry {
  plugin: PluginPointer;
  /** Whether requests are refused with `ExtensionUnavailable` while it does not run; else they go on without it. */
  required: boolean;
}

export interface FrontOptions {
  /** Called on the event loop when `next()` has something. */
  onReady: () => void;
  /** Called on the event loop with records in order of writing, and the number dropped since the last call. */
  onLog: (records: PluginLogRecord[], dropped: number) => void;
  /**
   * Called on the event loop with requests that plugins make of other servers, in order; each that is not given up is
   * answered with `fetched`. Without it plugins have no tenon.http_client/1.
   */
  onFetch?: (requests: OutgoingRequest[]) => void;
  /** 32 bytes of which the keys are made that plugins sign tokens with. Without them none signs. */
  tokenKey?: Buffer;
  /** Lowest level of tenon.log that is kept, pino's number; 30 (info) by default. */
  logLevel?: number;
  /** Admin token of the host: who carries it is an operator to plugins that ask. Nobody is without one. */
  operatorToken?: string;
  /** What plugins are lent of a request is read-only and ends at a page that nobody may touch: an overrun faults at once. Slower. */
  strict?: boolean;
}

/** One user of the core: the queue of its completions, its plugins, its log. A host has one. */
export interface Front {
  /** Begins the id of every request: `name-number`. */
  readonly name: string;
  /** Words of the result of the last `call` or `next`, see {@link Word}. The same array for ever. */
  readonly result: Int32Array;
  /**
   * Send a request into the route `slot`. `url` is path and query as they arrived; `headers` is
   * `name\nvalue\nname\nvalue…`, or the same parts as an array, which is read only if the plugin asks for headers or
   * the call outlives this one (cheaper for inline routes). All are one character per byte. Returns the body (a string has one character per byte)
   * with `Outcome.Response`, the message (an ordinary string) with `Outcome.Refused`, nothing with `Outcome.Pending`. Never throws for
   * anything a client or a plugin did. The bytes of `body` are not touched after the call returns.
   * @param body none by default
   * @param method number of the contract, e.g. 2 for HEAD; the route's own by default
   * @param asksOnly whether to learn only if extensions and the route let it go on: status 100 when they do. No handler and no
   * middleware runs then, and nobody is told of it
   * @param number of a request that comes again; the next one by default
   */
  call(
    slot: number,
    url: string,
    headers: string | readonly string[],
    body?: Uint8Array,
    method?: number,
    asksOnly?: boolean,
    number?: number,
  ): string | Uint8Array | undefined;
  /** Take the next completion of earlier calls; `Outcome.None` when there is none. */
  next(): string | Uint8Array | undefined;
  /** Header block `name\nvalue\n…` of the result just taken, with `Outcome.Refused` that of the refusal. */
  headers(): string;
  /** Nobody waits for `call` any more. Its slot stays taken until the plugin lets go; no completion follows. */
  cancel(call: number): void;
  /** `bytes` of the stream of `call` have left for the client. */
  acknowledge(call: number, bytes: number): void;
  /** What came of an outgoing request; of one that was given up nobody is told. */
  fetched(number: number, answer: OutgoingAnswer): void;
  /** An event of the host for plugins that subscribe to `topic` (tenon.events/1), e.g. `tenon.plugin`. Never waits; cut
   * after 64 KiB. */
  emit(topic: string, message: string, fields?: Readonly<Record<string, string>>): void;
  /** The lowest level of tenon.log that is kept, of one plugin or of all that have none of their own; 0 takes that of one back. */
  setLogLevel(level: number, plugin?: string): void;
  /**
   * From here on what plugins write to standard output and standard error is told apart there, see `native/core/log_output.h`; once, in
   * a process that is the host's own. False where that cannot be.
   */
  tagOutput(mark: string): boolean;
  /** The host has started: events that were kept for the first who subscribes are dropped if nobody has. */
  endStart(): void;
  /**
   * What plugins count (tenon.metrics/1), their calls, faults and events, by plugin, in the text format of Prometheus
   * (0.0.4), or in that of OpenMetrics (1.0, without its end); empty once closed. Numbers of a plugin last until its pointer is closed.
   */
  metricsText(openMetrics?: boolean): string;
  /** Forget everything; every Plugin must have been closed. Closing twice is fine. */
  close(): void;
}

export interface PluginOptions {
  /** Grammar of abi.md: `^[a-z0-9][a-z0-9_-]{0,62}$`. */
  id: string;
  /** Calls that may wait, for a thread or at the gate; 0 to 100,000. */
  queueLimit: number;
}

/** The live pointer of one plugin. Its only user is `host/live.ts`. */
export interface PluginPointer {
  /**
   * Number that stands for a method and a path (prefix and pattern) of this plugin, in every generation that serves it. A call of it that enters a generation which does not is refused with `RouteGone`.
   */
  slot(method: string, path: string): number;
  /**
   * Number that stands for requests of a table of this plugin: a call of it passes the plugin's chain, and is given back
   * with `Outcome.Response`, status 100, the headers that middlewares have set, and as body a JSON object of who asks
   * (`subject`, `name`, `scheme`, `extension`, `roles`, `claims`), empty for nobody. Anything else is the answer. Whether
   * somebody is needed is not asked. Refused with `PluginStopped` where no generation is live.
   * @param path prefix and pattern, as of a route
   * Asked again for the same, it is the same number, and the new deadline holds from the next call on.
   * @param deadlineMs for the chain; 30,000 by default
   */
  gate(method: string, path: string, deadlineMs?: number): number;
  /** What `gate` gave is given back: a call of one of these numbers throws a TypeError from here on. Those under way go on. Closing does it, too. */
  ungate(): void;
  /**
   * The extensions that requests pass from the next one on, in their order, none twice; of the plugin itself only its
   * providers, roles and authorize take part. `auth` is for routes that say nothing. An entry is a live pointer: whatever generation it has then is asked.
   */
  setChain(list: readonly ChainEntry[], options: { auth: 'open' | 'identity' }): void;
  /** Close the gate: calls wait (up to the queue limit, until their deadline) instead of entering a generation. */
  hold(): void;
  /** Open it: waiting calls enter the live generation in order. */
  release(): void;
  /** One pointer: from here new calls land in `generation`, or are refused when null. */
  swap(generation: GenerationHandle | null): void;
  /** Calls waiting at the gate. */
  readonly waiting: number;
  /** Every key and value that the plugin's generations keep in tenon.state/1, as one block for `importValues`. */
  exportValues(): Buffer;
  /** Replace them by those of such a block; they are in memory alone then. Throws an Error that says what is wrong with one that is none. */
  importValues(bytes: Uint8Array): void;
  keepValues(
    file: string | null,
    recover: boolean,
  ): { kind: 'torn' | 'damaged' | 'unreadable'; message: string } | null;
  /** The live pointer must be null. Waiting calls are refused. Closing twice is fine. */
  close(): void;
}

export interface GenerationOptions {
  number: number;
  /** Address of the plugin's descriptor (what its entry returned); without `isolation`. */
  descriptor?: bigint | undefined;
  /** Where its code runs, when not in this process. */
  isolation?: Isolation | undefined;
  /** Index of its library in the black box; -1: none. */
  image?: number;
  /** Absolute path of the application's folder, or empty. */
  root: string;
  /** Path before every pattern, e.g. `/hello`; empty at the root. Needed to find parameters in a path. */
  prefix: string;
  /** For routes that name none: milliseconds, bytes, threads. */
  deadlineMs: number;
  bodyLimit: number;
  concurrency: number;
  /** Gives it tenon.tables/1; must be open. */
  store?: Store;
  /** With `store`: the database of its own tables, in which everything is allowed. */
  database?: string;
  /** Its own config, a JSON object as text; `{}` by default. */
  config?: string;
  /** Who lists it as an extension, with the settings each gives it: a JSON object as text. */
  consumers?: readonly { application: string; settings: string }[];
  /**
   * With `store`: tables of other databases that it may use whatever it is permitted, `read:db.Table` or `write:db.Table` (which
   * includes reading); `*` for any table.
   */
  grants?: readonly string[];
  /** What it may do beyond its own; absent: everything but use further tables of others. */
  permissions?: PermissionLines | undefined;
}

/** Lines of `base/permission`, checked. */
export interface PermissionLines {
  readonly granted: readonly string[];
  /** What it asks for: what is not in here is not granted by the operator alone. */
  readonly asked: readonly string[];
  /** Who asks: its `manifest`, or its `config.yaml`, which grants it then. */
  readonly by: 'manifest' | 'config';
}

/**
 * One life of a plugin in the core. Life-cycle calls run on its control thread, one after the other; each rejects with
 * an Error whose `code` is `LifecycleFailed` (message of the plugin) or `LifecycleTimeout` (missed its deadline; the
 * thread is lost and every later life-cycle call rejects at once).
 */
export interface GenerationHandle {
  create(deadlineMs: number): Promise<void>;
  initialize(deadlineMs: number): Promise<void>;
  /** Read and check the routes; after initialize. Rejects with `RouteInvalid`. */
  routes(deadlineMs: number): Promise<RouteFacts[]>;
  ready(deadlineMs: number): Promise<void>;
  health(deadlineMs: number): Promise<void>;
  quiesce(deadlineMs: number): Promise<void>;
  resume(deadlineMs: number): Promise<void>;
  save(deadlineMs: number): Promise<{ version: number; bytes: Buffer }>;
  load(version: number, bytes: Uint8Array, dryRun: boolean, deadlineMs: number): Promise<void>;
  /**
   * Its own config has changed (`application` empty), or the settings of a consumer, who is gone when `json` is empty.
   * `taken`: it holds from now on. `reload`: it takes effect with another generation only. Rejects with `LifecycleFailed`
   * when the plugin refuses it; what was holds then.
   */
  configure(application: string, json: string, deadlineMs: number): Promise<'taken' | 'reload'>;
  shutdown(deadlineMs: number): Promise<void>;
  destroy(deadlineMs: number): Promise<void>;
  /** What it may from the next call on; undefined: nothing binds it. Its subscriptions that it may not have rest until it may. */
  permit(permissions: PermissionLines | undefined): void;
  /** Calls of `slot`, which stands for its method and path, go to route `index` of this generation; before it is swapped in. */
  bind(slot: number, index: number): void;
  /** After create: whether the plugin offers tenon.state, and quiesce. */
  readonly hasState: boolean;
  readonly canQuiesce: boolean;
  /** What it offers to others; known after `routes`. */
  readonly offers: Offers;
  /** Leases held now. */
  readonly leases: number;
  /**
   * Threads alive (control thread and those of tasks and events included) and those written off; once it is stopped, also
   * threads of other generations that have run its code.
   */
  readonly threads: { alive: number; lost: number };
  /** Calls that have ended, counted on this thread: up to date in every turn of the event loop. */
  readonly counters: CallCounters;
  /** What it has open now. */
  readonly ledger: CoreLedger;
  /** Streamed responses that have begun and are not complete. */
  readonly streams: number;
  /**
   * Let every open event stream (`text/event-stream`) end for its client as a complete response after what has been
   * written, so that the client comes again; how many. The plugin's next write says that nobody listens, and the lease
   * comes back when it lets go. Any other stream goes on: a client could not tell its early end from its whole.
   */
  endStreams(): number;
  /** It is being taken down and will not be live again: what waits for changes of a table in it is cancelled, and no task begins. */
  retire(): void;
  /** Where threads hang, calls that wait for one are refused with `PluginUnresponsive` now, not at their deadline. It must not be live, and will not be again. */
  giveUpQueued(): void;
  /**
   * True when the last lease ended within the time. The generation must not be live. What waits for changes of a table in
   * a handler is cancelled; tasks and events pause until it is live again.
   */
  drain(deadlineMs: number): Promise<boolean>;
  /**
   * End every thread and wait for them, those of others that have run its code too; the number that did not end in time.
   * No call may follow but `close`.
   */
  stop(deadlineMs: number): Promise<number>;
  /** Forget it. Throws while it is live, leased or has threads. Closing twice is fine. */
  close(): void;
}

/** Exclusive hold of a directory by this process. */
export interface DirectoryLock {
  /** Of the locked file: whoever is given it holds the lock, too. */
  readonly descriptor: number;
  release(): void;
}

export interface Core extends StoreDoor, BlackBoxDoor {
  /** Contract the core speaks: every minor from 0 to `minor`. */
  readonly abi: { major: number; minor: number };
  readonly Front: new (options: FrontOptions) => Front;
  readonly PluginPointer: new (front: Front, options: PluginOptions) => PluginPointer;
  readonly Isolation: new (options: IsolationOptions) => Isolation;
  readonly GenerationHandle: new (plugin: PluginPointer, options: GenerationOptions) => GenerationHandle;
  /** Descriptor of a plugin that does nothing, under any id: gates of a plugin that has no library need a generation. */
  readonly codelessPlugin: bigint;
  /**
   * Read what an image says of itself. Throws an Error with `code` `ImageTruncated`, `ImageFormat`,
   * `ImageArchitecture`, `ImageNoteMissing`, `EntrypointNotFound`, `AbiUnsupported`, and a message with rule and offset.
   * @param machines `own` by default: what this host could open. `any`: for x86-64 and aarch64, and of every contract; of
   * one with another major number the note says no more than the version, and its entry is not looked for.
   */
  inspectImage(bytes: Uint8Array, machines?: 'own' | 'any'): ImageFacts;
  /** True when files below `directory` may be mapped executable (not mounted noexec) . */
  mayExecute(directory: string): boolean;
  /** Run `work`, which opens or closes the library `image` of the black box, and put the floating-point mode of this thread back; its result. */
  keepFloatingPoint<T>(work: () => T, image?: number): T;
  /** True while a library opened from `path` is in this process's list of images. */
  imageMapped(path: string): boolean;
  /**
   * For each of `paths`, threads that run in the library opened from it, or will return into it, and are none of the
   * core's, of Node's or libuv's: those the library has started itself. One that runs and does not answer a signal within
   * 10 ms (for all together), or whose stack the system refuses to read, is taken for one of every library. One pass over
   * all threads. Linux; elsewhere it does not look, and finds none.
   */
  threadsIn(paths: readonly string[]): ImageThread[][];
  /** Lock `file` (made when absent, holder's pid written into it) or throw `DataDirectoryLocked` with `holder`. */
  lockFile(file: string): DirectoryLock;
  /**
   * What `one` and `other` (absolute) name is named the other way round, in one step. False where the file system cannot; throws
   * an Error when it could and did not.
   */
  exchangeNames(one: string, other: string): boolean;
  /**
   * Remove the folder `folder` (absolute) with all below it, whatever others do there meanwhile: no link is followed, at `folder` and at the
   * folder that it is in neither, and no other file system is touched. Whether it is gone, or was not there; what is more than
   * 256 folders deep, or cannot be removed, stays. On another thread.
   */
  removeFolder(folder: string): Promise<boolean>;
  /** The same on this one. */
  removeFolderNow(folder: string): boolean;
  /** Send one datagram to the socket of a service manager: a path, or after `@` a name in no file system. Never waits; false: it has not read what it was told before. Throws why it could not. */
  notifySystem(socket: string, text: string): boolean;
  /** Take the exit statuses of all ended children but the processes `own`: of those that nobody else waits for. How many. */
  reapStrangers(own: readonly number[]): number;
}

const addon = 'tenon.node';
const runner = 'tenon-runner';

function partsFolder(): string {
  return nativeFolder([addon, runner]);
}

/** Absolute path of `tenon-runner`. Throws `NativePartMissing`. */
export function runnerPath(): string {
  return path.join(partsFolder(), runner);
}

/** The native core. Throws `NativePartMissing`, also when the system refuses to open it. */
export function loadCore(): Core {
  const file = path.join(partsFolder(), addon);
  try {
    return createRequire(import.meta.url)(file) as Core;
  } catch (cause) {
    throw nativePartMissing([addon, runner], [`${file} cannot be opened: ${asTenonError(cause).message}`], cause);
  }
}
