/** Which paths a bundle may have: those that are the same file on every system, and no other one. */
import { quoted } from './manifest-grammar.js';

/** Longest path, bytes of UTF-8. */
const pathLimit = 1024;
/** Longest segment of one, bytes of UTF-8: what file systems take. */
const segmentLimit = 255;
/** Most segments of a path. */
const depthLimit = 16;

/** What is wrong with a path, by the name of the rule that it breaks. */
export const pathFaults = {
  empty: 'is empty',
  long: `is longer than ${pathLimit} bytes, or has a name of more than ${segmentLimit}`,
  deep: `is more than ${depthLimit} names deep`,
  absolute: 'is absolute',
  segment: 'has an empty name, "." or ".." in it',
  character: 'has a character that is not the same on all systems',
  ending: 'has a name that ends in a dot or a space, or begins with a space or "-"',
  reserved: 'has a name that is a device on Windows',
  form: 'has letters and accents apart that are one character elsewhere (it is not in Unicode form NFC)',
} as const;

export type PathRule = keyof typeof pathFaults;

const segmentCharacters = /^[\p{L}\p{M}\p{N} !#$%&'()+,\-.;=@[\]^_`{}~]+$/u;
const badEdge = /^[ -]|[. ]$/;
const windowsDevice = /^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])(?: *\.| *$)/i;

/** The rule that `path`, of a file with "/" between its names, breaks; undefined: none. */
export function brokenPathRule(path: string): PathRule | undefined {
  if (path === '') return 'empty';
  if (path.startsWith('/')) return 'absolute';
  if (Buffer.byteLength(path) > pathLimit) return 'long';
  const segments = path.split('/');
  if (segments.length > depthLimit) return 'deep';
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..') return 'segment';
    if (!segmentCharacters.test(segment)) return 'character';
    if (badEdge.test(segment)) return 'ending';
    if (windowsDevice.test(segment)) return 'reserved';
    if (Buffer.byteLength(segment) > segmentLimit) return 'long';
  }
  // bsdtar, and HFS+, make another name of it.
  return path === path.normalize('NFC') ? undefined : 'form';
}

/** The same for all spellings that a file system may take for one. */
function spellingKey(path: string): string {
  // Lower case alone keeps ß and ss, ſ and s apart; upper case alone dotted and dotless i.
  return path.normalize('NFD').toLowerCase().toUpperCase().toLowerCase().normalize('NFC');
}

interface Taken {
  readonly path: string;
  readonly kind: 'file' | 'folder';
  /** Whether it has an entry, and is not only on the way to one. */
  readonly named: boolean;
}

/** Why a path cannot be in an archive beside another one. */
export interface Clash {
  readonly rule: 'twice' | 'spelling' | 'inside';
  /** One clause that goes on from the path. */
  readonly fault: string;
}

/** The files and folders of one archive. */
export class TakenPaths {
  readonly #taken = new Map<string, Taken>();

  /** Take `path`, which breaks no rule, and all folders on the way to it; returns what is in the way, if something is. */
  take(path: string, kind: 'file' | 'folder'): Clash | undefined {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const clash = this.#claim({ path: path.slice(0, slash), kind: 'folder', named: false });
      if (clash !== undefined) return clash;
    }
    return this.#claim({ path, kind, named: true });
  }

  #claim(wanted: Taken): Clash | undefined {
    const key = spellingKey(wanted.path);
    const there = this.#taken.get(key);
    if (there === undefined || (!there.named && there.path === wanted.path && there.kind === wanted.kind)) {
      this.#taken.set(key, wanted);
      return undefined;
    }
    const shown = quoted(there.path);
    if (there.path !== wanted.path)
      return {
        rule: 'spelling',
        fault: `would be the same as ${shown} where letters have no case, or accents one form`,
      };
    if (there.kind !== wanted.kind) return { rule: 'inside', fault: `has ${shown} as a file and as a folder` };
    return wanted.named ? { rule: 'twice', fault: 'is there twice' } : undefined;
  }
}
