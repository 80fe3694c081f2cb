/** Where this package is. */
import path from 'node:path';
import { machineName } from './machine-name.js';

/** Absolute path of the folder with its package.json. */
export const packageRoot = path.resolve(import.meta.dirname, '..', '..');

/** Absolute path of the folder with the native files that come with the package for this machine; it may not exist. */
export const prebuilds = path.join(packageRoot, 'prebuilds', machineName);
