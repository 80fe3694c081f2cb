/** The commands that ask a running host: their words, flags and examples. Each has the name that the HTTP API has for it. */
import type { Command } from 'commander';
import type { AskFlags } from './client.js';
import type { ConfigFlags } from './config.js';
import type { InstallFlags } from './install.js';
import { reportFailure } from './failure.js';
import type { LogsFlags } from './logs.js';
import type { ReloadsFlags } from './reloads.js';
import type { PermissionFlags } from './permissions.js';
import type { SettingsFlags } from './settings.js';
import type { UninstallFlags } from './uninstall.js';

/** A failure is told, and with --json is an object on standard output, too. */
export async function ending(flags: { json?: true }, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    process.exitCode = reportFailure(error, flags.json);
  }
}

/** A command of `parent` that asks a running host. */
export function ask(parent: Command, words: string, description: string, examples: readonly string[]): Command {
  return (
    parent
      .command(words)
      .description(description)
      .option('--json', 'print what the host answers as JSON on standard output')
      .option('--data <folder>', 'data directory of the host (TENON_DATA; ./data)')
      .option('--url <url>', 'where the host listens, in place of what its data directory says')
      .option('--token <token>', 'admin token (TENON_ADMIN_TOKEN; without --url the one in the data directory)')
      // What an unset variable of a shell gives.
      .hook('preAction', ({ args }) => {
        if (args.includes('')) throw new TypeError('the plugin must not be empty');
      })
      .addHelpText('before', `Examples:\n${examples.map((example) => `  tenon ${example}\n`).join('')}`)
      .addHelpText('after', '\nExit status: 0 done; 1 the host or the plugin says no; 2 wrong use; 3 no host runs.\n')
  );
}

