/** A release of Tenon in a folder: whether a host can be run from it. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { readRegularSync } from '../base/regular.js';

export interface Release {
  /** Absolute path of the module that is the host. */
  readonly program: string;
  readonly version: string;
}

const manifestBytes = 1024 * 1024;
const host = path.join('dist', 'cli', 'serve.js');

/** The release whose package is in `folder`. Throws `ReleaseInvalid`. */
export function releaseIn(folder: string): Release {
  const manifest = path.join(folder, 'package.json');
  const { name, version } = read(folder, manifest);
  if (name !== 'tenon' || typeof version !== 'string')
    throw refused(folder, `${manifest} is not that of the package tenon`);
  const program = path.resolve(folder, host);
  if (statSync(program, { throwIfNoEntry: false })?.isFile() !== true)
    throw refused(folder, `${program} is not there: the package is not built`);
  return { program, version };
}

function read(folder: string, manifest: string): { name?: unknown; version?: unknown } {
  try {
    const value: unknown = JSON.parse(readRegularSync(manifest, manifestBytes).toString());
    return typeof value === 'object' && value !== null ? value : {};
  } catch (cause) {
    throw refused(folder, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function refused(folder: string, why: string, cause?: unknown): TenonError {
  return new TenonError('ReleaseInvalid', `no host can be run from ${folder}: ${why}`, {
    next: 'name the folder of the package, as node_modules/tenon',
    details: { folder },
    cause,
  });
}
