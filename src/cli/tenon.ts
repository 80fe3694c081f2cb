#!/usr/bin/env node
/** The command `tenon`. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, type CommanderError, Option } from 'commander';
import { packageRoot } from '../base/package-root.js';
import { build, type BuildFlags } from './build.js';
import { newApplication, type NewFlags } from './new.js';
import { reportFailure, start, type StartFlags } from './start.js';

const { version } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8')) as {
  version: string;
};

const program = new Command('tenon')
  .description('A host for native plugins on Node.js.')
  .version(version)
  .showSuggestionAfterError(true)
  .showHelpAfterError('(see `tenon --help`)')
  .addHelpText(
    'before',
    `Examples:
  tenon new weather                            write an application with a test
  tenon build --test                           compile what is here, and run its tests
  tenon start                                  serve ./applications on 127.0.0.1:8080
  tenon start --port 3000 --applications apps  serve another folder on another port
  tenon start --print-config                   show every setting and where it comes from
`,
  );

program
  .command('start')
  .description('Compile, load and serve the applications, and take up their changes while they run.')
  .option('--host <address>', 'address to listen on (HOST; 127.0.0.1)')
  .option('--port <number>', 'port to listen on, 0 for a free one (PORT; 8080)')
  .option('--applications <folder>', 'folder of the applications (TENON_APPLICATIONS; ./applications)')
  .option('--data <folder>', 'data directory, made when absent (TENON_DATA; ./data)')
  .option('--print-config', 'print every setting with its source, and end')
  .addHelpText(
    'before',
    `Examples:
  tenon start
  tenon start --port 0 --data /var/lib/tenon
`,
  )
  .action(async (flags: StartFlags) => {
    await start(flags);
  });

program
  .command('new')
  .description(
    'Write an application that compiles, serves and has a test: into ./applications when it is there, else here.',
  )
  .argument('<name>', 'its folder and its id: a-z, 0-9, "_", "-"')
  .option('--template <template>', 'c, cpp or extension', 'cpp')
  .option('--json', 'print what was written as one JSON object on standard output')
  .addHelpText(
    'before',
    `Examples:
  tenon new weather
  tenon new visits --template extension
`,
  )
  .exitOverride(misuse)
  .action(async (name: string, flags: NewFlags) => {
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
Exit status: 0 built, and tests passed; 1 not; 2 wrong use.
`,
  )
  .exitOverride(misuse)
  .action(async (folders: string[], flags: BuildFlags) => {
    process.exitCode = await build(folders, flags);
  });

function misuse(error: CommanderError): never {
  process.exit(error.exitCode === 0 ? 0 : 2);
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error);
}
