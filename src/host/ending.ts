/** The end of all plugins of a host: what each knows is kept before the first is closed, which may end the process. */
import type { Extensions } from './extensions.js';
import type { Plugin } from './plugin.js';
import type { TakingDown } from './taking-down.js';

/**
 * Those who list an extension are done before it, both times. Rejects when all are through, with the first that went wrong.
 * @param written resolves when everything else that the next host is to find is on disk
 */
export async function endAll(
  extensions: Extensions,
  takingDown: TakingDown,
  written: () => Promise<void>,
): Promise<void> {
  const closes = new Map<Plugin, () => Promise<void>>();
  const keep = async (plugin: Plugin): Promise<void> => {
    // An extension that has nothing to keep is there for others until these are closed.
    const isLast = plugin.running?.handle.hasState === false && extensions.relationsOf(plugin).extension !== false;
    if (!isLast) closes.set(plugin, await takingDown.begin(plugin, 'stopped'));
  };
  const close = async (plugin: Plugin): Promise<void> => {
    const begun = closes.get(plugin);
    closes.delete(plugin);
    await (begun === undefined ? takingDown.takeDown(plugin, 'stopped') : begun());
  };
  // Two turns of each: what another plugin is waiting for in its own may be a turn of this one.
  const [kept] = await Promise.allSettled([
    extensions.inReverse((plugin) => plugin.turns.take('keep', () => keep(plugin))),
  ]);
  await written();
  const [closed] = await Promise.allSettled([
    extensions.inReverse((plugin) => plugin.turns.take('close', () => close(plugin))),
  ]);
  for (const plugin of closes.keys()) await close(plugin); // it was forgotten meanwhile
  for (const end of [kept, closed]) if (end.status === 'rejected') throw end.reason;
}
