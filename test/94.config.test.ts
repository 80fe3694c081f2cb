import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import { readApplication } from '../src/compiler/application.js';
import { ConfigSchema } from '../src/compiler/config-schema.js';
import { maskedConfig } from '../src/host/effective-config.js';
import { Command } from './load/command.js';
import { ConfigWorld, schema, target } from './load/config-world.js';
import { type Answer, until, type World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { Fleet } from './registry/fleet.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

const given = vi.hoisted((): { door: unknown } => ({ door: undefined }));
vi.mock(import('../src/registry/none.js'), async (original) => {
  const { noRegistry } = await original();
  return { noRegistry: () => (given.door as ReturnType<typeof noRegistry> | undefined) ?? noRegistry() };
});

let at: ConfigWorld;

beforeEach(async () => {
  at = await ConfigWorld.make();
  given.door = at.registry.door();
});
afterEach(() => at.close());

describe('configSchema', () => {
  async function refusal(config: string, files: Record<string, string> = {}): Promise<TenonError> {
    for (const [file, text] of Object.entries(files)) await at.world.write('config', file, text);
    await at.world.write('config', 'main.c', '');
    await at.world.write('config', 'config.yaml', `resources: [main.c]\n${config}`);
    return readApplication(at.world.folder('config')).then(
      () => expect.unreachable('the application was accepted'),
      (error: TenonError) => error,
    );
  }

  test.each([
    ['configSchema: 3', 'config.yaml:2:15: configSchema must be a mapping of keys to values'],
    ['configSchema:\n  type: objekt', 'config.yaml:3:9: configSchema/type must be'],
    [
      'configSchema:\n  properties:\n    a: {$ref: "https://example.org/a"}',
      'config.yaml:4:15: configSchema/properties/a/$ref must begin with "#"',
    ],
    [
      'configSchema: {$ref: "#/nowhere"}',
      "config.yaml:2:15: configSchema cannot be used: can't resolve reference #/nowhere",
    ],
    [
      'configSchema: {$schema: "http://json-schema.org/draft-07/schema#"}',
      'config.yaml:2:25: configSchema/$schema must be https',
    ],
    ['configSchema: {$id: "x"}', 'config.yaml:2:21: configSchema/$id is not allowed'],
    [
      'configSchema: {proprties: {}}',
      'config.yaml:2:15: configSchema cannot be used: strict mode: unknown keyword: "proprties"',
    ],
    [
      'configSchema: {properties: {a: {pattern: "("}}}',
      'config.yaml:2:42: configSchema/properties/a/pattern is no pattern: ',
    ],
    [
      'configSchema: {properties: {a: {writeOnly: true, default: abc}}}',
      'config.yaml:2:59: configSchema/properties/a/default gives a secret in clear',
    ],
    ['configSchema: missing.json', 'config.yaml:2:15: configSchema missing.json cannot be read: it is not there'],
    ['configSchema: ../out.json', 'config.yaml:2:15: configSchema must be a JSON Schema, or the path'],
    [`${schema}custom:\n  port: 0`, 'config.yaml:15:9: custom/port must be >= 1'],
    [
      `${schema}custom:\n  nested: {key: a, other: 1}`,
      'config.yaml:15:11: custom/nested must not have the property "other"',
    ],
  ])('%s is refused at its place', async (config, sentence) => {
    const error = await refusal(config);
    expect(error.code).toBe('ConfigInvalid');
    expect(error.message.slice(0, sentence.length)).toBe(sentence);
  });

  test('may be a file of the folder, in which the place is told', async () => {
    const error = await refusal('configSchema: shape.json', {
      'shape.json': '{\n  "properties": {\n    "a": {"type": 3}\n  }\n}',
    });
    expect(error.message).toMatch(/^shape\.json:3:\d+: configSchema\/properties\/a\/type /);
    expect((await refusal('configSchema: shape.json', { 'shape.json': '{\n  "a": }' })).message).toMatch(
      /^shape\.json:\d+:\d+: is no JSON/,
    );
    expect((await refusal('configSchema: shape.json', { 'shape.json': ' '.repeat(70_000) })).message).toMatch(
      /more than 65536 bytes/,
    );
  });

  test.each([
    ['nested too deep', () => Array.from({ length: 40 }).reduce<object>((inner) => ({ not: inner }), {})],
    ['too many schemas', () => ({ anyOf: Array.from({ length: 2100 }, () => ({})) })],
    ['a long pattern', () => ({ pattern: 'a'.repeat(300) })],
    ['a pattern that never ends', () => ({ properties: { a: { pattern: '^(a+)+$' } } })],
    ['schemas that are asked without end', () => doubling(30)],
  ])('%s takes no more than its time', async (_what, make) => {
    const custom = { a: `${'a'.repeat(60)}!` };
    const error = await refusal(`configSchema: ${JSON.stringify(make())}\ncustom: ${JSON.stringify(custom)}`);
    expect(error.code).toBe('ConfigInvalid');
    expect(error.message).toMatch(
      /is deeper than|holds more than|is a pattern of more|is not checked against its schema in/,
    );
  });

  test('does not hold references against a custom that has them', async () => {
    await at.world.write('config', 'main.c', '');
    const text =
      'resources: [main.c]\nconfigSchema: {properties: {a: {anyOf: [{pattern: "^x$"}, {const: y}]}}, required: [a]}\n';
    await at.world.write('config', 'config.yaml', `${text}custom: {a: "\${A}"}\n`);
    expect((await readApplication(at.world.folder('config'))).configSchema).toBeDefined();
    await expect(refusal(`${text.slice(text.indexOf('\n') + 1)}custom: {b: "\${A}"}\n`)).resolves.toMatchObject({
      message: expect.stringMatching(/custom must have required property 'a'/) as string,
    });
  });
});

/** `levels` schemas, each of which asks the next one twice. */
function doubling(levels: number): object {
  const $defs = Object.fromEntries(
    Array.from({ length: levels }, (_, at) => [
      `d${at}`,
      at === levels - 1
        ? { minProperties: 5 }
        : { not: { anyOf: [{ $ref: `#/$defs/d${at + 1}` }, { $ref: `#/$defs/d${at + 1}` }] } },
    ]),
  );
  return { $defs, allOf: [{ $ref: '#/$defs/d0' }, false] };
}

interface Drawn {
  schema: object;
  /** Fits the schema; every secret in it has `secret`, longer than any name and any other text that is drawn. */
  value: unknown;
}

const name = fc.stringMatching(/^[a-z~/]{1,4}$/);
const drawnLeaf: fc.Arbitrary<Drawn> = fc.oneof(
  fc.integer().map((value) => ({ schema: { type: 'integer' }, value })),
  fc.boolean().map((value) => ({ schema: { type: 'boolean' }, value })),
  fc.string({ maxLength: 5 }).map((value) => ({ schema: { type: 'string' }, value })),
  fc
    .constantFrom(
      { writeOnly: true },
      { format: 'password' },
      { $ref: '#/$defs/secret' },
      { allOf: [{ writeOnly: true }] },
    )
    .map((how) => ({ schema: { type: 'string', ...how }, value: 'secret' })),
);
const { drawn } = fc.letrec<{ drawn: Drawn }>((tie) => ({
  drawn: fc.oneof(
    { maxDepth: 3 },
    drawnLeaf,
    fc.dictionary(name, tie('drawn'), { minKeys: 1, maxKeys: 3 }).map((members) => ({
      schema: {
        type: 'object',
        properties: Object.fromEntries(Object.entries(members).map(([key, { schema }]) => [key, schema])),
        additionalProperties: false,
      },
      value: Object.fromEntries(Object.entries(members).map(([key, { value }]) => [key, value])),
    })),
    tie('drawn').map(({ schema, value }) => ({ schema: { type: 'array', items: schema }, value: [value, value] })),
    tie('drawn').map(({ schema, value }) => ({
      schema: { type: 'object', additionalProperties: schema },
      value: { any: value },
    })),
  ),
}));
const drawnConfig = fc.dictionary(name, drawn, { minKeys: 1, maxKeys: 3 }).map((members) => ({
  schema: ConfigSchema.of(
    JSON.stringify({
      $defs: { secret: { writeOnly: true } },
      properties: Object.fromEntries(Object.entries(members).map(([key, { schema }]) => [key, schema])),
    }),
  ),
  config: Object.fromEntries(Object.entries(members).map(([key, { value }]) => [key, value])),
}));

/** Pointers of all that has no members. */
function leaves(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null) return [at];
  return Object.entries(value).flatMap(([key, inner]) =>
    leaves(inner, `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  );
}

/** `value` with `null` at a pointer. */
function spoiled(value: unknown, pointer: string, at = ''): unknown {
  if (at === pointer) return null;
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([key, inner]: [string, unknown]) => [
    key,
    spoiled(inner, pointer, `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  ]);
  return Array.isArray(value) ? members.map(([, inner]) => inner) : (Object.fromEntries(members) as unknown);
}

