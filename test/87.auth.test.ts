import { appendFile, copyFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ErrorCode, errorCodes } from '../src/base/errors.js';
import { root } from './architecture/tree.js';
import { compiled } from './load/compiled.js';
import { inProcessOnly } from './load/isolation.js';
import { type Answer, until, World } from './load/world.js';

const application = path.join(root, 'applications', 'tenon-auth');
const operator = { authorization: 'Bearer a-token-of-the-tests' };
const shop = `#include <tenon/tenon.hpp>

struct Who : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    std::string text(request.identity()->subject());
    request.identity()->roles([&text](std::string_view role) { text += " " + std::string(role); });
    return tenon::text(text + " by " + std::string(request.identity()->scheme()));
  }
};
struct Orders : tenon::Resource {
  static constexpr std::string_view roles = "clerk";
  tenon::Response get(const tenon::Request&) override { return tenon::text("orders"); }
};
struct Quick : tenon::Resource {
  static constexpr auto execution = tenon::Execution::Inline;
  tenon::Response get(const tenon::Request&) override { return tenon::text("quick"); }
};
struct Window : tenon::Resource {
  static constexpr auto auth = tenon::Auth::Open;
  tenon::Response get(const tenon::Request&) override { return tenon::text("window"); }
};
`;
const brake = 'custom: { brakeAttempts: 3, brakeFirstMs: 600000, brakeMostMs: 600000 }\n';

let world: World;
let auth = '';
let config = '';

