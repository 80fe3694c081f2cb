/** The commands that look at an application or a bundle, and change nothing. */
import type { Command } from 'commander';
import type { InspectFlags } from './inspect.js';
import type { ValidateFlags } from './validate.js';

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

  program
    .command('validate')
    .description('Everything that would keep a host from taking an application or a bundle, found without one.')
    .argument('[place]', 'an application, an archive (.tgz), a folder with a manifest.json, or a library', '.')
    .option('--build', 'compile sources, too')
    .option('--data <folder>', 'data directory, for what was killed and who is trusted (TENON_DATA; ./data)')
    .option('--json', 'print one JSON object on standard output')
    .addHelpText(
      'before',
      `Examples:
  tenon validate applications/weather
  tenon validate applications/weather --build
  tenon validate weather-1.2.0.tgz
`,
    )
    .addHelpText(
      'after',
      `
Nothing is changed; what is tried is tried in a folder of its own. The library for this machine is opened and started in
a process of its own, as a host does before it takes one.
Exit status: 0 a host would take it; 1 not; 2 wrong use.
`,
    )
    .action(async (place: string, flags: ValidateFlags) => {
      const { validate } = await import('./validate.js');
      process.exitCode = await validate(place, flags);
    });
}
