/** A host as a process of its own, which a test kills: `steered-host.mjs OPTIONS`, as JSON; prints where it listens. */
import { createHost } from '../../dist/index.js';

const host = await createHost(JSON.parse(process.argv[2] ?? '{}'));
process.stdout.write(`${await host.listen()}\n`);
process.once('SIGTERM', () => void host.close().then(() => process.exit(0)));
