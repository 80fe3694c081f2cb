/** The words of `tenon completion`. */
import type { Command } from 'commander';
import type { CompletionFlags } from './completion.js';
import { reportFailure } from './failure.js';

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('Print what a shell needs to complete commands, options, ids of plugins and files.')
    .argument('<shell>', 'bash, zsh or fish')
    .argument(
      '[words...]',
      'for the scripts: after `words --`, the words of a line; what may stand for the last one is printed',
    )
    .option('--json', 'print one JSON object on standard output')
    .addHelpText(
      'before',
      `Examples:
  source <(tenon completion bash)
  source <(tenon completion zsh)
  tenon completion fish > ~/.config/fish/completions/tenon.fish
`,
    )
    .addHelpText(
      'after',
      `
Ids of plugins are asked of the host that runs here, for as long as one waits at a prompt.
Exit status: 0 printed; 2 wrong use.
`,
    )
    .action(async (shell: string, words: string[], flags: CompletionFlags) => {
      try {
        await (await import('./completion.js')).completion(program, shell, words, flags);
      } catch (error) {
        process.exitCode = reportFailure(error, flags.json);
      }
    });
}
