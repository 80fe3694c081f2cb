// One of the servers under comparison, in a process of its own: `server.ts node|express|fastify|tenon|isolated [folder]`.
// Tells its port to the parent, answers every message with the processor time it has used (µs), ends when the parent goes.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import express from 'express';
import fastify from 'fastify';
import type * as tenonModule from '../../src/index.js';

const body = 'Hello, World!';
const contentType = 'text/plain; charset=utf-8';
const host = '127.0.0.1';
let end = async (): Promise<void> => process.exit(0);

function bare(): Promise<number> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', contentType);
    response.end(body);
  });
  return new Promise((resolve) => {
    server.listen(0, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function withExpress(): Promise<number> {
  const app = express();
  app.get('/answer/inline', (_, response) => {
    response.setHeader('content-type', contentType);
    response.end(body);
  });
  return new Promise((resolve) => {
    const server = app.listen(0, host, () => resolve((server.address() as AddressInfo).port));
  });
}

async function withFastify(): Promise<number> {
  const app = fastify();
  app.get('/answer/inline', (_, reply) => reply.header('content-type', contentType).send(body));
  return Number(new URL(await app.listen({ port: 0, host })).port);
}

// The built host, as `npm start` runs it.
async function withTenon(data: string, isolation = 'inline'): Promise<number> {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
  const { createHost } = (await import(path.join(root, 'dist', 'index.js'))) as typeof tenonModule;
  const tenon = await createHost({
    host,
    port: 0,
    data,
    applications: path.join(root, 'bench', 'applications'),
    hotReload: false,
    isolation,
    logLevel: 'warn',
  });
  end = async () => {
    await tenon.close();
    process.exit(0);
  };
  return Number(new URL(await tenon.listen()).port);
}

const kinds: Record<string, (folder: string) => Promise<number>> = {
  node: bare,
  express: withExpress,
  fastify: withFastify,
  tenon: (folder) => withTenon(folder),
  isolated: (folder) => withTenon(path.join(folder, 'isolated'), 'process'),
};
const [kind = '', folder = ''] = process.argv.slice(2);
const start = kinds[kind];
if (start === undefined || process.send === undefined) throw new TypeError(`no such server: ${kind}`);
const send = process.send.bind(process);
process.on('disconnect', () => void end());
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  send(user + system);
});
send(await start(folder));
