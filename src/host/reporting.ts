/** Tells the registry what this host runs, has reloaded, and has found. */
import { asTenonError, errorCodes } from '../base/errors.js';
import { thisLibc } from '../bundle/platform.js';
import type { Log } from '../base/log.js';
import type { RegistryDoor } from '../registry/door.js';
import {
  type ArtifactRow,
  type DesiredPlugin,
  type FoundPlugin,
  foundReason,
  type PluginReport,
} from '../registry/rows.js';
import { type Desires, heldBack } from './desired.js';
import type { HostEvent } from './journal.js';
import type { PluginView } from './plugin.js';
import type { Plugins } from './plugins.js';
import type { ReloadRecord, Trigger } from './record.js';
import { Turns } from './turns.js';

export interface ReportingOptions {
  door: RegistryDoor;
  desires: Desires;
  host: Pick<Plugins, 'list' | 'show'>;
  /** Which of the rows that are gone are not taken down yet: they are not registered again. */
  leaves: (id: string) => boolean;
  /** Told when this host has written the row of a plugin. */
  wrote: (id: string) => void;
  log: Log;
}

/** Longest reason that is registered, characters. */
const reasonLimit = 2000;
/** Who changes what an application is: what serves then is what is registered. */
const local: readonly Trigger[] = ['watch', 'api'];

export class Reporting {
  readonly #options: ReportingOptions;
  readonly #turns = new Map<string, Turns>();
  readonly #registering = new Set<Promise<unknown>>();
  #libc: string | undefined;

  constructor(options: ReportingOptions) {
    this.#options = options;
  }