function basic(name: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}
function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}
function send(method: string, target: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return world.request(method, target, {
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}
function own(method: string, target: string, headers: Record<string, string> = {}): Promise<Answer> {
  return world.request(method, target, { headers });
}

/** Their statuses, the smallest first. */
function sorted(answers: Answer[]): number[] {
  return answers.map(({ status }) => status).toSorted((one, other) => one - other);
}

interface Tokens {
  accessToken: string;
  refreshToken: string;
  expiresIn: number;
}
function log(username: string, password: string): Promise<Answer> {
  return send('POST', '/tenon-auth/login', { username, password });
}
async function login(username: string, password: string): Promise<Tokens> {
  const answer = await log(username, password);
  expect(answer.status).toBe(200);
  return JSON.parse(answer.body) as Tokens;
}
function refresh(tokens: Tokens): Promise<Answer> {
  return send('POST', '/tenon-auth/refresh', { refreshToken: tokens.refreshToken });
}
async function me(token: string): Promise<number> {
  return (await own('GET', '/tenon-auth/me', bearer(token))).status;
}

const rootPassword = 'correct horse';
const admin = basic('root', rootPassword);
/** A user with a name of its own, made by the admin. */
async function user(username: string, more: object = {}): Promise<void> {
  const made = await send('POST', '/tenon-auth/users', { username, password: `${username}-password`, ...more }, admin);
  expect(made.status).toBe(201);
}

beforeAll(async () => {
  world = await World.make();
  auth = await compiled(application);
  await world.publish('tenon-auth', auth);
  const schema = await readFile(path.join(application, 'schema.graphql'), 'utf8');
  await world.write('tenon-auth', 'schema.graphql', schema);
  config = await readFile(path.join(application, 'config.yaml'), 'utf8');
  await world.write('tenon-auth', 'config.yaml', config + brake);
  await world.write('shop', 'config.yaml', 'extensions: [tenon-auth]\n');
  await world.write('shop', 'resources/shop.cpp', shop);
  await world.start();
  const failed = world.host.plugins().filter(({ state }) => state !== 'running');
  if (failed.length > 0) throw new Error(JSON.stringify(failed.map(({ id, error }) => [id, error?.message])));
}, 300_000);
afterAll(async () => {
  await world.close();
});

describe('the first admin', () => {
  test('is made once, by whoever has the admin token of the host', async () => {
    const first = { username: 'root', password: rootPassword };
    expect((await send('POST', '/tenon-auth/setup', first)).status).toBe(401);
    expect((await send('POST', '/tenon-auth/setup', first, bearer('a-token-of-the-testz'))).status).toBe(401);
    expect((await send('POST', '/tenon-auth/setup', { ...first, password: 'short' }, operator)).status).toBe(422);
    const made = await Promise.all([1, 2, 3].map(() => send('POST', '/tenon-auth/setup', first, operator)));
    expect(sorted(made)).toEqual([201, 409, 409]);
    expect(JSON.parse((await own('GET', '/tenon-auth/me', admin)).body)).toMatchObject({
      username: 'root',
      roles: ['admin'],
      enabled: true,
    });
  });

  test('cannot be deleted, disabled or lose the role while there is no other', async () => {
    expect((await own('DELETE', '/tenon-auth/users/root', admin)).status).toBe(409);
    expect((await send('PUT', '/tenon-auth/users/root', { enabled: false }, admin)).status).toBe(409);
    expect((await send('PUT', '/tenon-auth/users/root', { roles: ['clerk'] }, admin)).status).toBe(409);
    await user('second', { roles: ['admin'] });
    const [one, other] = ['root', 'second'];
    for (let round = 0; round < 8; round++) {
      const tokens = [await login('root', rootPassword), await login('second', 'second-password')];
      const [ours, theirs] = tokens.map(({ accessToken }) => bearer(accessToken));
      const both = await Promise.all([
        send('PUT', `/tenon-auth/users/${other}`, { roles: [] }, ours),
        send('PUT', `/tenon-auth/users/${one}`, { roles: [] }, theirs),
      ]);
      expect(both.filter(({ status }) => status === 204).length).toBe(1);
      const [name, left] = both[0].status === 204 ? [other, ours] : [one, theirs];
      expect((await send('PUT', `/tenon-auth/users/${name}`, { roles: ['admin'] }, left)).status).toBe(204);
    }
    await own('DELETE', '/tenon-auth/users/second', admin);
  });
});

describe('users', () => {
  test('are for admins, and their hashes for nobody', async () => {
    await user('ada', { roles: ['clerk'] });
    const ada = bearer((await login('ada', 'ada-password')).accessToken);
    expect((await own('GET', '/tenon-auth/users', ada)).status).toBe(403);
    expect((await own('GET', '/tenon-auth/users')).status).toBe(401);
    const list = await own('GET', '/tenon-auth/users?limit=1', admin);
    expect(JSON.parse(list.body)).toMatchObject([{ username: 'ada', roles: ['clerk'] }]);
    expect((await own('GET', '/tenon-auth/users?after=ada', admin)).body).toContain('"root"');
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'after=', 'after=A'])
      expect((await own('GET', `/tenon-auth/users?${query}`, admin)).status, query).toBe(400);
    expect((await own('GET', '/tenon-auth/users/ada', admin)).body).not.toMatch(/hash|scrypt/i);
    for (const target of ['/tenon-auth/User/', '/tenon-auth/User/ada', '/tenon-auth/Session/', '/tenon-auth/graphql'])
      expect((await own('GET', target, admin)).status, target).toBe(404);
  });

  test('have names, passwords and roles within their bounds', async () => {
    const good = { username: 'grace', password: 'long enough', roles: ['a'] };
    for (const wrong of [
      { username: '' },
      { username: 'Grace' },
      { username: '-grace' },
      { username: 'g'.repeat(65) },
      { username: 7 },
      { password: '1234567' },
      { password: 'p'.repeat(1025) },
      { password: null },
      { roles: ['a b'] },
      { roles: 'a' },
      { roles: Array.from({ length: 33 }, (_, index) => `r${index}`) },
      { enabled: 'yes' },
    ])
      expect((await send('POST', '/tenon-auth/users', { ...good, ...wrong }, admin)).status).toBe(422);
    expect((await send('POST', '/tenon-auth/users', good, admin)).status).toBe(201);
    expect((await send('POST', '/tenon-auth/users', good, admin)).status).toBe(409);
    expect((await own('DELETE', '/tenon-auth/users/grace', admin)).status).toBe(204);
    expect((await own('DELETE', '/tenon-auth/users/grace', admin)).status).toBe(404);
  });

  test.each([
    ['roles', { roles: ['other'] }],
    ['password', { password: 'another password' }],
    ['enabled', { enabled: false }],
  ])('whose %s change are logged out everywhere', async (what, change) => {
    const name = `changed-${what}`;
    await user(name);
    const tokens = await login(name, `${name}-password`);
    expect((await own('GET', '/shop/who', basic(name, `${name}-password`))).status).toBe(200);
    expect((await send('PUT', `/tenon-auth/users/${name}`, change, admin)).status).toBe(204);
    expect(await me(tokens.accessToken)).toBe(401);
    expect((await refresh(tokens)).status).toBe(401);
    const again = await own('GET', '/shop/who', basic(name, `${name}-password`));
    expect([again.status, again.body.includes('other')]).toEqual(what === 'roles' ? [200, true] : [401, false]);
  });

  test('are changed by members that are known, and by one at least', async () => {
    await user('named', { roles: ['clerk'] });
    const put = (body: object): Promise<Answer> => send('PUT', '/tenon-auth/users/named', body, admin);
    for (const [body, named] of [
      [{}, 'password, roles and enabled'],
      [{ role: ['other'], enabled: false }, 'role is none of'],
      [{ '': 1 }, ' is none of'],
      [{ ['x'.repeat(65)]: 1, enabled: false }, 'a member is none of'],
    ] as const) {
      const { status, body: told } = await put(body);
      expect([status, told]).toEqual([422, expect.stringContaining(named)]);
    }
    const kept = await own('GET', '/tenon-auth/users/named', admin);
    expect(JSON.parse(kept.body)).toMatchObject({ roles: ['clerk'], enabled: true });
  });

  test('and everything else is made by members that are known, and by none that is mistyped', async () => {
    const refused: [string, string, object, string, Record<string, string>?][] = [
      ['PUT', 'roles/typist', { permission: ['GET /shop/*'] }, 'permission is not permissions'],
      ['PUT', 'roles/typist', {}, 'give permissions'],
      ['POST', 'users', { username: 'tim', password: 'tim-password', role: ['clerk'] }, 'role is none of username'],
      ['POST', 'users', { username: 'tim', password: 'tim-password', enable: false }, 'enable is none of username'],
      ['POST', 'setup', { username: 'tim', password: 'tim-password', name: '' }, 'name is none of', operator],
      ['POST', 'login', { username: 'root', password: rootPassword, remember: true }, 'remember is none of'],
      ['POST', 'refresh', { refreshToken: 'x', token: 'x' }, 'token is not refreshToken'],
      ['PUT', 'password', { password: rootPassword, newPasword: 'something new' }, 'newPasword is none of password'],
    ];
    for (const [method, target, body, why, as = admin] of refused) {
      const answer = await send(method, `/tenon-auth/${target}`, body, as);
      expect([target, answer.status, answer.body]).toEqual([target, 422, expect.stringContaining(why)]);
    }
    expect((await own('GET', '/tenon-auth/users/tim', admin)).status).toBe(404);
    expect((await own('GET', '/tenon-auth/roles', admin)).body).not.toContain('typist');
    expect((await send('PUT', '/tenon-auth/roles/typist', { permissions: [] }, admin)).status).toBe(204);
    expect((await own('DELETE', '/tenon-auth/roles/typist', admin)).status).toBe(204);
  });

  test('who change their password twice at once change it once', async () => {
    await user('twice');
    const headers = bearer((await login('twice', 'twice-password')).accessToken);
    const change = (newPassword: string): Promise<Answer> =>
      send('PUT', '/tenon-auth/password', { password: 'twice-password', newPassword }, headers);
    const [one, other] = await Promise.all([change('first-password'), change('other-password')]);
    expect([one, other].filter(({ status }) => status === 204).length).toBe(1);
    expect([one, other].map(({ status }) => status)).toContainEqual(expect.toBeOneOf([401, 409]));
    await login('twice', one.status === 204 ? 'first-password' : 'other-password');
  });

  test('change their own password, which they have to know', async () => {
    await user('alan');
    const tokens = await login('alan', 'alan-password');
    const change = { password: 'not mine', newPassword: 'next-password' };
    const token = bearer(tokens.accessToken);
    expect((await send('PUT', '/tenon-auth/password', change, token)).status).toBe(401);
    const right = { ...change, password: 'alan-password' };
    expect((await send('PUT', '/tenon-auth/password', right, token)).status).toBe(204);
    expect(await me(tokens.accessToken)).toBe(401);
    await login('alan', 'next-password');
  });

  test('who come again under an old name do not get the old tokens back', async () => {
    await user('phoenix');
    const tokens = await login('phoenix', 'phoenix-password');
    expect((await own('DELETE', '/tenon-auth/users/phoenix', admin)).status).toBe(204);
    await user('phoenix');
    expect([await me(tokens.accessToken), (await refresh(tokens)).status]).toEqual([401, 401]);
  });
});

