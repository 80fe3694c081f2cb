import { cpus } from 'node:os';

/** One thing that is measured, and the case of the same round it is compared with. */
export interface Case {
  name: string;
  peer?: string;
  /** One slice; the same keys every time. */
  measure: () => Promise<Record<string, number>>;
}

/** Medians over all rounds. */
export interface Row {
  name: string;
  peer: string | undefined;
  values: Record<string, number>;
  /** Median of the ratios to the peer, each taken within one round. */
  ratios: Record<string, number>;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/**
 * Measure every case once per round, each round beginning with another case, so that what the machine does meanwhile
 * falls on all of them alike.
 */
export async function interleave(cases: Case[], rounds: number): Promise<Row[]> {
  const slices = new Map<string, Record<string, number>[]>(cases.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let step = 0; step < cases.length; step++) {
      const one = cases[(round + step) % cases.length];
      if (one) slices.get(one.name)?.push(await one.measure());
    }
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
  return cases.map(({ name, peer }) => {
    const own = slices.get(name) ?? [];
    const other = peer === undefined ? undefined : slices.get(peer);
    const keys = Object.keys(own[0] ?? {});
    const over = (value: (key: string) => number[]): Record<string, number> =>
      Object.fromEntries(keys.map((key) => [key, median(value(key))]));
    return {
      name,
      peer,
      values: over((key) => own.map((slice) => slice[key] ?? Number.NaN)),
      ratios: other
        ? over((key) => other.map((slice, round) => (own[round]?.[key] ?? Number.NaN) / (slice[key] ?? Number.NaN)))
        : {},
    };
  });
}

function columns(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))),
    )
    .map((row) => row.join('  '))
    .join('\n');
}

/** Print rows to stdout, as a table or with `--json` as one object. */
export function report(bench: string, rounds: number, rows: Row[], notes: string[] = []): void {
  if (process.argv.includes('--json')) {
    const machine = { node: process.version, processors: cpus().length, model: cpus()[0]?.model ?? '' };
    process.stdout.write(`${JSON.stringify({ bench, rounds, ...machine, notes, rows })}\n`);
    return;
  }
  const keys = Object.keys(rows[0]?.values ?? {});
  const ratio = (row: Row, key: string): string =>
    row.peer === undefined ? '' : (row.ratios[key] ?? Number.NaN).toFixed(3);
  const head = ['', ...keys.flatMap((key) => [key, 'ratio']), 'to'];
  const body = rows.map((row) => [
    row.name,
    ...keys.flatMap((key) => [(row.values[key] ?? Number.NaN).toFixed(1), ratio(row, key)]),
    row.peer ?? '',
  ]);
  process.stdout.write(`${columns([head, ...body])}\n${notes.map((note) => `${note}\n`).join('')}`);
}

/** Value of `--name N`, or `fallback`. */
export function numberFlag(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) return fallback;
  const value = Number(process.argv[at + 1]);
  if (!(Number.isInteger(value) && value > 0)) throw new TypeError(`--${name} wants a whole number above 0`);
  return value;
}
