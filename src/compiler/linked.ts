/** Files that a linker is given. */

/** How libraries begin that hold all there is to them: an archive, an ELF image, a Mach-O image of one kind or of several. */
const beginnings = ['!<arch>\n', '\x7fELF', '\xcf\xfa\xed\xfe', '\xca\xfe\xba\xbe'];

/** By how a file begins, in `latin1`. False for a thin archive and for a script of the linker, which name other files. */
export function isWholeLibrary(beginning: string): boolean {
  return beginnings.some((each) => beginning.startsWith(each));
}