describe('tokens', () => {
  test('of a login are for what they are for, and end with it', async () => {
    await user('tok');
    const tokens = await login('tok', 'tok-password');
    expect(tokens.expiresIn).toBe(900);
    expect(await me(tokens.accessToken)).toBe(200);
    expect(await me(tokens.refreshToken)).toBe(401);
    expect((await refresh({ ...tokens, refreshToken: tokens.accessToken })).status).toBe(401);
    const [head = '', claims = '', sign = ''] = tokens.accessToken.split('.');
    const forged = JSON.stringify({
      ...(JSON.parse(Buffer.from(claims, 'base64url').toString()) as object),
      sub: 'root',
    });
    expect(await me(`${head}.${Buffer.from(forged).toString('base64url')}.${sign}`)).toBe(401);
    expect((await own('POST', '/tenon-auth/logout', bearer(tokens.accessToken))).status).toBe(204);
    expect([await me(tokens.accessToken), (await refresh(tokens)).status]).toEqual([401, 401]);
  });

  test('that are no good any more keep nobody from login and refresh', async () => {
    await user('stale');
    const tokens = await login('stale', 'stale-password');
    expect((await own('POST', '/tenon-auth/logout', bearer(tokens.accessToken))).status).toBe(204);
    for (const headers of [bearer(tokens.accessToken), bearer('a.b.c'), basic('stale', 'x'), basic('stale', 'y')]) {
      const again = await send('POST', '/tenon-auth/login', { username: 'stale', password: 'stale-password' }, headers);
      expect(again.status).toBe(200);
      const { refreshToken } = JSON.parse(again.body) as Tokens;
      expect((await send('POST', '/tenon-auth/refresh', { refreshToken }, headers)).status).toBe(200);
    }
  });

  test('are refreshed once each; the second use of one ends its login, and no other', async () => {
    await user('ref');
    const other = await login('ref', 'ref-password');
    const first = await login('ref', 'ref-password');
    const second = JSON.parse((await refresh(first)).body) as Tokens;
    const third = JSON.parse((await refresh(second)).body) as Tokens;
    expect(await me(third.accessToken)).toBe(200);
    expect((await refresh(first)).status).toBe(401);
    expect([await me(third.accessToken), (await refresh(third)).status]).toEqual([401, 401]);
    expect(await me(other.accessToken)).toBe(200);
  });

  test('that are refreshed by many at once are given to one', async () => {
    await user('race');
    for (let round = 0; round < 8; round++) {
      const tokens = await login('race', 'race-password');
      const answers = await Promise.all(Array.from({ length: 12 }, () => refresh(tokens)));
      expect(sorted(answers)).toEqual([200, ...Array.from({ length: 11 }, () => 401)]);
      const won = answers.find(({ status }) => status === 200)?.body ?? '{}';
      expect(await me((JSON.parse(won) as Tokens).accessToken)).toBe(401);
    }
  });
});

