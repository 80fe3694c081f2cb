/** Files that a linker is given. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** How libraries begin that hold all there is to them: an archive, an ELF image, a Mach-O image of one kind or of several. */
const beginnings = ['!<arch>\n', '\x7fELF', '\xcf\xfa\xed\xfe', '\xca\xfe\xba\xbe'];

/** By how a file begins, in `latin1`. */
export function isWholeLibrary(beginning: string): boolean {
  return beginnings.some((each) => beginning.startsWith(each));
}

/** Whether `file` (absolute) may name others in which the rest is: a thin archive, a script of the linker. */
export async function namesOthers(file: string): Promise<boolean> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(8), 0, 8, 0);
    return !isWholeLibrary(buffer.toString('latin1', 0, bytesRead));
  } finally {
    await handle.close();
  }
}
