/** The command `tenon` from its start to its end. */
import { Command } from './command.js';

/** How a command ended, and what it said. */
export interface Said {
  status: unknown;
  out: string;
  err: string;
}

/** Run `tenon` with `words` in `directory`. */
export async function tenon(directory: string, ...words: string[]): Promise<Said> {
  const command = new Command(words, directory, {});
  const [status] = await command.exit;
  return { status, out: command.out, err: command.err };
}
