/** Looks after running plugins once a second: what guards have caught them at, and what they take of what all share. */
import type { Log } from '../base/log.js';
import type { BlackBoxDoor, GuardNote } from '../binding/black-box.js';
import { limitedThings, type LimitedThing, limitFor } from '../compiler/limits-config.js';
import type { GuardFindings } from './guard-findings.js';
import type { HostEvent } from './journal.js';
import type { Plugin } from './plugin.js';

type Watched = Pick<Plugin, 'id' | 'applied'> & {
  readonly running:
    | { readonly number: number; readonly handle: { readonly threads: { readonly lost: number } } }
    | undefined;
};

export interface GuardingOptions {
  log: Log;
  door: Pick<BlackBoxDoor, 'pluginGauges' | 'takeGuardNotes'>;
  findings: GuardFindings;
  plugins: () => Iterable<Watched>;
  tell: (event: HostEvent) => void;
  /**
   * Put it into quarantine, and have the host begin anew; absent where no parent process would begin another one: plugins go on then,
   * and whoever listens is told.
   */
  quarantine?: ((plugin: string, reason: string) => void) | undefined;
  /** Routes that calls of the generation are in, as far as that is known, those that have taken the longest first. */
  hangsIn?: (plugin: string, generation: number) => readonly string[];
  /** ms, of a clock that never goes back. */
  now: () => number;
}

/** A fresh process that does not help within this time will not help, ms. */
const freshMs = 60_000;
/** Overruns within so many ms that lead to quarantine, and how many. */
const [overrunMs, mostOverruns] = [60_000, 2];
/** Threads lost for so many ms, as many as the core gives a generation, do not come back. */
const [lostMs, mostLost] = [5000, 8];

const units: Readonly<Record<LimitedThing, string>> = {
  threads: 'threads of its own',
  descriptors: 'open descriptors',
  memory: 'bytes of memory',
};

export class Guarding {
  readonly #options: GuardingOptions;
  readonly #begun: number;
  /** By plugin and thing, what was warned of last. */
  readonly #warned = new Map<string, number>();
  /** Of plugins over a hard limit: since when the host is to begin anew. */
  readonly #asked = new Map<string, number>();
  /** Of the generation of each plugin that runs. */
  readonly #overruns = new Map<string, { readonly generation: number; readonly at: readonly number[] }>();
  /** Of generations without threads to serve: since when. */
  readonly #lost = new Map<string, number>();
  /** By plugin, its last generation of which it was told that a thread is lost. */
  readonly #hung = new Map<string, number>();

  constructor(options: GuardingOptions) {
    this.#options = options;
    this.#begun = options.now();
  }

  look(): void {
    const { door, findings, plugins } = this.#options;
    for (const note of door.takeGuardNotes()) this.#note(note);
    const all = [...plugins()];
    findings.gauges = door.pluginGauges();
    for (const plugin of all) {
      for (const thing of limitedThings) this.#limit(plugin, thing);
      this.#threads(plugin);
    }
  }

