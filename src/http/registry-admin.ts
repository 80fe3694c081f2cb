/** What the admin API shows of the registry. */
import type { PluginView } from '../host/plugin.js';
import type { RegistryStatus } from '../registry/door.js';
import type { HostRow } from '../registry/rows.js';
import type { Operation } from './operation.js';
import { pluginId } from './parameters.js';
import { wishRefusals } from './refusals.js';
import { listOf, objectOf, ref } from './shapes.js';

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

/** The operations on hosts, and on plugins that their rows are about. */
export function registryOperations(registry: RegistryAdminOptions): Operation[] {
  return [
    {
      id: 'listHosts',
      tag: 'registry',
      method: 'get',
      path: '/api/v1/hosts',
      scope: 'read',
      summary: 'The hosts of the registry, and what each of them runs',
      answers: {
        200: {
          description: 'By name; at most 1,000',
          content: { 'application/json': objectOf({ hosts: listOf(ref('Host')) }) },
        },
      },
      errors: ['RegistryUnavailable'],
      handle: async () => ({ body: { hosts: await registry.hosts() } }),
    },
    {
      id: 'forgetPlugin',
      tag: 'registry',
      method: 'post',
      path: '/api/v1/plugins/{id}/forget',
      scope: 'config',
      summary: 'Take a plugin off every host of the registry; its folder stays',
      parameters: [pluginId],
      answers: { 200: { description: 'It is done', content: { 'application/json': ref('PluginAction') } } },
      errors: wishRefusals,
      handle: async ({ path: { id = '' } }) => {
        const here = await registry.remove(id);
        return { body: { status: 'forgotten', plugin: { id, state: here?.state ?? 'missing' } } };
      },
    },
  ];
}
