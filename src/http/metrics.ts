/** GET /metrics: what the core, the host and its process count, as one text. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { StaticCounts } from '../host/static-plugins.js';
import { preferred } from './accept.js';
import { EventMeters, familiesOf } from './metrics-events.js';
import { type HostFigures, hostFamilies } from './metrics-host.js';
import { processRegistry } from './metrics-process.js';
import { RequestMeters } from './metrics-requests.js';
import { SocketMeters } from './metrics-sockets.js';
import { textOf } from './metrics-text.js';
import { withStatics } from './static-metrics.js';

/** The formats, by content type; the first is given to whoever says nothing. */
export const exposition = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openMetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
} as const;

export interface MetricsOptions {
  /** What the core counts, in one of the formats. */
  core: (openMetrics: boolean) => string;
  /** How the host is. */
  figures: () => Promise<HostFigures>;
  statics: () => readonly StaticCounts[];
}

/** The numbers of one host. */
export class Metrics {
  readonly requests = new RequestMeters();
  readonly sockets = new SocketMeters();
  readonly events = new EventMeters();
  readonly #options: MetricsOptions;
  readonly #process = processRegistry();

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  /** All of it, in pieces; between two of them others have their turns. */
  async *pieces(openMetrics: boolean): AsyncGenerator<string, void, void> {
    const { core, figures, statics } = this.#options;
    const host = await figures();
    const kept = new Set(host.plugins.filter(({ state }) => state !== 'stopped').map(({ id }) => id));
    this.events.keep(kept);
    this.sockets.keep(kept);
    const own = [
      ...hostFamilies(host),
      ...this.requests.families(),
      ...this.sockets.families(),
      ...(await familiesOf(this.events.registry)),
      ...(await familiesOf(this.#process)),
    ];
    yield own.map((family) => textOf(family, openMetrics)).join('');
    await nextTurn();
    yield withStatics(core(openMetrics), statics());
    for (const piece of this.requests.text(openMetrics)) {
      await nextTurn();
      yield piece;
    }
    if (openMetrics) yield '# EOF\n';
  }

  /** Answer in the format that the client prefers. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const openMetrics = prefersOpenMetrics(request.headers.accept);
    const pieces = this.pieces(openMetrics);
    const first = await pieces.next();
    response.setHeader('content-type', openMetrics ? exposition.openMetrics : exposition.prometheus);
    response.setHeader('vary', 'accept');
    if (first.done !== true) response.write(first.value);
    try {
      await pipeline(Readable.from(pieces), response);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error; // its client has gone
    }
  }
}

function prefersOpenMetrics(accept: string | undefined): boolean {
  const open = 'application/openmetrics-text';
  return preferred(accept, ['text/plain', open]) === open;
}
