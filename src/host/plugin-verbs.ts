/** What can be asked of all plugins of a host, and done to one, as its embedder has it. */
import type { Host } from './host.js';
import type { Installing } from './installing.js';
import type { Plugins } from './plugins.js';

type Asked<Verb extends 'install' | 'uninstall'> = Parameters<Installing[Verb]>[1];

export interface PluginVerbsOptions {
  host: Pick<Host, 'images' | 'reloads'>;
  plugins: Plugins;
  installing: Installing;
}

export function pluginVerbs({ host, plugins, installing }: PluginVerbsOptions) {
  return {
    containment: () => plugins.held,
    release: (id: string | undefined) => plugins.release(id),
    plugins: () => plugins.list(),
    images: () => host.images(),
    plugin: (id: string) => plugins.show(id),
    load: (id: string) => plugins.load(id),
    unload: (id: string) => plugins.unload(id),
    reload: (id: string) => plugins.reload(id, 'api'),
    rollback: (id: string, to?: string) => plugins.rollback(id, to),
    versions: (id: string) => plugins.versions(id),
    reloads: () => host.reloads(),
    install: (archive: Parameters<Installing['install']>[0], asked: Asked<'install'>) =>
      installing.install(archive, asked),
    uninstall: (id: string, asked: Asked<'uninstall'>) => installing.uninstall(id, asked),
  };
}
