/** `tenon dev`: serve, and show what each change comes to. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { resolveSettings } from '../base/config.js';
import type { HostEnd } from '../supervisor/host-process.js';
import { DevView } from './dev-view.js';
import { type HostOptionFlags, hostProcess, start, tellEnd } from './start.js';

export interface DevFlags extends HostOptionFlags {
  plain?: true;
}

/** Of what the host said, when it ended badly. */
const lastWords = 10;

/** Run the host until a signal or the key q; the exit status. Rejects when it cannot begin. */
export async function dev({ plain, ...flags }: DevFlags): Promise<number> {
  const { stdin, stdout, stderr } = process;
  if (plain === true || stdin.isTTY !== true || stdout.isTTY !== true) return start(flags, true);
  const { settings } = resolveSettings({ flags });
  const host = await hostProcess({ flags, tellsReloads: false }, 'pipe');
  const stop = (why: string): void => {
    view.tell('stopping: requests under way end first; q again stops at once');
    host.stop(why);
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  const view = new DevView({ data: settings.data, color: settings.color, quit: () => stop('the key q') });
  const said: string[] = [];
  const listen = (child: ChildProcess): void => {
    for (const stream of [child.stdout, child.stderr])
      if (stream !== null)
        createInterface({ input: stream }).on('line', (line) => {
          view.said(line);
          if (stream === child.stderr && said.push(line) > lastWords) said.shift();
        });
  };
  let end: HostEnd;
  try {
    end = await host.run(listen);
  } finally {
    view.close();
  }
  if (end.status !== 0) for (const line of said) stderr.write(`${line}\n`);
  return tellEnd(end);
}
