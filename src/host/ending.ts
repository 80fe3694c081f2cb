/** The end of all plugins of a host: what each knows is kept before the first is shut down, which may end the process. */
import type { Extensions } from './extensions.js';
import type { Plugin } from './plugin.js';
import type { Remembering } from './remembering.js';
import type { Versions } from './versions.js';

/**
 * Those who list an extension are done before it, both times: until they are, it is there for them, and what it knows may change.
 * Rejects when all are through, with the first that went wrong.
 * @param takeDown keeps what the plugin knows then, and shuts it down
 */
export async function endAll(
  extensions: Extensions,
  remembering: Remembering,
  versions: Versions,
  takeDown: (plugin: Plugin) => Promise<void>,
): Promise<void> {
  await extensions.inReverse((plugin) => plugin.turns.take('keep', () => remembering.keepNow(plugin)));
  // The next host is to find what serves, too.
  await versions.close();
  await extensions.inReverse(takeDown);
}
