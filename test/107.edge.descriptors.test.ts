import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { answersIn, exchange } from './edge/raw-client.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const program = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'cli', 'tenon.js');
const build = 'GET /service/build HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

test('a host that runs out of descriptors keeps some for itself: it says so, reloads, and serves those it has', async () => {
  const world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  const words = ['start', '--port', '0', '--data', world.data, '--applications', world.applications];
  const { PATH, HOME } = process.env;
  const child = spawn('prlimit', ['--nofile=320:320', process.execPath, program, ...words], {
    cwd: world.directory,
    env: { PATH, HOME, TENON_ADMIN_TOKEN: 'a-token-of-the-tests', TENON_REGISTRY: 'false' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  let out = '';
  let said = '';
  child.stdout.on('data', (text: Buffer) => {
    out += text.toString();
  });
  child.stderr.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const held: Socket[] = [];
  try {
    const url = (): string => /Try: curl (http:\/\/[^/]+)/.exec(said)?.[1] ?? '';
    await until('it serves', () => url() !== '');
    const keeps = connect({ port: Number(new URL(url()).port), host: '127.0.0.1' });
    await once(keeps, 'connect');
    let open = 0;
    for (let count = 0; count < 400; count++) {
      const socket = connect({ port: Number(new URL(url()).port), host: '127.0.0.1' });
      socket.on('error', () => {});
      socket.once('connect', () => (open += 1));
      socket.once('close', () => (open -= 1));
      held.push(socket);
    }
    await until('some are refused', () => /"limit":"descriptors"/.test(out));
    await until('those over the limit are closed', () => open < 320 - 40);
    const reloaded = new Promise<string>((resolve) => {
      let answer = '';
      keeps.setEncoding('latin1');
      keeps.on('data', (chunk: string) => {
        answer += chunk;
      });
      keeps.on('close', () => resolve(answer));
    });
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    keeps.write(
      'POST /api/v1/plugins/service/reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a-token-of-the-tests\r\n' +
        'Content-Length: 0\r\nConnection: close\r\n\r\n',
    );
    const [answer] = answersIn(await reloaded);
    expect([answer?.status, answer?.body.slice(0, 300)]).toEqual([
      200,
      expect.stringContaining('"status":"reloaded"') as string,
    ]);
    for (const socket of held) socket.destroy();
    await until('there is room again', async () => /200 OK[\s\S]*two$/.test(await exchange(url(), build)));
  } finally {
    for (const socket of held) socket.destroy();
    child.kill('SIGTERM');
    await ended;
    await world.close();
  }
});
