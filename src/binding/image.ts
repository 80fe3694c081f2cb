/** What the core finds out about images: files of libraries, and threads in them. */

/** A plugin's note, as its file carries it. */
export interface ImageNote {
  abiMajor: number;
  abiMinor: number;
  id: string;
  version: string;
  sdkVersion: string;
  compiler: string;
  /** 0: full trial, 1: open only. */
  trial: number;
}

/** Something in an image that a person should know. */
export interface ImageFinding {
  /** Stable name: `unique-symbol`, `nodelete`, `thread-local-destructor`, `static-tls`, `executable-stack`, `writable-code`, `text-relocations`, `rpath`. */
  rule: string;
  /** One sentence with the name of the symbol, segment or path. */
  detail: string;
  /** True when the image would stay mapped after dlclose. */
  pins: boolean;
}

/** What an image file says of itself, read without mapping it. */
export interface ImageFacts {
  format: 'elf';
  /** Node's name of the architecture, e.g. `x64`. */
  arch: string;
  /** C library that it needs; undefined when it needs none. */
  libc: 'glibc' | 'musl' | undefined;
  /** Lowest glibc that has every version of a symbol it cannot do without, e.g. `2.34`; undefined when it asks for none. */
  glibcFloor: string | undefined;
  note: ImageNote;
  /** Hexadecimal GNU build id, or empty. */
  buildId: string;
  /** Libraries it needs (DT_NEEDED). */
  needed: string[];
  /** Functions and objects it exports. */
  exports: string[];
  findings: ImageFinding[];
}

/** A thread that an image may not be unmapped under. */
export interface ImageThread {
  id: number;
  name: string;
  /** False: nothing says where it is, and it may be in any image. */
  known: boolean;
}
