import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Clients } from './load/clients.js';
import { Command, token } from './load/command.js';
import { type Said, tenon } from './load/tenon.js';
import { until } from './load/world.js';

const clientCount = 32;

let author: string;
let server: string;
let host: Command;

beforeAll(async () => {
  author = await mkdtemp(path.join(os.tmpdir(), 'tenon-author-'));
  server = await mkdtemp(path.join(os.tmpdir(), 'tenon-server-'));
  await mkdir(path.join(server, 'plugins'));
  host = new Command(['start', '--port', '0', '--applications', 'plugins', '--data', 'data'], server, {});
  await until('the host listens', () => host.url !== '');
}, 60_000);
afterAll(async () => {
  host.child.kill('SIGTERM');
  await host.exit;
  for (const folder of [author, server]) await rm(folder, { recursive: true, force: true });
});

async function done(folder: string, ...words: string[]): Promise<Said> {
  const said = await tenon(folder, ...words);
  expect([said.status, said.err], words.join(' ')).toEqual([0, said.err]);
  return said;
}

/** A file is edited as its author does it. */
async function edit(file: string, from: string, to: string): Promise<void> {
  const place = path.join(author, 'shop', file);
  const text = await readFile(place, 'utf8');
  expect(text).toContain(from);
  await writeFile(place, text.replace(from, to));
}

async function upload(file: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const form = new FormData();
  form.append('file', new Blob([new Uint8Array(await readFile(path.join(author, file)))]), file);
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${host.url}/api/v1/plugins/install`, { method: 'POST', headers, body: form });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

/** What the folders of the host have, by path; what only says what has happened is left out. */
async function tree(): Promise<string[]> {
  const files = await readdir(server, { recursive: true, withFileTypes: true });
  const paths = files.map((file) => path.join(path.relative(server, file.parentPath), file.name));
  return paths
    .filter((file) => !/^data\/(?:audit\.log|installed(?:\/|\.|$)|trust\.json|versions$)/.test(file))
    .toSorted();
}

test('from `tenon new` on one machine to a plugin on another one, upgraded under load, taken back, and gone again', async () => {
  await done(author, 'new', 'shop', '--template', 'c');
  await edit('config.yaml', 'version: 0.1.0', 'version: 1.0.0');
  await edit('resources/plugin.c', '"0.1.0"', '"1.0.0"');
  await done(author, 'build', 'shop');
  await done(author, 'pack', 'shop');
  await done(author, 'keygen', '--out', 'acme', '--no-password');
  await done(author, 'sign', 'shop-1.0.0.tgz', '--key', 'acme.key');

  const before = await tree();
  expect(await upload('shop-1.0.0.tgz')).toMatchObject({ status: 403, body: { error: 'SignerUntrusted' } });
  expect(await tree()).toEqual(before);
  const pub = path.join(author, 'acme.pub');
  await done(server, 'trust', 'add', pub, '--plugins', 'shop', '--name', 'Acme', '--data', 'data');
  expect(await upload('shop-1.0.0.tgz')).toMatchObject({
    status: 201,
    body: { status: 'installed', plugin: { id: 'shop', version: '1.0.0' }, signer: { name: 'Acme' } },
  });
  const greeting = (): Promise<string> => fetch(`${host.url}/shop/greeting`).then((answer) => answer.text());
  expect(await greeting()).toBe('Hello, world\n');

  await edit('config.yaml', 'version: 1.0.0', 'version: 1.1.0');
  await edit('resources/plugin.c', '"1.0.0"', '"1.1.0"');
  await edit('resources/plugin.c', 'Hello, ', 'Ahoy, ');
  await done(author, 'pack', 'shop', '--key', 'acme.key');
  const clients = new Clients({
    url: host.url,
    count: clientCount,
    next: () => ({ method: 'GET', path: '/shop/greeting' }),
    judge: ({ status, body }) =>
      status === 200 && /^(?:Hello|Ahoy), world\n$/.test(body) ? undefined : `${status} ${body}`,
  });
  await until('clients are answered', () => clients.answered > 10 * clientCount);
  expect(await upload('shop-1.1.0.tgz')).toMatchObject({
    status: 200,
    body: { status: 'upgraded', from: '1.0.0', plugin: { version: '1.1.0' } },
  });
  expect(await greeting()).toBe('Ahoy, world\n');
  const upgraded = clients.answered;
  await until('clients go on', () => clients.answered > upgraded + 10 * clientCount);
  await done(server, 'rollback', 'shop', '--data', 'data');
  expect(await greeting()).toBe('Hello, world\n');
  const back = clients.answered;
  await until('clients go on', () => clients.answered > back + 10 * clientCount);
  const report = await clients.stop();
  expect(report.unexpected).toEqual([]);
  expect(report.connections).toBe(clientCount);

  await done(server, 'uninstall', 'shop', '--purge', '--data', 'data');
  expect((await fetch(`${host.url}/shop/greeting`)).status).toBe(404);
  expect(JSON.parse((await done(server, 'list', '--json', '--data', 'data')).out)).toEqual({ plugins: [] });
  await expect.poll(tree, { timeout: 20_000 }).toEqual(before);
}, 120_000);
