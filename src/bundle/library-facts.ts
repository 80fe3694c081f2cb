/** What is read of a library without loading it, for the choice among those of a bundle. */
import type { Core } from '../binding/core.js';
import type { LibraryFacts } from './choose.js';

/** Facts of the library that `bytes` are, of whatever machine. Throws as `inspectImage` does. */
export function libraryFacts(bytes: Uint8Array, core: Pick<Core, 'inspectImage'>): LibraryFacts {
  const { arch, libc, glibcFloor, note } = core.inspectImage(bytes, 'any');
  return { os: 'linux', arch, libc, glibcFloor, abi: { major: note.abiMajor, minor: note.abiMinor } };
}
