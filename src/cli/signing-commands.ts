/** The commands about keys and signatures: their words, flags and examples. */
import type { Command } from 'commander';
import type { AskFlags } from './client.js';
import type { KeygenFlags } from './keygen.js';
import { ask, ending } from './host-commands.js';
import type { SignFlags, VerifyFlags } from './sign.js';
import type { TrustFlags } from './trust.js';

function local(program: Command, words: string, description: string, examples: readonly string[]): Command {
  return program
    .command(words)
    .description(description)
    .option('--json', 'print one JSON object on standard output')
    .addHelpText('before', `Examples:\n${examples.map((example) => `  tenon ${example}\n`).join('')}`)
    .addHelpText('after', '\nExit status: 0 done; 1 refused; 2 wrong use.\n');
}

const passwordFile = [
  '--password-file <file>',
  'its first line is the password of the key, in place of TENON_KEY_PASSWORD or the terminal',
] as const;

export function addSigningCommands(program: Command): void {
  local(program, 'keygen', 'Make a key to sign bundles with, in the format of minisign.', [
    'keygen --out acme',
    'keygen --out ci --no-password',
  ])
    .option('--out <name>', 'write <name>.key and <name>.pub', 'tenon')
    .option('--no-password', 'do not encrypt the secret key: whoever can read its file can sign')
    .option(...passwordFile)
    .option('--force', 'overwrite a key that is there')
    .action((flags: KeygenFlags) => ending(flags, async () => (await import('./keygen.js')).keygen(flags)));
  local(program, 'sign <bundle>', 'Sign the manifest of a bundle, an archive or a folder, which lists all its files.', [
    'sign shop-1.2.0.tgz --key acme.key',
    'sign shop-1.2.0.tgz --key acme.key --out signed/shop-1.2.0.tgz',
    'sign applications/shop --key acme.key',
  ])
    .requiredOption('--key <file>', 'secret key, of `tenon keygen` or of minisign')
    .option(...passwordFile)
    .option('--out <file>', 'write the signed archive there; else in place of the other one')
    .action((bundle: string, flags: SignFlags) =>
      ending(flags, async () => (await import('./sign.js')).sign(bundle, flags)),
    );
  local(
    program,
    'verify <bundle>',
    'Check a bundle, and that it was signed: by a key, or by one that is trusted here.',
    ['verify shop-1.2.0.tgz --key acme.pub', 'verify shop-1.2.0.tgz'],
  )
    .option('--key <key>', 'public key, or the file of one; without it the trust list is asked')
    .option('--data <folder>', 'data directory with the trust list (TENON_DATA; ./data)')
    .action((bundle: string, flags: VerifyFlags) =>
      ending(flags, async () => (await import('./sign.js')).verify(bundle, flags)),
    );
  addTrustCommands(program);
  ask(program, 'audit', 'What was installed, refused, removed, trusted and granted, newest first.', [
    'audit',
    'audit --limit 10',
    'audit --check',
  ])
    .option('--limit <count>', 'at most so many, up to 1000 (100)')
    .option('--check', 'say whether every line is as it was written')
    .action((flags: AskFlags & { limit?: string; check?: true }) =>
      ending(flags, async () => (await import('./trust.js')).audit(flags)),
    );
}

function addTrustCommands(program: Command): void {
  const group = program
    .command('trust')
    .description('Whose signatures a running host accepts, and what it never loads.');
  group.addHelpText(
    'before',
    `Examples:
  tenon trust list
  tenon trust add acme.pub --plugins 'shop,acme-*' --name Acme
  tenon trust kill shop-1.2.0.tgz --reason 'CVE-2026-1234'
`,
  );
  ask(group, 'list', 'Keys and what they may sign; hashes that are never loaded.', ['trust list']).action(
    (flags: AskFlags) => ending(flags, async () => (await import('./trust.js')).listTrust(flags)),
  );
  ask(group, 'add <key>', 'Trust a public key, or a file of one, with plugins.', [
    "trust add acme.pub --plugins 'shop,acme-*' --name Acme",
  ])
    .option('--plugins <ids>', 'ids, and patterns of ids with "*", commas between them')
    .option('--name <name>', 'whose it is')
    .action((key: string, flags: TrustFlags) =>
      ending(flags, async () => (await import('./trust.js')).trustKey(key, flags)),
    );
  ask(group, 'remove <keyId>', 'Trust a key no more: from their next load on, its signatures are none.', [
    'trust remove CA1E8918E3A7FD74',
  ]).action((keyId: string, flags: AskFlags) =>
    ending(flags, async () => (await import('./trust.js')).distrustKey(keyId, flags)),
  );
  ask(
    group,
    'kill <what>',
    'Stop it, and never load it again: a SHA-256, a library, or a bundle, whose manifest it is then.',
    [
      "trust kill shop-1.2.0.tgz --reason 'CVE-2026-1234'",
      'trust kill 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    ],
  )
    .option('--reason <words>', 'why, for whoever meets it')
    .action((what: string, flags: AskFlags & { reason?: string }) =>
      ending(flags, async () => (await import('./trust.js')).kill(what, flags)),
    );
  ask(group, 'spare <what>', 'Take it off the kill list; `tenon load` starts its plugin again.', [
    'trust spare 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  ]).action((what: string, flags: AskFlags) =>
    ending(flags, async () => (await import('./trust.js')).spare(what, flags)),
  );
}
