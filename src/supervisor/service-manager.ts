/** systemd, or whoever speaks its protocol (sd_notify): told how the host does. */
import type { Environment } from '../base/config.js';
import { loadCore } from '../binding/core.js';

/** Variables that a service manager gives to one process and no further one. */
export const managerVariables = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
];

const usualBeatMs = 10_000;
/** Until one that was busy is told again. */
const againMs = 10;
/** One that reads nothing for so many tries, some 5 s, is not waited for. */
const mostTries = 500;
/** For what goes on at a start or an end, beyond the next beat, µs. */
const spareMicroseconds = 30_000_000;

/** The service manager that has started this process. */
export class ServiceManager {
  /** Between two signs of life that it is to be given, ms. */
  readonly beatMs: number;
  readonly #socket: string;
  readonly #watches: boolean;
  #failed = false;
  /** What it was too busy for, in order. */
  readonly #untold: string[] = [];
  #again: NodeJS.Timeout | undefined;
  #tries = 0;

  private constructor(socket: string, watchdogMs: number | undefined) {
    this.#socket = socket;
    this.#watches = watchdogMs !== undefined;
    this.beatMs = Math.min(usualBeatMs, Math.max(1, (watchdogMs ?? Number.POSITIVE_INFINITY) / 2));
  }

  /** The one that `environment` names; undefined when there is none. Throws `NativePartMissing`. */
  static of(environment: Environment): ServiceManager | undefined {
    const { NOTIFY_SOCKET: socket = '', WATCHDOG_USEC: watchdog = '', WATCHDOG_PID: pid = '' } = environment;
    if (socket === '') return undefined;
    loadCore();
    const isMeant = /^[1-9]\d{0,14}$/.test(watchdog) && (pid === '' || Number(pid) === process.pid);
    return new ServiceManager(socket, isMeant ? Number(watchdog) / 1000 : undefined);
  }

  /** It serves; `about` says what. */
  ready(about: string): void {
    this.#tell('READY=1', `STATUS=${about}`);
  }

  /** Its settings are read again; `ready` says when that is over. */
  reloading(): void {
    // CLOCK_MONOTONIC, by which it tells this from an earlier time.
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`, 'STATUS=settings are read again');
  }

  stopping(): void {
    this.#tell('STOPPING=1', 'STATUS=requests under way end');
  }

  status(text: string): void {
    this.#tell(`STATUS=${text}`);
  }

  /** It lives. @param patient whether what it is at, a start or an end, may take longer than the unit allows */
  sign(patient: boolean): void {
    const lines = this.#watches ? ['WATCHDOG=1'] : [];
    if (patient) lines.push(`EXTEND_TIMEOUT_USEC=${this.beatMs * 1000 + spareMicroseconds}`);
    // One that has not read the last ones needs no more of them.
    if (lines.length > 0 && this.#untold.length === 0) this.#tell(...lines);
  }

  #tell(...lines: string[]): void {
    this.#untold.push(lines.map((line) => line.replaceAll('\n', ' ')).join('\n'));
    this.#tellAll();
  }

  #tellAll(): void {
    clearTimeout(this.#again);
    try {
      for (let [first] = this.#untold; first !== undefined; [first] = this.#untold) {
        if (!loadCore().notifySystem(this.#socket, first)) {
          if (++this.#tries > mostTries) throw new Error(`${this.#socket} does not read what it is told`);
          this.#again = setTimeout(() => this.#tellAll(), againMs);
          return;
        }
        this.#untold.shift();
        this.#tries = 0;
      }
    } catch (error) {
      this.#untold.length = this.#tries = 0;
      // Once: it is asked for every few seconds.
      if (!this.#failed) process.stderr.write(`tenon: NOTIFY_SOCKET: ${(error as Error).message}\n`);
      this.#failed = true;
    }
  }
}
