#!/usr/bin/env node
/** The command `tenon`. What a command needs is loaded when it runs. */
import { Command, type CommanderError, Option } from 'commander';
import { version } from '../base/version.js';
import type { BuildFlags } from './build.js';
import type { DoctorFlags } from './doctor.js';
import { reportFailure } from './failure.js';
import type { NewFlags } from './new.js';
import type { RestoreFlags } from './restore.js';
import type { StartFlags } from './start.js';
import { addCrashCommands } from './crash-commands.js';
import { addHostCommands } from './host-commands.js';
import { addPackCommand } from './pack-command.js';
import { addBenchCommand } from './bench-command.js';
import { addCompletionCommand } from './completion-command.js';
import { addSigningCommands } from './signing-commands.js';
import { addReadingCommands } from './reading-commands.js';
import { addTokenCommands } from './token-commands.js';

const program = new Command('tenon')
  .description('A host for native plugins on Node.js.')
  .version(version)
  .showSuggestionAfterError(true)
  .showHelpAfterError('(see `tenon --help`)')
  .exitOverride(misuse)
  .addHelpText(
    'before',
    `Examples:
  tenon new weather                            write an application with a test
  tenon dev                                    serve ./applications, and see what each change comes to
  tenon build --test                           compile what is here, and run its tests
  tenon start                                  serve ./applications on 127.0.0.1:8080
  tenon start --port 3000 --applications apps  serve another folder on another port
  tenon start --print-config                   show every setting and where it comes from
  tenon list                                   show the plugins of the host that runs here
  tenon rollback weather                       go back to the build before
`,
  )
  .addHelpText(
    'after',
    `
Exit status: 0 done; 1 the host or a plugin says no; 2 wrong use; 3 no host runs.
`,
  );

function servingCommand(name: string, description: string, examples: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--host <address>', 'address to listen on (HOST; 127.0.0.1)')
    .option('--port <number>', 'port to listen on, 0 for a free one (PORT; 8080)')
    .option('--applications <folder>', 'folder of the applications (TENON_APPLICATIONS; ./applications)')
    .option('--data <folder>', 'data directory, made when absent (TENON_DATA; ./data)')
    .option(
      '--isolation <mode>',
      'where plugins run that do not say: inline, process or auto (TENON_ISOLATION; inline)',
    )
    .addHelpText('before', `Examples:\n${examples}`);
}

servingCommand(
  'start',
  'Compile, load and serve the applications, and take up their changes while they run.',
  `  tenon start
  tenon start --port 0 --data /var/lib/tenon
`,
)
  .option('--print-config', 'print every setting with its key in tenon.yaml and its source, and end')
  .option('--json', 'with --print-config: as one JSON object')
  .action(async (flags: StartFlags) => {
    const { start } = await import('./start.js');
    process.exitCode = await start(flags);
  });

servingCommand(
  'dev',
  'As start, for whoever works on an application: on a terminal a view with keys, else a few lines for each reload.',
  `  tenon dev
  tenon dev --applications .
  tenon dev --plain
`,
)
  .option('--plain', 'lines on a terminal, too')
  .action(async (flags: StartFlags & { plain?: true }) => {
    const { dev } = await import('./dev.js');
    process.exitCode = await dev(flags);
  });

program
  .command('new')
  .description(
    'Write an application that compiles, serves and has a test: into ./applications when it or a package.json is there, else here.',
  )
  .argument('<name>', 'its folder and its id: a-z, 0-9, "_", "-"')
  .option('--template <template>', 'c, cpp, extension or table-app', 'cpp')
  .option('--json', 'print what was written as one JSON object on standard output')
  .addHelpText(
    'before',
    `Examples:
  tenon new weather
  tenon new visits --template extension
`,
  )
  .action(async (name: string, flags: NewFlags) => {
    const { newApplication } = await import('./new.js');
    await newApplication(name, flags);
  });

program
  .command('build')
  .description('Compile without a host: an application, all of a folder, or what is in the working directory.')
  .argument('[folders...]', 'applications, or folders of applications; the working directory when absent')
  .addOption(new Option('--release', 'optimized: the default').conflicts(['debug', 'sanitize']))
  .addOption(new Option('--debug', 'for a debugger').conflicts(['release', 'sanitize']))
  .addOption(
    new Option('--sanitize', 'with address and undefined behaviour sanitizers').conflicts(['release', 'debug']),
  )
  .option('--test', 'compile test/*.cpp, and run it on the library')
  .option('--json', 'print one JSON object on standard output')
  .option('--data <folder>', 'data directory, which has the builds (TENON_DATA; ./data beside the applications)')
  .addHelpText(
    'before',
    `Examples:
  tenon build
  tenon build applications/hello --debug
  tenon build --test --sanitize
`,
  )
  .addHelpText(
    'after',
    `
Each library's path goes to standard output, what the compiler says to standard error.
Exit status: 0 built, fit for the host, and tests passed; 1 not; 2 wrong use.
`,
  )
  .action(async (folders: string[], flags: BuildFlags) => {
    const { build } = await import('./build.js');
    process.exitCode = await build(folders, flags);
  });

addPackCommand(program);
addReadingCommands(program);
addHostCommands(program);
addCrashCommands(program);
addSigningCommands(program);
addTokenCommands(program);

program
  .command('restore')
  .description('Put the tables of a backup in place of those of a data directory that no host uses.')
  .argument('<folder>', 'what `tenon backup` has made')
  .option('--data <folder>', 'data directory, made when absent (TENON_DATA; ./data)')
  .option('--json', 'print one JSON object on standard output')
  .addHelpText('before', 'Examples:\n  tenon restore data/backups/2026-11-20T10-00-00.000Z\n')
  .addHelpText('after', '\nExit status: 0 restored; 1 not, and nothing has changed; 2 wrong use.\n')
  .action(async (folder: string, flags: RestoreFlags) => {
    const { restore } = await import('./restore.js');
    await restore(folder, flags);
  });

program
  .command('doctor')
  .description('What this machine has of what Tenon needs, and how to get the rest. It changes nothing.')
  .option('--data <folder>', 'data directory of the host (TENON_DATA; ./data)')
  .option('--applications <folder>', 'folder of the applications (TENON_APPLICATIONS; ./applications)')
  .option('--json', 'print one JSON object on standard output')
  .addHelpText('before', 'Examples:\n  tenon doctor\n  tenon doctor --data /var/lib/tenon --json\n')
  .addHelpText(
    'after',
    '\nExit status: 0 Tenon works here, with warnings perhaps; 1 something is missing; 2 wrong use.\n',
  )
  .action(async (flags: DoctorFlags) => {
    const { doctor } = await import('./doctor.js');
    process.exitCode = await doctor(flags);
  });

addBenchCommand(program);
addCompletionCommand(program);

/** After a wrong option of a command, that command's help is named. */
function nameHelp(command: Command, words: string): void {
  for (const below of command.commands) nameHelp(below, `${words} ${below.name()}`);
  command.showHelpAfterError(`(see \`${words} --help\`)`);
}
nameHelp(program, 'tenon');

function misuse(error: CommanderError): never {
  process.exit(error.exitCode === 0 ? 0 : 2);
}

// Whoever reads has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error);
}
