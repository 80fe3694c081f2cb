/** A real pseudo-terminal, and what stands on it: tmux. */
import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const program = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist', 'cli', 'tenon.js');

/** Whether there is one. */
export function hasScreen(): boolean {
  return spawnSync('tmux', ['-V']).status === 0;
}

/** One terminal of its own server, with a shell in it. */
export class Screen {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** A terminal of 100 columns and 30 rows; the shell is in `directory`, with these variables. */
  static async open(directory: string, variables: Record<string, string>): Promise<Screen> {
    const screen = new Screen(path.join(directory, 'tmux'));
    const { PATH = '', HOME = '' } = process.env;
    const env = Object.entries({ PATH, HOME, LANG: 'C.UTF-8', PS1: '$ ', ...variables });
    const words = env.flatMap(([name, value]) => ['-e', `${name}=${value}`]);
    await screen.#tmux(
      '-f',
      '/dev/null',
      'new-session',
      '-d',
      '-x',
      '100',
      '-y',
      '30',
      '-c',
      directory,
      ...words,
      'sh',
    );
    return screen;
  }

  /** Type a command line with `tenon`, and after its end its status. */
  async tenon(words: string): Promise<void> {
    const command = `${process.execPath} ${program} ${words}`;
    await this.press('-l', `${command}; echo ended with $?`);
    await this.press('Enter');
  }

  /** Press keys, by their names in tmux. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux('send-keys', ...keys);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** Its lines; with `escapes` also what sets them off. */
  async text(escapes = false): Promise<string> {
    return this.#tmux('capture-pane', '-p', ...(escapes ? ['-e'] : []));
  }

  /** Whether the cursor is seen, and whether it is the other screen. */
  async modes(): Promise<{ cursor: boolean; alternate: boolean }> {
    const [cursor, alternate] = (await this.#tmux('display-message', '-p', '#{cursor_flag} #{alternate_on}'))
      .trim()
      .split(' ');
    return { cursor: cursor === '1', alternate: alternate === '1' };
  }

  /** End the terminal and what runs in it. */
  async close(): Promise<void> {
    await this.#tmux('kill-server').catch(() => ''); // it has ended with its shell
  }

  async #tmux(...words: string[]): Promise<string> {
    return (await run('tmux', ['-S', this.#socket, ...words], { env: { ...process.env, TMUX: '' } })).stdout;
  }
}
