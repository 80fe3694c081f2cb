import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeBundle } from './load/bundles.js';
import { Command } from './load/command.js';
import type { Said } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

/** One line, how it ends, and what it says. */
interface Row {
  words: string[];
  status: 0 | 1 | 2 | 3;
  /** On standard output; nothing when absent and `json` is, too. */
  out?: RegExp;
  /** What the object on standard output has. */
  json?: object;
  /** On standard error; anything when absent. */
  err?: RegExp;
}

const text = expect.any(String) as string;
const number = expect.any(Number) as number;
const list = expect.any(Array) as unknown[];

let world: World;
let bundle: string;

beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.write('service', 'config.yaml', 'custom: {a: 1}\nconfigSchema:\n  properties:\n    a: {type: integer}\n');
  await world.write('todo', 'config.yaml', 'name: Todo\n');
  await world.write('todo', 'schema.graphql', 'type Task @table @export { id: ID! @primaryKey  title: String }\n');
  await world.publish('broken', import.meta.filename);
  await world.start({ registry: true, uploadSignatures: 'off' });
  bundle = path.join(world.directory, 'shop.tgz');
  await writeFile(bundle, await makeBundle('shop', { manifest: { permissions: ['http:client:api.example.org'] } }));
  await mkdir(path.join(world.directory, 'empty'));
  await writeFile(path.join(world.directory, 'password'), 'a long password\n');
});
afterAll(() => world.close());

/** Verbs that look for a host by the data directory, and those that take it for another reason. */
async function tenon(words: readonly string[], variables: Record<string, string> = {}): Promise<Said> {
  const command = new Command([...words], world.directory, { TENON_DATA: world.data, PORT: '0', ...variables });
  const [status] = await command.exit;
  return { status, out: command.out, err: command.err };
}

/** Fails when it is not as it says; the line. */
async function check({ words, status, out, json, err }: Row): Promise<string> {
  const said = await tenon(words);
  const line = `tenon ${words.join(' ')}`;
  expect({ line, status: said.status, err: said.err }).toEqual({ line, status, err: said.err });
  if (err !== undefined) expect(said.err, line).toMatch(err);
  if (status !== 0 && out === undefined) expect(said.err, line).toMatch(/error: \S|^tenon: \S|^Examples:/m);
  if (json !== undefined) {
    expect(said.out.trimEnd().split('\n'), line).toHaveLength(1);
    expect(JSON.parse(said.out), line).toMatchObject(json);
  } else if (out === undefined) expect(said.out, line).toBe('');
  else expect(said.out, line).toMatch(out);
  return line;
}

/** So many of them at a time; how many there were. */
async function checkAll(rows: readonly Row[], count: number): Promise<number> {
  const left = [...rows];
  const done: string[] = [];
  const workers = Array.from({ length: count }, async () => {
    for (let row = left.shift(); row !== undefined; row = left.shift()) done.push(await check(row));
  });
  await Promise.all(workers);
  return done.length;
}

const noPlugin = { error: 'PluginNotFound', status: 404, message: text };
const meant = /^tenon: there is no plugin "servise"; did you mean service\?$/m;
const unknown = (verb: string, ...further: string[]): Row[] => [
  { words: [verb, 'servise', ...further], status: 1, err: meant },
  { words: [verb, 'servise', ...further, '--json'], status: 1, json: noPlugin },
];