  /** What the host tells. */
  observe(event: HostEvent): void {
    if (event.type === 'plugin.serving' || event.type === 'plugin.stopped')
      for (const id of [event.plugin, ...(this.#viewOf(event.plugin)?.requiredBy ?? [])]) this.report(id);
    // Of a static plugin there is no record.
    if (event.type === 'plugin.serving' && event.sha256 === undefined) this.register(event.plugin);
    if (!('record' in event)) return;
    const { plugin, record } = event;
    this.report(plugin);
    if (record.unchanged !== true) this.#options.door.reloaded({ ...record, error: shortened(record.error) });
    // What was taken back is not what serves.
    if (event.type !== 'reload.failed' && record.to !== undefined) this.#serves(plugin, record);
    this.register(plugin);
  }

  /** What this host runs of it now. */
  report(id: string): void {
    const { desires, door } = this.#options;
    const view = this.#viewOf(id);
    if (view !== undefined) door.report(id, reportOf(view, desires.revisionOf(id)));
  }

  /** It is registered, as valid or invalid as it is here, unless it was. */
  register(id: string): void {
    if (!this.#isToRegister(id)) return;
    const turns = this.#turns.get(id) ?? new Turns();
    this.#turns.set(id, turns);
    const work = turns.take('register', () => this.#register(id));
    const over = (): void => {
      this.#registering.delete(work);
      if (turns.idle) this.#turns.delete(id);
    };
    this.#registering.add(work);
    work.then(over, over);
  }

  /** Everything that this host runs and nobody has registered. */
  registerAll(): void {
    for (const { id } of this.#options.host.list()) this.register(id);
  }

  /** Resolves when all that was to be registered is, or could not be. */
  async registered(): Promise<void> {
    while (this.#registering.size > 0) await Promise.allSettled(this.#registering);
  }

  async #register(id: string): Promise<DesiredPlugin | undefined> {
    const { desires, door, log, wrote } = this.#options;
    const view = this.#viewOf(id);
    const found = view === undefined || !this.#isToRegister(id) ? undefined : foundIn(view);
    if (found === undefined || door.status().kind === 'none') return undefined;
    try {
      const row = await door.register(found);
      desires.wrote(id);
      if (found.invalid === undefined && view !== undefined) this.#tellServing(view);
      wrote(id);
      return row;
    } catch (error) {
      const { code, message } = asTenonError(error);
      // Registered when it is reached.
      if (code !== 'RegistryUnavailable') log.warn({ plugin: id, code }, `${id} could not be registered: ${message}`);
      return undefined;
    }
  }

  #isToRegister(id: string): boolean {
    const { desires, leaves } = this.#options;
    const desired = desires.of(id);
    if (desired === undefined) return !leaves(id);
    if (desired.status !== 'invalid' || heldBack(desired) !== undefined) return false;
    const view = this.#viewOf(id);
    // It is valid by now, or invalid for another reason.
    return view?.state === 'running' || (view?.state === 'failed' && reasonOf(view) !== desired.statusReason);
  }

  #serves(id: string, record: ReloadRecord): void {
    const view = isLocal(record) ? this.#viewOf(id) : undefined;
    if (view !== undefined && this.#options.desires.of(id)?.pinned === false) this.#tellServing(view);
  }

  #tellServing({ id, type, version, routes, generations, bundle }: PluginView): void {
    const library = generations.find(({ state }) => state === 'ready');
    if (version === undefined || (library === undefined && type !== 'static')) return;
    const endpoints = routes.map(({ method, path, execution, auth, roles = [] }) => ({
      method,
      path,
      execution,
      auth: auth ?? null,
      roles,
    }));
    this.#options.door.serves(
      id,
      version,
      endpoints,
      library && this.#artifact(version, library, bundle?.signer?.keyId),
    );
  }

  #artifact(
    version: string,
    { sha256, size }: { sha256: string; size: number },
    signature: string | undefined,
  ): ArtifactRow {
    return {
      version,
      os: process.platform,
      arch: process.arch,
      libc: (this.#libc ??= libcOf()),
      sha256,
      size,
      ...(signature === undefined ? {} : { signature }),
    };
  }

  #viewOf(id: string): PluginView | undefined {
    try {
      return this.#options.host.show(id);
    } catch {
      return undefined; // it is gone
    }
  }
}

/**
 * Whether an application was changed here, or is looked at for the first time. Who has asked does not tell: a change that is seen
 * while another reload waits is taken up by that one.
 */
function isLocal({ trigger, kept, from, to }: ReloadRecord): boolean {
  if (trigger === 'start') return true;
  return kept !== true && (local.includes(trigger) || (from !== undefined && from.sha256 !== to?.sha256));
}

/** The C library that plugins of this process are linked with. */
function libcOf(): string {
  return process.platform === 'linux' ? (thisLibc() ?? 'musl') : 'system';
}

function shortened(
  error: { code: string; message: string } | undefined,
): { code: string; message: string } | undefined {
  return error === undefined ? undefined : { code: error.code, message: error.message };
}

function reportOf({ state, version, generation, generations, error }: PluginView, revision: number): PluginReport {
  const sha256 = generations.find((one) => one.number === generation)?.sha256;
  // Who is disabled is as it should be.
  const trouble = state === 'disabled' ? undefined : shortened(error);
  return { state, version, generation, sha256, revision, ...(trouble === undefined ? {} : { error: trouble }) };
}

/** What a new plugin is registered as; undefined for one of which it cannot be said yet. */
function foundIn({ id, type, state, folder, version, error }: PluginView): FoundPlugin | undefined {
  const facts = { name: id, sourcePath: type === 'static' ? null : nameOf(folder), binaryPath: null, type };
  if (state === 'running') return { ...facts, version: version ?? null };
  // What the host is short of says nothing of the plugin.
  const status = error === undefined ? 0 : (errorCodes as Record<string, { status: number }>)[error.code]?.status;
  if (state !== 'failed' || error === undefined || status === 503 || status === 504 || status === 507) return undefined;
  return { ...facts, version: null, invalid: reasonOf({ error }) };
}

function reasonOf({ error }: Pick<PluginView, 'error'>): string {
  return error === undefined ? '' : `${foundReason}${error.code}: ${error.message}`.slice(0, reasonLimit);
}

function nameOf(folder: string): string {
  return folder.slice(folder.lastIndexOf('/') + 1);
}
