/** The commands about tokens: their words, flags and examples. */
import type { Command } from 'commander';
import type { AskFlags } from './client.js';
import { ask, ending } from './host-commands.js';
import type { CreateTokenFlags } from './token.js';

export function addTokenCommands(program: Command): void {
  const group = program
    .command('token')
    .description('Who may use the admin API of a running host; see docs/access.md.');
  group.addHelpText(
    'before',
    `Examples:
  tenon token create ci --scope read,install --expires 30d
  tenon token create todo-team --scope read,config --plugin todo
  tenon token list
  tenon token revoke ci
`,
  );
  ask(group, 'create <name>', 'Make a token and print it, this once.', [
    'token create ci --scope read,install --expires 30d',
    'token create todo-team --scope read,config --plugin todo',
  ])
    .option('--scope <scopes>', 'what it may: read, config, install, admin; commas between them')
    .option('--expires <time>', 'for how long, as 12h, 30d or 8w; for ever when absent')
    .option('--plugin <id>', 'limit it to this plugin; may be given again', collect)
    .action((name: string, flags: CreateTokenFlags) =>
      ending(flags, async () => (await import('./token.js')).createToken(name, flags)),
    );
  ask(group, 'list', 'The tokens, what each may, and when it was last used.', ['token list']).action(
    (flags: AskFlags) => ending(flags, async () => (await import('./token.js')).listTokens(flags)),
  );
  ask(group, 'revoke <name>', 'Admit a token no more, at once.', ['token revoke ci']).action(
    (name: string, flags: AskFlags) => ending(flags, async () => (await import('./token.js')).revokeToken(name, flags)),
  );
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}