  #note(note: GuardNote): void {
    const { findings, log, tell, now } = this.#options;
    const { plugin, generation, guard, detail, restored, certain } = note;
    const isKnown = plugin !== '';
    if (isKnown) findings.note(note);
    const who = !isKnown ? 'somebody' : certain ? plugin : `${plugin}, or another plugin at the same time`;
    log.warn(
      { ...(isKnown ? { plugin, generation } : {}), guard, restored, certain },
      `${who}: ${detail}${restored ? '; it was put right' : ''}`,
    );
    tell({ type: 'plugin.guarded', ...note });
    // What one that is on its way down has done, the build that runs may have corrected.
    if (guard !== 'overrun' || !this.#runs(plugin, generation)) return;
    const before = this.#overruns.get(plugin);
    const recent = before?.generation === generation ? before.at.filter((at) => now() - at < overrunMs) : [];
    this.#overruns.set(plugin, { generation, at: [...recent, now()] });
    if (recent.length + 1 < mostOverruns) return;
    this.#overruns.delete(plugin);
    this.#options.quarantine?.(
      plugin,
      `it wrote beyond memory that it was given ${mostOverruns} times within a minute: ${detail}`,
    );
  }

  #runs(plugin: string, generation: number): boolean {
    return [...this.#options.plugins()].some(({ id, running }) => id === plugin && running?.number === generation);
  }

  #limit({ id, applied, running }: Watched, thing: LimitedThing): void {
    const { findings, log, tell } = this.#options;
    const { soft, hard } = limitFor(thing, applied?.limits);
    const value = findings.ofPlugin(id)[thing];
    const key = `${id} ${thing}`;
    const generation = running?.number;
    if (hard !== undefined && value > hard) this.#overHard(id, generation, thing, value, hard);
    if (soft === undefined || value <= soft) {
      this.#warned.delete(key);
      return;
    }
    const before = this.#warned.get(key);
    if (before !== undefined && value < before * 2) return;
    this.#warned.set(key, value);
    const sentence = `${id} has ${value} ${units[thing]}, and ${soft} are expected`;
    findings.warn(id, sentence);
    log.warn({ plugin: id, generation, gauge: thing, value, limit: soft }, sentence);
    tell({ type: 'plugin.overSoftLimit', plugin: id, gauge: thing, value, limit: soft });
  }

  #overHard(id: string, generation: number | undefined, thing: LimitedThing, value: number, limit: number): void {
    const { findings, log, tell, quarantine, now } = this.#options;
    const asked = this.#asked.get(id);
    if (asked !== undefined && now() - asked < freshMs) return;
    this.#asked.set(id, now());
    const sentence = `${id} has ${value} ${units[thing]}, and may have ${limit}`;
    findings.warn(id, sentence);
    log.error({ plugin: id, generation, gauge: thing, value, limit }, sentence);
    tell({ type: 'plugin.overHardLimit', plugin: id, gauge: thing, value, limit });
    const upMs = now() - this.#begun;
    if (quarantine !== undefined && upMs < freshMs)
      quarantine(id, `${sentence}; ${Math.round(upMs / 1000)} s after the start of the host`);
    else tell({ type: 'host.full', reason: sentence });
  }

  #threads({ id, running }: Watched): void {
    const { now, quarantine } = this.#options;
    const generation = running?.number ?? 0;
    const lost = running?.handle.threads.lost ?? 0;
    const key = `${id} ${generation}`;
    if (lost > 0) this.#hangs(id, generation, lost);
    if (lost < mostLost || quarantine === undefined) {
      this.#lost.delete(key);
      return;
    }
    const since = this.#lost.get(key) ?? now();
    this.#lost.set(key, since);
    if (now() - since < lostMs) return;
    this.#lost.delete(key);
    const routes = this.#routesOf(id, generation, lost);
    const place = routes.length === 0 ? 'calls that missed their deadlines' : routes.join(', ');
    quarantine(id, `${lost} of its threads hang in ${place}`);
  }

  /** Once for each generation: what goes on is told by the quarantine. */
  #hangs(id: string, generation: number, lost: number): void {
    const { findings, log } = this.#options;
    if (this.#hung.get(id) === generation) return;
    this.#hung.set(id, generation);
    const routes = this.#routesOf(id, generation, lost);
    const place = routes.length > 0 ? routes.join(', ') : lost === 1 ? 'a call' : 'calls';
    const who =
      lost === 1 ? `a thread of ${id} hangs in ${place} since its` : `threads of ${id} hang in ${place} since their`;
    const sentence = `${who} ${lost === 1 ? 'deadline' : 'deadlines'}; ${lost} of ${mostLost} that it may lose`;
    findings.warn(id, `generation ${generation}: ${sentence}`);
    log.warn({ plugin: id, generation, lost, limit: mostLost }, sentence);
  }

  #routesOf(id: string, generation: number, lost: number): string[] {
    return [...new Set((this.#options.hangsIn?.(id, generation) ?? []).slice(0, lost))];
  }
}
