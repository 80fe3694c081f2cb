/** Which data directory the builds of an application are in. */
import path from 'node:path';

/**
 * Where `tenon start` for the application in `folder` is begun, so that both have the same builds: in the working
 * directory, but for one inside the application; and a folder named `applications` is no place to begin in.
 */
export function homeOf(folder: string, directory: string): string {
  const parent = path.dirname(folder);
  const inside = `${directory}${path.sep}`.startsWith(`${folder}${path.sep}`);
  const home = inside ? parent : directory;
  return home === parent && path.basename(home) === 'applications' ? path.dirname(home) : home;
}
