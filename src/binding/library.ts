/**
 * The other door to machine code: opens a plugin's library and reads its descriptor. The only importer of koffi, which
 * here does nothing else: every call into a plugin goes through the core.
 */
import { close, openSync } from 'node:fs';
import koffi from 'koffi';
import { TenonError } from '../base/errors.js';

/** What a library says of itself once it is open, checked to be of the contract's first version. */
export interface Descriptor {
  readonly address: bigint;
  readonly abiMajor: number;
  readonly abiMinor: number;
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly author: string;
  /** True when the trial ends after the entry: the plugin takes ports or files in `initialize`. */
  readonly trialOpenOnly: boolean;
}

const entrySymbol = 'tenon_plugin_entry';

const members = {
  size: 'uint32_t',
  abi_major: 'uint16_t',
  abi_minor: 'uint16_t',
  id: 'const char *',
  name: 'const char *',
  version: 'const char *',
  description: 'const char *',
  author: 'const char *',
  trial: 'uint32_t',
  create: 'void *',
};

const descriptorType = koffi.struct(members);
const entryType = koffi.proto('void *()');

/** Size and offsets of tenon_plugin_descriptor_t as this file reads it; a test compares them with the header's. */
export const descriptorLayout: { readonly size: number; readonly offsets: Readonly<Record<string, number>> } = {
  size: koffi.sizeof(descriptorType),
  offsets: Object.fromEntries(Object.keys(members).map((member) => [member, koffi.offsetof(descriptorType, member)])),
};

// Not koffi's own handles: it closes those at garbage collection and at the end of the process, under whatever runs in
// them, and looks their symbols up in the whole process once they are closed. These also take half the time.
const system = koffi.load(null);
const dlopen = system.func('void *dlopen(const char *path, int flags)');
const dlsym = system.func('void *dlsym(void *image, const char *symbol)');
const dlclose = system.func('int dlclose(void *image)');
const dlerror = system.func('const char *dlerror()');
/** RTLD_NOW | RTLD_LOCAL */
const ownSymbols = process.platform === 'darwin' ? 0x6 : 0x2;

/** From here on the pages of a file are freed on another thread. */
const largeBytes = 1024 * 1024;

/** An open library. It stays open until `close`, whatever becomes of this object. */
export interface Library {
  readonly path: string;
  readonly descriptor: Descriptor;
  /**
   * Let the system unmap it (dlclose). No thread may be in it, and nothing of it may be used afterwards. Closing
   * twice is fine.
   */
  close(): void;
}

function isAddress(value: unknown): value is bigint {
  return typeof value === 'bigint' && value !== 0n;
}

function reasonOf(fallback: string): string {
  const reason: unknown = dlerror();
  return typeof reason === 'string' && reason !== '' ? reason : fallback;
}

function refusal(path: string, reason: string, next: string): TenonError {
  return new TenonError('PluginLoadError', `${path}: ${reason}`, { next, details: { path } });
}

function readDescriptor(path: string, image: bigint): Descriptor {
  const refuse = (reason: string): TenonError => refusal(path, reason, 'build the plugin again');
  const entry: unknown = dlsym(image, entrySymbol);
  if (!isAddress(entry)) throw refuse(reasonOf(`${entrySymbol} is no address`));
  const address: unknown = koffi.call(entry, entryType);
  if (!isAddress(address)) throw refuse(`${entrySymbol} returned no descriptor`);
  const size = koffi.decode.uint32(address);
  if (size < descriptorLayout.size)
    throw refuse(`its descriptor has ${size} bytes, the contract's has ${descriptorLayout.size}`);
  // Member by member: half the time of the whole struct.
  const read = (member: keyof typeof members): unknown =>
    koffi.decode(address + BigInt(descriptorLayout.offsets[member] ?? 0), members[member]);
  const text = (member: keyof typeof members): string => {
    const value = read(member);
    return typeof value === 'string' ? value : '';
  };
  return {
    address,
    abiMajor: Number(read('abi_major')),
    abiMinor: Number(read('abi_minor')),
    id: text('id'),
    name: text('name'),
    version: text('version'),
    description: text('description'),
    author: text('author'),
    trialOpenOnly: read('trial') === 1,
  };
}

/**
 * Hold the file at `path` until the result is called. The last one to hold an unlinked file in memory frees its pages:
 * milliseconds, which dlclose would take on this thread.
 */
function holdFile(path: string): () => void {
  try {
    const file = openSync(path, 'r');
    return () => close(file, () => {}); // nothing was written that could be lost
  } catch {
    return () => {}; // no descriptor left: dlclose only takes longer
  }
}

/**
 * Open the library at `path` (absolute; its own, never one that was open before) with all symbols bound and none
 * shared, and read its descriptor. Runs the library's constructors on this thread, on a stack of 2 MiB. `bytes` is the
 * size of the file, if it is known. Throws `PluginLoadError`.
 */
export function openLibrary(path: string, bytes = 0): Library {
  const image: unknown = dlopen(path, ownSymbols);
  if (!isAddress(image))
    throw refusal(
      path,
      reasonOf('the system gave no reason'),
      'see whether every library it needs is installed (`ldd` on Linux, `otool -L` on macOS)',
    );
  const release = bytes < largeBytes ? undefined : holdFile(path);
  let open = true;
  const closeImage = (): void => {
    if (!open) return;
    open = false;
    dlclose(image);
    release?.();
  };
  try {
    return { path, descriptor: readDescriptor(path, image), close: closeImage };
  } catch (error) {
    closeImage();
    throw error;
  }
}
