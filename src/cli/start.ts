/** `tenon start`: serve until a signal says stop. This process is the parent; the host is its child. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import tty from 'node:tty';
import { type PrintedSetting, processEnvironment, resolveSettings, type Settings } from '../base/config.js';
import { makeDataDirectory } from '../base/data-directory.js';
import { TenonError } from '../base/errors.js';
import { version } from '../base/version.js';
import { type DirectoryLock, loadCore } from '../binding/core.js';
import { lockData } from '../host/data-lock.js';
import { Crashes, limitsOf } from '../supervisor/crashes.js';
import type { HostEnd } from '../supervisor/host-child.js';
import { HostProcess, type HostProcessOptions } from '../supervisor/host-process.js';
import { reapWhenFirst } from '../supervisor/first-process.js';
import { givenPort, type HeldPort, holdPort, holdSocket } from '../supervisor/port.js';
import { ServiceManager } from '../supervisor/service-manager.js';
import { settingRows } from './settings.js';
import { printTable } from './table.js';

/** Settings that the command line gives. */
export interface HostOptionFlags {
  host?: string;
  port?: string;
  applications?: string;
  data?: string;
  isolation?: string;
}

/** What the host is to be. */
export interface Order {
  flags: HostOptionFlags;
  /** Whether each reload is told in lines for people, on standard error. */
  tellsReloads: boolean;
}

interface HeldAdmin {
  port?: HeldPort | undefined;
  socket?: HeldPort | undefined;
}

export interface StartFlags extends HostOptionFlags {
  printConfig?: true;
  json?: true;
}

function printConfig(printed: readonly PrintedSetting[], json: boolean): void {
  if (json) process.stdout.write(`${JSON.stringify({ settings: printed })}\n`);
  else printTable(settingRows(printed));
}

/**
 * The host of `order` as a child that has the port and the data directory of its settings. Rejects with `AddressInUse`, `DataDirectoryLocked`,
 * and for wrong settings.
 */
export async function hostProcess(
  order: Order,
  { stdio, lastWords }: Pick<HostProcessOptions, 'stdio' | 'lastWords'>,
): Promise<HostProcess> {
  const resolved = resolveSettings({ flags: order.flags });
  const { settings } = resolved;
  const environment = processEnvironment();
  const manager = ServiceManager.of(environment);
  const core = loadCore();
  const port = givenPort(environment) ?? (await holdPort(settings.host, settings.port));
  let admin: HeldAdmin | undefined;
  let lock: DirectoryLock | undefined;
  try {
    admin = await holdAdmin(settings);
    makeDataDirectory(settings.data);
    lock = lockData(core, settings.data);
    const here = fileURLToPath(import.meta.url);
    return new HostProcess({
      release: { program: path.join(path.dirname(here), `serve${path.extname(here)}`), version },
      order,
      settings: resolved,
      port,
      admin,
      lock,
      stdio,
      captures: settings.logOutput,
      lastWords,
      say: lastWords,
      boxes: core,
      crashes: new Crashes({
        data: settings.data,
        ...limitsOf(settings),
        warn: (line) => lastWords(`tenon: ${line}`),
      }),
      manager,
    });
  } catch (error) {
    for (const held of [port, admin?.port, admin?.socket]) held?.close();
    lock?.release();
    throw error;
  }
}

/** What the listener of the admin API needs, when it has one. */
async function holdAdmin({ adminPort, adminAddress, adminSocket }: Settings): Promise<HeldAdmin> {
  const port =
    adminPort === '' ? undefined : await holdPort(adminAddress, Number(adminPort)).catch(blame('ADMIN_PORT'));
  if (adminSocket === '') return { port };
  const socket = await holdSocket(path.resolve(adminSocket))
    .catch(blame('TENON_ADMIN_SOCKET'))
    .catch((error: unknown) => {
      port?.close();
      throw error;
    });
  return { port, socket };
}

/** Have what cannot be listened on say which setting it is of; a socket has no port. */
function blame(setting: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof TenonError) || error.details?.['port'] === undefined) throw error;
    const { code, message, details } = error;
    const next = `choose another with ${setting}`;
    throw new TenonError(code, message.replace(/^(\/.*?):0\b/, '$1'), { next, details, cause: error });
  };
}

/** SIGHUP has settings read again; of a terminal that is gone it is the end. @param stop told of such an end */
export function onHangUp(host: HostProcess, stop: (why: string) => void): void {
  const hasTerminal = tty.isatty(0);
  process.on('SIGHUP', () => {
    if (hasTerminal && !tty.isatty(0)) stop('the terminal is gone');
    else host.reload();
  });
}

/**
 * Say what killed the host, if something has, and end as it has. At once: a process that ends by itself takes its
 * signal handlers down first, and the next of many signals would kill it.
 */
export function endAs({ status, signal }: HostEnd): never {
  if (signal !== undefined) process.stderr.write(`tenon: the host was ended by ${signal}\n`);
  process.exit(status);
}

/**
 * Run the host until a signal, then end the process; the exit status of anything else. Rejects when it cannot begin.
 * @param tellsReloads each reload in lines for people
 */
export async function start({ printConfig: print, json, ...flags }: StartFlags, tellsReloads = false): Promise<number> {
  if (print === true) {
    printConfig(resolveSettings({ flags }).printed, json === true);
    return 0;
  }
  if (json === true) throw new TypeError('option json: it is for --print-config; the log is JSON off a terminal');
  const lastWords = (line: string): void => void process.stderr.write(`${line}\n`);
  const host = await hostProcess({ flags, tellsReloads }, { stdio: 'inherit', lastWords });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => host.stop(signal));
  onHangUp(host, (why) => host.stop(why));
  process.on('SIGUSR2', () => void host.upgrade());
  reapWhenFirst(() => host.pids);
  return endAs(await host.run());
}
