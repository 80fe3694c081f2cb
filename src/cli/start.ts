/** `tenon start`: serve until a signal says stop. This process is the parent; the host is its child. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PrintedSetting, resolveSettings, type Settings } from '../base/config.js';
import { type HostEnd, HostProcess, type HostProcessOptions } from '../supervisor/host-process.js';
import { type HeldPort, holdPort, holdSocket } from '../supervisor/port.js';
import { printTable } from './table.js';

/** Settings that the command line gives. */
export interface HostOptionFlags {
  host?: string;
  port?: string;
  applications?: string;
  data?: string;
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
}

function printConfig(printed: readonly PrintedSetting[]): void {
  const head = ['key in tenon.yaml', 'value', 'source', 'environment'];
  printTable([
    head,
    ...printed.map(({ key, value, source, environment }) => [key, JSON.stringify(value), source, environment ?? '']),
  ]);
}

/** The host of `order` as a child that has the port of its settings. Rejects with `AddressInUse`, and for wrong settings. */
export async function hostProcess(
  order: Order,
  { stdio, lastWords }: Pick<HostProcessOptions, 'stdio' | 'lastWords'>,
): Promise<HostProcess> {
  const { settings } = resolveSettings({ flags: order.flags });
  const port = await holdPort(settings.host, settings.port);
  const admin = await holdAdmin(settings).catch((error: unknown) => {
    port?.close();
    throw error;
  });
  const here = fileURLToPath(import.meta.url);
  const program = path.join(path.dirname(here), `serve${path.extname(here)}`);
  return new HostProcess({ program, order, port, admin, stdio, captures: settings.logOutput, lastWords });
}

/** What the listener of the admin API needs, when it has one. */
async function holdAdmin({ adminPort, adminAddress, adminSocket }: Settings): Promise<HeldAdmin> {
  const port = adminPort === '' ? undefined : await holdPort(adminAddress, Number(adminPort));
  if (adminSocket === '') return { port };
  const socket = await holdSocket(path.resolve(adminSocket)).catch((error: unknown) => {
    port?.close();
    throw error;
  });
  return { port, socket };
}

/** Say what killed the host, if something has. The exit status. */
export function tellEnd({ status, signal }: HostEnd): number {
  if (signal !== undefined) process.stderr.write(`tenon: the host was ended by ${signal}\n`);
  return status;
}

/**
 * Run the host until a signal; the exit status. Rejects when it cannot begin.
 * @param tellsReloads each reload in lines for people
 */
export async function start({ printConfig: print, ...flags }: StartFlags, tellsReloads = false): Promise<number> {
  if (print === true) {
    printConfig(resolveSettings({ flags }).printed);
    return 0;
  }
  const host = await hostProcess(
    { flags, tellsReloads },
    { stdio: 'inherit', lastWords: (line) => void process.stderr.write(`${line}\n`) },
  );
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => host.stop(signal));
  return tellEnd(await host.run());
}
