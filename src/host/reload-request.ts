/** Who asks for a reload, and what comes of it. */
import type { TenonError } from '../base/errors.js';
import type { Generation } from '../plugin/generation.js';
import type { State } from '../plugin/state.js';
import type { ReloadRecord, Trigger } from './record.js';
import type { Version } from './versions.js';

/** Who asks for a reload, and what for. */
export interface ReloadRequest {
  trigger: Trigger;
  /** Whether somebody wants it now: then also a build is loaded that was taken back before. */
  byHand: boolean;
  /** The kept build to go back to; what the application is now, when absent. */
  version?: Version;
  /** Why the version is loaded in place of what the application is now. */
  insteadOf?: TenonError;
  /** Another generation of what runs is wanted. */
  anew?: boolean;
  /** Whether a new generation is wanted also when the library is the one that runs. */
  fresh?: boolean;
  /** The running generation has failed; this is what it was given when it began. */
  passOver?: { given: State | undefined };
  /** Told when the new generation does not pass its probation. */
  failedLater: (failure: LateFailure) => void;
}

/** A generation that did not pass its probation. */
export interface LateFailure {
  generation: Generation;
  /** Of the reload that brought it. */
  record: ReloadRecord;
  error: TenonError;
  /** What it was given by the one before. */
  given: State | undefined;
  /** When that reload is over, and its record is written. */
  finished: Promise<unknown>;
}

/** A reload, once the new build serves: `finished` when the old one is gone. */
export interface Begun {
  finished: Promise<ReloadRecord>;
}
