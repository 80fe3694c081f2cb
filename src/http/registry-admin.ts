/** What the admin API shows of the registry. */
import type { Express } from 'express';
import type { PluginView } from '../host/plugin.js';
import type { RegistryStatus } from '../registry/door.js';
import type { HostRow } from '../registry/rows.js';

export interface RegistryAdminOptions {
  status: () => RegistryStatus;
  hosts: () => Promise<HostRow[]>;
  /** Have a plugin run on every host, or on none; undefined when its application is not here. */
  setStatus: (id: string, status: 'active' | 'disabled') => Promise<PluginView | undefined>;
  /** Take a plugin off every host; undefined when it is not here any more. */
  remove: (id: string) => Promise<PluginView | undefined>;
}

/** Whether there is one, and it cannot be reached: what runs goes on. */
export function isAway({ kind, connected }: RegistryStatus): boolean {
  return kind !== 'none' && !connected;
}

/** What `/readyz?verbose` says of it: where it is, and why it is away, are for whoever is `trusted`. */
export function registryFacts(status: RegistryStatus, trusted: boolean): object {
  const { kind, connected, since, error } = status;
  if (kind === 'none') return {};
  const why = trusted && error !== undefined ? { error } : {};
  return { degraded: isAway(status), registry: { kind, connected, since, ...why } };
}

export function hostsRoutes(app: Express, registry: RegistryAdminOptions): void {
  app.get('/api/v1/hosts', async (_request, response) => {
    response.json({ hosts: await registry.hosts() });
  });
  app.post('/api/v1/plugins/:id/forget', async (request, response) => {
    const { id } = request.params;
    const here = await registry.remove(id);
    response.json({ status: 'forgotten', plugin: { id, state: here?.state ?? 'missing' } });
  });
}
