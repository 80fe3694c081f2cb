// The built host with a folder of applications that it watches, in a process of its own: `host.ts applications data`.
// Tells its address to the parent, answers every message with its reload records, ends when the parent goes.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as tenonModule from '../../src/index.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const { createHost } = (await import(path.join(root, 'dist', 'index.js'))) as typeof tenonModule;
const [applications = '', data = ''] = process.argv.slice(2);
if (process.send === undefined) throw new TypeError('this is started by build.ts');
const send = process.send.bind(process);
const host = await createHost({ host: '127.0.0.1', port: 0, applications, data });
process.on('disconnect', () => void host.close().then(() => process.exit(0)));
process.on('message', () => void send(host.reloads()));
send(await host.listen());
