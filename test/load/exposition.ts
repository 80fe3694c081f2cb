/** Texts of /metrics, read line by line, and as Prometheus reads them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** One line with a value. */
export interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Why promtool cannot be asked; undefined: it can. In CI it has to be there. */
export const noPromtool: string | undefined =
  spawnSync('promtool', ['--version']).error === undefined || process.env['CI'] !== undefined
    ? undefined
    : 'promtool is not installed';

const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/y;
const escapes: Readonly<Record<string, string>> = { '\\n': '\n', '\\"': '"', '\\\\': '\\' };

/** All lines. Throws for one that is none, for one that is there twice, and for a family that is in two places. */
export function readLines(text: string): Line[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const lines: Line[] = [];
  const families = new Set<string>();
  const seen = new Set<string>();
  for (const line of text.slice(0, -1).split('\n')) {
    const [, word, family] = /^# (HELP|TYPE) (\S+) /.exec(line) ?? [];
    if (word === 'TYPE' && family !== undefined) {
      if (families.has(family)) throw new Error(`${family} is there twice`);
      families.add(family);
    }
    if (line.startsWith('#')) continue;
    const place = line.slice(0, line.lastIndexOf(' '));
    if (seen.has(place)) throw new Error(`${place} is there twice`);
    seen.add(place);
    lines.push(readLine(line));
  }
  return lines;
}

function readLine(line: string): Line {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0] ?? '';
  const labels: Record<string, string> = {};
  let at = name.length;
  if (line[at] === '{') {
    do {
      label.lastIndex = at + 1;
      const found = label.exec(line);
      if (found === null) throw new Error(`no label at ${at}: ${line}`);
      labels[found[1] ?? ''] = (found[2] ?? '').replaceAll(/\\./g, (escape) => escapes[escape] ?? escape);
      at = label.lastIndex;
    } while (line[at] === ',');
    if (line[at++] !== '}') throw new Error(`no end of the labels at ${at}: ${line}`);
  }
  const text = line.slice(at + 1).replace('Inf', 'Infinity');
  const value = Number(text);
  if (name === '' || line[at] !== ' ' || text === '' || (Number.isNaN(value) && text !== 'NaN'))
    throw new Error(`no line: ${line}`);
  return { name, labels, value };
}

/** Sum of the lines of `name` that have these labels; undefined when there is none. */
export function sumOf(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const wanted = Object.entries(labels);
  const found = readLines(text).filter(
    (line) => line.name === name && wanted.every(([key, value]) => line.labels[key] === value),
  );
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
}

/** What `promtool check metrics` says against a text in the format of Prometheus: nothing, as a rule. */
export function complaintsOf(text: string): string {
  const { status, stdout, stderr, error } = spawnSync('promtool', ['check', 'metrics'], { input: text });
  if (error !== undefined) throw error;
  return `${stdout.toString()}${stderr.toString()}${status === 0 ? '' : `status ${status}`}`;
}

/** How many lines the parser of Prometheus finds in a text in the format of OpenMetrics. Throws what it says against it. */
export function countOpenMetrics(text: string): number {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'tenon-metrics-'));
  try {
    const file = path.join(directory, 'metrics');
    writeFileSync(file, text.replaceAll(/^([^#\n].*)$/gm, '$1 1700000000'));
    const parameters = ['tsdb', 'create-blocks-from', 'openmetrics', file, path.join(directory, 'blocks')];
    const said = execFileSync('promtool', parameters, { stdio: 'pipe' }).toString();
    const [, samples] = /^\S+\s+\d+\s+\d+\s+\S+\s+(\d+)/m.exec(said) ?? [];
    return Number(samples);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
