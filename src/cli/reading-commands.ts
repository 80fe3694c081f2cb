/** The commands that look at an application or a bundle, and change nothing. */
import type { Command } from 'commander';
import type { InspectFlags } from './inspect.js';

/** `inspect` and `validate`. */
export function addReadingCommands(program: Command): void {
  program
    .command('inspect')
    .description('Show what is in a bundle, its folder or a library, without loading it; no host is needed.')
    .argument('<place>', 'an archive (.tgz), a folder with a manifest.json, or a library, for whatever machine')
    .option('--key <key>', 'public key, or its file, that has to have signed it')
    .option('--json', 'print one JSON object on standard output')
    .addHelpText(
      'before',
      `Examples:
  tenon inspect weather-1.2.0.tgz
  tenon inspect applications/weather
  tenon inspect weather.so --json
  tenon inspect weather-1.2.0.tgz --key weather.pub
`,
    )
    .addHelpText(
      'after',
      `
Exit status: 0 shown; 1 it cannot be read, or is not signed by the key; 2 wrong use.
`,
    )
    .action(async (place: string, flags: InspectFlags) => {
      const { inspect } = await import('./inspect.js');
      process.exitCode = await inspect(place, flags);
    });
}
