/** Images of plugins that are mapped in this process: how many, and how large. */
import type { Generation } from '../plugin/generation.js';
import type { Plugin } from './plugin.js';

export interface Gauge {
  count: number;
  /** Sizes of the libraries. */
  bytes: number;
}

/** Every generation that is still there is one of them. */
export interface Images {
  /** Serve, or are on their way up. */
  alive: Gauge;
  /** On their way down. */
  draining: Gauge;
  /** Cannot be unmapped. */
  pinned: Gauge;
}

/** What may stay mapped before the process had better begin anew. */
export interface PinnedLimit {
  count: number;
  bytes: number;
}

/** Of the generations that serve `plugins`, and of those that are `leaving`. */
export function countImages(plugins: Iterable<Plugin>, leaving: Iterable<Generation>): Images {
  const images: Images = { alive: none(), draining: none(), pinned: none() };
  const add = (gauge: Gauge, { size }: Generation): void => {
    gauge.count += 1;
    gauge.bytes += size;
  };
  for (const { running } of plugins) if (running !== undefined) add(images.alive, running);
  for (const generation of leaving) add(generation.state === 'pinned' ? images.pinned : images.draining, generation);
  return images;
}

/** Whether `pinned` is past `limit`, in a sentence. */
export function overLimit({ pinned }: Images, limit: PinnedLimit): string | undefined {
  if (pinned.count <= limit.count && pinned.bytes <= limit.bytes) return undefined;
  return `${pinned.count} images of ${pinned.bytes} bytes cannot be unmapped; ${limit.count} images or ${limit.bytes} bytes may stay`;
}

function none(): Gauge {
  return { count: 0, bytes: 0 };
}
