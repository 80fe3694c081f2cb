// The built host, in a process of its own: `host.ts OPTIONS`, as JSON. Tells its address, and ends when the parent goes.
import path from 'node:path';
import type * as tenonModule from '../../src/index.js';

const root = path.resolve(import.meta.dirname, '..', '..');
const { createHost } = (await import(path.join(root, 'dist', 'index.js'))) as typeof tenonModule;
if (process.send === undefined) throw new TypeError('this is started by registry.ts');
const send = process.send.bind(process);
const host = await createHost(JSON.parse(process.argv[2] ?? '{}') as tenonModule.CreateHostOptions);
process.on('disconnect', () => void host.close().then(() => process.exit(0)));
send(await host.listen());
