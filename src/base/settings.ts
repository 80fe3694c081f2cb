/** Every setting of a host: what it means, what it may be, where it is read, and its default. */

/** Every setting with its final value. */
export interface Settings {
  /** Address to listen on. */
  host: string;
  /** Port to listen on; 0 takes a free one. */
  port: number;
  /** Data directory, absolute; made when absent, mode 0700. */
  data: string;
  /** Directory of the applications, absolute. */
  applications: string;
  /** Token of the admin API; empty: made at the first start and kept in the data directory. */
  adminToken: string;
  /** Names to call the admin API by, beside localhost, addresses and the name in `host`; separated by commas. */
  adminHosts: string;
  /** Port of a listener of its own for the admin API, 0 for a free one; empty: it is served on `port`. */
  adminPort: string;
  /** Address of that listener. */
  adminAddress: string;
  /** Path of a unix socket for the admin API, mode 0600, beside or in place of `adminPort`; empty: none. */
  adminSocket: string;
  /** Whether changes in the applications directory are taken up by themselves. */
  hotReload: boolean;
  /** Quiet time after a change of a library, ms. */
  libraryDebounceMs: number;
  /** Quiet time after a change of a source, ms. */
  sourceDebounceMs: number;
  /** What an application is made of: patterns of files, relative to its folder; `config.yaml` always is part of it. */
  watchPatterns: readonly string[];
  /** What changes without meaning: patterns of files and folders. */
  excludePatterns: readonly string[];
  /** Whether a reload hands the state of the old build to the new one. */
  preserveState: boolean;
  /** How often a reload that files asked for is tried again when it failed for a reason that may pass. */
  maxRetries: number;
  /** Before the first of these tries, ms; doubled before each further one. */
  retryDelayMs: number;
  /** The longest wait between two of these tries, ms. */
  maxRetryDelayMs: number;
  /** Between two looks at everything, which find what the system did not tell, ms. */
  watchIntervalMs: number;
  /** Whether a new folder is loaded by itself. */
  autoDiscovery: boolean;
  /** trace, debug, info, warn, error, fatal or silent. */
  logLevel: string;
  /** Colours on a terminal. */
  color: boolean;
  /** Whether each request is logged when it is answered. */
  logRequests: boolean;
  /** Whether what plugins write to standard output and standard error becomes records of the log; of `tenon start` and `tenon dev`. */
  logOutput: boolean;
  /** Time for the head of a request to arrive, ms. */
  headersMs: number;
  /** Time for a whole request to arrive, ms. */
  requestMs: number;
  /** Time that a connection without a request is kept, ms. */
  keepAliveMs: number;
  /** Time in which a client takes nothing of an answer that waits for it before it is cut off, ms. */
  stallMs: number;
  /** Head of a request, bytes. */
  headersLimit: number;
  /** Connections that are open at once. */
  connectionLimit: number;
  /** The same, from one address. */
  addressConnectionLimit: number;
  /** Time between the moment `/readyz` says no and the end of listening, when the host stops, ms: for those who share out requests. */
  shutdownDelayMs: number;
  /** Whether answers that pay for it are compressed: those of tables, files and the host itself; never those of plugins. */
  compression: boolean;
  /** File of the certificate chain, PEM: HTTPS in place of HTTP; empty: none. It is read again when it changes. */
  tlsCertificate: string;
  /** File of its private key, PEM. */
  tlsKey: string;
  /** Time for a request whose route names none, ms. */
  deadlineMs: number;
  /** Request body of a route that names no limit, bytes. */
  bodyLimit: number;
  /** Pool threads of a generation whose plugin names no number. */
  concurrency: number;
  /** Calls of one plugin that may wait. */
  queueLimit: number;
  /** Time for one step of a plugin's life, ms. */
  lifecycleMs: number;
  /** Time for all steps that a new generation takes until it serves, ms. */
  startupMs: number;
  /** Time for the calls of a replaced generation to end, ms. */
  drainMs: number;
  /** Time for the trial of a library, ms. */
  trialMs: number;
  /** Largest library, bytes. */
  imageLimit: number;
  /** Time for one build, ms. */
  buildMs: number;
  /** Keep staged libraries on disk, for debuggers. */
  keepStaged: boolean;
  /** Time in which a new build must do as well as the one before, ms; 0: it need not. */
  probationMs: number;
  /** Share of its calls that may fail meanwhile, unless as many failed before, percent. */
  probationFaultPercent: number;
  /** How many times slower than before its calls may be meanwhile, at the 95th percentile. */
  probationSlowFactor: number;
  /** For the event loop of the host to turn, ms: one that stands longer is ended and begun anew; at least 250, or 0: it is never ended. */
  hangMs: number;
  /** Whether a second process waits, ready to begin, for the end of the host. */
  standby: boolean;
  /** Crashes of one plugin, or of unknown cause, within `crashWindowMs` that lead to quarantine, or safe mode. */
  crashLimit: number;
  crashWindowMs: number;
  /** Crash reports that are kept. */
  crashReports: number;
  /** Between two saves of a plugin's state while it serves, ms; 0: it is saved at hand-overs and at the end. */
  stateSaveMs: number;
  /** Where the code of plugins runs whose config says nothing: `inline`, `process` or `auto`. */
  isolation: string;
  /** Whether no plugin runs in a process of its own that the kernel cannot confine, whatever its config or manifest says. */
  requireConfinement: boolean;
  /** `strict`: what a plugin is lent ends at a page that nobody may touch; slower. */
  guard: string;
  /** Images that may stay mapped because they cannot be unmapped, before the host begins anew in a fresh process. */
  pinnedLimit: number;
  /** The same in bytes of their libraries. */
  pinnedBytesLimit: number;
  /** Largest state of one plugin, bytes. */
  stateLimit: number;
  /** When a build refuses the state that an earlier host kept: `empty` begins without it, `fail` does not begin. */
  refusedState: string;
  /** Builds of one plugin that are kept to go back to, the running one among them. */
  keptVersions: number;
  /** File of RocksDB for tables; empty: the one that comes with Tenon, else the system's. */
  rocksdb: string;
  /** Whether each write of a table waits for the disk; else a power cut may take the last second, the end of a process nothing. */
  tablesSync: boolean;
  /** Memory for what was read of tables, bytes. */
  tablesCache: number;
  /** Logs of tables that are kept for listeners to resume from, bytes. */
  tablesLog: number;
  /** Whether GraphQL tells its schema to whoever asks. */
  graphqlIntrospection: boolean;
  /** Origins whose pages may open WebSockets beside pages of the host itself, separated by commas; `*`: all. */
  tablesOrigins: string;
  /** Names WebSockets are served under, without port, separated by commas; empty: any. */
  tablesHosts: string;
  /** Whether there is a registry of plugins; else the applications directory alone says what is loaded. */
  registry: boolean;
  /** PostgreSQL server of the registry, as a URL; empty: PGlite in the data directory. */
  databaseUrl: string;
  /** Time for the registry to be read before the host begins with what it knew last, ms. */
  registryWaitMs: number;
  /** Between two full reads of the registry, which find what was not told, ms. */
  registryReconcileMs: number;
  /** Directory of the files that configs refer to as secrets; empty: `secrets` in the data directory. */
  secrets: string;
  /** What is asked of the signature of an archive that is uploaded: `require`, `warn` or `off`. */
  uploadSignatures: string;
  /** The same of folders and archives in the applications directory. */
  localSignatures: string;
  /** File of the keys that are trusted and of what was killed; empty: `trust.json` in the data directory. */
  trust: string;
  /** Largest bundle, bytes; its archive and all that is in it have to keep to it. */
  bundleLimit: number;
  /** Whose `permissions` bind them: those of `bundles`, or of `all`, whose config.yaml says all that it may then. */
  permissionScope: string;
  /** Permissions that are granted whatever else is said, each as `ID PERMISSION`. */
  permissionGrants: readonly string[];
}

