/** Tells where the host listens: the registry, and the file that the command line finds it by. */
import { removeHostFile, writeHostFile } from '../base/host-file.js';
import type { Log } from '../base/log.js';
import { version } from '../base/version.js';
import type { Certificate } from './certificate.js';
import type { Listening } from './front-door.js';

export interface AnnouncementOptions {
  /** The data directory, absolute. */
  data: string;
  log: Log;
  certificate: Certificate | undefined;
  /** Told of the public URL. */
  registry: { listens: (url: string) => void };
}

/** One for a host; withdrawn when it closes. */
export class Announcement {
  readonly #options: AnnouncementOptions;
  readonly #startedAt = new Date().toISOString();
  #isWithdrawn = false;

  constructor(options: AnnouncementOptions) {
    this.#options = options;
  }

  /** Say it, and again whenever the certificate that clients are to trust is another one. */
  make({ url, api }: Listening): void {
    const { log, certificate, registry } = this.#options;
    if (api !== undefined) log.info({ url: api }, 'the admin API has a listener of its own');
    registry.listens(url);
    this.#write({ url, api });
    certificate?.onRenewal(() => this.#write({ url, api }));
  }

  /** No host is there any more. Twice is fine. */
  withdraw(): void {
    this.#isWithdrawn = true;
    removeHostFile(this.#options.data);
  }

  #write({ url, api }: Listening): void {
    if (this.#isWithdrawn) return;
    const { data, log, certificate } = this.#options;
    const trusted = certificate === undefined ? {} : { certificate: certificate.own };
    const place = { url, ...(api === undefined ? {} : { api }) };
    try {
      writeHostFile(data, { pid: process.pid, ...place, startedAt: this.#startedAt, version, ...trusted });
    } catch (error) {
      log.warn({ err: error }, 'where the host is could not be written: the command line does not find it by itself');
    }
  }
}
