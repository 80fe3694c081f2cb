import { phases, type Quantity, type Result, type Spread, spans, spread } from './result.js';

/** A table with its title; the first column is text. */
function table(title: string, head: string[], rows: string[][]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [title, ...all.map((row) => `  ${line(row)}`)].join('\n');
}

function ms(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(value < 10 ? 3 : 1);
}

function spreadCells({ p50, p95, p99, most }: Spread): string[] {
  return [p50, p95, p99, most].map(ms);
}

function phaseTable({ tenon }: Result, percent: 'p50' | 'p95' | 'p99'): string {
  const columns: Quantity[] = [...phases.filter((phase) => tenon.some(({ times }) => times[phase])), ...spans];
  const rows = tenon.map(({ name, condition, times }) => [
    `${name}, ${condition}`,
    ...columns.map((column) => ms(times[column]?.[percent])),
  ]);
  return table(`Reloads in Tenon, ${percent}, ms`, ['', ...columns], rows);
}

/** What `result` says, for people. */
export function describe(result: Result): string {
  const { tenon, pauses, detection, peers, aims } = result;
  const percents = ['p50', 'p95', 'p99', 'most'];
  return [
    `${result.rounds} rounds of ${result.reloads} reloads, ${result.connections} connections, staged in ${result.staging}, Node ${result.node}, ${result.processors} processors, ${result.model}`,
    ...(['p50', 'p95', 'p99'] as const).map((percent) => phaseTable(result, percent)),
    table(
      'What clients see: the longest call that overlaps a reload, less the usual one, ms',
      ['', 'usual', ...percents, 'control p50', 'control p99', 'answered', 'failed'],
      pauses.map(({ name, usualMs, pause, control, answered, failed }) => [
        name,
        ms(usualMs),
        ...spreadCells(pause),
        ms(control.p50),
        ms(control.p99),
        String(answered),
        String(failed),
      ]),
    ),
    table(
      'From the last write of a burst to the beginning of the reload, ms',
      ['', ...percents],
      detection.map(({ name, time }) => [name, ...spreadCells(time)]),
    ),
    table(
      'Peers, ms; the ratio is the median of the ratios of each round',
      ['', ...percents, 'ratio', 'to'],
      [
        ...peers.map(({ name, time, ratio, to }) => [name, ...spreadCells(time), ratio?.toFixed(2) ?? '', to ?? '']),
        ...tenon.map(({ name, condition, times, toLoop }) => [
          `${name}, ${condition}: stage to swap`,
          ...spreadCells(times['stage to swap'] ?? spread([])),
          toLoop.toFixed(2),
          'its loop in C',
        ]),
      ],
    ),
    table(
      'Aims',
      ['', 'found', 'below', '', ''],
      aims.map(({ name, value, below, unit, met }) => [
        name,
        unit === 'requests' ? String(value) : value.toFixed(2),
        String(below),
        unit,
        met ? 'met' : 'missed',
      ]),
    ),
    '',
  ].join('\n\n');
}
