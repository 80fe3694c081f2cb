/** Whose an address in a dead process is, by its black box. */
import type { Frame } from '../base/crash-report.js';
import type { BoxContents, BoxFault, BoxImage } from '../binding/black-box.js';

interface Range {
  readonly low: bigint;
  readonly high: bigint;
}

interface PlacedImage extends Range {
  readonly image: BoxImage;
  readonly unloaded: boolean;
}

/** Where an address lies. */
export interface Place {
  readonly image: BoxImage;
  readonly unloaded: boolean;
  /** Other plugins that had images there before; the address may be theirs when the image is not there any more. */
  readonly also: readonly BoxImage[];
}

/** Images of plugins and other files, by address. */
export class BoxImages {
  /** Those that are there before those that were, the newest of these first. */
  readonly #images: readonly PlacedImage[];
  readonly #files: readonly (Range & { file: string })[];
  readonly #byIndex: ReadonlyMap<number, BoxImage>;

  constructor({ images, files }: Pick<BoxContents, 'images' | 'files'>) {
    const placed = images
      .map((image) => ({ image, ...rangeOf(image), unloaded: image.state === 'closed' }))
      .filter(({ low, high }) => low < high);
    this.#images = placed.toSorted(
      (one, other) =>
        Number(one.unloaded) - Number(other.unloaded) ||
        other.image.generation - one.image.generation ||
        other.image.index - one.image.index,
    );
    this.#files = files.map(({ file, ...range }) => ({ file, ...rangeOf(range) }));
    this.#byIndex = new Map(images.map((image) => [image.index, image]));
  }

  at(address: bigint): Place | undefined {
    const [first, ...others] = this.#images.filter((one) => holds(one, address));
    if (first === undefined) return undefined;
    const { image, unloaded } = first;
    const also = unloaded ? others.map((one) => one.image).filter(({ plugin }) => plugin !== image.plugin) : [];
    return { image, unloaded, also };
  }

  fileAt(address: bigint): string | undefined {
    return this.#files.find((one) => holds(one, address))?.file;
  }

  byIndex(index: number): BoxImage | undefined {
    return this.#byIndex.get(index);
  }

  /** The newest image of a plugin that is there; undefined when there is none. */
  presentOf(plugin: string): BoxImage | undefined {
    return this.#images.find(({ image, unloaded }) => !unloaded && image.plugin === plugin)?.image;
  }

  /** Whether the build of `image` has shown that it is well: in a host before this one, or as another image of this one. */
  isProven({ plugin, sha256, proven }: BoxImage): boolean {
    const isWell = (one: BoxImage): boolean =>
      one.plugin === plugin && one.sha256 === sha256 && (one.proven === true || one.state === 'serving');
    return proven === true || (sha256 !== '' && [...this.#byIndex.values()].some(isWell));
  }

  frame(address: string, found: Frame['found']): Frame {
    const value = addressOf(address);
    const place = this.at(value);
    if (place === undefined) {
      const own = this.#files.find((one) => holds(one, value));
      if (own === undefined) return { address, found };
      return { address, found, file: own.file, offset: `0x${(value - own.low).toString(16)}` };
    }
    const { image, unloaded } = place;
    const { plugin, generation, sha256 } = image;
    const offset = `0x${(value - addressOf(image.low)).toString(16)}`;
    return { address, found, plugin, generation, sha256, offset, ...(unloaded ? { unloaded } : {}) };
  }

  /** The fault first, then what called it; a call that ends the process has but what called it. */
  frames({ kind, pc, unwound, scanned }: BoxFault): Frame[] {
    const called = unwound[0] === pc ? unwound.slice(1) : unwound;
    const seen = new Set([pc, ...unwound]);
    return [
      ...(kind === 'signal' ? [this.frame(pc, 'pc')] : []),
      ...called.map((address) => this.frame(address, 'unwound')),
      ...scanned.filter((address) => !seen.has(address)).map((address) => this.frame(address, 'scanned')),
    ];
  }
}

function rangeOf({ low, high }: { low: string; high: string }): Range {
  return { low: addressOf(low), high: addressOf(high) };
}

/** 0 for what is none: the box may be damaged. */
export function addressOf(text: string): bigint {
  return /^0x[\da-f]{1,16}$/i.test(text) ? BigInt(text) : 0n;
}

function holds({ low, high }: Range, address: bigint): boolean {
  return low <= address && address < high;
}
