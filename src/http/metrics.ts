/** GET /metrics: what the core, the host and its process count, as one text. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { StaticCounts } from '../host/static-plugins.js';
import { preferred } from './accept.js';
import { EventMeters, familiesOf } from './metrics-events.js';
import { type HostFigures, hostFamilies } from './metrics-host.js';
import { processRegistry } from './metrics-process.js';
import { RequestMeters } from './metrics-requests.js';
import { textOf } from './metrics-text.js';
import { withStatics } from './static-metrics.js';

/** The formats, by content type; the first is given to whoever says nothing. */
export const exposition = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openMetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
} as const;

/** Between two pauses of a scrape, ms. */
const sliceMs = 3;

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
  readonly events = new EventMeters();
  readonly #options: MetricsOptions;
  readonly #process = processRegistry();

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  /** All of it. Others have their turns meanwhile. */
  async text(openMetrics: boolean): Promise<string> {
    const { core, figures, statics } = this.#options;
    const host = await figures();
    this.events.keep(new Set(host.plugins.filter(({ state }) => state !== 'stopped').map(({ id }) => id)));
    const own = [
      ...hostFamilies(host),
      ...this.requests.families(),
      ...(await familiesOf(this.events.registry)),
      ...(await familiesOf(this.#process)),
    ];
    let text = own.map((family) => textOf(family, openMetrics)).join('');
    text += withStatics(core(openMetrics), statics());
    let began = performance.now();
    for (const piece of this.requests.text(openMetrics)) {
      text += piece;
      if (performance.now() - began < sliceMs) continue;
      await nextTurn();
      began = performance.now();
    }
    return openMetrics ? `${text}# EOF\n` : text;
  }

  /** Answer in the format that the client prefers. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const openMetrics = prefersOpenMetrics(request.headers.accept);
    const text = await this.text(openMetrics);
    response.setHeader('content-type', openMetrics ? exposition.openMetrics : exposition.prometheus);
    response.setHeader('vary', 'accept');
    response.end(text);
  }
}

function prefersOpenMetrics(accept: string | undefined): boolean {
  const open = 'application/openmetrics-text';
  return preferred(accept, ['text/plain', open]) === open;
}
