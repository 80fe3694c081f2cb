/** What `tenon dev` shows on a terminal, as lines. */
import type { Images, Phase, PluginView, ReloadRecord } from '../index.js';
import { pluginHead, pluginRows } from './list.js';
import { barParts, phaseTimes, reloadLine } from './phases.js';
import { tableLines } from './table.js';

/** Everything that is shown. */
export interface DevState {
  /** Empty until the host listens. */
  url: string;
  ready: boolean;
  hotReload: boolean | undefined;
  reloads: { done: number; failed: number } | undefined;
  images: Images | undefined;
  plugins: readonly PluginView[];
  /** Id of the plugin that keys are for. */
  selected: string | undefined;
  /** A reload under way: which plugin, and the phases that have ended. */
  underWay: { plugin: string; phases: { [Name in Phase]?: number } } | undefined;
  last: ReloadRecord | undefined;
  /** What is wrong with the last builds; empty when nothing is. */
  complaints: readonly string[];
  /** Oldest first. */
  log: readonly string[];
  /** What was last done by a key, or is being done. */
  notice: string;
  page: 'status' | 'list' | 'log';
}

/** How things are set off. */
export interface Paint {
  title: (text: string) => string;
  good: (text: string) => string;
  bad: (text: string) => string;
  faint: (text: string) => string;
  /** The parts of a bar, each other than the one before. */
  part: (text: string, index: number) => string;
}

/** Colours, or with `color` false none: then only bold and reverse are used. */
export function paintWith(color: boolean): Paint {
  const sgr =
    (code: string) =>
    (text: string): string =>
      `\x1b[${code}m${text}\x1b[0m`;
  const colored = (code: string): ((text: string) => string) => (color ? sgr(code) : (text) => text);
  const parts = ['44', '45', '46', '42', '43', '41'].map((code) => colored(`30;${code}`));
  return {
    title: sgr('1'),
    good: colored('32'),
    bad: colored('31'),
    faint: colored('2'),
    part: (text, index) => (parts[index % parts.length] ?? String)(text),
  };
}

/** One line without what would move the cursor, not wider than `columns`. */
function fit(text: string, columns: number): string {
  // oxlint-disable-next-line no-control-regex -- a plugin may log anything
  return text.replaceAll(/[\x00-\x1f\x7f-\x9f]+/g, ' ').slice(0, columns);
}

const keys = 's status  l list  b build  r reload  w watch log  e enable  d disable  q quit';
const shortKeys = 's l b r w e d q';

function headLines(state: DevState, columns: number, paint: Paint): string[] {
  const { url, ready, hotReload, reloads, images } = state;
  const where = url === '' ? 'starting' : `${url}  ${ready ? 'ready' : 'not ready'}`;
  const reloading = hotReload === undefined ? '' : `hot reload ${hotReload ? 'on' : 'off'}`;
  const counts = reloads === undefined ? '' : `${reloads.done} reloads, ${reloads.failed} failed`;
  const held =
    images === undefined
      ? ''
      : `images: ${images.alive.count} alive, ${images.draining.count} draining, ${images.pinned.count} pinned`;
  const facts = [reloading, counts, held].filter((text) => text !== '').join('   ');
  return [paint.title(fit(`Tenon  ${where}`, columns)), fit(facts, columns)];
}

function pluginLines({ plugins, selected }: DevState, columns: number, paint: Paint): string[] {
  const [head = '', ...rows] = tableLines([pluginHead, ...pluginRows(plugins)]);
  return [
    paint.faint(fit(`  ${head}`, columns)),
    ...rows.map((row, index) => {
      const plugin = plugins[index];
      const line = fit(`${plugin?.id === selected ? '> ' : '  '}${row}`, columns);
      return plugin?.state === 'failed' ? paint.bad(line) : plugin?.id === selected ? paint.title(line) : line;
    }),
  ];
}

/** The plugins with all they serve and all that lives of them. */
function listLines(state: DevState, columns: number, paint: Paint): string[] {
  const [head = '', ...rows] = pluginLines(state, columns, paint);
  const details = rows.flatMap((row, index) => {
    const { routes = [], generations = [] } = state.plugins[index] ?? {};
    const lines = [
      ...generations.map(
        ({ number, state: of, leases, pinnedReason }) =>
          `      generation ${number} ${of}, ${leases} leases${pinnedReason === undefined ? '' : `: ${pinnedReason}`}`,
      ),
      ...routes.map(({ method, path }) => `      ${method} ${path}`),
    ];
    return [row, ...lines.map((line) => fit(line, columns))];
  });
  return [head, ...details];
}

function barLine(phases: ReloadRecord['phases'], columns: number, paint: Paint): string[] {
  const parts = barParts(phases, Math.max(10, Math.min(columns - 2, 100)));
  if (parts.length === 0) return [];
  let room = columns - 2;
  const bar = parts.map((part, index) => {
    const text = part.bar.slice(0, Math.max(0, room));
    room -= text.length;
    return paint.part(text, index);
  });
  return [`  ${bar.join('')}`, ...wrap(phaseTimes(phases), columns - 2).map((line) => fit(`  ${line}`, columns))];
}

/** `text` in lines of at most `columns` characters, broken after commas. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const part of text.split(/(?<=,) /)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + part.length <= columns) lines.splice(-1, 1, `${last} ${part}`);
    else lines.push(part);
  }
  return lines;
}

function reloadLines({ underWay, last }: DevState, columns: number, paint: Paint): string[] {
  if (underWay !== undefined)
    return [fit(`  ${underWay.plugin}: under way`, columns), ...barLine(underWay.phases, columns, paint)];
  if (last === undefined) return ['  none yet'];
  const line = fit(`  ${reloadLine(last)}`, columns);
  const done = last.outcome === 'succeeded' ? paint.good(line) : paint.bad(line);
  return [done, ...barLine(last.phases, columns, paint)];
}

/** The page of `state`: exactly `rows` lines of at most `columns` characters. */
export function drawPage(state: DevState, columns: number, rows: number, paint: Paint): string[] {
  const { page, complaints, log, notice } = state;
  const title = (text: string): string => paint.title(fit(text, columns));
  const foot = [fit(notice, columns), paint.faint(fit(columns < keys.length ? shortKeys : keys, columns))];
  const room = Math.max(0, rows - foot.length);
  const body = headLines(state, columns, paint);
  if (page === 'list') body.push(title('Plugins'), ...listLines(state, columns, paint));
  if (page === 'status') {
    body.push(title('Plugins'), ...pluginLines(state, columns, paint));
    body.push(title('Last reload'), ...reloadLines(state, columns, paint));
    const wrong = complaints.map((line) => fit(`  ${line}`, columns));
    if (wrong.length > 0) body.push(paint.bad(fit('Errors', columns)), ...wrong);
  }
  if (page !== 'list') {
    body.push(title('Log'));
    const left = room - body.length;
    if (left > 0) body.push(...log.slice(-left).map((line) => fit(line, columns)));
  }
  const shown = body.slice(0, room);
  return [...shown, ...Array.from({ length: room - shown.length }, () => ''), ...foot].slice(0, rows);
}
