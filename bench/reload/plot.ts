// The picture of docs/reload-cost.md: where the time of a reload goes, and what clients see of it.
import type { Pauses, Quantity, Reloads, Result } from './result.js';

const width = 960;
const left = 170;
const right = 110;
const inner = width - left - right;
const barHeight = 16;
const rowHeight = 22;

/** Parts of a bar, in the order in which they run, with their colours. */
const parts: readonly { name: string; of: readonly Quantity[]; color: string }[] = [
  { name: 'detect, build', of: ['detect', 'build'], color: '#a371f7' },
  { name: 'admit, with the trial', of: ['admit'], color: '#388bfd' },
  { name: 'stage', of: ['stage'], color: '#1b9e9e' },
  { name: 'open', of: ['open'], color: '#2da44e' },
  { name: 'initialize', of: ['initialize'], color: '#bf8700' },
  { name: 'migrate', of: ['migrate'], color: '#e16f24' },
  { name: 'swap', of: ['swap'], color: '#d1242f' },
  { name: 'drain, unload, verify', of: ['drain', 'unload', 'verify'], color: '#8c959f' },
];

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .small { font-size: 12px; fill: #59636e; }
  .end { text-anchor: end; }
  .middle { text-anchor: middle; }
  .paper { fill: #ffffff; }
  .line { stroke: #d1d9e0; stroke-width: 1; }
  .aim { stroke: #d1242f; stroke-width: 1.5; stroke-dasharray: 4 3; }
  .pause { fill: #388bfd; }
  .control { fill: #8c959f; }
  .mark { stroke: #1f2328; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9198a1; }
    .paper { fill: #0d1117; }
    .line { stroke: #3d444d; }
    .aim { stroke: #f85149; }
    .mark { stroke: #e6edf3; }
  }
`;

function text(x: number, y: number, content: string, kind = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${kind === '' ? '' : ` class="${kind}"`}>${escaped}</text>`;
}

function short(ms: number): string {
  return ms.toFixed(ms < 10 ? 2 : 1);
}

function lengthOf({ times }: Reloads, of: readonly Quantity[]): number {
  return of.reduce((sum, quantity) => sum + (times[quantity]?.p50 ?? 0), 0);
}

/** One bar for each condition; the longest of a group of like size is as wide as the picture. */
function bars(tenon: readonly Reloads[], top: number): { drawn: string[]; bottom: number } {
  const drawn: string[] = [];
  let y = top;
  const groups = [64 * 1024, 1024 * 1024, Infinity].map((limit, at, limits) =>
    tenon.filter(({ bytes }) => bytes < limit && bytes >= (limits[at - 1] ?? 0)),
  );
  for (const group of groups) {
    const longest = Math.max(
      ...group.map((one) =>
        lengthOf(
          one,
          parts.flatMap(({ of }) => of),
        ),
      ),
    );
    for (const one of group) {
      let x = left;
      drawn.push(text(left - 8, y + 13, `${one.name}, ${one.condition}`, 'end'));
      for (const { of, color } of parts) {
        const wide = (lengthOf(one, of) / longest) * inner;
        drawn.push(
          `<rect x="${x.toFixed(1)}" y="${y}" width="${wide.toFixed(1)}" height="${barHeight}" fill="${color}"/>`,
        );
        x += wide;
      }
      drawn.push(text(x + 6, y + 13, `${short(one.times.total?.p50 ?? Number.NaN)} ms`));
      y += rowHeight;
    }
    y += rowHeight / 2;
  }
  return { drawn, bottom: y };
}

function legend(top: number): string[] {
  let x = left;
  return parts.flatMap(({ name, color }) => {
    const at = x;
    x += 26 + name.length * 6.4;
    return [
      `<rect x="${at.toFixed(1)}" y="${top}" width="11" height="11" rx="2" fill="${color}"/>`,
      text(at + 15, top + 10, name, 'small'),
    ];
  });
}

const least = 0.05;
const decades = [0.1, 1, 10, 100, 1000, 10_000];
const binWidth = 5;

/** How often each bin of the axis was hit, as bars that stand on `y`: one path. */
function histogram(places: readonly number[], y: number): string {
  const counts = new Map<number, number>();
  for (const place of places) {
    const bin = Math.floor((place - left) / binWidth);
    counts.set(bin, (counts.get(bin) ?? 0) + 1);
  }
  const most = Math.max(...counts.values());
  return [...counts]
    .map(([bin, count]) => {
      const high = 2 + (count / most) * (barHeight - 2);
      return `M${left + bin * binWidth} ${y}v${(-high).toFixed(1)}h${binWidth - 1}v${high.toFixed(1)}z`;
    })
    .join('');
}

/** How long the pauses were, on a logarithmic axis; those of the controls below. */
function distributions(pauses: readonly Pauses[], top: number): { drawn: string[]; bottom: number } {
  const longest = Math.max(...pauses.flatMap(({ pause, control }) => [pause.most, control.most]));
  const most = decades.find((one) => longest < one) ?? longest;
  const place = (ms: number): number => left + (Math.log(Math.max(ms, least) / least) / Math.log(most / least)) * inner;
  const bottom = top + pauses.length * 2 * rowHeight;
  const drawn: string[] = [];
  const rule = (ms: number, kind: string, label: string, below: number): void => {
    const x = place(ms);
    drawn.push(`<line x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${top}" y2="${bottom}" class="${kind}"/>`);
    drawn.push(text(x, bottom + below, label, 'small middle'));
  };
  for (const decade of decades.filter((one) => one <= most)) rule(decade, 'line', `${decade} ms`, 16);
  rule(5, 'aim', 'aim: 5 ms', 32);
  let y = top;
  for (const { name, each, pause, control } of pauses) {
    const rows = [
      { label: name, values: each.pauses, kind: 'pause', p50: pause.p50, p99: pause.p99 },
      { label: 'without a reload', values: each.controls, kind: 'control', p50: control.p50, p99: control.p99 },
    ];
    for (const { label, values, kind, p50, p99 } of rows) {
      y += rowHeight;
      drawn.push(text(left - 8, y - 4, label, kind === 'pause' ? 'end' : 'end small'));
      drawn.push(`<path d="${histogram(values.map(place), y)}" class="${kind}"/>`);
      for (const value of [p50, p99]) {
        const x = place(value).toFixed(1);
        drawn.push(`<line x1="${x}" x2="${x}" y1="${y - barHeight - 2}" y2="${y}" class="mark"/>`);
      }
      drawn.push(text(left + inner + 8, y - 4, `p99 ${short(p99)} ms`, kind === 'pause' ? '' : 'small'));
    }
  }
  return { drawn, bottom: bottom + 40 };
}

/** `result` as an SVG document, legible on light and dark paper. */
export function draw(result: Result): string {
  const { tenon, pauses, connections } = result;
  const phases = bars(tenon, 84);
  const pauseTop = phases.bottom + 58;
  const seen = distributions(pauses, pauseTop);
  const height = Math.ceil(seen.bottom + 12);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="What a reload costs">`,
    `<style>${style}</style>`,
    `<rect width="${width}" height="${height}" class="paper"/>`,
    text(16, 26, 'Where the time of a reload goes', 'title'),
    text(
      16,
      44,
      `Medians; each size has a scale of its own; load: ${connections} connections that never pause`,
      'small',
    ),
    ...legend(56),
    ...phases.drawn,
    text(16, pauseTop - 32, 'What clients see', 'title'),
    text(
      16,
      pauseTop - 14,
      'For each reload the longest request that overlaps it, less the usual one; the strokes are p50 and p99',
      'small',
    ),
    ...seen.drawn,
    '</svg>',
  ].join('\n')}\n`;
}
