/** Where this package is. */
import path from 'node:path';

/** Absolute path of the folder with its package.json. */
export const packageRoot = path.resolve(import.meta.dirname, '..', '..');
