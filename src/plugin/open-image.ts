/** The library of one generation, which the black box knows of from before it is opened until it is gone. */
import { TenonError } from '../base/errors.js';
import type { ImageState } from '../binding/black-box.js';
import type { Core, GenerationOptions } from '../binding/core.js';
import type { Isolation } from '../binding/isolation.js';
import { type Descriptor, type Library, openLibrary } from '../binding/library.js';
import type { Admitted } from './admit.js';

/** What a generation needs to know of its library, wherever that is open. */
export type GenerationLibrary = Pick<Library, 'path'> & {
  readonly descriptor: Pick<Descriptor, 'version' | 'trialOpenOnly'>;
  /** Where it is open, when not in this process. */
  readonly isolation?: Isolation;
};

/** A library as one generation has it: open in this process, or in processes of its own. */
export interface PluginImage {
  readonly library: GenerationLibrary;
  /** In the black box; -1: it is not kept there. */
  readonly index: number;
  /** Where the instance comes from. */
  readonly source: Pick<GenerationOptions, 'descriptor' | 'isolation'>;
  readonly isolation: Isolation | undefined;
  enter(state: ImageState): void;
  close(): void;
}

export class OpenImage implements PluginImage {
  readonly library: Library;
  readonly isolation = undefined;
  /** In the black box; -1: it is not kept there. */
  readonly index: number;
  readonly #core: Core;

  private constructor(core: Core, index: number, library: Library) {
    this.#core = core;
    this.index = index;
    this.library = library;
  }

  /**
   * Open what was admitted as the plugin `id`; `isProven`: it has served well before. Throws `PluginLoadError`, `AbiUnsupported` or `PluginIdMismatch`; nothing is left open
   * then.
   */
  static open(
    core: Core,
    id: string,
    generation: number,
    { staged, sha256, size }: Admitted,
    isProven: boolean,
  ): OpenImage {
    const index = core.imageLoading(id, generation, sha256, staged.path, isProven);
    let library: Library;
    try {
      library = core.keepFloatingPoint(() => openLibrary(staged.path, size), index);
    } catch (error) {
      core.imageState(index, 'closed');
      throw error;
    }
    const image = new OpenImage(core, index, library);
    try {
      core.imageOpened(index, library.descriptor.address);
      requireFitting(core, id, library.descriptor);
      return image;
    } catch (error) {
      image.close();
      image.enter('closed');
      throw error;
    }
  }

  get source(): Pick<GenerationOptions, 'descriptor'> {
    return { descriptor: this.library.descriptor.address };
  }

  enter(state: ImageState): void {
    this.#core.imageState(this.index, state);
  }

  close(): void {
    this.#core.keepFloatingPoint(() => this.library.close(), this.index);
  }
}

function requireFitting({ abi }: Core, plugin: string, { abiMajor, abiMinor, id }: Descriptor): void {
  if (abiMajor !== abi.major || abiMinor > abi.minor)
    throw new TenonError(
      'AbiUnsupported',
      `${plugin}: plugin built for ABI ${abiMajor}.${abiMinor}, this host speaks ${abi.major}.0 to ${abi.major}.${abi.minor}`,
      { next: 'build it with the headers of this host', details: { plugin } },
    );
  if (id !== plugin)
    throw new TenonError('PluginIdMismatch', `the library says it is ${id}, not ${plugin}`, {
      next: `give it the id ${plugin}, or load it under its own`,
      details: { plugin, found: id },
    });
}
