/** The words of `tenon pack`. */
import type { Command } from 'commander';
import { reportFailure } from './failure.js';
import type { PackFlags } from './pack-delivery.js';

export function addPackCommand(program: Command): void {
  program
    .command('pack')
    .description('Write an application as a bundle, ID-VERSION.tgz, with its library: it installs without a compiler.')
    .argument('[paths...]', 'the application, the working directory when absent; with --merge bundles')
    .option('-o, --out <path>', 'the file to write, ending with .tgz, or its folder (the working directory)')
    .option('--sources', 'with its sources: machines without a library in it may build one')
    .option('--target <platform>', 'build for linux-x64 or linux-arm64, may be given again (this machine)', collected)
    .option('--merge', 'join the libraries of bundles that are the same otherwise')
    .option('--key <file>', 'sign it with this secret key, of `tenon keygen` or of minisign')
    .option('--password-file <file>', 'its first line is the password of the key, as for `tenon sign`')
    .option('--json', 'print one JSON object on standard output')
    .option('--data <folder>', 'data directory, which has the builds (TENON_DATA; ./data beside the applications)')
    .addHelpText(
      'before',
      `Examples:
  tenon pack applications/hello
  tenon pack applications/hello --key acme.key
  tenon pack --target linux-x64 --target linux-arm64 --out dist/
  tenon pack --merge x64/hello-1.0.0.tgz arm64/hello-1.0.0.tgz --out hello-1.0.0.tgz
`,
    )
    .addHelpText(
      'after',
      `
The path of the bundle goes to standard output, what is in it to standard error. The same application and tools make the
same bytes everywhere.
Exit status: 0 packed; 1 not, and nothing was written; 2 wrong use.
`,
    )
    .action(async (paths: string[], flags: PackFlags) => {
      try {
        process.exitCode = await (await import('./pack.js')).pack(paths, flags);
      } catch (error) {
        process.exitCode = reportFailure(error, flags.json);
      }
    });
}

function collected(word: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ...word.split(',')];
}