const reading: Row[] = [
  {
    words: ['list'],
    status: 0,
    out: /^PLUGIN +STATE .*\nbroken +failed .*ImageFormat$[^]*^service +running +1\.0\.0 +1 /m,
  },
  { words: ['list', '--json'], status: 0, json: { plugins: list } },
  { words: ['list', 'service'], status: 2, err: /too many arguments/ },
  { words: ['show', 'service'], status: 0, out: /^state +running$[^]*^route +GET \/service\//m },
  {
    words: ['show', 'service', '--json'],
    status: 0,
    json: { id: 'service', state: 'running', routes: list, generations: list },
  },
  ...unknown('show'),
  { words: ['status'], status: 0, out: /^ready +yes$[^]*^not running +broken: .*$[^]*^registry +embedded/m },
  {
    words: ['status', '--json'],
    status: 0,
    json: { ready: true, images: { alive: { count: number } }, readiness: { plugins: list } },
  },
  { words: ['hosts'], status: 0, out: /1 failed.*; not as it should be: broken \(ImageFormat\)$/m },
  { words: ['hosts', '--json'], status: 0, json: { hosts: [{ name: text, pid: number }] } },
  { words: ['routes'], status: 0, out: /^METHOD +PATH .*\n[^]*^GET +\/todo\/Task +todo /m },
  { words: ['routes', 'todo', '--json'], status: 0, json: { routes: list } },
  ...unknown('routes'),
  { words: ['metrics'], status: 0, out: /^tenon_plugin_calls_total\{plugin="service"\} \d+$/m },
  {
    words: ['metrics', '--json'],
    status: 0,
    json: {
      samples: expect.arrayContaining([
        { name: 'tenon_plugin_calls_total', labels: { plugin: 'service' }, value: text },
      ]) as unknown,
    },
  },
  { words: ['versions', 'service'], status: 0, out: /^HASH +VERSION .*\n[0-9a-f]{12} +1\.0\.0 +1 .*running$/m },
  { words: ['versions', 'service', '--json'], status: 0, json: { versions: [{ sha256: text, running: true }] } },
  ...unknown('versions'),
  { words: ['reloads', 'service', '--limit', '5'], status: 0, out: /service: succeeded \(start\)/ },
  {
    words: ['reloads', 'service', '--json'],
    status: 0,
    json: { reloads: [{ plugin: 'service', outcome: 'succeeded', phases: { swap: number } }] },
  },
  { words: ['reloads', '--limit', 'many'], status: 2, err: /limit: "many" is not a whole number/ },
  ...unknown('reloads'),
  ...unknown('events'),
  { words: ['config', 'service'], status: 0, out: /^\{\n {2}"a": 1\n\}$/m, err: /^from / },
  { words: ['config', 'service', 'get', '--json'], status: 0, json: { config: { a: 1 }, revision: number } },
  { words: ['config', 'service', 'history'], status: 0, out: /^REVISION +CHANGED/ },
  {
    words: ['config', 'service', 'set', 'a=2', '--dry-run', '--json'],
    status: 0,
    json: { plugin: { id: 'service' }, status: text },
  },
  { words: ['config', 'service', 'set', 'a=text', '--dry-run'], status: 1, err: /a must be integer/ },
  { words: ['config', 'service', 'sett'], status: 2, err: /there is no action "sett"; did you mean set\?/ },
  ...unknown('config'),
  { words: ['permissions', 'service'], status: 0, out: /^service asks for nothing$/m },
  { words: ['permissions', 'service', '--json'], status: 0, json: { plugin: 'service', asked: [], granted: [] } },
  { words: ['permissions', 'service', '--grant', 'nonsense'], status: 2, err: /"nonsense"/ },
  ...unknown('permissions'),
  { words: ['hot-reload', 'status'], status: 0, out: /^hot reload +off$/m },
  { words: ['hot-reload', 'status', '--json'], status: 0, json: { enabled: false, config: { debounceMs: number } } },
  { words: ['hot-reload'], status: 2, err: /^Examples:/ },
  { words: ['hot-reload', 'enble'], status: 2, err: /Did you mean enable\?/ },
  { words: ['hot-reload', 'configure', 'debounceM=1'], status: 2, err: /did you mean debounceMs\?/ },
  { words: ['hot-reload', 'configure', 'debounce'], status: 2, err: /"debounce" is no key=value/ },
  { words: ['hot-reload', 'trigger', 'servise'], status: 1, err: meant },
  { words: ['trust', 'list'], status: 0, out: /^KEY +PLUGINS +NAME$/m },
  { words: ['trust', 'list', '--json'], status: 0, json: { keys: [], killed: [], file: text } },
  { words: ['trust', 'add', 'nowhere.pub', '--plugins', '*'], status: 2 },
  { words: ['trust', 'remove', '0123456789ABCDEF', '--json'], status: 1, json: { error: text, status: number } },
  { words: ['trust', 'kill', 'nowhere.tgz'], status: 2, err: /neither a SHA-256 nor a file/ },
  { words: ['trust', 'spare', 'f'.repeat(64), '--json'], status: 1, json: { error: text } },
  {
    words: ['token', 'create', 'reader', '--scope', 'read', '--json'],
    status: 0,
    json: { token: text, name: 'reader', scopes: ['read'] },
  },
  { words: ['token', 'create', 'writer', '--scope', 'write'], status: 2, err: /"write"/ },
  { words: ['token', 'list'], status: 0, out: /^NAME / },
  { words: ['token', 'list', '--json'], status: 0, json: { tokens: list } },
  { words: ['token', 'revoke', 'nobody', '--json'], status: 1, json: { error: 'TokenNotFound', status: 404 } },
  // The host of this file is part of a program; 106 has one of its own.
  { words: ['settings'], status: 1, err: /part of a program/ },
  { words: ['settings', '--json'], status: 1, json: { error: text } },
  { words: ['settings', 'relaod'], status: 2, err: /did you mean reload\?/ },
  { words: ['settings', 'reload', '--dry-run', '--json'], status: 1, json: { error: text } },
  { words: ['logs', '--limit', '5'], status: 0, out: /\S/ },
  { words: ['logs', 'service', '--level', 'loud'], status: 2, err: /"loud"/ },
  { words: ['logs', 'level'], status: 0, out: /\S/ },
  { words: ['logs', 'level', 'service', 'loud'], status: 2, err: /"loud"/ },
  { words: ['logs', 'level', '--json'], status: 0, json: { level: text, plugins: {} } },
  { words: ['openapi'], status: 0, out: /"openapi": ?"3\.1/ },
  { words: ['audit'], status: 0, out: /^AT +ACTION/ },
  { words: ['audit', '--check', '--json'], status: 0, json: { intact: true, lines: number } },
  { words: ['audit', '--limit', '0'], status: 2, err: /limit: "0" is not a whole number from 1 to 1000/ },
  { words: ['backup', '--json', 'a', 'b'], status: 2, err: /too many arguments/ },
  // 115 has crashes to show, and 113 hosts to release and to upgrade.
  { words: ['crashes'], status: 0, out: /^$/, err: /^no crash is known$/m },
  { words: ['crashes', '--json'], status: 0, json: { crashes: [] } },
  { words: ['crashes', 'last', '--json'], status: 1, json: { error: 'CrashNotFound' } },
  { words: ['crashes', '--limit', '0'], status: 2, err: /limit: "0" is not a whole number/ },
  { words: ['release'], status: 0, out: /^the host is not in safe mode$/m },
  { words: ['release', '--safe-mode', '--json'], status: 0, json: { status: 'unchanged' } },
  { words: ['release', 'service', '--json'], status: 1, json: { error: 'NotQuarantined', status: 409 } },
  { words: ['release', 'service', '--safe-mode'], status: 2, err: /not both/ },
  ...unknown('release'),
  { words: ['upgrade', '--json'], status: 1, json: { error: 'UpgradeUnavailable', status: 409 } },
  { words: ['upgrade', '--to', ''], status: 2, err: /option to/ },
  ...unknown('load'),
  ...unknown('unload'),
  ...unknown('reload'),
  ...unknown('rollback'),
  ...unknown('enable'),
  ...unknown('disable'),
  ...unknown('forget'),
  ...unknown('uninstall', '--yes'),
  {
    words: ['rollback', 'service', '--to', '9.9.9'],
    status: 1,
    err: /there is no kept build "9\.9\.9"; see `tenon versions service`/,
  },
  { words: ['reload'], status: 2, err: /missing required argument 'plugin'/ },
  { words: ['reload', ''], status: 2, err: /the plugin must not be empty/ },
  { words: ['reload', 'broken', '--json'], status: 1, json: { error: 'ImageFormat', status: 422 } },
  { words: ['uninstall', 'service', '--yes'], status: 1, err: /was not installed from a bundle/ },
  { words: ['install', 'nowhere.tgz'], status: 2, err: /nowhere\.tgz is not there/ },
  { words: ['install', 'password', '--json'], status: 1, json: { error: 'ArchiveInvalid' } },
  { words: ['install', 'shop.tgz', '--dry-run'], status: 0, out: /^shop 1\.0\.0: valid, nothing was changed$/m },
];

/** Each after the one before. */
const steering: Row[] = [
  { words: ['discover'], status: 0, out: /^PLUGIN +STATE +VERSION\n[^]*^service +running +1\.0\.0$/m },
  { words: ['discover', '--json'], status: 0, json: { status: 'discovered', plugins: list } },
  {
    words: ['reload', 'service'],
    status: 0,
    out: /^service: unchanged 1\.0\.0, generation 1\n$/,
    err: /^service: unchanged \(api\)/,
  },
  {
    words: ['reload', 'service', '--json'],
    status: 0,
    json: { status: 'unchanged', plugin: { id: 'service', generation: 1 }, reload: { unchanged: true } },
  },
  {
    words: ['config', 'service', 'set', 'a=3', '--json'],
    status: 0,
    json: { plugin: { id: 'service' }, revision: number },
  },
  { words: ['config', 'service', 'unset'], status: 0, out: /^service: \w+, revision \d+/ },
  { words: ['unload', 'service'], status: 0, out: /^service: unloaded\n$/ },
  {
    words: ['load', 'service', '--json'],
    status: 0,
    json: { status: 'loaded', plugin: { id: 'service', state: 'running' } },
  },
  { words: ['disable', 'service'], status: 0, out: /^service: disabled\n$/ },
  { words: ['list'], status: 0, out: /^service +disabled .*disabled/m },
  {
    words: ['enable', 'service', '--json'],
    status: 0,
    json: { status: 'enabled', plugin: { id: 'service', state: 'running' } },
  },
  { words: ['unload', 'service', '--json'], status: 0, json: { status: 'unloaded' } },
  { words: ['load', 'service'], status: 0, out: /^service: loaded 1\.0\.0, generation \d+\n$/ },
  { words: ['disable', 'service', '--json'], status: 0, json: { status: 'disabled' } },
  { words: ['enable', 'service'], status: 0, out: /^service: enabled 1\.0\.0, generation \d+\n$/ },
  { words: ['hot-reload', 'enable'], status: 0, out: /^hot reload +on$/m },
  { words: ['hot-reload', 'disable', '--json'], status: 0, json: { enabled: false } },
  { words: ['hot-reload', 'configure', 'debounceMs=30', '--json'], status: 0, json: { config: { debounceMs: 30 } } },
  { words: ['hot-reload', 'trigger', 'service'], status: 0, out: /^service: unchanged / },
  {
    words: ['install', 'shop.tgz'],
    status: 0,
    out: /^shop 1\.0\.0: installed, generation 1$/m,
    err: /^shop: not granted: http:client:api\.example\.org; to grant it: tenon permissions shop --grant /m,
  },
  { words: ['install', 'shop.tgz', '--json'], status: 0, json: { status: 'unchanged', plugin: { id: 'shop' } } },
  { words: ['permissions', 'shop', '--grant-all'], status: 0, out: /^granted: http:client:api\.example\.org$/m },
  {
    words: ['permissions', 'shop', '--revoke', 'http:client:api.example.org', '--json'],
    status: 0,
    json: { granted: [], missing: ['http:client:api.example.org'] },
  },
  { words: ['rollback', 'shop'], status: 1, err: /^tenon: shop: /m },
  { words: ['uninstall', 'shop', '--purge', '--yes'], status: 0, out: /^shop: uninstalled$/m },
  {
    words: ['install', 'shop.tgz', '--grant-all', '--json'],
    status: 0,
    json: { status: 'installed', permissions: { granted: ['http:client:api.example.org'] } },
  },
  { words: ['trust', 'kill', 'shop.tgz', '--reason', 'a test'], status: 0, out: /^[0-9a-f]{64}: killed\n$/ },
  { words: ['trust', 'spare', 'shop.tgz', '--json'], status: 0, json: { sha256: text } },
  { words: ['uninstall', 'shop', '--json'], status: 0, json: { status: 'uninstalled', plugin: { id: 'shop' } } },
  { words: ['backup', 'copy'], status: 0, out: /\/copy\n$/ },
  { words: ['backup', '--json'], status: 0, json: { directory: text, backup: { tables: list } } },
  { words: ['restore', 'copy'], status: 1, err: /process \d+ has it; stop the host that uses the data directory/ },
  { words: ['restore', 'copy', '--data', 'other', '--json'], status: 0, json: { backup: { tables: list } } },
  { words: ['restore', 'copy', '--data', 'another'], status: 0, out: /^restored: 1 table as of / },
  { words: ['forget', 'broken'], status: 0, out: /^broken: forgotten/ },
  { words: ['forget', 'service', '--json'], status: 0, json: { status: 'forgotten', plugin: { id: 'service' } } },
];

/** Without a host; each after the one before. */
const local: Row[] = [
  { words: ['keygen', '--out', 'ci', '--no-password'], status: 0, out: /./ },
  { words: ['keygen', '--out', 'ci', '--no-password'], status: 1 },
  { words: ['keygen', '--out', 'safe', '--password-file', 'password', '--json'], status: 0, json: { keyId: text } },
  { words: ['keygen', '--out', 'x', '--password-file', 'nowhere'], status: 2, err: /option password-file/ },
  { words: ['sign', 'shop.tgz', '--key', 'ci.key', '--out', 'signed.tgz'], status: 0, out: /./ },
  { words: ['sign', 'nowhere.tgz', '--key', 'ci.key'], status: 2, err: /nowhere\.tgz is not there/ },
  { words: ['sign', 'shop.tgz'], status: 2, err: /required option '--key <file>'/ },
  { words: ['verify', 'signed.tgz', '--key', 'ci.pub'], status: 0, out: /./ },
  { words: ['verify', 'signed.tgz', '--key', 'safe.pub', '--json'], status: 1, json: { error: text } },
  { words: ['verify', 'shop.tgz', '--key', 'ci.pub'], status: 1, err: /is not signed/ },
  { words: ['trust', 'add', 'ci.pub', '--plugins', 'shop', '--json'], status: 0, json: { key: { keyId: text } } },
  { words: ['trust', 'add', 'safe.pub', '--plugins', 'shop'], status: 0, out: /^[0-9A-F]{16}: trusted with shop$/m },
  { words: ['trust', 'add', 'ci.pub'], status: 2, err: /option plugins/ },
  { words: ['inspect', 'shop.tgz'], status: 0, out: /shop/ },
  { words: ['inspect', 'shop.tgz', '--json'], status: 0, json: { kind: text } },
  { words: ['inspect', 'nowhere'], status: 2, err: /nowhere is not there/ },
  { words: ['validate', 'shop.tgz', '--json'], status: 0, json: { ok: true } },
  {
    words: ['validate', 'applications/broken'],
    status: 1,
    out: /^broken 0\.0\.0: not valid$/m,
    err: /error: ImageFormat/,
  },
  { words: ['validate', 'nowhere'], status: 2, err: /nowhere is not there/ },
  { words: ['new', 'made', '--template', 'c'], status: 0, out: /\/applications\/made\n$/, err: /^Next:$/m },
  {
    words: ['new', 'also', '--template', 'table-app', '--json'],
    status: 0,
    json: { id: 'also', template: 'table-app', files: list },
  },
  { words: ['new', 'made'], status: 1, err: /exists already/ },
  { words: ['new', 'Bad Name'], status: 2, err: /cannot be the id of an application/ },
  {
    words: ['build', 'applications/made', '--json', '--data', 'builds'],
    status: 0,
    json: { ok: true, applications: [{ id: 'made', ok: true }] },
  },
  {
    words: ['build', 'applications/made', '--data', 'builds'],
    status: 0,
    out: /\.so\n$/,
    err: /^made: known \(release\)/m,
  },
  { words: ['build', 'empty'], status: 2, err: /there is no application in / },
  { words: ['pack', 'applications/made', '--data', 'builds', '--json'], status: 0, json: { id: 'made', sha256: text } },
  { words: ['pack', 'nowhere'], status: 2, err: /there is no application in / },
  { words: ['doctor'], status: 0, out: /^Tenon +ok /m },
  { words: ['doctor', '--json'], status: 0, json: { healthy: true, findings: list } },
  { words: ['doctor', '--data', ''], status: 2 },
  { words: ['start', '--print-config'], status: 0, out: /^key in tenon\.yaml +value/ },
  { words: ['start', '--print-config', '--json'], status: 0, json: { settings: list } },
  { words: ['start', '--port', 'many'], status: 2, err: /option port: "many" is not a whole number/ },
  { words: ['start', '--prot', '1'], status: 2, err: /Did you mean --port\?/ },
  { words: ['dev', '--port', '70000'], status: 2, err: /option port/ },
  { words: ['bench', 'reload', 'servise'], status: 2, err: /did you mean service\?/ },
  { words: ['bench', 'reload', 'service', '--clients', '0'], status: 2, err: /option clients/ },
  { words: ['bench'], status: 2, err: /^Examples:/ },
  { words: ['completion', 'fish', '--json'], status: 0, json: { shell: 'fish', script: text } },
  { words: ['completion', 'bash'], status: 0, out: /^complete -F _tenon tenon$/m },
  { words: ['completion', 'csh'], status: 2, err: /there is no completion for "csh"; / },
  { words: ['lst'], status: 2, err: /unknown command 'lst'[^]*Did you mean list\?/ },
  { words: ['list', '--dta', 'x'], status: 2, err: /unknown option '--dta'[^]*Did you mean --data\?/ },
];

/** Words of commands below `words`. */
async function verbsBelow(...words: string[]): Promise<string[]> {
  const { out } = await tenon(['completion', 'words', '--', ...words, '']);
  return out
    .split('\n')
    .flatMap((line) => (/^[a-z]/.test(line) ? [[...words, line.replace(/\t.*$/, '')].join(' ')] : []));
}

let verbs: string[];
beforeAll(async () => {
  const groups = ['hot-reload', 'trust', 'bench', 'token'];
  verbs = [await verbsBelow(), ...(await Promise.all(groups.map((group) => verbsBelow(group))))].flat();
});

describe('every verb', () => {
  test('is in the table, with good words and with bad ones', () => {
    const rows = [...reading, ...steering, ...local];
    const of = (verb: string): Row[] => rows.filter(({ words }) => `${words.join(' ')} `.startsWith(`${verb} `));
    expect(verbs.length).toBeGreaterThan(45);
    expect(verbs.filter((verb) => of(verb).length === 0)).toEqual([]);
    expect(
      verbs.filter(
        (verb) =>
          of(verb).every(({ status }) => status !== 0) &&
          ![
            'bench',
            'bench reload',
            'dev',
            'events',
            'rollback',
            'settings',
            'token revoke',
            'trust remove',
            'upgrade',
          ].includes(verb),
      ),
    ).toEqual([]);
    const withoutMistakes = [
      'openapi',
      'token list',
      'list',
      'status',
      'hosts',
      'metrics',
      'discover',
      'hot-reload status',
      'hot-reload enable',
      'hot-reload disable',
      'trust list',
    ];
    expect(
      verbs.filter((verb) => of(verb).every(({ status }) => status === 0) && !withoutMistakes.includes(verb)),
    ).toEqual([]);
  });

  test('has help that begins with examples, and knows --json', async () => {
    const left = [...verbs];
    const wrong: string[] = [];
    const workers = Array.from({ length: 3 }, async () => {
      for (let verb = left.shift(); verb !== undefined; verb = left.shift()) {
        const { status, out } = await tenon([...verb.split(' '), '--help']);
        const isGroup = /^Commands:$/m.test(out);
        const example = new RegExp(`^Examples:\\n(?:.*tenon ${verb}\\b)`).test(out);
        if (status !== 0 || !example || !(isGroup || verb === 'dev' || out.includes('--json'))) wrong.push(verb);
      }
    });
    await Promise.all(workers);
    expect(wrong).toEqual([]);
  });

  test('that reads, of a running host: text, --json, good and bad words', async () => {
    expect(await checkAll(reading, 3)).toBe(reading.length);
  });

  test('that steers a running host', async () => {
    expect(await checkAll(steering, 1)).toBe(steering.length);
  });

  test('that needs no host', async () => {
    expect(await checkAll(local, 1)).toBe(local.length);
  });

  test('that asks a host ends with 3 when none runs', async () => {
    const words = [
      ['list'],
      ['reload', 'x'],
      ['config', 'x'],
      ['hot-reload', 'status'],
      ['trust', 'list'],
      ['install', 'shop.tgz'],
      ['metrics'],
    ];
    await Promise.all(
      words.map(async (line) => {
        const said = await tenon([...line, '--json', '--data', 'empty']);
        expect({ line, status: said.status }).toEqual({ line, status: 3 });
        expect(JSON.parse(said.out)).toMatchObject({ error: 'HostNotRunning' });
        expect(said.err).toMatch(/no host runs with the data directory .*empty; start one with/);
      }),
    );
  });

  test('says what the host has against a token, and where one comes from when none is sent', async () => {
    const words = ['list', '--url', world.url];
    expect(await tenon([...words, '--token', 'wrong'])).toEqual({
      status: 1,
      out: '',
      err: 'tenon: the token is neither the admin token of this host nor one that was made here\n',
    });
    const cut = await tenon([...words, '--token', `tenon_3f9c01ab_${'x'.repeat(48)}`]);
    expect(cut.err).toBe('tenon: the token is mistyped or cut: its checksum is wrong\n');
    const none = new Command(words, world.directory, { TENON_ADMIN_TOKEN: '' });
    expect(await none.exit).toEqual([1, null]);
    expect(none.err).toContain('give it with --token or TENON_ADMIN_TOKEN');
  });

  test('token create says what the token is limited to, and which of it is not here', async () => {
    const said = await tenon(['token', 'create', 'narrow', '--scope', 'read', '--plugin', 'nowhere']);
    expect(said).toMatchObject({
      status: 0,
      err: 'narrow may read with nowhere alone; the token is shown this once\nthere is no plugin nowhere here yet\n',
    });
  });

  test('openapi prints what the host serves', async () => {
    const served = await world.get('/openapi.json');
    const said = await tenon(['openapi', '--json']);
    expect(said.status).toBe(served.status === 200 ? 0 : 1);
    expect(JSON.parse(said.out)).toEqual(
      served.status === 200 ? JSON.parse(served.body) : expect.objectContaining({ error: 'RouteNotFound' }),
    );
  });

  test('status says that the host is not ready when a plugin is not well, and which', async () => {
    await world.publish('fault', await buildPlugin('falls_ill'));
    await tenon(['discover']);
    await until('it falls ill', async () => (await world.get('/readyz')).status === 503);
    const said = await tenon(['status']);
    expect(said).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^ready +no$[^]*^not healthy +fault/m) as string,
    });
    expect(JSON.parse((await tenon(['status', '--json'])).out)).toMatchObject({ ready: false });
  });

  test('is in docs/cli.md', () => {
    const page = readFileSync(path.join(import.meta.dirname, '..', 'docs', 'cli.md'), 'utf8');
    expect(verbs.filter((verb) => !page.includes(verb.split(' ').at(-1) ?? ''))).toEqual([]);
  });
});
