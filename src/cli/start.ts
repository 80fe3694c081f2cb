/** `tenon start`: serve until a signal says stop. */
import { type PrintedSetting, resolveSettings, type Settings } from '../base/config.js';
import { type Log, openLog } from '../base/log.js';
import { describeError, openHost, type TenonHost } from '../index.js';

/** What the command line gives. */
export interface StartFlags {
  host?: string;
  port?: string;
  applications?: string;
  data?: string;
  printConfig?: true;
}

/** For what no setting limits: ending builds, closing files, ms. */
const graceMs = 10_000;

/**
 * The longest that closing may rightly take, ms. The server drains; then a plugin that is in the middle of a reload
 * finishes it (a trial, four steps up, five to hand its state over behind a drain), and the old generation and the new
 * one go down, each with a drain, the end of a health check, shutdown, destroy and the end of its threads; the new one
 * lets go and saves before that.
 */
export function longestClose({ drainMs, lifecycleMs, trialMs }: Settings): number {
  const drains = 1 + 1 + 2;
  const steps = 4 + 5 + 2 * 4 + 2;
  return drains * drainMs + steps * lifecycleMs + trialMs + graceMs;
}

function printConfig(printed: readonly PrintedSetting[]): void {
  const rows = printed.map(({ name, value, source, environment }) => [
    name,
    JSON.stringify(value),
    source,
    environment ?? '',
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  for (const row of rows)
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
}

/** For people. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** What it serves, and a line to try. */
function printWelcome(host: TenonHost, url: string): void {
  let example: string | undefined;
  for (const { id, state, version, routes, error } of host.plugins()) {
    say(
      `  ${id}${version === undefined ? '' : ` ${version}`}: ${state}${error === undefined ? '' : `, ${error.message}`}`,
    );
    for (const { method, path } of routes) say(`    ${method} ${path}`);
    example ??= routes.find(({ method, path }) => method === 'GET' && !/[:*]/.test(path))?.path;
  }
  if (host.plugins().length === 0) say(`  no applications in ${host.settings.applications}`);
  if (host.admin.made) say(`The admin token was made and is kept in ${host.admin.file ?? ''}`);
  say(`Try: curl ${url}${example ?? '/plugins'}`);
}

/** The first signal ends the start or drains, the second one ends the process at once. The result: whether one came. */
function closeOnSignal(opening: Promise<TenonHost>, settings: Settings, log: Log): () => boolean {
  let closing = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (closing) {
      log.warn({ signal }, 'second signal: ended at once');
      process.exit(130);
    }
    closing = true;
    log.info({ signal }, 'requests under way end, then the host stops; a second signal stops it at once');
    const limit = longestClose(settings);
    setTimeout(() => {
      log.error({ limit }, 'the host did not stop in time: ended');
      process.exit(1);
    }, limit).unref();
    const closed = opening.then((host) => host.close());
    closed.then(
      () => {
        log.info('stopped');
        process.exit(0);
      },
      (error: unknown) => {
        log.error({ err: error }, 'stopped, but not everything closed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return () => closing;
}

/** Run the host until a signal. Rejects when it cannot start. */
export async function start({ printConfig: print, ...flags }: StartFlags): Promise<void> {
  const { settings, printed } = resolveSettings({ flags });
  if (print === true) {
    printConfig(printed);
    return;
  }
  const log = openLog({ level: settings.logLevel, ...(settings.color ? {} : { color: false }) });
  const opening = openHost({ ...explicit(settings), log });
  const isClosing = closeOnSignal(opening, settings, log);
  const host = await opening;
  try {
    const url = await host.listen();
    say(`Tenon listens on ${url}`);
    await host.discover();
    if (!isClosing()) printWelcome(host, url);
  } catch (error) {
    if (isClosing()) return; // what was cut short by it is no failure
    await host.close().catch((second: unknown) => log.error({ err: second }, 'not everything closed'));
    throw error;
  }
}

/** Settings as options: an empty text means none was given. */
function explicit(settings: Settings): Partial<Settings> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== ''));
}

/** One line on standard error, and the exit code: 2 for misuse, 1 for anything else. */
export function reportFailure(error: unknown): number {
  process.stderr.write(`tenon: ${describeError(error)}\n`);
  return error instanceof TypeError ? 2 : 1;
}
