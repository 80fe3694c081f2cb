/** The phases of a reload as a bar of characters. */
import type { Phase, ReloadRecord } from '../index.js';

/** Phases in the order in which they run, each with the character of its part of the bar. */
const letters: Readonly<Record<Phase, string>> = {
  detect: 'd',
  build: 'b',
  admit: 'a',
  stage: 's',
  open: 'o',
  initialize: 'i',
  migrate: 'm',
  swap: 'w',
  drain: 'r',
  unload: 'u',
  verify: 'v',
};

/** A time for people: three digits. */
export function readableMs(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10_000 ? 1 : 2)} s`;
  return `${ms >= 100 ? Math.round(ms) : ms.toPrecision(2)} ms`;
}

/** One part of a bar. */
export interface BarPart {
  phase: Phase;
  ms: number;
  /** What stands for it: as long as its share of the time, at least one character. */
  bar: string;
}

/** The phases that ran, as parts of a bar that is `width` characters long, or as long as it has parts when these are more. */
export function barParts(phases: ReloadRecord['phases'], width: number): BarPart[] {
  const ran = (Object.keys(letters) as Phase[]).flatMap((phase) => {
    const ms = phases[phase];
    return ms === undefined ? [] : [{ phase, ms }];
  });
  const total = ran.reduce((sum, { ms }) => sum + ms, 0);
  const free = Math.max(0, width - ran.length);
  let before = 0;
  let drawn = 0;
  return ran.map(({ phase, ms }) => {
    before += ms;
    // Rounded at the ends, so that the parts add up to the width.
    const end = total === 0 ? drawn : Math.round((before / total) * free);
    const length = 1 + end - drawn;
    drawn = end;
    return { phase, ms, bar: letters[phase].repeat(length) };
  });
}

/** The phases that ran, each with its time. */
export function phaseTimes(phases: ReloadRecord['phases']): string {
  return barParts(phases, 0)
    .map(({ phase, ms }) => `${phase} ${readableMs(ms)}`)
    .join(', ');
}

/** What a reload came to, in one line. */
export function reloadLine({
  plugin,
  trigger,
  outcome,
  unchanged,
  from,
  to,
  totalMs,
  error,
  attempts,
  applied = [],
}: ReloadRecord): string {
  const taken = applied.length === 0 ? '' : `, takes up ${applied.join(', ')}`;
  const what = unchanged === true ? `unchanged${taken}` : outcome === 'rolledBack' ? 'rolled back' : outcome;
  const generation =
    to === undefined ? '' : `, generation ${from === undefined ? '' : `${from.generation} -> `}${to.generation}`;
  const tries = attempts > 1 ? `, try ${attempts}` : '';
  return `${plugin}: ${what} (${trigger}${tries})${generation}, ${readableMs(totalMs)}${error === undefined ? '' : `: ${error.code}`}`;
}
