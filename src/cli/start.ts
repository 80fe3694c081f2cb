/** `tenon start`: serve until a signal says stop. */
import { type PrintedSetting, resolveSettings, type Settings } from '../base/config.js';
import { type Log, openLog } from '../base/log.js';
import { createHost, describeError, type TenonHost } from '../index.js';

export interface StartFlags {
  host?: string;
  port?: string;
  applications?: string;
  data?: string;
  printConfig?: true;
}

/** Time for a graceful end before the process is ended anyway, beyond the drain time of the settings, ms. */
const graceMs = 15_000;

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

/** Where it listens, what it serves, and a line to try. For people: on standard error. */
function printWelcome(host: TenonHost, url: string): void {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  say(`Tenon listens on ${url}`);
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

/** The first signal drains, the second one ends the process at once. */
function closeOnSignal(host: TenonHost, settings: Settings, log: Log): void {
  let closing = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (closing) {
      log.warn({ signal }, 'second signal: ended at once');
      process.exit(130);
    }
    closing = true;
    log.info({ signal }, 'requests under way end, then the host stops; a second signal stops it at once');
    const limit = settings.drainMs + graceMs;
    setTimeout(() => {
      log.error({ limit }, 'the host did not stop in time: ended');
      process.exit(1);
    }, limit).unref();
    host.close().then(
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
}

/** Run the host until a signal. Rejects when it cannot start. */
export async function start({ printConfig: print, ...flags }: StartFlags): Promise<void> {
  const { settings, printed } = resolveSettings({ flags });
  if (print === true) {
    printConfig(printed);
    return;
  }
  const log = openLog({ level: settings.logLevel, ...(settings.color ? {} : { color: false }) });
  const host = await createHost({ ...explicit(settings), log });
  try {
    const url = await host.listen();
    closeOnSignal(host, settings, log);
    printWelcome(host, url);
  } catch (error) {
    await host.close().catch((second: unknown) => log.error({ err: second }, 'not everything closed'));
    throw error;
  }
}

/** Settings as options: an empty token means none was given. */
function explicit(settings: Settings): Partial<Settings> {
  const { adminToken, ...rest } = settings;
  return adminToken === '' ? rest : settings;
}

/** One line on standard error, and the exit code: 2 for misuse, 1 for anything else. */
export function reportFailure(error: unknown): number {
  process.stderr.write(`tenon: ${describeError(error)}\n`);
  return error instanceof TypeError ? 2 : 1;
}
