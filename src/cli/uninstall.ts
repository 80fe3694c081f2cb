/** `tenon uninstall`: an installed plugin goes, with its folder. */
import { createInterface } from 'node:readline/promises';
import type { Uninstalled } from '../host/installing.js';
import { type AskFlags, Client } from './client.js';
import { printable } from './printable.js';

export interface UninstallFlags extends AskFlags {
  /** Also its tables, state, config and kept builds. */
  purge?: true;
  /** Do not ask. */
  yes?: true;
}

export async function uninstall(id: string, flags: UninstallFlags): Promise<void> {
  const client = Client.find(flags);
  if (flags.yes !== true && flags.json !== true && process.stdin.isTTY && process.stderr.isTTY)
    if (!(await isMeant(id, flags.purge === true))) {
      process.stderr.write('nothing was changed\n');
      process.exitCode = 1;
      return;
    }
  const target = `/api/v1/plugins/${encodeURIComponent(id)}${flags.purge === true ? '?purge=true' : ''}`;
  const { answer } = await client.tagged<Uninstalled>('DELETE', target);
  process.stdout.write(flags.json === true ? `${JSON.stringify(answer)}\n` : `${answer.plugin.id}: ${answer.status}\n`);
  for (const warning of answer.warnings) process.stderr.write(`${id}: ${printable(warning)}\n`);
}

async function isMeant(id: string, purge: boolean): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const what = purge ? `${id} with its tables, state and config` : id;
    return /^y(?:es)?$/i.test((await lines.question(`Uninstall ${what}? [y/N] `)).trim());
  } finally {
    lines.close();
  }
}
