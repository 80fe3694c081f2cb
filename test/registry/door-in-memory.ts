/** A registry without a database: it knows what is set, and that is all. */
import { isDeepStrictEqual } from 'node:util';
import { TenonError } from '../../src/base/errors.js';
import type { RegistryDoor } from '../../src/registry/door.js';
import { noRegistry } from '../../src/registry/none.js';
import type { ConfigVersion, DesiredPlugin } from '../../src/registry/rows.js';

type Config = Readonly<Record<string, unknown>>;

export class DoorInMemory {
  readonly #rows = new Map<string, DesiredPlugin>();
  readonly #history: (ConfigVersion & { name: string })[] = [];
  #revision = 0;
  away = false;

  register(name: string): void {
    this.#revision += 1;
    this.#rows.set(name, {
      name,
      sourcePath: name,
      binaryPath: null,
      type: 'dynamic',
      status: 'active',
      statusReason: null,
      version: '1.0.0',
      pinned: false,
      config: null,
      reloadAt: null,
      revision: this.#revision,
      configRevision: 0,
    });
  }

  row(name: string): DesiredPlugin {
    const row = this.#rows.get(name);
    if (row === undefined) throw new TenonError('PluginNotFound', `${name} is not registered`);
    return row;
  }

  /** Whatever it is, as somebody with SQL does; members in the order of a database. */
  write(name: string, config: Config | null, changedBy = 'psql'): DesiredPlugin {
    const before = this.row(name);
    if (isDeepStrictEqual(before.config, config)) return before;
    this.#revision += 1;
    const revision = this.#revision;
    const stored = config === null ? null : (JSON.parse(JSON.stringify(config)) as Config);
    const row = { ...before, config: stored, revision, configRevision: revision };
    this.#rows.set(name, row);
    this.#history.unshift({ name, revision, config: stored, changedAt: new Date().toISOString(), changedBy });
    return row;
  }

  /** Everything it keeps, as text. */
  dump(): string {
    return JSON.stringify([...this.#rows.values(), ...this.#history]);
  }

  /** As a host sees it. */
  door(): RegistryDoor {
    const reach = async (): Promise<void> => {
      await Promise.resolve();
      if (this.away) throw new TenonError('RegistryUnavailable', 'the registry is away');
    };
    return {
      ...noRegistry(),
      desired: (name) => this.#rows.get(name),
      all: () => this.#rows,
      setConfig: async (name, config, ifRevision) => {
        await reach();
        if (ifRevision !== undefined && ifRevision !== this.row(name).configRevision)
          throw new TenonError('PreconditionFailed', `the config of ${name} is another one by now`);
        const before = this.row(name).configRevision;
        const row = this.write(name, config, 'host');
        return { ...row, changed: row.configRevision !== before };
      },
      configs: async (name) => {
        await reach();
        return this.#history.filter((entry) => entry.name === name).map(({ name: _name, ...entry }) => entry);
      },
    };
  }
}
