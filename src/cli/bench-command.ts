/** The words of `tenon bench`. */
import type { Command } from 'commander';
import type { BenchFlags } from './bench.js';
import { reportFailure } from './failure.js';

export function addBenchCommand(program: Command): void {
  const group = program
    .command('bench')
    .description('Measure on this machine; see docs/bench.md for what the figures are.')
    .addHelpText('before', 'Examples:\n  tenon bench reload hello\n  tenon bench reload hello --rounds 200 --json\n');
  group
    .command('reload')
    .description('What reloads of an application cost, on a host and with a copy of its own: nobody else is touched.')
    .argument('[plugin]', 'its id, or its folder; not needed where there is only one')
    .option('--rounds <count>', 'reloads of a changed build, and as many of an unchanged one', '50')
    .option('--clients <count>', 'connections that ask all the while', '8')
    .option('--applications <folder>', 'folder of the applications (TENON_APPLICATIONS; ./applications)')
    .option('--data <folder>', 'data directory, for its secrets (TENON_DATA; ./data)')
    .option('--json', 'print one JSON object on standard output')
    .addHelpText(
      'before',
      `Examples:
  tenon bench reload hello
  tenon bench reload applications/hello --rounds 10 --clients 32
  tenon bench reload hello --json
`,
    )
    .addHelpText(
      'after',
      `
Exit status: 0 no request was lost, and no image stayed behind; 1 not, or it does not run; 2 wrong use; 130 interrupted.
`,
    )
    .action(async (plugin: string | undefined, flags: BenchFlags) => {
      try {
        process.exitCode = await (await import('./bench.js')).benchReload(plugin, flags);
      } catch (error) {
        process.exitCode = reportFailure(error, flags.json);
      }
    });
}
