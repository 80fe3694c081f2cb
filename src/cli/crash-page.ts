/** A crash report for people. */
import type { CrashReport, Frame, Party, ReportedThread, ThreadWork } from '../base/crash-report.js';
import { readableMs } from './phases.js';
import { printable } from './printable.js';
import { tableLines } from './table.js';

const actions: Readonly<Record<CrashReport['action'], string>> = {
  restarted: 'a fresh host went on',
  demoted: 'a fresh host went on, with the plugin in a process of its own',
  processRestarted: 'another process of the plugin took its place',
  quarantined: 'a fresh host went on, with the plugin in quarantine',
  wentBack: 'a fresh host went on, without that build',
  safeMode: 'a fresh host went on in safe mode, without plugins',
  gaveUp: 'no host was begun again',
  ended: 'no other one was begun by Tenon: it was on its way down, or had nobody to see to it',
};
const releases: Readonly<Record<NonNullable<CrashReport['released']>['by'], string>> = {
  hand: 'by hand',
  build: 'for another build that is well',
  process: 'for the plugin runs in a process of its own',
};
const registersInLine = 4;
const longestSymbol = 72;

/** How the host has ended, in a word or two. */
export function howOf({ kind, signal, status }: Pick<CrashReport, 'kind' | 'signal' | 'status'>): string {
  if (kind === 'hang') return 'hang';
  if (kind === 'exit') return status === undefined ? 'exit' : `exit ${status}`;
  return kind === 'killed' ? `killed${signal === undefined ? '' : ` by ${signal}`}` : (signal ?? kind);
}

/** What somebody was doing, in a word or two. */
export function whereOf({ work, route }: ThreadWork): string {
  return route === undefined || route === '' ? work : `${work} ${route}`;
}

/** All of it, the sentence first; it ends with a new line. */
export function crashPage(report: CrashReport): string {
  const { verdict, output, gaps, registers } = report;
  const blocks = [
    [verdict.sentence],
    tableLines(factsOf(report)),
    titled('Backtrace', backtrace(report.frames)),
    titled('Threads', report.threads.map(threadLine)),
    titled('Registers', registerLines(registers)),
    titled('Last output', output),
    titled('Missing here', gaps),
  ];
  return blocks.flatMap((lines) => (lines.length === 0 ? [] : [`${lines.map(printable).join('\n')}\n`])).join('\n');
}

function titled(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];
}

function factsOf(report: CrashReport): string[][] {
  const {
    id,
    at,
    kind,
    code,
    address,
    stackOverflow,
    message,
    verdict,
    host,
    thread,
    action,
    released,
    process: own,
  } = report;
  const { culprit, suspects, because } = verdict;
  const where = address === undefined ? '' : ` at ${address}`;
  const causes = [...(code === undefined ? [] : [code]), ...(stackOverflow === true ? ['stack overflow'] : [])];
  const how = `${howOf(report)}${causes.length === 0 ? '' : ` (${causes.join(', ')})`}${kind === 'signal' ? where : ''}`;
  return [
    ['crash', id],
    ['at', at],
    ['how', how],
    ...(message === undefined ? [] : [['said', message]]),
    ...(culprit === undefined ? [] : partyRows('culprit', culprit)),
    ...suspects.flatMap((suspect) => partyRows('suspect', suspect)),
    ...because.map((reason) => ['because', reason]),
    ...(thread === undefined ? [] : [['thread', `${thread.tid}, ${thread.kind}`]]),
    ...(own === undefined ? [] : [['process', `${own.pid}, ran for ${readableMs(own.uptimeMs)}`]]),
    ['host', `process ${host.pid}, Tenon ${host.version}, Node.js ${host.node}, ran for ${readableMs(host.uptimeMs)}`],
    ['then', actions[action] ?? action],
    ...(released === undefined ? [] : [['released', `${released.at}, ${releases[released.by] ?? released.by}`]]),
  ];
}

function partyRows(title: string, { plugin, generation, sha256, unloaded, inside }: Party): string[][] {
  const which = `${plugin} generation ${generation}${unloaded ? ', which was unloaded by then' : ''}`;
  return [
    [title, `${which}${sha256 === '' ? '' : ` (${sha256.slice(0, 12)})`}`],
    ...(inside === undefined ? [] : [['', `in ${workText(inside)}`]]),
  ];
}

function workText(work: ThreadWork): string {
  const { request, ms } = work;
  const parts = [whereOf(work), ...(request === undefined ? [] : [`request ${request}`])];
  return `${parts.join(', ')}${ms === undefined ? '' : `, for ${readableMs(ms)}`}`;
}

function backtrace(frames: readonly Frame[]): string[] {
  return tableLines(
    frames.map((frame, at) => [
      `#${at}`,
      imageOf(frame),
      symbolOf(frame),
      frame.source ?? '',
      frame.found === 'scanned' ? '(found on the stack)' : '',
    ]),
  );
}

/** Names that the compiler makes of templates fill pages. */
function symbolOf({ symbol, offset, address }: Frame): string {
  if (symbol === undefined) return offset === undefined ? address : '';
  const [, name = '', place = ''] = /^(.*?)(\+0x[0-9a-f]+)?$/s.exec(symbol) ?? [];
  return name.length <= longestSymbol ? symbol : `${name.slice(0, longestSymbol - 1)}…${place}`;
}

/** Whose code it is, and where in that. */
function imageOf({ plugin, generation, unloaded, offset, file, address }: Frame): string {
  const place = offset === undefined ? '' : `+${offset}`;
  if (plugin !== undefined) return `${plugin}#${generation ?? '?'}${unloaded === true ? ' (unloaded)' : ''}${place}`;
  return file === undefined ? address : `${file.replace(/^.*\//, '')}${place}`;
}

function threadLine({ tid, kind, inside, before }: ReportedThread): string {
  const now = inside === undefined ? 'in no plugin' : `in ${inside.plugin}#${inside.generation} ${workText(inside)}`;
  const last = before.map((work) => `${work.plugin}#${work.generation} ${whereOf(work)}`);
  return `${tid} ${kind}: ${now}${last.length === 0 ? '' : `; before: ${last.join(', ')}`}`;
}

function registerLines(registers: CrashReport['registers']): string[] {
  const cells = Object.entries(registers).map(([name, value]) => `${name}=${value}`);
  const count = Math.ceil(cells.length / registersInLine);
  return tableLines(
    Array.from({ length: count }, (_, line) => cells.slice(line * registersInLine, (line + 1) * registersInLine)),
  );
}
