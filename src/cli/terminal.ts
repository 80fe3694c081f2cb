/** The whole terminal as a page: keys in, lines out, and everything as it was afterwards. */

/** A page in the terminal. Open from its making to `close`, or to the end of the process, whatever ends it but SIGKILL. */
export class Terminal {
  readonly #restore = (): void => this.#leave();
  readonly #onData: (text: string) => void;
  readonly #onResize: () => void;
  #shown = '';
  #open = true;

  /**
   * @param pressed told of each key: its character, or `up`, `down`, `interrupt`
   * @param resized told when there is more or less room
   */
  constructor(pressed: (key: string) => void, resized: () => void) {
    this.#onData = (text) => {
      for (const key of keysIn(text)) pressed(key);
    };
    this.#onResize = () => {
      this.#shown = '';
      resized();
    };
    const { stdin, stdout } = process;
    process.once('exit', this.#restore);
    stdin.setRawMode(true);
    stdin.setEncoding('utf8');
    stdin.on('data', this.#onData);
    stdout.on('resize', this.#onResize);
    // Another screen, no cursor, no wrapping.
    stdout.write('\x1b[?1049h\x1b[?25l\x1b[?7l');
  }

  get columns(): number {
    return process.stdout.columns;
  }

  get rows(): number {
    return process.stdout.rows;
  }

  /** Show these lines, as many as there is room for, and nothing else. */
  show(lines: readonly string[]): void {
    const frame = lines.slice(0, this.rows).join('\x1b[K\r\n');
    if (!this.#open || frame === this.#shown) return;
    this.#shown = frame;
    process.stdout.write(`\x1b[H${frame}\x1b[K\x1b[J`);
  }

  /** Give the terminal back. Twice is fine. */
  close(): void {
    process.off('exit', this.#restore);
    this.#leave();
  }

  #leave(): void {
    if (!this.#open) return;
    this.#open = false;
    const { stdin, stdout } = process;
    stdout.off('resize', this.#onResize);
    stdin.off('data', this.#onData);
    stdin.setRawMode(false);
    stdin.pause();
    stdout.write('\x1b[?7h\x1b[?25h\x1b[?1049l');
  }
}

const named: Readonly<Record<string, string>> = {
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
  '\x03': 'interrupt',
};

/** Keys in what a terminal sends at once; other escape sequences are none. */
function keysIn(text: string): string[] {
  // oxlint-disable-next-line no-control-regex -- these are what terminals send
  const pieces = text.match(/\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|[\s\S]/g) ?? [];
  return pieces.map((piece) => named[piece] ?? piece).filter((key) => key.length !== 1 || key >= ' ');
}
