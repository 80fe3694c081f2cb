#!/usr/bin/env node
/** The command `tenon`. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { reportFailure, start, type StartFlags } from './start.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
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

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error);
}