describe('who guesses passwords', () => {
  test.each(['victim', 'nobody-at-all'])('has to wait, whether there is a %s or not', async (name) => {
    if (name === 'victim') await user(name);
    for (let guess = 0; guess < 3; guess++) {
      const wrong = await log(name, `guess ${guess}`);
      expect([wrong.status, wrong.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="tenon"']);
    }
    const braked = await log(name, `${name}-password`);
    expect(braked.status).toBe(429);
    expect(Number(braked.headers.get('retry-after'))).toSatisfy((seconds: number) => seconds > 0 && seconds <= 600);
    expect((await own('GET', '/shop/who', basic(name, 'x'))).status).toBe(429);
    expect((await own('GET', '/tenon-auth/me', admin)).status).toBe(200);
    await world.write('tenon-auth', 'config.yaml', `${config}custom: { brakeMostMs: 1 }\n`);
    await world.host.reload('tenon-auth');
    await until('it may be tried again', async () => (await log(name, `${name}-password`)).status !== 429);
    expect((await log(name, `${name}-password`)).status).toBe(name === 'victim' ? 200 : 401);
    await world.write('tenon-auth', 'config.yaml', config + brake);
    await world.host.reload('tenon-auth');
  });

  test('side by side learns no more than one after the other', async () => {
    await user('crowd');
    const guesses = Array.from({ length: 12 }, (_, index) => log('crowd', `guess ${index}`));
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 401).length).toBe(3);
    expect(statuses.filter((status) => status === 429).length).toBe(9);
  });
});