/** Option of `createHost`. */
export type SettingName = keyof Settings;

/** What a setting may hold. */
export type Value = string | number | boolean | readonly string[];

/** What a setting may be, and where it is read. */
export interface Definition {
  readonly kind: 'text' | 'path' | 'integer' | 'boolean' | 'level' | 'patterns' | 'grants';
  /** For a text: whether a file may give it as a whole number. */
  readonly mayBeNumber?: boolean;
  /** For a text: what it must look like, and the same in words. */
  readonly grammar?: readonly [RegExp, string];
  /** Place in `tenon.yaml`; a dot steps into a map. */
  readonly key: string;
  readonly environment?: string;
  readonly fallback: Value;
  readonly least?: number;
  /** Whether it may be 0 beside. */
  readonly orZero?: true;
  readonly most?: number;
  readonly secret?: true;
  /** What else to say of a mapping that stands in its place. */
  readonly mapping?: string;
}

const minute = 60_000;
const mebibyte = 1024 * 1024;

/** What editors, compilers, version control and running programs leave behind. */
const noise = ['.*', 'node_modules', '4913', '*~', '#*#', '*.sw[a-z]', '*.{tmp,part,o,pid,log}', '*.log.[0-9]*'];

const hostNames: [RegExp, string] = [/^[\w.-]+(?: *, *[\w.-]+)*$/, 'names separated by commas, without ports'];
const originList: [RegExp, string] = [
  /^(?:\*|[a-z][a-z\d+.-]*:\/\/[^\s,/]+(?: *, *[a-z][a-z\d+.-]*:\/\/[^\s,/]+)*)$/,
  'origins separated by commas, as https://example.org, or *',
];

