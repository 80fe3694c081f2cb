/** The commands about crashes, and about another release of Tenon: their words, flags and examples. */
import type { Command } from 'commander';
import type { CrashesFlags } from './crashes.js';
import { ask, ending } from './host-commands.js';
import type { ReleaseFlags } from './release.js';
import type { UpgradeFlags } from './upgrade.js';

export function addCrashCommands(program: Command): void {
  ask(program, 'crashes [crash]', 'Crashes of the host, newest first; or all about one: its id, or `last`.', [
    'crashes',
    'crashes --plugin todo --limit 5',
    'crashes last',
    'crashes 20261121-085416-123-4711 --debug-file todo.debug',
  ])
    .option('--plugin <plugin>', 'those that are put down to this one, or perhaps to it')
    .option('--limit <count>', 'at most so many')
    .option('--debug-file <file>', 'debug information of the library that crashed, when it is in a file of its own')
    .addHelpText(
      'after',
      'They are read from the data directory, whether a host runs or not; with --url a host is asked.\n',
    )
    .action((crash: string | undefined, flags: CrashesFlags) =>
      ending(flags, async () => (await import('./crashes.js')).crashes(crash, flags)),
    );
  ask(program, 'release [plugin]', 'Let a plugin out of quarantine, and load it; without one end the safe mode.', [
    'release todo',
    'release --safe-mode',
  ])
    .option('--safe-mode', 'end the safe mode, in which no plugin is loaded')
    .action((id: string | undefined, flags: ReleaseFlags) =>
      ending(flags, async () => (await import('./release.js')).release(id, flags)),
    );
  ask(program, 'upgrade', 'Go on as another release of Tenon, without refusing a connection.', [
    'upgrade',
    'upgrade --to /opt/tenon-0.2.0/node_modules/tenon',
  ])
    .option('--to <folder>', 'package of that release; where this one came from when absent')
    .action((flags: UpgradeFlags) => ending(flags, async () => (await import('./upgrade.js')).upgrade(flags)));
}
