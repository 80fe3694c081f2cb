// A host that installs one archive and ends: `host.mjs APPLICATIONS DATA ARCHIVE`. For tests that kill it on the way.
import { readFileSync } from 'node:fs';
import { createHost } from '../../dist/index.js';

const [applications, data, archive] = process.argv.slice(2);
const open = { uploadSignatures: 'off', localSignatures: 'off', hotReload: false, registry: false };
const host = await createHost({ applications, data, ...open });
await host.install(readFileSync(archive), { origin: 'upload', by: 'a test' });
await host.close();