describe('an application that lists it', () => {
  test('knows who asks, by password and by token', async () => {
    await user('bob', { roles: ['clerk', 'b'] });
    const token = bearer((await login('bob', 'bob-password')).accessToken);
    expect((await own('GET', '/shop/who', token)).body).toBe('bob clerk b by Bearer');
    expect((await own('GET', '/shop/who', basic('bob', 'bob-password'))).body).toBe('bob clerk b by Basic');
    expect((await own('GET', '/shop/orders', token)).status).toBe(200);
    const stranger = await own('GET', '/shop/who');
    expect(stranger.status).toBe(401);
    expect(stranger.headers.get('www-authenticate')).toMatch(/^Basic realm="tenon".*Bearer realm="tenon"$/);
    expect((await own('GET', '/shop/who', basic('bob', 'wrong-password'))).status).toBe(401);
    expect((await own('GET', '/shop/window')).status).toBe(200);
    expect((await own('GET', '/shop/window', bearer('of-another-kind'))).status).toBe(200);
    await user('eve');
    expect((await own('GET', '/shop/orders', basic('eve', 'eve-password'))).status).toBe(403);
  });

  test('takes tokens on the event loop, and a password only when it is known already', async () => {
    inProcessOnly('no route of a process of its own runs on the event loop');
    await user('fast');
    const password = basic('fast', 'fast-password');
    expect((await own('GET', '/shop/quick', bearer((await login('fast', 'fast-password')).accessToken))).status).toBe(
      200,
    );
    expect((await own('GET', '/shop/quick', password)).status).toBe(503);
    expect((await own('GET', '/shop/who', password)).status).toBe(200);
    expect((await own('GET', '/shop/quick', password)).status).toBe(200);
  });

  test('with `rbac: true` lets roles do what they are permitted to, and nothing else', async () => {
    await user('carl', { roles: ['clerk'] });
    const carl = bearer((await login('carl', 'carl-password')).accessToken);
    await world.write('shop', 'config.yaml', 'extensions: [{ id: tenon-auth, settings: { rbac: true } }]\n');
    await world.host.reload('shop');
    expect((await own('GET', '/shop/orders', carl)).status).toBe(403);
    expect((await own('GET', '/shop/window')).status).toBe(401);
    expect((await own('GET', '/shop/who', admin)).status).toBe(200);
    const permissions = ['GET /shop/orders', 'POST /shop/*'];
    expect((await send('PUT', '/tenon-auth/roles/clerk', { permissions }, admin)).status).toBe(204);
    expect((await send('PUT', '/tenon-auth/roles/everyone', { permissions: ['GET /shop/win*'] }, admin)).status).toBe(
      204,
    );
    expect((await own('GET', '/shop/orders', carl)).status).toBe(200);
    expect((await own('GET', '/shop/who', carl)).status).toBe(403);
    expect((await own('GET', '/shop/window')).status).toBe(200);
    expect((await own('GET', '/shop/%6frders', carl)).status).not.toBe(200);
    expect(JSON.parse((await own('GET', '/tenon-auth/roles', admin)).body)).toContainEqual({
      name: 'clerk',
      permissions,
    });
    expect((await own('DELETE', '/tenon-auth/roles/clerk', admin)).status).toBe(204);
    expect((await own('GET', '/shop/orders', carl)).status).toBe(403);
    for (const wrong of ['GET', 'FETCH /a', 'GET a', 'GET /a*b', 'GET /a b'])
      expect((await send('PUT', '/tenon-auth/roles/x', { permissions: [wrong] }, admin)).status, wrong).toBe(422);
    await world.write('shop', 'config.yaml', 'extensions: [{ id: tenon-auth, settings: { rbca: true } }]\n');
    await expect(world.host.reload('shop')).rejects.toThrow('rbac');
    expect((await own('GET', '/shop/orders', carl)).status).toBe(403);
    await world.write('shop', 'config.yaml', 'extensions: [tenon-auth]\n');
    await world.host.reload('shop');
    expect((await own('GET', '/shop/orders', carl)).status).toBe(200);
  });
});

