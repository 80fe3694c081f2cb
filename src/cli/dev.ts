/** `tenon dev`: serve, and show what each change comes to. */
import { createInterface } from 'node:readline';
import { resolveSettings } from '../base/config.js';
import type { HostEnd, Spoken } from '../supervisor/host-child.js';
import { DevView } from './dev-view.js';
import { endAs, type HostOptionFlags, hostProcess, onHangUp, start } from './start.js';

export interface DevFlags extends HostOptionFlags {
  plain?: true;
}

/** Of what the host said, when it ended badly. */
const lastLines = 10;

/** Run the host until a signal or the key q, then end the process. Rejects when it cannot begin. */
export async function dev({ plain, ...flags }: DevFlags): Promise<number> {
  const { stdin, stdout, stderr } = process;
  if (plain === true || stdin.isTTY !== true || stdout.isTTY !== true) return start(flags, true);
  const { settings } = resolveSettings({ flags });
  const said: string[] = [];
  const lastWords = (line: string): void => {
    view.said(line);
    if (said.push(line) > lastLines) said.shift();
  };
  const host = await hostProcess({ flags, tellsReloads: false }, { stdio: 'pipe', lastWords });
  const stop = (why: string): void => {
    view.tell('stopping: requests under way end first; q again stops at once');
    host.stop(why);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal));
  onHangUp(host, stop);
  process.on('SIGUSR2', () => void host.upgrade());
  const view = new DevView({ data: settings.data, color: settings.color, quit: () => stop('the key q') });
  const listen = ([log, words]: Spoken): void => {
    if (log) createInterface({ input: log }).on('line', (line) => view.said(line));
    if (words) createInterface({ input: words }).on('line', lastWords);
  };
  let end: HostEnd;
  try {
    end = await host.run(listen);
  } finally {
    view.close();
  }
  if (end.status !== 0) for (const line of said) stderr.write(`${line}\n`);
  return endAs(end);
}
