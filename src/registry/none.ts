/** The registry of a host that has none: nothing is desired but what the applications directory says. */
import { TenonError } from '../base/errors.js';
import type { RegistryDoor } from './door.js';

/** Writes reject with `RegistryUnavailable`; all else does nothing. */
export function noRegistry(): RegistryDoor {
  const since = new Date().toISOString();
  const refuse = (): Promise<never> =>
    Promise.reject(
      new TenonError('RegistryUnavailable', 'this host has no registry to write to', {
        next: 'set `registry.enabled: true`, or change config.yaml of the application',
      }),
    );
  return {
    recall: () => Promise.resolve(),
    open: () => Promise.resolve(),
    status: () => ({ kind: 'none', place: '', connected: false, since, connections: 0 }),
    figures: () => ({ notifications: 0, reads: 0, readSeconds: 0 }),
    desired: () => undefined,
    all: () => new Map(),
    register: refuse,
    setStatus: refuse,
    setConfig: refuse,
    configs: refuse,
    hosts: () => Promise.resolve([]),
    remove: refuse,
    report: () => {},
    serves: () => {},
    reloaded: () => {},
    listens: () => {},
    reconcile: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
