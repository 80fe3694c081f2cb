/**
 * Every error that reaches a person: its code, its HTTP status, what it means. The codes are stable.
 */

/** Code → HTTP status and the title that all errors of the code share. */
export const errorCodes = {
  // the file of a plugin
  ImageNotFound: { status: 404, title: 'The library does not exist' },
  ImageNotRegular: { status: 422, title: 'The library is not a regular file' },
  ImageTooLarge: { status: 422, title: 'The library is over the size limit' },
  ImageChanging: { status: 409, title: 'The library changed while it was read' },
  ImageTruncated: { status: 422, title: 'The library is cut short or damaged' },
  ImageFormat: { status: 422, title: 'The file is not a library of this system' },
  ImageArchitecture: { status: 422, title: 'The library is for another machine' },
  ImageNoteMissing: { status: 422, title: 'The library carries no Tenon note' },
  EntrypointNotFound: { status: 422, title: 'The library does not export tenon_plugin_entry' },
  AbiUnsupported: { status: 422, title: 'The library was built for another contract' },
  PluginIdMismatch: { status: 422, title: 'The library is of another plugin' },
  // its trial
  TrialOpenFailed: { status: 422, title: 'The library could not be opened' },
  TrialCrashed: { status: 422, title: 'The library crashed in its trial' },
  TrialExited: { status: 422, title: 'The library ended its process in its trial' },
  TrialTimeout: { status: 422, title: 'The library did not finish its trial in time' },
  TrialRefused: { status: 422, title: 'The plugin refused to start in its trial' },
  TrialUnavailable: { status: 503, title: 'The trial process could not be run' },
  ConfinementMissing: { status: 503, title: 'The kernel cannot confine the plugin as it requires' },
  StagingFailed: { status: 507, title: 'The library could not be staged' },
  // its life
  PluginNotFound: { status: 404, title: 'There is no such plugin' },
  PluginLoadError: { status: 500, title: 'The library could not be opened by the host' },
  LifecycleFailed: { status: 500, title: 'The plugin refused a step of its life' },
  LifecycleTimeout: { status: 500, title: 'The plugin missed the deadline of a step of its life' },
  PluginDisabled: { status: 409, title: 'The plugin is disabled' },
  RouteInvalid: { status: 422, title: 'A route of the plugin is not allowed' },
  RouteConflict: { status: 409, title: 'Two plugins claim the same route' },
  StateRefused: { status: 409, title: 'The new build did not take the state over' },
  StillInUse: { status: 409, title: 'Calls in the running build did not end in time' },
  StateNotKept: { status: 507, title: 'The state of the plugin could not be written' },
  StateUnreadable: { status: 500, title: 'The saved state of the plugin could not be read' },
  BuildCrashed: { status: 503, title: 'The build crashed the host' },
  VersionNotFound: { status: 404, title: 'There is no such kept build' },
  VersionDamaged: { status: 422, title: 'The kept build is damaged' },
  ProbationFailed: { status: 500, title: 'The new build did not pass its probation' },
  ExtensionMissing: { status: 422, title: 'An extension that the application lists is not there' },
  ExtensionCycle: { status: 422, title: 'Extensions list each other in a circle' },
  ExtensionUnavailable: { status: 503, title: 'An extension that the application needs does not run' },
  CrashNotFound: { status: 404, title: 'There is no such crash report' },
  NotQuarantined: { status: 409, title: 'The plugin is not in quarantine' },
  UpgradeFailed: { status: 500, title: 'The new host did not begin' },
  UpgradeRunning: { status: 409, title: 'The host is being upgraded already' },
  ReleaseInvalid: { status: 422, title: 'No host can be run from that folder' },
  UpgradeUnavailable: { status: 409, title: 'No parent process can run another host' },
  HostClosing: { status: 503, title: 'The host is shutting down' },
  HostNotReady: { status: 503, title: 'The host is not ready' },
  // a request
  RouteNotFound: { status: 404, title: 'Nothing is served here' },
  MethodNotAllowed: { status: 405, title: 'The method is not served here' },
  BodyTooLarge: { status: 413, title: 'The request body is over the limit' },
  BadRequest: { status: 400, title: 'The request could not be understood' },
  UrlTooLong: { status: 414, title: 'The target of the request is over the limit' },
  HeadersTooLarge: { status: 431, title: 'The head of the request is over a limit' },
  RequestTimeout: { status: 408, title: 'The request did not arrive in time' },
  ExpectationFailed: { status: 417, title: 'What the request expects is not known here' },
  TooManyConnections: { status: 503, title: 'Too many connections are open' },
  RouteGone: { status: 404, title: 'The plugin no longer serves this route' },
  PluginStopped: { status: 503, title: 'The plugin is not running' },
  PluginBusy: { status: 503, title: 'Too many calls wait for the plugin' },
  PluginQuarantined: { status: 503, title: 'The plugin is in quarantine' },
  SafeMode: { status: 503, title: 'The host runs without plugins' },
  ProcessEnded: { status: 502, title: 'The process of the plugin ended' },
  ProcessRestarting: { status: 503, title: 'The process of the plugin is being started again' },
  MemoryOverrun: { status: 500, title: 'The plugin wrote beyond memory that it was given' },
  PluginUnresponsive: { status: 503, title: 'The plugin has lost too many threads' },
  DeadlineExceeded: { status: 504, title: 'The plugin did not answer in time' },
  HandlerFailed: { status: 500, title: 'The plugin failed to answer' },
  ExtensionFailed: { status: 500, title: 'An extension failed to do its part' },
  ResponseInvalid: { status: 502, title: 'The plugin gave an invalid response' },
  HostNotAllowed: { status: 421, title: 'The admin API is not served under this name' },
  TooManyAttempts: { status: 429, title: 'Too many wrong credentials' },
  Unauthorized: { status: 401, title: 'A valid admin token is needed' },
  ScopeMissing: { status: 403, title: 'The token does not allow this' },
  TokenNotFound: { status: 404, title: 'There is no such token' },
  TokenExists: { status: 409, title: 'A token of that name is there already' },
  TokensInvalid: { status: 500, title: 'The file of tokens cannot be used' },
  Unauthenticated: { status: 401, title: 'It is not known who asks' },
  Forbidden: { status: 403, title: 'Who asks may not do this' },
  UpgradeRequired: { status: 426, title: 'Another protocol is asked for than is spoken here' },
  OriginNotAllowed: { status: 403, title: 'A page of that origin may not ask for this' },
  Internal: { status: 500, title: 'An error of the host' },
  // tables
  RecordNotFound: { status: 404, title: 'There is no such record' },
  RecordExists: { status: 409, title: 'There is a record with that key already' },
  RecordInvalid: { status: 400, title: 'The record breaks the definition of its table' },
  PreconditionFailed: { status: 412, title: 'The record is not in the state the request asks for' },
  RangeInvalid: { status: 416, title: 'There are no such bytes' },
  QueryInvalid: { status: 400, title: 'The query could not be understood' },
  CursorInvalid: { status: 400, title: 'The cursor is not one of this query' },
  SortTooLarge: { status: 400, title: 'There is too much to sort without an index' },
  NotAcceptable: { status: 406, title: 'There is no answer of the kinds the client accepts' },
  ContentTypeUnsupported: { status: 415, title: 'A body of that kind is not read here' },
  StoreFull: { status: 507, title: 'There is no space left for tables' },
  StoreFailed: { status: 503, title: 'The tables cannot be written' },
  StoreClosed: { status: 503, title: 'The tables are closed' },
  ChangesGone: { status: 410, title: 'The changes are not kept any more' },
  SubscriberTooSlow: { status: 503, title: 'A subscriber of changes did not read' },
  RocksdbMissing: { status: 503, title: 'There is no usable RocksDB' },
  StoreLocked: { status: 503, title: 'Another process has the tables open' },
  StoreDamaged: { status: 503, title: 'The tables are damaged' },
  SchemaIncompatible: { status: 409, title: 'The stored records do not fit the new schema' },
  DocumentInvalid: { status: 400, title: 'The GraphQL document is not valid' },
  TooManySubscribers: { status: 503, title: 'Too many clients follow results' },
  QueryTooComplex: { status: 400, title: 'The GraphQL request is over a limit' },
  SchemaInvalid: { status: 422, title: 'The schema of the application is not valid' },
  SeedInvalid: { status: 422, title: 'A file of seed data is not valid' },
  TableTaken: { status: 409, title: 'The table belongs to another application' },
  BackupFailed: { status: 500, title: 'The backup could not be made or taken back' },
  // the registry
  RegistryUnavailable: { status: 503, title: 'The registry cannot be reached' },
  RegistryInvalid: { status: 422, title: 'What the registry says of a plugin cannot be done' },
  VersionUnavailable: { status: 409, title: 'This host has no build of the wanted version' },
  SecretMissing: { status: 422, title: 'A secret that a config refers to is not there' },
  PluginStatic: { status: 409, title: 'The plugin is part of the program' },
  // the compiler
  ApplicationExists: { status: 409, title: 'An application of that name is there already' },
  ConfigNotFound: { status: 404, title: 'The application has no config.yaml' },
  ConfigInvalid: { status: 422, title: 'The application config is not valid' },
  ApplicationUnreadable: { status: 422, title: 'Something in the application cannot be read' },
  SourcesMissing: { status: 422, title: 'The application has nothing to serve' },
  SourceOutside: { status: 422, title: 'A source is not a file of the application' },
  BuildFailed: { status: 422, title: 'The application did not compile' },
  BuildTimeout: { status: 504, title: 'The build took too long' },
  DependencyMissing: { status: 422, title: 'Something the application needs is not installed' },
  ToolchainMissing: { status: 503, title: 'A tool that builds plugins is missing' },
  // bundles
  ArchiveInvalid: { status: 400, title: 'The archive is damaged or not of a kind that is read' },
  ArchivePath: { status: 400, title: 'A path in the archive is not allowed' },
  ArchiveType: { status: 400, title: 'The archive has more than files and folders' },
  ArchiveDuplicate: { status: 400, title: 'Two entries of the archive would be one file' },
  ArchiveTooLarge: { status: 413, title: 'The archive is over a limit' },
  ManifestNotFound: { status: 422, title: 'There is no manifest.json' },
  InvalidManifest: { status: 422, title: 'The manifest is not valid' },
  BundleNotFetched: { status: 502, title: 'The bundle could not be fetched from its address' },
  BundleDamaged: { status: 422, title: 'A file is not the one that the manifest names' },
  SignatureMissing: { status: 403, title: 'The bundle is not signed' },
  SignatureInvalid: { status: 403, title: 'The signature is not one of this bundle' },
  SignerUntrusted: { status: 403, title: 'Who signed the bundle is not trusted with this plugin' },
  KeyInvalid: { status: 422, title: 'The key, or the list of trusted ones, cannot be used' },
  BundleKilled: { status: 403, title: 'The bundle is on the kill list' },
  BundleDowngrade: { status: 409, title: 'A newer version of the plugin was installed' },
  PrebuildUnavailable: { status: 422, title: 'The bundle has no library for this machine' },
  EngineUnsupported: { status: 422, title: 'The bundle is for another release of Tenon' },
  InstallRunning: { status: 409, title: 'The plugin is being installed or removed' },
  NotInstalled: { status: 409, title: 'The plugin was not installed from a bundle' },
  InstallFailed: { status: 507, title: 'The bundle could not be put in place' },
  PackFailed: { status: 422, title: 'The bundle could not be made' },
  NotRecorded: { status: 507, title: 'What was decided could not be written down' },
  PermissionDenied: { status: 403, title: 'The plugin was not granted what it asked for' },
  // the process
  SettingsInvalid: { status: 422, title: 'A setting is not valid' },
  SettingsFixed: { status: 409, title: 'The setting cannot change while the host runs' },
  NativePartMissing: { status: 500, title: 'A native part of Tenon is missing' },
  DataDirectoryLocked: { status: 500, title: 'Another host uses the data directory' },
  AddressInUse: { status: 500, title: 'The address is taken' },
  TlsInvalid: { status: 500, title: 'The certificate or its key cannot be used' },
  HostNotRunning: { status: 503, title: 'No host answers' },
  HostEnded: { status: 503, title: 'The host ended before it had answered' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorFacts {
  /** What to do next, as one clause. */
  next?: string;
  /** Facts for programs: ids, paths, positions. Must be JSON. */
  details?: Record<string, unknown>;
  cause?: unknown;
}

/** An error with a stable code, a sentence naming the culprit, and a next step. */
export class TenonError extends Error {
  readonly code: ErrorCode;
  readonly next: string | undefined;
  readonly details: Record<string, unknown>;

  /** @param message one sentence that names the culprit and its cause, without a full stop */
  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'TenonError';
    this.code = code;
    this.next = facts.next;
    this.details = facts.details ?? {};
  }

  get status(): number {
    return errorCodes[this.code].status;
  }
}

/** What went wrong, as one sentence with its next step. */
export function describeError(error: unknown): string {
  const known = asTenonError(error);
  return known.next === undefined ? known.message : `${known.message}; ${known.next}`;
}

/** `error` as a TenonError; one of another kind becomes `fallback` with its message. */
export function asTenonError(error: unknown, fallback: ErrorCode = 'Internal'): TenonError {
  if (error instanceof TenonError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code in errorCodes;
  return new TenonError(code ? (error.code as ErrorCode) : fallback, message, { cause: error });
}
