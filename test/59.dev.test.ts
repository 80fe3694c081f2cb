import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Command, hostProcess, token } from './load/command.js';
import { hasScreen, Screen } from './load/screen.js';
import { until, World } from './load/world.js';

const source = (text: string): string => `#include <tenon/tenon.hpp>
struct Word : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return ${text}; }
};
`;

let world: World;
beforeEach(async () => {
  world = await World.make();
  await world.write('talker', 'config.yaml', 'name: Talker\n');
  await write('tenon::text("one")');
});
afterEach(() => world.close());

function write(text: string): Promise<void> {
  return world.write('talker', 'resources/word.cpp', source(text));
}

describe('tenon dev without a terminal', () => {
  test('tells each reload with its phases, and what the compiler said with the source line', async () => {
    const host = new Command(['dev', '--port', '0', '--data', 'state'], world.directory, {});
    try {
      await until('it serves', () => host.err.includes('Try: '));
      expect(host.err).toMatch(
        /^talker: succeeded \(start\), generation 1, [\d.]+ m?s\n {2}d+b+a+s*o+i+w+\n {2}detect /m,
      );
      await write('tenon::txet("two")');
      await until('it fails', () => host.err.includes('talker: failed (watch)'));
      await until('all of it is told', () => /\^\n/.test(host.err));
      const [, place = '', line = '', mark = ''] =
        /^ {2}(applications\/talker\/resources\/word.cpp:3:\d+: error: .*txet.*)\n(.*)\n(.*)\n/m.exec(host.err) ?? [];
      expect(line).toBe(
        `${'      3 |   '}tenon::Response get(const tenon::Request&) override { return tenon::txet("two"); }`,
      );
      expect(line.slice(mark.indexOf('^'))).toMatch(/^txet/);
      expect(place).toContain('error');
      await write('tenon::text("two")');
      await until('it serves again', () => /talker: succeeded \(watch\), generation 1 -> 2/.test(host.err));
    } finally {
      host.child.kill('SIGTERM');
      expect(await host.exit).toEqual([0, null]);
    }
  });
});

// oxlint-disable-next-line no-control-regex -- these are the colours
const colors = /\x1b\[(?:\d+;)*[349][0-7]m/;

describe.skipIf(!hasScreen())('tenon dev on a terminal', () => {
  let screen: Screen;
  afterEach(() => screen.close());

  async function open(variables: Record<string, string> = {}): Promise<void> {
    screen = await Screen.open(world.directory, { TENON_ADMIN_TOKEN: token, ...variables });
    await screen.tenon('dev --port 0 --data state');
    await shows(/talker +running +0\.0\.0 +1 /);
  }

  async function shows(what: RegExp | string): Promise<void> {
    const has = (text: string): boolean => (typeof what === 'string' ? text.includes(what) : what.test(text));
    await until(`it shows ${String(what)}`, async () => has(await screen.text())).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await screen.text()}`);
    });
  }

  async function givenBack(status: number): Promise<void> {
    await shows(`ended with ${status}`);
    expect(await screen.modes()).toEqual({ cursor: true, alternate: false });
    await screen.press('-l', 'stty -a | grep -o -e "-*icanon" -e " -*echo "');
    await screen.press('Enter');
    await shows(/^icanon\n echo$/m);
  }

  test('shows what happens, and every key does what it says', async () => {
    await open();
    expect(await screen.modes()).toEqual({ cursor: false, alternate: true });
    await shows(/Tenon {2}http:\/\/127\.0\.0\.1:\d+ {2}ready\nhot reload on /);
    await shows(/Last reload\n {2}talker: succeeded \(start\), generation 1, .*\n {2}d+b+/);
    expect(await screen.text(true)).toMatch(colors);
    await screen.press('l');
    await shows(/generation 1 ready, 0 leases\n +GET \/talker\/word/);
    await screen.press('w');
    await until('the log is alone', async () => !(await screen.text()).includes('PLUGIN'));
    await shows('info  talker: plugin serves');
    await screen.press('d');
    await shows('hot reload is off');
    await screen.press('s');
    await shows(/hot reload off .*\n.*Plugins/s);
    await write('tenon::txet("two")');
    await screen.press('b');
    await shows(/talker was not built: /);
    await shows(/word\.cpp:3:\d+: error: .*txet.*\n +3 \| .*txet\("two"\)/);
    await write('tenon::text("two")');
    await screen.press('b');
    await shows(/talker was built, \d+ ms/);
    await until('the error is gone', async () => !(await screen.text()).includes('Errors'));
    await shows(/talker +running +0\.0\.0 +1 /);
    await screen.press('r');
    await shows('talker was reloaded');
    await shows(/talker: succeeded \(api\), generation 1 -> 2/);
    await screen.press('e');
    await shows('hot reload is on');
    await screen.resize(40, 10);
    await shows(/^s l b r w e d q$/m);
    await screen.resize(100, 30);
    await shows('q quit');
    await write('tenon::txet("three")');
    await shows(/talker: failed \(watch\)/);
    await shows(/word\.cpp:3:\d+: error: /);
    await screen.press('q');
    await givenBack(0);
  });

  test('ends with its host at a signal, and gives the terminal back', async () => {
    await open({ TENON_REGISTRY: 'false' });
    const host = (await hostProcess(world.data)) ?? 0;
    const { stdout } = await promisify(execFile)('ps', ['-o', 'ppid=', '-p', String(host)]);
    process.kill(Number(stdout), 'SIGTERM');
    await givenBack(0);
    expect(() => process.kill(host, 0)).toThrow('ESRCH');
  });

  test('shows that its host was killed, and goes on with another one', async () => {
    await open({ NO_COLOR: '1', TENON_REGISTRY: 'false' });
    expect(await screen.text(true)).not.toMatch(colors);
    process.kill((await hostProcess(world.data)) ?? 0, 'SIGKILL');
    await shows(/tenon: the host crashed \(SIGKILL\).*: restarted in \d+ ms/);
    await screen.press('q');
    await givenBack(0);
  });
});
