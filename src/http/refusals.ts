/** Codes that operations may be refused with, by what they do. */
import type { ErrorCode } from '../base/errors.js';

/** Of a build that is to be loaded: the file, its trial, its start. */
const building: readonly ErrorCode[] = [
  'ImageNotFound',
  'ImageNotRegular',
  'ImageTooLarge',
  'ImageChanging',
  'ImageTruncated',
  'ImageFormat',
  'ImageArchitecture',
  'ImageNoteMissing',
  'EntrypointNotFound',
  'AbiUnsupported',
  'PluginIdMismatch',
  'TrialOpenFailed',
  'TrialCrashed',
  'TrialExited',
  'TrialTimeout',
  'TrialRefused',
  'TrialUnavailable',
  'ConfinementMissing',
  'StagingFailed',
  'PluginLoadError',
  'LifecycleFailed',
  'LifecycleTimeout',
  'RouteInvalid',
  'RouteConflict',
  'StateRefused',
  'StillInUse',
  'StateNotKept',
  'StateUnreadable',
  'ExtensionMissing',
  'ExtensionCycle',
  'ExtensionUnavailable',
  'PermissionDenied',
];

/** Of an application as it is on the disk, and of what it is compiled with. */
const reading: readonly ErrorCode[] = [
  'ApplicationExists',
  'ConfigNotFound',
  'ConfigInvalid',
  'ApplicationUnreadable',
  'SourcesMissing',
  'SourceOutside',
  'BuildFailed',
  'BuildTimeout',
  'DependencyMissing',
  'ToolchainMissing',
  'NativePartMissing',
  'SecretMissing',
  'SchemaInvalid',
  'SchemaIncompatible',
  'SeedInvalid',
  'TableTaken',
  'RocksdbMissing',
  'StoreLocked',
  'StoreDamaged',
  'StoreFull',
  'StoreFailed',
  'StoreClosed',
];

/** Of a bundle: what it is, who has signed it, and whether it is for this machine. */
const bundled: readonly ErrorCode[] = [
  'ManifestNotFound',
  'InvalidManifest',
  'BundleDamaged',
  'SignatureMissing',
  'SignatureInvalid',
  'SignerUntrusted',
  'KeyInvalid',
  'BundleKilled',
  'PrebuildUnavailable',
  'EngineUnsupported',
];

/** Of loading a plugin, or a new build of it. */
export const loadRefusals: readonly ErrorCode[] = [
  'PluginNotFound',
  'PluginDisabled',
  'PluginStopped',
  'PluginStatic',
  'PluginQuarantined',
  'BuildCrashed',
  'SafeMode',
  'VersionUnavailable',
  'RegistryInvalid',
  'HostClosing',
  ...building,
  ...reading,
  ...bundled,
];

export const rollbackRefusals: readonly ErrorCode[] = [...loadRefusals, 'VersionNotFound', 'VersionDamaged'];

/** Of whatever the registry is told, and what it is then. */
export const wishRefusals: readonly ErrorCode[] = [...loadRefusals, 'RegistryUnavailable'];

/** Of reading a config. */
export const configRefusals: readonly ErrorCode[] = ['PluginNotFound', ...reading, ...bundled];

export const configSetRefusals: readonly ErrorCode[] = [...wishRefusals, 'PreconditionFailed', 'ProbationFailed'];

export const installRefusals: readonly ErrorCode[] = [
  ...loadRefusals,
  'ContentTypeUnsupported',
  'ArchiveInvalid',
  'ArchivePath',
  'ArchiveType',
  'ArchiveDuplicate',
  'ArchiveTooLarge',
  'BundleDowngrade',
  'InstallRunning',
  'InstallFailed',
  'NotRecorded',
];
