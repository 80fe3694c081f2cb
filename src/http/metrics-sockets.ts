/** WebSockets: how many are open, and how those that are not have ended. */
import type { WebSocket } from 'ws';
import type { Family } from './metrics-text.js';

/** Codes of RFC 6455 and of its registry end here; further ones are for a client to choose, and are one label. */
const lastCode = 1015;

interface Sockets {
  open: number;
  readonly closed: Map<string, number>;
}

export class SocketMeters {
  readonly #plugins = new Map<string, Sockets>();

  /** A socket of `plugin` was opened. */
  note(plugin: string, socket: WebSocket): void {
    const sockets = this.#plugins.get(plugin) ?? { open: 0, closed: new Map<string, number>() };
    this.#plugins.set(plugin, sockets);
    sockets.open += 1;
    socket.once('close', (code) => {
      const label = code <= lastCode ? String(code) : 'other';
      sockets.open -= 1;
      sockets.closed.set(label, (sockets.closed.get(label) ?? 0) + 1);
    });
  }

  /** No numbers stay but of `plugins`. */
  keep(plugins: ReadonlySet<string>): void {
    for (const plugin of this.#plugins.keys()) if (!plugins.has(plugin)) this.#plugins.delete(plugin);
  }

  families(): Family[] {
    const all = [...this.#plugins];
    return [
      {
        name: 'tenon_websocket_clients',
        type: 'gauge',
        help: 'WebSockets that are open.',
        samples: all.map(([plugin, { open: value }]) => ({ labels: { plugin }, value })),
      },
      {
        name: 'tenon_websocket_closed_total',
        type: 'counter',
        help: 'WebSockets that have ended, by code: 1006 without a word, 1008 and 1013 cut off by the host.',
        samples: all.flatMap(([plugin, { closed }]) =>
          [...closed].map(([code, value]) => ({ labels: { plugin, code }, value })),
        ),
      },
    ];
  }
}
