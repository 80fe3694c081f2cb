/**
 * A program of its own, on Express, with native plugins: `node server.mjs [port]`.
 *
 * Express serves what is the program's; the host serves its plugins, on the same port, and reloads them while it does.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import express from 'express';
import { createHost } from 'tenon';

const here = path.dirname(fileURLToPath(import.meta.url));
const host = await createHost({
  applications: path.join(here, 'applications'),
  data: process.env['TENON_DATA'] ?? path.join(here, 'data'),
  // Part of the program: routes in JavaScript that are listed, configured and guarded as plugins are.
  plugins: [
    {
      id: 'clock',
      version: '1.0.0',
      routes: [{ method: 'GET', path: '/now', handle: (_request, response) => response.end(new Date().toISOString()) }],
    },
  ],
});

host.on('plugin.serving', ({ plugin, generation }) => console.log(`${plugin} serves generation ${generation}`));
host.on('reload.failed', ({ record }) => console.error(record.error?.message));

const app = express();
app.get('/', (_request, response) => {
  const plugins = host.plugins().map(({ id, state }) => `${id}: ${state}`);
  response.type('text').send(`${plugins.join('\n')}\n`);
});
// Before body parsers: the host reads the bodies of its plugins itself. What it does not serve goes on.
app.use(host.handler());
app.use(express.json());
app.post('/echo', (request, response) => response.json(request.body));

const server = app.listen(Number(process.argv[2] ?? 3000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
// WebSockets of tables.
server.on('upgrade', host.handleUpgrade);

async function end() {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  await host.close();
  await closed;
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void end());