test('what no client should send is refused, and never an error of ours', async () => {
  const headers = [
    'Basic',
    'Basic ',
    'Basic !!!!',
    'Basic YQ==',
    `Basic ${'A'.repeat(6000)}`,
    'Bearer ..',
    'Bearer a.b.c',
    'Digest x',
  ];
  for (const authorization of headers) {
    expect((await own('GET', '/tenon-auth/me', { authorization })).status, authorization.slice(0, 20)).toBe(401);
    expect((await own('GET', '/shop/who', { authorization })).status, authorization.slice(0, 20)).toBe(401);
  }
  const bodies: [string, number][] = [
    ['', 400],
    ['{', 400],
    ['[]', 400],
    ['{}', 422],
    ['['.repeat(5000), 400],
    ['{"username":["root"],"password":{}}', 422],
    ['{"username":"root\\u0000","password":"x"}', 401],
    ['{"username":"\\ud800","password":"x"}', 401],
    [JSON.stringify({ username: 'root', password: 'x'.repeat(2000) }), 401],
    [JSON.stringify({ username: 'root', password: 'x'.repeat(20_000) }), 413],
  ];
  for (const [body, status] of bodies)
    expect((await send('POST', '/tenon-auth/login', body)).status, body.slice(0, 40)).toBe(status);
  const form = { 'content-type': 'text/plain', ...admin };
  expect((await send('POST', '/tenon-auth/users', '{}', form)).status).toBe(415);
});

test('what is refused is a problem as the host tells them', async () => {
  const refused: [ErrorCode, number, Promise<Answer>][] = [
    ['BadRequest', 400, send('POST', '/tenon-auth/login', '[]')],
    ['Unauthenticated', 401, own('GET', '/tenon-auth/me')],
    ['RecordNotFound', 404, own('GET', '/tenon-auth/users/nobody', admin)],
    ['RecordExists', 409, send('POST', '/tenon-auth/users', { username: 'root', password: rootPassword }, admin)],
    ['PreconditionFailed', 409, own('DELETE', '/tenon-auth/users/root', admin)],
    ['ContentTypeUnsupported', 415, world.request('POST', '/tenon-auth/login', { body: '{}' })],
    ['RecordInvalid', 422, send('PUT', '/tenon-auth/users/root', {}, admin)],
  ];
  for (const [code, status, answer] of refused) {
    const { body, headers } = await answer;
    const problem = JSON.parse(body) as Record<string, unknown>;
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect(problem).toEqual({
      type: `/docs/errors.md#${code.toLowerCase()}`,
      title: errorCodes[code].title,
      status,
      detail: expect.any(String) as string,
      error: code,
      message: problem['detail'],
    });
  }
});

test('its own config is taken without a new generation, and refused when it is wrong', async () => {
  await world.write('tenon-auth', 'config.yaml', `${config}custom: { brakeAttempt: 3 }\n`);
  await expect(world.host.reload('tenon-auth')).rejects.toThrow('custom.brakeAttempt is not known');
  await world.write('tenon-auth', 'config.yaml', `${config}custom: { accessSeconds: 60 }\n`);
  const { generation } = world.host.plugin('tenon-auth');
  await world.host.reload('tenon-auth');
  expect(world.host.plugin('tenon-auth').generation).toBe(generation);
  expect((await login('root', rootPassword)).expiresIn).toBe(60);
});

test('a newer build takes over under traffic, with those who have to wait; a restart keeps users and logins', async () => {
  await user('zoe');
  const tokens = await login('zoe', 'zoe-password');
  await world.write('tenon-auth', 'config.yaml', config + brake);
  await world.host.reload('tenon-auth');
  for (const guess of ['one', 'two', 'three']) expect((await log('guessed', guess)).status).toBe(401);
  // What comes after the end of a library changes nothing but its hash.
  const newer = path.join(world.directory, 'newer');
  await copyFile(auth, newer);
  await appendFile(newer, 'newer');
  await world.publish('tenon-auth', newer);
  let over = false;
  const statuses = new Set<number>();
  const ask = async (): Promise<void> => {
    while (!over) {
      statuses.add((await own('GET', '/shop/who', bearer(tokens.accessToken))).status);
      statuses.add((await own('GET', '/tenon-auth/me', basic('zoe', 'zoe-password'))).status);
    }
  };
  const traffic = Promise.all([ask(), ask(), ask()]);
  const record = await world.host.reload('tenon-auth');
  over = true;
  await traffic;
  expect(record.outcome).toBe('succeeded');
  expect(record.to?.sha256).not.toBe(record.from?.sha256);
  expect([...statuses]).toEqual([200]);
  expect((await log('guessed', 'four')).status).toBe(429);

  await world.host.close();
  await world.start();
  expect((await log('guessed', 'five')).status).toBe(429);
  expect(await me(tokens.accessToken)).toBe(200);
  expect((await own('GET', '/shop/who', basic('zoe', 'zoe-password'))).status).toBe(200);
  expect((await refresh(tokens)).status).toBe(200);
}, 300_000);
