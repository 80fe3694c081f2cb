/** The page of `tenon dev` and its keys: what the host tells goes to the terminal, what is pressed goes to the host. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describeError } from '../base/errors.js';
import type { PluginView } from '../index.js';
import type { BuildReport } from './build.js';
import { Client, Refusal, type StreamedEvent } from './client.js';
import { type DevState, drawPage, type Paint, paintWith } from './dev-page.js';
import { complaintLines } from './reload-report.js';
import type { HostStatus } from './status.js';
import { Terminal } from './terminal.js';

export interface DevViewOptions {
  /** Data directory of the host. */
  data: string;
  color: boolean;
  /** Asked for by key. */
  quit: () => void;
}

const keptLines = 1000;
const refreshMs = 1000;
const pollMs = 100;
const frameMs = 30;

/** Shown from its making to `close`. */
export class DevView {
  readonly #options: DevViewOptions;
  readonly #terminal: Terminal;
  readonly #paint: Paint;
  readonly #log: string[] = [];
  readonly #ended = new AbortController();
  readonly #state: DevState;
  /** What is wrong with builds that were asked for by key, by plugin, until its next reload. */
  readonly #built = new Map<string, string[]>();
  #client: Client | undefined;
  #frame: NodeJS.Timeout | undefined;

  constructor(options: DevViewOptions) {
    this.#options = options;
    this.#paint = paintWith(options.color);
    this.#state = {
      url: '',
      ready: false,
      hotReload: undefined,
      reloads: undefined,
      images: undefined,
      plugins: [],
      selected: undefined,
      underWay: undefined,
      last: undefined,
      complaints: [],
      log: this.#log,
      notice: '',
      page: 'status',
    };
    this.#terminal = new Terminal(
      (key) => this.#pressed(key),
      () => this.#draw(),
    );
    void this.#follow();
    void this.#refreshOften();
    this.#change({});
  }

  /** A line that the host wrote: a record of its log, or words. */
  said(line: string): void {
    this.#log.push(readableRecord(line));
    if (this.#log.length > keptLines) this.#log.shift();
    this.#change({});
  }

  /** Say what happens, in the line above the keys. */
  tell(notice: string): void {
    this.#change({ notice });
  }

  /** Give the terminal back. */
  close(): void {
    this.#ended.abort();
    clearTimeout(this.#frame);
    this.#terminal.close();
  }

  #change(changes: Partial<DevState>): void {
    Object.assign(this.#state, changes);
    if (!this.#ended.signal.aborted) this.#frame ??= setTimeout(() => this.#draw(), frameMs);
  }

  #draw(): void {
    clearTimeout(this.#frame);
    this.#frame = undefined;
    this.#terminal.show(drawPage(this.#state, this.#terminal.columns, this.#terminal.rows, this.#paint));
  }

  #pressed(key: string): void {
    const { plugins } = this.#state;
    const at = plugins.findIndex(({ id }) => id === this.#state.selected);
    const choose = (index: number): void => this.#change({ selected: plugins[index]?.id ?? this.#state.selected });
    if (key === 's') this.#change({ page: 'status' });
    else if (key === 'l') this.#change({ page: 'list' });
    else if (key === 'w') this.#change({ page: 'log' });
    else if (key === 'up') choose(at - 1);
    else if (key === 'down') choose(at + 1);
    else if (key === 'q' || key === 'interrupt') this.#options.quit();
    else if (key === 'b') this.#build(plugins[at]);
    else if (key === 'r') this.#reload(plugins[at]);
    else if (key === 'e') this.#ask('hot reload is on', (client) => client.post('/api/v1/hot-reload/enable'));
    else if (key === 'd') this.#ask('hot reload is off', (client) => client.post('/api/v1/hot-reload/disable'));
  }

  /** Ask the host, then say `done`, or why not. */
  #ask(done: string, ask: (client: Client) => Promise<unknown>): void {
    if (this.#client === undefined) {
      this.tell('there is no host that could be asked');
      return;
    }
    const asked = async (client: Client): Promise<void> => {
      try {
        await ask(client);
        this.tell(done);
      } catch (error) {
        this.tell(error instanceof Refusal ? error.message : describeError(error));
      }
      await this.#refresh();
    };
    void asked(this.#client);
  }

  #reload(plugin: PluginView | undefined): void {
    if (plugin === undefined) return;
    this.tell(`${plugin.id} is reloaded`);
    this.#ask(`${plugin.id} was reloaded`, (client) =>
      client.post(`/api/v1/plugins/${encodeURIComponent(plugin.id)}/reload`),
    );
  }

  /** Compile the application without loading it, in a process of its own. */
  #build(plugin: PluginView | undefined): void {
    if (plugin === undefined) return;
    const { id, folder } = plugin;
    this.tell(`${id} is built`);
    const here = fileURLToPath(import.meta.url);
    const program = path.join(path.dirname(here), `tenon${path.extname(here)}`);
    const words = ['build', folder, '--json', '--data', this.#options.data];
    const child = spawn(process.execPath, [...process.execArgv, program, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: this.#ended.signal,
      killSignal: 'SIGTERM',
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (text: Buffer) => void (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => void (err += text.toString()));
    child.once('error', (error) => this.tell(`${id} was not built: ${error.message}`));
    child.once('close', () => {
      const built = out === '' ? undefined : (JSON.parse(out) as BuildReport).applications[0];
      if (built === undefined) {
        this.tell(`${id} was not built: ${err.trim()}`);
        return;
      }
      const { ok, ms, cached, diagnostics, error } = built;
      this.tell(
        ok
          ? `${id} was built, ${ms} ms${cached === true ? ' (known)' : ''}`
          : `${id} was not built: ${error?.message ?? ''}`,
      );
      this.#built.set(id, complaintLines(error && { ...error, details: { diagnostics } }, folder, process.cwd()));
      void this.#refresh();
    });
  }

  /** Hear what happens, from one host after the other. */
  async #follow(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        this.#client = Client.find({ data: this.#options.data });
        this.#change({ url: this.#client.url });
        void this.#refresh();
        for await (const event of this.#client.events(signal)) this.#happened(event);
      } catch (error) {
        // Else it does not listen yet, or is on its way down; its log says more.
        if (error instanceof Refusal && error.problem.error !== 'HostClosing') {
          this.#client = undefined;
          this.tell(error.message);
          return;
        }
      }
      this.#change({ ready: false, underWay: undefined });
      await sleep(pollMs, undefined, { signal }).catch(() => {});
    }
  }

  #happened(event: StreamedEvent): void {
    const { type, plugin = '', record, phase, ms = 0 } = event;
    const { underWay } = this.#state;
    if (type === 'reload.started') this.#change({ underWay: { plugin, phases: {} } });
    if (phase !== undefined && underWay?.plugin === plugin) {
      const before = underWay.phases[phase] ?? 0;
      this.#change({ underWay: { plugin, phases: { ...underWay.phases, [phase]: before + ms } } });
    }
    if (record !== undefined) {
      this.#built.delete(plugin);
      this.#change({ underWay: undefined });
    }
    if (type !== 'reload.phase' && type !== 'log') void this.#refresh();
  }

  async #refreshOften(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await sleep(refreshMs, undefined, { signal }).catch(() => {});
      await this.#refresh();
    }
  }

  async #refresh(): Promise<void> {
    const client = this.#client;
    if (client === undefined || this.#ended.signal.aborted) return;
    try {
      const [{ plugins }, { ready, images, hotReload }] = await Promise.all([
        client.get<{ plugins: PluginView[] }>('/api/v1/plugins'),
        client.get<HostStatus>('/api/v1/status'),
      ]);
      const { enabled, reloadCount, failedReloads } = hotReload;
      const known = plugins.some(({ id }) => id === this.#state.selected);
      const records = plugins.flatMap(({ lastReload }) => lastReload ?? []);
      const complaints = plugins.flatMap(
        ({ id, folder, lastReload }) => this.#built.get(id) ?? complaintLines(lastReload?.error, folder, process.cwd()),
      );
      this.#change({
        plugins,
        ready,
        images,
        complaints,
        last: records.toSorted((one, other) => one.startedAt.localeCompare(other.startedAt)).at(-1),
        hotReload: enabled,
        reloads: { done: reloadCount, failed: failedReloads },
        selected: known ? this.#state.selected : plugins[0]?.id,
      });
    } catch (error) {
      // It is on its way down: the next one is asked in its place.
      this.#change({ ready: false });
      if (error instanceof Refusal) this.tell(error.message);
    }
  }
}

const levels: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** A line of the host's log for people; any other as it is. */
function readableRecord(line: string): string {
  if (!line.startsWith('{')) return line;
  try {
    const { level, time, plugin, msg } = JSON.parse(line) as {
      level: number;
      time: string;
      plugin?: string;
      msg?: string;
    };
    const about = plugin === undefined || msg?.startsWith(plugin) === true ? '' : `${plugin}: `;
    return `${new Date(time).toLocaleTimeString('sv')} ${(levels[level] ?? '').padEnd(5)} ${about}${msg ?? ''}`;
  } catch {
    return line;
  }
}