describe('for any schema', () => {
  test('what fits is accepted, and what is wrong at one place is refused at that place', () => {
    fc.assert(
      fc.property(drawnConfig, fc.nat(), ({ schema, config }, at) => {
        expect(schema.flaws(config)).toEqual([]);
        const places = leaves(config);
        const place = places[at % places.length] ?? '';
        expect(schema.flaws(spoiled(config, place) as object as Record<string, unknown>)[0]?.pointer).toBe(place);
      }),
      { numRuns: 100 },
    );
  });

  test('no secret is shown, also where the rest of it is wrong', () => {
    fc.assert(
      fc.property(drawnConfig, fc.nat(), ({ schema, config }, at) => {
        const places = leaves(config);
        const wrong = spoiled(config, places[at % places.length] ?? '') as Record<string, unknown>;
        for (const shown of [maskedConfig(schema, config), maskedConfig(schema, wrong)])
          expect(JSON.stringify(shown)).not.toContain('secret');
      }),
      { numRuns: 100 },
    );
  });
});

test('no secret that was resolved is ever shown, logged or kept', async () => {
  const word = fc.stringMatching(/^[A-Za-z]{1,6}$/);
  const leaf = fc.constantFrom('${A}', '${file:b}', 'x ${A} ${file:b}', 'plain', '$${A}', 3, true, null);
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(word, tie('tree'), { maxKeys: 3 }),
    ),
  }));
  await at.secretFile('b', 'secret-of-a-file\n');
  await at.start('custom: {a: 1}\nconfigSchema: {properties: {a: {writeOnly: true}}}\n', {
    environment: { A: 'secret-of-a-variable' },
  });
  await fc.assert(
    fc.asyncProperty(fc.dictionary(word, tree, { maxKeys: 4 }), async (config) => {
      const set = await at.ask('PUT', target, { body: config });
      const seen = await at.ask('GET');
      const rest = [
        await at.ask('GET', '/api/v1/plugins/config'),
        await at.ask('GET', '/api/v1/reloads'),
        await at.ask('GET', `${target}/history`),
      ];
      expect(JSON.stringify([set, seen, rest]) + at.hostLog() + at.registry.dump()).not.toContain('secret-of-a-');
      if (set.status === 200) {
        expect(seen.body.config).toEqual(config);
        expect(JSON.stringify(await at.own()).includes('secret-of-a-')).toBe(
          /(?<!\$)\$\{/.test(JSON.stringify(config)),
        );
      }
    }),
    { numRuns: 60 },
  );
});

