/** What the registry says of plugins, as this host goes by it, and how far it has come. */
import { TenonError } from '../base/errors.js';
import type { RegistryDoor } from '../registry/door.js';
import { type DesiredPlugin, foundReason, type PluginStatus } from '../registry/rows.js';

/** What is shown of a plugin's row. */
export interface RegistryView {
  status: PluginStatus;
  /** Why it has this status, when it was not asked for. */
  reason?: string;
  /** Version that was registered last, or is pinned. */
  version?: string;
  /** Whether no other version is to serve. */
  pinned: boolean;
  revision: number;
}

/** Why it is not to run, as a clause; undefined when it is to, or when a host has found it invalid: it may be valid by now. */
export function heldBack(desired: DesiredPlugin | undefined): string | undefined {
  if (desired === undefined) return undefined;
  const { status, statusReason } = desired;
  if (status === 'active' || (status === 'invalid' && statusReason?.startsWith(foundReason) === true)) return undefined;
  return `is ${status} in the registry${statusReason === null ? '' : `: ${statusReason}`}`;
}

/** What a host says of a plugin that the registry holds back; undefined when it does not. */
export function disabledBy(id: string, desired: DesiredPlugin | undefined): TenonError | undefined {
  const why = heldBack(desired);
  if (why === undefined) return undefined;
  return new TenonError('PluginDisabled', `${id} ${why}`, {
    next: `enable it: POST /api/v1/plugins/${id}/enable`,
    details: { plugin: id, status: desired?.status },
  });
}

/** Equal as long as a running plugin has nothing to do. */
function wishOf(desired: DesiredPlugin | undefined): string {
  if (desired === undefined) return JSON.stringify([null, null]);
  const { pinned, version, config } = desired;
  return heldBack(desired) ?? JSON.stringify([pinned ? version : null, config]);
}

/** The one memory of what was tried: whoever looks at a plugin's row for a reload says so here. */
export class Desires {
  readonly #door: Pick<RegistryDoor, 'desired' | 'all'>;
  readonly #heeded = new Map<string, { wish: string; invalid: boolean }>();
  /** When a reload was last asked for, of those that need none because of it. */
  readonly #reloads = new Map<string, string | null>();
  readonly #revisions = new Map<string, number>();
  #read = false;

  constructor(door: Pick<RegistryDoor, 'desired' | 'all'>) {
    this.#door = door;
  }

  of(id: string): DesiredPlugin | undefined {
    return this.#door.desired(id);
  }

  /** Whether it is not to run. */
  holdsBack(id: string): boolean {
    return heldBack(this.of(id)) !== undefined;
  }

  /** Its kept build of `version` is loaded as it served before: a pin to another one is still to be tried. */
  resumes(id: string, version: string): void {
    const desired = this.of(id);
    if (desired?.pinned !== true || desired.version === null || desired.version === version) this.heed(id);
  }

  /** How it should be; from now on that counts as tried. */
  heed(id: string): DesiredPlugin | undefined {
    const desired = this.of(id);
    this.#heeded.set(id, { wish: wishOf(desired), invalid: desired?.status === 'invalid' });
    return desired;
  }

  /** Its status is what this host has written: nothing is to be tried because of that alone. */
  wrote(id: string): void {
    const tried = this.#heeded.get(id);
    if (tried?.wish === wishOf(this.of(id))) this.heed(id);
  }

  /** Whether everything that is wanted of it was tried. */
  isHeeded(id: string): boolean {
    const desired = this.of(id);
    const tried = this.#heeded.get(id);
    const same = tried?.wish === wishOf(desired) && tried.invalid === (desired?.status === 'invalid');
    return same && !this.#isReloadDue(desired);
  }

  /** Try again what was tried. */
  again(id: string): void {
    this.#heeded.delete(id);
  }

  /** Whether a new generation was asked for that this host has not begun; from now on it has. */
  takeReload(id: string): boolean {
    const desired = this.of(id);
    const due = this.#isReloadDue(desired);
    if (desired !== undefined && this.#read) this.#reloads.set(id, desired.reloadAt);
    return due;
  }

  /** The registry was read in full: what was asked for before the first time is no business of this host. */
  readInFull(): void {
    if (this.#read) return;
    this.#read = true;
    for (const { name, reloadAt } of this.#door.all().values()) this.#reloads.set(name, reloadAt);
  }

  #isReloadDue(desired: DesiredPlugin | undefined): boolean {
    if (!this.#read || desired === undefined || desired.reloadAt === null) return false;
    const seen = this.#reloads.get(desired.name) ?? null;
    return seen === null || Date.parse(desired.reloadAt) > Date.parse(seen);
  }

  /** The plugin is as this revision says, or could not be brought there. */
  cameTo(id: string, revision: number): void {
    this.#revisions.set(id, revision);
  }

  /** Revision that the plugin has come to; 0 before the first. */
  revisionOf(id: string): number {
    return this.#revisions.get(id) ?? 0;
  }

  forget(id: string): void {
    for (const known of [this.#heeded, this.#reloads, this.#revisions]) known.delete(id);
  }

  viewOf(id: string): { registry: RegistryView } | undefined {
    const desired = this.of(id);
    if (desired === undefined) return undefined;
    const { status, statusReason, version, pinned, revision } = desired;
    return {
      registry: {
        status,
        ...(statusReason === null ? {} : { reason: statusReason }),
        ...(version === null ? {} : { version }),
        pinned,
        revision,
      },
    };
  }
}