export function addHostCommands(program: Command): void {
  ask(program, 'list', 'The plugins of the host that runs here.', ['list', 'list --json --data /var/lib/tenon']).action(
    (flags: AskFlags) => ending(flags, async () => (await import('./list.js')).list(flags)),
  );
  ask(program, 'show <plugin>', 'Everything about one plugin.', ['show hello', 'show hello --json']).action(
    (id: string, flags: AskFlags) => ending(flags, async () => (await import('./show.js')).show(id, flags)),
  );
  ask(program, 'status', 'How the host does: images, hot reload.', ['status']).action((flags: AskFlags) =>
    ending(flags, async () => (await import('./status.js')).status(flags)),
  );
  ask(program, 'hosts', 'The hosts of the registry, and what each of them runs.', ['hosts']).action((flags: AskFlags) =>
    ending(flags, async () => (await import('./hosts.js')).hosts(flags)),
  );
  ask(program, 'routes [plugin]', 'What is served, by all plugins or by one.', ['routes', 'routes hello']).action(
    (id: string | undefined, flags: AskFlags) =>
      ending(flags, async () => (await import('./routes.js')).routes(id, flags)),
  );
  ask(program, 'discover', 'Have the host look at its applications now.', ['discover']).action((flags: AskFlags) =>
    ending(flags, async () => (await import('./discover.js')).discover(flags)),
  );
  ask(program, 'metrics', 'What the host counts, in the text format of Prometheus.', [
    'metrics',
    'metrics --json',
  ]).action((flags: AskFlags) => ending(flags, async () => (await import('./served.js')).metrics(flags)));
  ask(program, 'openapi', 'The OpenAPI document of the host.', ['openapi', 'openapi --json > openapi.json']).action(
    (flags: AskFlags) => ending(flags, async () => (await import('./served.js')).openapi(flags)),
  );
  const acts = [
    ['load', 'Load a plugin that does not run.'],
    [
      'unload',
      'Stop a plugin: calls under way end first. It stays stopped until it is loaded, or the host is started again.',
    ],
    ['reload', 'Build and swap in what the application is now.'],
    ['enable', 'Have a plugin run on every host of the registry.'],
    ['disable', 'Have a plugin run on no host of the registry, until it is enabled.'],
  ] as const;
  for (const [what, description] of acts) {
    const hasDryRun = what === 'load' || what === 'reload';
    const examples = [`${what} hello`, ...(hasDryRun ? [`${what} hello --dry-run`] : [])];
    const command = ask(program, `${what} <plugin>`, description, examples);
    if (hasDryRun) command.option('--dry-run', 'build and try it, say what would come of it, and change nothing');
    command.action((id: string, { dryRun, ...flags }: AskFlags & { dryRun?: true }) =>
      ending(flags, async () => {
        const { act, rehearse } = await import('./act.js');
        await (dryRun === true ? rehearse : act)(what, id, flags);
      }),
    );
  }
  ask(program, 'forget <plugin>', 'Take a plugin off every host of the registry; its folder stays.', [
    'forget hello',
  ]).action((id: string, flags: AskFlags) =>
    ending(flags, async () => (await import('./act.js')).act('forget', id, flags)),
  );
  ask(program, 'rollback <plugin>', 'Go back to a kept build: the one before, or the one that --to names.', [
    'rollback hello',
    'rollback hello --to 1.2.0',
    'rollback hello --to 3f9c01ab',
  ])
    .option('--to <build>', 'its hash (6 digits or more), generation or version')
    .option('--dry-run', 'see that the build is there and whole, try it, and change nothing')
    .action((id: string, { to, dryRun, ...flags }: AskFlags & { to?: string; dryRun?: true }) =>
      ending(flags, async () => {
        const query = to === undefined ? '' : new URLSearchParams({ to }).toString();
        const { act, rehearse } = await import('./act.js');
        if (dryRun === true) await rehearse('rollback', id, flags, query && `&${query}`);
        else await act('rollback', id, flags, query && `?${query}`);
      }),
    );
  addBundleCommands(program);
  ask(
    program,
    'config <plugin> [action] [values...]',
    'The config of a plugin: get, set, unset or history; see docs/config.md.',
    [
      'config hello',
      'config hello set greeting=Ahoy limits.perMinute=60',
      'config hello set hello.json --dry-run',
      "config shop set 'database=postgres://shop:${SHOP_PASSWORD}@db/shop'",
      'config hello unset',
      'config hello history',
    ],
  )
    .option('--dry-run', 'check what is to be set, and change nothing')
    .action((id: string, action: string | undefined, values: string[], flags: ConfigFlags) =>
      ending(flags, async () => (await import('./config.js')).config(id, action, values, flags)),
    );
  ask(program, 'versions <plugin>', 'The builds that can be gone back to.', ['versions hello']).action(
    (id: string, flags: AskFlags) => ending(flags, async () => (await import('./versions.js')).versions(id, flags)),
  );
  ask(program, 'reloads [plugin]', 'What was reloaded, newest first, with the time of each phase.', [
    'reloads',
    'reloads hello --limit 1',
  ])
    .option('--limit <count>', 'at most so many')
    .action((id: string | undefined, flags: ReloadsFlags) =>
      ending(flags, async () => (await import('./reloads.js')).reloads(id, flags)),
    );
  ask(program, 'events [plugin]', 'Follow what happens, one line each, until the host is gone.', [
    'events',
    'events hello --json',
  ]).action((id: string | undefined, flags: AskFlags) =>
    ending(flags, async () => (await import('./events.js')).events(id, flags)),
  );
  const logs = ask(program, 'logs [plugin]', 'What the host and its plugins have logged, and with --follow log.', [
    'logs',
    'logs hello --level warn --since 10m',
    'logs hello --follow',
    'logs level hello debug',
  ])
    .option('--level <level>', 'from this level on: trace, debug, info, warn, error or fatal')
    .option('--since <time>', 'how long ago, as 90s, 10m, 2h or 1d, or a time in ISO 8601')
    .option('--limit <count>', 'at most so many, the last of them: 1 to 2000 (200; with --follow 20)')
    .option('-f, --follow', 'go on with what comes, until the host is gone')
    .action((id: string | undefined, flags: LogsFlags) =>
      ending(flags, async () => (await import('./logs.js')).logs(id, flags)),
    );
  ask(logs, 'level [plugin] [level]', 'Show or set from which level on records are kept, until the host ends.', [
    'logs level',
    'logs level debug',
    'logs level hello trace',
    'logs level hello default',
  ]).action((plugin: string | undefined, level: string | undefined, _flags: AskFlags, command: Command) => {
    const flags = command.optsWithGlobals<AskFlags>();
    return ending(flags, async () => (await import('./logs.js')).logLevel(plugin, level, flags));
  });
  ask(program, 'backup [folder]', 'Copy the tables of a running host; prints where the copy is.', [
    'backup',
    'backup /var/backups/tenon-monday',
  ]).action((folder: string | undefined, flags: AskFlags) =>
    ending(flags, async () => (await import('./backup.js')).backup(folder, flags)),
  );
  ask(program, 'settings [action]', 'What the host was told and where that came from; `reload` has it read again.', [
    'settings',
    'settings reload --dry-run',
    'settings reload',
  ])
    .option('--dry-run', 'say what would change, and change nothing')
    .action((action: string | undefined, flags: SettingsFlags) =>
      ending(flags, async () => (await import('./settings.js')).settings(action, flags)),
    );
  addPermissionCommand(program);
  addHotReloadCommands(program);
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function addBundleCommands(program: Command): void {
  ask(
    program,
    'install <bundle>',
    'Install or upgrade a plugin from a bundle: a file, a URL, or a folder with a manifest.',
    [
      'install shop-1.2.0.tgz',
      'install https://example.org/shop-1.2.0.tgz --sha256 3f9c…',
      'install shop-1.2.0.tgz --grant http:client:api.example.org',
      'install shop-1.2.0.tgz --dry-run',
    ],
  )
    .option('--grant <permission>', 'grant this one of the permissions it asks for; may be given again', collect)
    .option('--grant-all', 'grant all that it asks for')
    .option('--allow-downgrade', 'also a version before the newest that was installed')
    .option('--dry-run', 'check everything, up to the trial, and change nothing')
    .option('--sha256 <hash>', 'the archive must have this hash')
    .action((source: string, flags: InstallFlags) =>
      ending(flags, async () => (await import('./install.js')).install(source, flags)),
    );
  ask(program, 'uninstall <plugin>', 'Unload an installed plugin and remove its folder; asks first on a terminal.', [
    'uninstall shop',
    'uninstall shop --purge --yes',
  ])
    .option('--purge', 'also its tables, state, config and kept builds')
    .option('--yes', 'do not ask')
    .action((id: string, flags: UninstallFlags) =>
      ending(flags, async () => (await import('./uninstall.js')).uninstall(id, flags)),
    );
}

function addPermissionCommand(program: Command): void {
  ask(program, 'permissions <plugin>', 'What it asks for beyond its own, and is granted; changes hold at once.', [
    'permissions shop',
    'permissions shop --grant http:client:api.example.org',
    'permissions shop --revoke write:config',
    'permissions shop --grant-all',
  ])
    .option('--grant <permission>', 'grant this; may be given again', collect)
    .option('--revoke <permission>', 'take this back; may be given again', collect)
    .option('--grant-all', 'grant all that it asks for')
    .action((id: string, flags: PermissionFlags) =>
      ending(flags, async () => (await import('./permissions.js')).permissions(id, flags)),
    );
}

function addHotReloadCommands(program: Command): void {
  const group = program.command('hot-reload').description('What takes changes up by itself: see it, and steer it.');
  group.addHelpText(
    'before',
    `Examples:
  tenon hot-reload status
  tenon hot-reload disable
  tenon hot-reload configure debounceMs=200 'excludePatterns=*.bak,generated'
`,
  );
  ask(group, 'status', 'Whether it is on, and what it has done.', ['hot-reload status']).action((flags: AskFlags) =>
    ending(flags, async () => (await import('./hot-reload.js')).hotReloadStatus(flags)),
  );
  for (const [to, description] of [
    ['enable', 'Take up changes from now on.'],
    ['disable', 'Take up no change until it is enabled.'],
  ] as const)
    ask(group, to, description, [`hot-reload ${to}`]).action((flags: AskFlags) =>
      ending(flags, async () => (await import('./hot-reload.js')).switchHotReload(to, flags)),
    );
  ask(group, 'trigger <plugin>', 'Reload a plugin at once.', ['hot-reload trigger hello']).action(
    (id: string, flags: AskFlags) =>
      ending(flags, async () =>
        (await import('./act.js')).post(`/api/v1/hot-reload/trigger/${encodeURIComponent(id)}`, flags),
      ),
  );
  ask(group, 'configure <key=value...>', 'Change settings until the host ends; see docs/hot-reload.md.', [
    'hot-reload configure debounceMs=200',
    "hot-reload configure maxRetries=0 'excludePatterns=*.bak,generated'",
  ]).action((pairs: string[], flags: AskFlags) =>
    ending(flags, async () => (await import('./hot-reload.js')).configureHotReload(pairs, flags)),
  );
}
