// The built host, in a process of its own: `host.ts applications data watch|still`.
// Tells its address to the parent, reloads a plugin when the parent sends its id, tells of every reload when it is over,
// and ends when the parent goes.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as tenonModule from '../../src/index.js';
import { now } from './clock.js';
import type { Reload } from './served.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const { createHost } = (await import(path.join(root, 'dist', 'index.js'))) as typeof tenonModule;
const [applications = '', data = '', watching] = process.argv.slice(2);
if (process.send === undefined) throw new TypeError('this is started by reload.ts');
const send = process.send.bind(process);
let started = 0;
let serving = 0;
let listening = false;
const host = await createHost({
  host: '127.0.0.1',
  port: 0,
  applications,
  data,
  hotReload: watching === 'watch',
  onEvent: (event) => {
    if (event.type === 'reload.started') started = now();
    if (event.type === 'plugin.serving') serving = now();
    if (!listening || (event.type !== 'reload.succeeded' && event.type !== 'reload.failed')) return;
    const reload: Reload = { record: event.record, started, serving, ended: now() };
    send(reload);
  },
});
process.on('disconnect', () => void host.close().then(() => process.exit(0)));
// A failure is in the record.
process.on('message', (id) => void host.reload(String(id)).catch(() => {}));
const url = await host.listen();
listening = true;
send(url);
