import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Clients } from './load/clients.js';
import { type Answer, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(async () => {
  await world.close();
});

const apart = 'isolation: process';
/** Put the extension or application `id` there, or its next build. */
async function put(id: string, { config = '', build = '1' } = {}): Promise<void> {
  const extends_: Record<string, string> = config.includes('extension: true') ? { EXTENDS: '1' } : {};
  await world.write(id, 'config.yaml', `app_id: ${id}\n${config}\n`);
  await world.publish(
    id,
    await buildPlugin('extension', { defines: { PLUGIN_ID: `"${id}"`, BUILD: `"${build}"`, ...extends_ } }),
  );
}

const key = (name: string): RequestInit => ({ headers: { authorization: `Key ${name}` } });
const ada = key('ada');
function ask(target: string, init?: RequestInit): Promise<Answer> {
  return world.request('GET', target, init);
}
async function problem(target: string, init?: RequestInit): Promise<[number, string, string]> {
  const { status, body } = await ask(target, init);
  const { error, message } = JSON.parse(body) as { error: string; message: string };
  return [status, error, message];
}
async function body(target: string, init?: RequestInit): Promise<string> {
  return (await ask(target, init)).body;
}

describe.each([
  ['in process', '', ''],
  ['in a process of its own, of an application in process', apart, ''],
  ['in a process of its own, of one in another', apart, apart],
])('an extension %s', (_, ofExtension, ofApplication) => {
  beforeEach(async () => {
    await put('inner', { config: 'extension: true' });
    await put('outer', { config: `extension: true\nextensions: [inner]\n${ofExtension}` });
    await put('app', { config: `extensions: [outer]\nauth: open\n${ofApplication}` });
    await world.start();
  });

  test('says who asks, gives roles, and both are known to the handler', async () => {
    const roles = 'user,friend,s0023';
    for (const [target, route] of [
      ['/app/inline', '/app/inline'],
      ['/app/pool/x', '/app/pool/:name'],
    ] as const) {
      expect(await body(target, ada)).toBe(`ada ${roles} Key outer{"n":1} guest app ${route}`);
      expect(await body(target)).toBe(`nobody guest app ${route}`);
      expect(await body(target, key('none'))).toBe(`nobody guest app ${route}`);
    }
    const operator = { headers: { authorization: 'Bearer a-token-of-the-tests' } };
    expect(await body('/app/inline', operator)).toBe('nobody operator app /app/inline');
  });

  test('refuses with its own words', async () => {
    expect(await problem('/app/inline', key('wrong'))).toEqual([401, 'Unauthenticated', 'no such key']);
    expect(await problem('/app/inline', key('often'))).toEqual([429, 'TooManyAttempts', 'slowly']);
    expect((await ask('/app/inline', key('often'))).headers.get('retry-after')).toBe('7');
    const unanswered = 'extension outer: it could not say whose the credential is';
    expect(await problem('/app/pool/x', key('odd'))).toEqual([503, 'ExtensionFailed', unanswered]);
    expect(await problem('/app/pool/x', key('silent'))).toEqual([503, 'ExtensionFailed', unanswered]);
    expect(await problem('/app/inline?deny=1', ada)).toEqual([403, 'Forbidden', 'ada']);
    expect(await problem('/app/inline?deny=1')).toEqual([401, 'Unauthenticated', 'not you']);
    const question = unanswered.slice('extension outer: '.length);
    const causes = world.log.filter(({ fields }) => fields?.['step'] === 'authenticate').map(({ msg }) => msg);
    expect(causes).toEqual([`${question}: an odd identity`, `${question}: it said yes and not who`]);
  });

  test('stands before and after the handler, and keeps a number in between', async () => {
    for (const target of ['/app/inline', '/app/pool/x']) {
      const { status, headers } = await ask(target);
      const route = target.replace('/x', '/:name');
      expect([status, headers.get('x-before'), headers.get('x-after')]).toEqual([
        200,
        `app ${route} 200 0`,
        'outer 1 7 200 soon',
      ]);
    }
    const answered = await ask('/app/pool/x?answer=1');
    expect([answered.status, answered.body, answered.headers.get('x-after')]).toEqual([
      418,
      'answered',
      'outer 1 7 418 soon',
    ]);
    expect(await problem('/app/inline?fail=1')).toEqual([
      500,
      'ExtensionFailed',
      'extension outer: its middleware failed',
    ]);
    const [status, code] = await problem('/app/inline?flaw=1');
    expect([status, code]).toEqual([502, 'ResponseInvalid']);
  });

  test('has its hooks in the chains of its applications, and runs chains within', async () => {
    for (const route of ['/app/inline', '/app/pool/x']) {
      const run = (input: string, more = ''): Promise<string> => body(`${route}?hook=${input}${more}`);
      expect(await run('hello')).toBe('0 outer(inner(hello))');
      expect(await run('leave')).toBe('0 leave');
      expect(await run('refuse')).toBe('1 |hook ext.say of extension outer: it may not be');
      expect(await run('odd')).toBe('1 |hook ext.say of extension outer: it failed');
      expect(await run('large')).toBe('1 |hook ext.say of extension outer: it gave more than 16 MiB');
      expect(await run('hello', '&thread=1')).toBe('3 ');
    }
  });
});

describe('an extension in a process of its own', () => {
  beforeEach(async () => {
    await put('outer', { config: `extension: true\n${apart}` });
  });
  /** It has a process again, and one that answers. */
  const isBack = (): Promise<void> => until('it is back', async () => (await ask('/app/inline')).status === 200);

  test.each(['authenticate', 'roles', 'authorize', 'before'])(
    'that dies in %s fails that request alone',
    async (step) => {
      await put('app', { config: 'extensions: [outer]\nauth: open' });
      await world.start();
      expect(await problem(`/app/inline?die=${step}`, ada)).toEqual([
        503,
        'ExtensionFailed',
        'extension outer: its process ended while it was in this',
      ]);
      await isBack();
      expect(await body('/app/inline', ada)).toContain('ada');
      expect([world.host.plugin('app').generation, world.host.plugin('outer').generation]).toEqual([1, 1]);
      expect(world.log.filter(({ msg }) => msg.includes('another takes its place'))).toHaveLength(1);
    },
  );

  test('that dies after a handler leaves its answer as it is', async () => {
    await put('app', { config: 'extensions: [outer]\nauth: open' });
    await world.start();
    const { status, headers } = await ask('/app/inline?die=after');
    expect([status, headers.get('x-after')]).toEqual([200, null]);
    await isBack();
  });

  test('that dies in a hook fails whoever runs it', async () => {
    await put('app', { config: 'extensions: [outer]\nauth: open' });
    await world.start();
    expect(await body('/app/inline?hook=die')).toBe('1 |hook ext.say of extension outer: it failed');
    await isBack();
    expect(await body('/app/inline?hook=hello')).toBe('0 outer(hello)');
  });

  test('that hangs is ended after the deadline of the request, and holds up no other', async () => {
    await put('app', { config: 'extensions: [outer]\nauth: open' });
    await put('other');
    await world.start();
    const hung = problem('/app/brief?hang=before');
    expect((await ask('/other/inline')).status).toBe(200);
    expect((await hung).slice(0, 2)).toEqual([504, 'DeadlineExceeded']);
    await until('its process is ended', () =>
      world.log.some(({ msg }) => msg.includes('did not return from a call past its deadline')),
    );
    await isBack();
  });

  test('is reloaded while requests pass through it', async () => {
    await put('app', { config: 'extensions: [outer]\nauth: open' });
    await world.start();
    const clients = new Clients({
      url: world.url,
      count: 4,
      next: (client) => ({ method: 'GET', path: client % 2 === 0 ? '/app/inline' : '/app/pool/x' }),
      judge: ({ status, body: text }) => (status === 200 ? undefined : `${status} ${text}`),
    });
    for (const build of ['2', '3', '4']) {
      await put('outer', { config: `extension: true\n${apart}`, build });
      await world.host.reload('outer');
    }
    const report = await clients.stop();
    expect(report.unexpected).toEqual([]);
    expect((await ask('/app/inline')).headers.get('x-after')).toContain('outer 4 ');
    expect(world.host.plugin('app').generation).toBe(1);
  });

  test('in process again, or apart again, changes nothing for its applications', async () => {
    await put('app', { config: 'extensions: [outer]\nauth: open' });
    await world.start();
    for (const isolation of ['', apart]) {
      await put('outer', { config: `extension: true\n${isolation}`, build: isolation.length.toString() });
      await world.host.reload('outer');
      expect((await ask('/app/inline', ada)).headers.get('x-after')).toContain(`outer ${isolation.length} `);
    }
    expect(world.host.plugin('app').generation).toBe(1);
  });
});