const signaturePolicies: [RegExp, string] = [/^(?:require|warn|off)$/, 'require, warn or off'];

/** Every setting. */
export const definitions: Record<SettingName, Definition> = {
  host: { kind: 'text', key: 'host', environment: 'HOST', fallback: '127.0.0.1' },
  port: { kind: 'integer', key: 'port', environment: 'PORT', fallback: 8080, least: 0, most: 65_535 },
  data: { kind: 'path', key: 'data', environment: 'TENON_DATA', fallback: './data' },
  applications: {
    kind: 'path',
    key: 'applications',
    environment: 'TENON_APPLICATIONS',
    fallback: './applications',
  },
  adminToken: {
    kind: 'text',
    key: 'adminToken',
    environment: 'TENON_ADMIN_TOKEN',
    fallback: '',
    secret: true,
    grammar: [/^[\x21-\x7e]+$/, 'visible ASCII characters without a blank, as a request can carry them'],
  },
  adminHosts: { kind: 'text', key: 'adminHosts', environment: 'TENON_ADMIN_HOSTS', fallback: '', grammar: hostNames },
  adminPort: {
    kind: 'text',
    key: 'admin.port',
    mayBeNumber: true,
    environment: 'ADMIN_PORT',
    fallback: '',
    grammar: [/^(?:\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])$/, 'a port, 0 to 65535'],
  },
  adminAddress: { kind: 'text', key: 'admin.host', environment: 'ADMIN_HOST', fallback: '127.0.0.1' },
  adminSocket: { kind: 'text', key: 'admin.socket', environment: 'TENON_ADMIN_SOCKET', fallback: '' },
  hotReload: {
    kind: 'boolean',
    key: 'hotReload.enabled',
    environment: 'TENON_HOT_RELOAD_ENABLED',
    fallback: true,
  },
  libraryDebounceMs: {
    kind: 'integer',
    key: 'hotReload.debounceMs',
    environment: 'TENON_HOT_RELOAD_DEBOUNCE_MS',
    fallback: 500,
    least: 0,
    most: minute,
  },
  sourceDebounceMs: {
    kind: 'integer',
    key: 'hotReload.sourceDebounceMs',
    environment: 'TENON_HOT_RELOAD_SOURCE_DEBOUNCE_MS',
    fallback: 50,
    least: 0,
    most: minute,
  },
  watchPatterns: {
    kind: 'patterns',
    key: 'hotReload.watchPatterns',
    environment: 'TENON_HOT_RELOAD_WATCH_PATTERNS',
    fallback: ['**'],
    least: 1,
  },
  excludePatterns: {
    kind: 'patterns',
    key: 'hotReload.excludePatterns',
    environment: 'TENON_HOT_RELOAD_EXCLUDE_PATTERNS',
    fallback: noise,
  },
  preserveState: {
    kind: 'boolean',
    key: 'hotReload.preserveState',
    environment: 'TENON_HOT_RELOAD_PRESERVE_STATE',
    fallback: true,
  },
  maxRetries: {
    kind: 'integer',
    key: 'hotReload.maxRetries',
    environment: 'TENON_HOT_RELOAD_MAX_RETRIES',
    fallback: 3,
    least: 0,
    most: 100,
  },
  retryDelayMs: {
    kind: 'integer',
    key: 'hotReload.retryDelayMs',
    environment: 'TENON_HOT_RELOAD_RETRY_DELAY_MS',
    fallback: 1000,
    least: 1,
    most: 60 * minute,
  },
  maxRetryDelayMs: {
    kind: 'integer',
    key: 'hotReload.maxRetryDelayMs',
    environment: 'TENON_HOT_RELOAD_MAX_RETRY_DELAY_MS',
    fallback: 30_000,
    least: 1,
    most: 60 * minute,
  },
  watchIntervalMs: {
    kind: 'integer',
    key: 'hotReload.watchIntervalMs',
    environment: 'TENON_HOT_RELOAD_WATCH_INTERVAL_MS',
    fallback: 30_000,
    least: 100,
    most: 60 * minute,
  },
  autoDiscovery: {
    kind: 'boolean',
    key: 'hotReload.autoDiscovery',
    environment: 'TENON_HOT_RELOAD_AUTO_DISCOVERY',
    fallback: true,
  },
  logLevel: { kind: 'level', key: 'log.level', environment: 'LOG_LEVEL', fallback: 'info' },
  color: { kind: 'boolean', key: 'log.color', fallback: true },
  logRequests: { kind: 'boolean', key: 'log.requests', environment: 'TENON_LOG_REQUESTS', fallback: false },
  logOutput: { kind: 'boolean', key: 'log.output', fallback: true },
  headersMs: { kind: 'integer', key: 'http.headersMs', fallback: 10_000, least: 100, most: 10 * minute },
  requestMs: { kind: 'integer', key: 'http.requestMs', fallback: 30_000, least: 100, most: 60 * minute },
  keepAliveMs: { kind: 'integer', key: 'http.keepAliveMs', fallback: 72_000, least: 100, most: 60 * minute },
  stallMs: { kind: 'integer', key: 'http.stallMs', fallback: 30_000, least: 100, most: 60 * minute },
  headersLimit: { kind: 'integer', key: 'http.headersLimit', fallback: 16 * 1024, least: 1024, most: mebibyte },
  connectionLimit: { kind: 'integer', key: 'http.connections', fallback: 8192, least: 1, most: 1_000_000 },
  addressConnectionLimit: {
    kind: 'integer',
    key: 'http.connectionsPerAddress',
    fallback: 2048,
    least: 1,
    most: 1_000_000,
  },
  shutdownDelayMs: { kind: 'integer', key: 'http.shutdownDelayMs', fallback: 0, least: 0, most: 10 * minute },
  compression: { kind: 'boolean', key: 'http.compression', fallback: true },
  tlsCertificate: { kind: 'text', key: 'tls.certificate', environment: 'TENON_TLS_CERTIFICATE', fallback: '' },
  tlsKey: { kind: 'text', key: 'tls.key', environment: 'TENON_TLS_KEY', fallback: '' },
  deadlineMs: { kind: 'integer', key: 'limits.deadlineMs', fallback: 30_000, least: 1, most: 60 * minute },
  bodyLimit: { kind: 'integer', key: 'limits.bodyLimit', fallback: mebibyte, least: 0, most: 1024 * mebibyte },
  concurrency: { kind: 'integer', key: 'limits.concurrency', fallback: 4, least: 1, most: 64 },
  queueLimit: { kind: 'integer', key: 'limits.queue', fallback: 1000, least: 0, most: 100_000 },
  lifecycleMs: { kind: 'integer', key: 'limits.lifecycleMs', fallback: 10_000, least: 1, most: 10 * minute },
  startupMs: { kind: 'integer', key: 'limits.startupMs', fallback: 30_000, least: 1, most: 60 * minute },
  drainMs: { kind: 'integer', key: 'limits.drainMs', fallback: 30_000, least: 0, most: 60 * minute },
  trialMs: { kind: 'integer', key: 'limits.trialMs', fallback: 2000, least: 10, most: 10 * minute },
  imageLimit: { kind: 'integer', key: 'limits.image', fallback: 64 * mebibyte, least: 1, most: 1024 * mebibyte },
  buildMs: { kind: 'integer', key: 'limits.buildMs', fallback: 5 * minute, least: 1000, most: 60 * minute },
  keepStaged: { kind: 'boolean', key: 'keepStaged', fallback: false },
  probationMs: { kind: 'integer', key: 'probation.ms', fallback: 30_000, least: 0, most: 60 * minute },
  probationFaultPercent: { kind: 'integer', key: 'probation.faultPercent', fallback: 50, least: 0, most: 100 },
  probationSlowFactor: { kind: 'integer', key: 'probation.slowFactor', fallback: 10, least: 2, most: 1000 },
  hangMs: {
    kind: 'integer',
    key: 'crashes.hangMs',
    environment: 'TENON_HANG_MS',
    fallback: 10_000,
    least: 250,
    orZero: true,
    most: 60 * minute,
  },
  standby: { kind: 'boolean', key: 'crashes.standby', environment: 'TENON_STANDBY', fallback: true },
  crashLimit: { kind: 'integer', key: 'crashes.limit', fallback: 3, least: 1, most: 100 },
  crashWindowMs: { kind: 'integer', key: 'crashes.windowMs', fallback: minute, least: 1000, most: 60 * minute },
  crashReports: { kind: 'integer', key: 'crashes.reports', fallback: 100, least: 1, most: 10_000 },
  stateSaveMs: { kind: 'integer', key: 'state.saveMs', fallback: 0, least: 0, most: 60 * minute },
  isolation: {
    kind: 'text',
    key: 'isolation',
    environment: 'TENON_ISOLATION',
    fallback: 'inline',
    grammar: [/^(?:inline|process|auto)$/, 'inline, process or auto'],
    mapping: 'what a mapping says is for each application to say, in the `isolation` of its config.yaml',
  },
  requireConfinement: {
    kind: 'boolean',
    key: 'requireConfinement',
    environment: 'TENON_REQUIRE_CONFINEMENT',
    fallback: false,
  },
  guard: {
    kind: 'text',
    key: 'guard',
    environment: 'TENON_GUARD',
    fallback: 'normal',
    grammar: [/^(?:normal|strict)$/, 'normal or strict'],
  },
  pinnedLimit: { kind: 'integer', key: 'pinned.images', fallback: 64, least: 0, most: 10_000 },
  pinnedBytesLimit: { kind: 'integer', key: 'pinned.bytes', fallback: 512 * mebibyte, least: 0 },
  stateLimit: { kind: 'integer', key: 'state.limit', fallback: 64 * mebibyte, least: 1, most: 64 * mebibyte },
  refusedState: {
    kind: 'text',
    key: 'state.refused',
    fallback: 'empty',
    grammar: [/^(?:empty|fail)$/, 'empty or fail'],
  },
  keptVersions: { kind: 'integer', key: 'keptVersions', fallback: 5, least: 2, most: 100 },
  rocksdb: { kind: 'text', key: 'tables.rocksdb', environment: 'TENON_ROCKSDB', fallback: '' },
  tablesSync: { kind: 'boolean', key: 'tables.sync', environment: 'TENON_TABLES_SYNC', fallback: false },
  tablesCache: { kind: 'integer', key: 'tables.cacheBytes', fallback: 64 * mebibyte, least: mebibyte },
  tablesLog: { kind: 'integer', key: 'tables.logBytes', fallback: 256 * mebibyte, least: mebibyte },
  graphqlIntrospection: { kind: 'boolean', key: 'tables.introspection', fallback: true },
  tablesOrigins: { kind: 'text', key: 'tables.origins', fallback: '', grammar: originList },
  tablesHosts: { kind: 'text', key: 'tables.hosts', fallback: '', grammar: hostNames },
  registry: { kind: 'boolean', key: 'registry.enabled', environment: 'TENON_REGISTRY', fallback: true },
  databaseUrl: {
    kind: 'text',
    key: 'registry.url',
    environment: 'DATABASE_URL',
    fallback: '',
    secret: true,
    grammar: [/^postgres(?:ql)?:\/\/\S+$/, 'a URL that begins with postgres:// or postgresql://'],
  },
  registryWaitMs: { kind: 'integer', key: 'registry.waitMs', fallback: 5000, least: 0, most: 10 * minute },
  registryReconcileMs: {
    kind: 'integer',
    key: 'registry.reconcileMs',
    fallback: minute,
    least: 100,
    most: 60 * minute,
  },
  secrets: { kind: 'text', key: 'secrets', environment: 'TENON_SECRETS', fallback: '' },
  uploadSignatures: {
    kind: 'text',
    key: 'bundles.signatures',
    environment: 'TENON_BUNDLE_SIGNATURES',
    fallback: 'require',
    grammar: signaturePolicies,
  },
  localSignatures: { kind: 'text', key: 'bundles.localSignatures', fallback: 'warn', grammar: signaturePolicies },
  trust: { kind: 'text', key: 'bundles.trust', environment: 'TENON_TRUST', fallback: '' },
  bundleLimit: { kind: 'integer', key: 'limits.bundle', fallback: 64 * mebibyte, least: 1, most: 1024 * mebibyte },
  permissionScope: {
    kind: 'text',
    key: 'permissions.scope',
    fallback: 'bundles',
    grammar: [/^(?:bundles|all)$/, 'bundles or all'],
  },
  permissionGrants: { kind: 'grants', key: 'permissions.grants', fallback: [] },
};
