/** Builds the application in the folder of the first argument into the data directory of the second, to be killed meanwhile. */
import { readApplication } from '../../dist/compiler/application.js';
import { compile } from '../../dist/compiler/build.js';

const [folder = '', dataDirectory = '', profile = 'release'] = process.argv.slice(2);
const application = await readApplication(folder);
process.stdout.write('building\n');
await compile(application, { dataDirectory, env: process.env, profile });