describe('tenon config', () => {
  async function tenon(...words: string[]): Promise<{ code: unknown; out: string; err: string }> {
    const command = new Command(['config', 'config', ...words], at.world.directory, { NO_COLOR: '1' });
    const [code] = await command.exit;
    return { code, out: command.out, err: command.err };
  }

  test('shows it, sets keys of it or all of it, checks it, takes it back, and lists what it was', async () => {
    await at.start(`${schema}custom: {name: shop, nested: {key: "\${file:key}"}}\n`, { hotReload: false });
    await at.secretFile('key', 'k');
    await at.world.host.reload('config');
    const reach = ['--url', at.world.url];
    const seen = await tenon(...reach);
    expect([seen.code, JSON.parse(seen.out), seen.err]).toEqual([
      0,
      { name: 'shop', nested: { key: '${file:key}' } },
      'from config.yaml\n',
    ]);
    expect((await tenon('set', 'port=0', 'other=1', ...reach)).err).toMatch(
      /^\/port must be >= 1\nit must not have|^it must not have[^\n]*\n\/port must be >= 1/,
    );
    expect(await tenon('set', 'port=5', '--dry-run', ...reach)).toMatchObject({
      code: 0,
      out: 'config: valid, revision 0, generation 1\n',
    });
    const set = await tenon('set', 'port=5', 'nested.key=${file:key}', 'name=a=b', ...reach);
    expect([set.code, set.out]).toEqual([0, expect.stringMatching(/^config: taken, revision \d+, generation 1\n$/)]);
    expect(await at.own()).toEqual({ name: 'a=b', nested: { key: 'k' }, port: 5 });
    await writeFile(path.join(at.world.directory, 'whole.yaml'), 'name: whole\n');
    expect((await tenon('set', 'whole.yaml', '--json', ...reach)).out).toMatch(/^\{"status":"taken"/);
    expect(await at.own()).toEqual({ name: 'whole', port: 8080 });
    expect((await tenon('unset', ...reach)).code).toBe(0);
    expect((await tenon('history', ...reach)).out.split('\n').map((line) => line.split(/ {2,}/).at(-1))).toEqual([
      'CONFIG',
      '-',
      '{"name":"whole"}',
      '{"name":"a=b","nested":{"key":"${file:key}"},"port":5}',
      '',
    ]);
  });

  test('is misused with a sentence', async () => {
    await at.start('custom: {b: 1}\n');
    for (const [words, sentence] of [
      [['sett'], 'there is no action "sett"; did you mean set?'],
      [['set'], 'config set needs a file, or key=value'],
      [['set', 'nowhere.json'], '"nowhere.json" is neither key=value nor a file'],
      [['set', 'a=1', 'b'], '"b" is no key=value'],
      [['get', 'x'], 'config get takes no "x"'],
    ] as const) {
      const { code, err } = await tenon(...words, '--url', at.world.url);
      expect([code, err]).toEqual([2, expect.stringContaining(sentence)]);
    }
  });
});

test('tenon build says at which place of config.yaml the config is wrong', async () => {
  await at.world.write('config', 'main.c', '');
  await at.world.write('config', 'config.yaml', `resources: [main.c]\n${schema}custom:\n  port: 0\n  name: 3\n`);
  const command = new Command(['build', at.world.folder('config'), '--data', at.world.data], at.world.directory, {});
  expect((await command.exit)[0]).toBe(1);
  expect(command.err).toContain('config.yaml:15:9: error: custom/port must be >= 1');
  expect(command.err).toContain('config.yaml:16:9: error: custom/name must be string');
  expect(command.err).toContain('ConfigInvalid');
});

describe('with the embedded registry', () => {
  test('what a plugin could not start without makes it active', async () => {
    await at.put('configSchema: {required: [b]}\n');
    await at.world.start({ registry: true, registryWaitMs: 60_000 });
    await until('it is registered', () => at.world.host.plugin('config').registry?.status === 'invalid');
    expect((await at.ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({ status: 'reloaded', revision: 2 });
    expect(await at.own()).toEqual({ b: 2 });
    await until('it is active', () => at.world.host.plugin('config').registry?.status === 'active');
  });

  test('may be set right after the start, before anybody has registered it', async () => {
    await at.put('custom: {b: 1}\n');
    await at.world.start({ registry: true, registryWaitMs: 60_000 });
    expect((await at.ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({ status: 'taken' });
    expect(await at.own()).toEqual({ b: 2 });
  });

  test('what is set is there after a restart, and the plugin is told nothing twice', async () => {
    await at.put(`${schema}custom: {name: shop}\n`);
    await at.world.start({ environment: { A: 'qqq-secret' }, registry: true, registryWaitMs: 60_000 });
    await until('it is registered', () => at.world.host.plugin('config').registry?.status === 'active');
    const config = { port: 3, password: '${A}', name: 'a longer name' };
    expect((await at.ask('PUT', target, { body: config })).body).toMatchObject({ status: 'taken', config });
    const { tag } = await at.ask('GET');
    expect(await at.own()).toEqual({ ...config, password: 'qqq-secret' });
    expect((await at.ask('PUT', target, { body: config })).body.status).toBe('unchanged');
    expect((await at.world.host.reload('config')).applied).toBeUndefined();
    expect((await at.ask('PUT', target, { body: { name: 'x', password: 'hunter2' } })).body.error).toBe(
      'ConfigInvalid',
    );
    await at.world.host.close();
    expect(await readFile(path.join(at.world.data, 'registry.json'), 'utf8')).toMatch(/\$\{A\}(?!.*qqq)/s);
    await at.world.start({ environment: { A: 'qqq-secret' }, registry: true, registryWaitMs: 60_000 });
    expect(await at.own()).toEqual({ ...config, password: 'qqq-secret' });
    const seen = await at.ask('GET');
    expect(seen).toMatchObject({ tag, body: { config, source: 'registry' } });
    expect((await at.ask('DELETE', target, { headers: { 'if-match': tag ?? '' } })).body).toMatchObject({
      status: 'taken',
      source: 'config.yaml',
    });
    const { history } = (await at.ask('GET', `${target}/history`)).body;
    expect(history?.map((entry) => entry.config)).toEqual([null, config]);
  });
});

describe.skipIf(noPostgres !== undefined)(`two hosts on a PostgreSQL server ${noPostgres ?? ''}`, () => {
  let server: PostgresServer;
  let fleet: Fleet;
  let one: World;
  let other: World;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 120_000);
  afterAll(() => server.dispose());
  afterEach(() => fleet.close());

  async function begin(config: string, environments: Record<string, string>[] = [{}, {}]): Promise<void> {
    fleet = await Fleet.make(server, 2);
    [one, other] = fleet.worlds as [World, World];
    await fleet.publish('config', await buildPlugin('config'));
    for (const [at, member] of fleet.worlds.entries()) {
      await member.write('config', 'config.yaml', config);
      await member.start({ environment: environments[at] ?? {}, registry: true, databaseUrl: fleet.url });
    }
    await fleet.converged('config');
  }

  async function owns(): Promise<unknown[]> {
    const answers = fleet.worlds.map(async (member) => (await member.request('POST', '/config/own')).body);
    return (await Promise.all(answers)).map((text) => JSON.parse(text) as unknown);
  }

  async function putAt(member: World, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return member.request('PUT', target, {
      headers: { authorization: 'Bearer a-token-of-the-tests', ...headers },
      body: JSON.stringify(body),
    });
  }

  test('what one is given by hand both have', async () => {
    await begin('custom: {b: 1}\n');
    expect((await putAt(one, { b: 2 })).status).toBe(200);
    await fleet.converged('config');
    expect(await owns()).toEqual([{ b: 2 }, { b: 2 }]);
    await fleet.steer(`UPDATE plugins SET config = '{"b": 3}'`, 'config');
    expect(await owns()).toEqual([{ b: 3 }, { b: 3 }]);
    expect(fleet.worlds.map((member) => member.host.plugin('config').generation)).toEqual([1, 1]);
  });

  test('a secret in clear that psql writes is reported by both, taken by none, and shown by none', async () => {
    await begin(schema);
    await fleet.steer(`UPDATE plugins SET config = '{"password": "hunter2"}'`, 'config');
    expect(await fleet.reports('config')).toMatchObject(
      [1, 2].map(() => ({ state: 'running', error: { code: 'ConfigInvalid' } })),
    );
    expect(JSON.stringify(await fleet.reports('config'))).not.toContain('hunter2');
    expect(await owns()).toEqual([1, 2].map(() => ({ name: 'tenon', port: 8080 })));
    const { body } = await one.admin('GET', target);
    expect(JSON.parse(body)).toMatchObject({ config: { password: '***' }, source: 'registry' });
    await fleet.steer(`UPDATE plugins SET config = NULL`, 'config');
    expect((await fleet.reports('config')).map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  test('who does not have the secret says so, and goes on', async () => {
    await begin(schema, [{ PASSWORD: 'p' }, {}]);
    expect((await putAt(one, { password: '${PASSWORD}' })).status).toBe(200);
    await fleet.converged('config');
    const [mine, theirs] = await fleet.reports('config');
    expect([mine?.error, theirs?.error?.code]).toEqual([undefined, 'SecretMissing']);
    expect(await owns()).toEqual([
      { name: 'tenon', port: 8080, password: 'p' },
      { name: 'tenon', port: 8080 },
    ]);
  });

  test('what the plugin refuses is put back for both', async () => {
    await begin('custom: {b: 1}\n');
    await putAt(one, { b: 2 });
    await fleet.converged('config');
    expect((await putAt(other, { answer: 1 })).status).toBe(422);
    await fleet.converged('config');
    expect(await fleet.sql('SELECT config FROM plugins')).toBe('{"b": 2}');
    expect(await owns()).toEqual([{ b: 2 }, { b: 2 }]);
    expect((await fleet.reports('config')).map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  test('of those who have seen the same, over either host, one wins', async () => {
    await begin('custom: {b: 1}\n');
    const tag = (await one.admin('GET', target)).headers.get('etag') ?? '';
    expect((await other.admin('GET', target)).headers.get('etag')).toBe(tag);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => putAt(at % 2 === 0 ? one : other, { b: at + 10 }, { 'if-match': tag })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(19);
    await fleet.converged('config');
    const [winner] = answers.filter(({ status }) => status === 200);
    const { config } = JSON.parse(winner?.body ?? '') as { config: unknown };
    expect(await owns()).toEqual([config, config]);
  });

  test('one whose version is pinned to a kept build takes it too', async () => {
    await begin('custom: {b: 1}\n');
    await fleet.sql(`UPDATE plugins SET version = '1.0.0'`);
    await fleet.converged('config');
    expect((await putAt(one, { b: 2 })).status).toBe(200);
    await fleet.converged('config');
    expect(await owns()).toEqual([{ b: 2 }, { b: 2 }]);
  });
});
