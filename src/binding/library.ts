/**
 * The other door to machine code: opens a plugin's library and reads its descriptor. The only importer of koffi, which
 * here does nothing else: every call into a plugin goes through the core.
 */
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

// A handle that nobody holds is closed by the garbage collector, under whatever runs in it.
const open = new Set<ReturnType<typeof koffi.load>>();

const system = koffi.load(null);
const dlopen = system.func('void *dlopen(const char *path, int flags)');
const dlclose = system.func('int dlclose(void *image)');
/** RTLD_NOW | RTLD_NOLOAD */
const openOnly = process.platform === 'darwin' ? 0x12 : 0x6;

/**
 * A reference of our own to the image that is open from `path`. koffi closes its handles when the process ends, also of
 * images in which threads still run.
 */
function holdImage(path: string): bigint {
  const image: unknown = dlopen(path, openOnly);
  if (typeof image !== 'bigint' || image === 0n) throw new Error('the system does not know it as open');
  return image;
}

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

function readDescriptor(path: string, handle: ReturnType<typeof koffi.load>): Descriptor {
  const refuse = (reason: string): TenonError =>
    new TenonError('PluginLoadError', `${path}: ${reason}`, { next: 'build the plugin again', details: { path } });
  const entry: unknown = handle.symbol(entrySymbol);
  if (typeof entry !== 'bigint' || entry === 0n) throw refuse(`${entrySymbol} is no address`);
  const address: unknown = koffi.call(entry, entryType);
  if (typeof address !== 'bigint' || address === 0n) throw refuse(`${entrySymbol} returned no descriptor`);
  const size = koffi.decode.uint32(address);
  if (size < descriptorLayout.size)
    throw refuse(`its descriptor has ${size} bytes, the contract's has ${descriptorLayout.size}`);
  const raw = koffi.decode(address, descriptorType) as Record<string, unknown>;
  const text = (member: string): string => {
    const value = raw[member];
    return typeof value === 'string' ? value : '';
  };
  return {
    address,
    abiMajor: Number(raw['abi_major']),
    abiMinor: Number(raw['abi_minor']),
    id: text('id'),
    name: text('name'),
    version: text('version'),
    description: text('description'),
    author: text('author'),
    trialOpenOnly: raw['trial'] === 1,
  };
}

/**
 * Open the library at `path` (absolute; its own, never one that was open before) with all symbols bound and none
 * shared, and read its descriptor. Runs the library's constructors on this thread. Throws `PluginLoadError`.
 */
export function openLibrary(path: string): Library {
  let handle: ReturnType<typeof koffi.load>;
  try {
    handle = koffi.load(path, { lazy: false, global: false });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TenonError('PluginLoadError', `${path}: ${reason}`, {
      next: 'see whether every library it needs is installed (`ldd` on Linux, `otool -L` on macOS)',
      details: { path },
      cause,
    });
  }
  open.add(handle);
  let image: bigint | undefined;
  // After unload koffi looks symbols up in the whole process, so the handle never leaves this closure.
  const close = (): void => {
    if (!open.delete(handle)) return;
    if (image !== undefined) dlclose(image);
    handle.unload();
  };
  try {
    image = holdImage(path);
    return { path, descriptor: readDescriptor(path, handle), close };
  } catch (error) {
    close();
    throw error instanceof TenonError
      ? error
      : new TenonError('PluginLoadError', `${path}: ${error instanceof Error ? error.message : String(error)}`, {
          next: 'build the plugin again',
          details: { path },
          cause: error,
        });
  }
}
