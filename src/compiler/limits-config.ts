/** `limits` of config.yaml: how much of what all plugins share one may have. */
import { type Check, mapping, whole } from './config-check.js';

/** What is counted: threads that it has started, files and sockets that it has open, bytes that it has allocated. */
export const limitedThings = ['threads', 'descriptors', 'memory'] as const;
export type LimitedThing = (typeof limitedThings)[number];

export interface ResourceLimit {
  /** Above it somebody is warned. */
  readonly soft?: number;
  /** Above it the host begins anew in a fresh process. */
  readonly hard?: number;
}

/** What is absent is as for every plugin. */
export type ResourceLimits = { readonly [Thing in LimitedThing]?: ResourceLimit };

const mebibyte = 1024 ** 2;
/** Where nobody has said otherwise. */
export const usualLimits: Readonly<Record<LimitedThing, ResourceLimit>> = {
  threads: { soft: 64 },
  descriptors: { soft: 1024 },
  memory: { soft: 1024 * mebibyte },
};

const most: Readonly<Record<LimitedThing, number>> = {
  threads: 100_000,
  descriptors: 1_000_000,
  memory: 1024 ** 2 * mebibyte,
};

/** Every key of `limits`. */
export const limitKeys = Object.fromEntries(
  limitedThings.map((thing) => [thing, limitOf(most[thing])] as const),
) as Record<LimitedThing, Check>;

function limitOf(highest: number): Check {
  const one = whole(1, highest);
  return (value) => {
    if (mapping(value) !== undefined)
      return one(value) === undefined ? undefined : `${one(value)}, or a mapping with \`soft\` and \`hard\``;
    const { soft, hard, ...others } = value as Record<string, unknown>;
    const [odd] = Object.keys(others);
    if (odd !== undefined) return `has the unknown key ${JSON.stringify(odd)}; it may have \`soft\` and \`hard\``;
    for (const [name, each] of Object.entries({ soft, hard }))
      if (each !== undefined && one(each) !== undefined) return `has a wrong \`${name}\`: it ${one(each)}`;
    if (typeof soft === 'number' && typeof hard === 'number' && soft > hard) return 'has a `soft` above its `hard`';
    return undefined;
  };
}

/** Of a value that is right: a number alone is `hard`. */
export function readLimits(value: unknown): ResourceLimits {
  return Object.fromEntries(
    Object.entries((value ?? {}) as Record<string, number | ResourceLimit>).map(([thing, limit]) => [
      thing,
      typeof limit === 'number' ? { hard: limit } : limit,
    ]),
  );
}

/** What holds for one thing: a hard limit below the usual soft one leaves nothing to warn of. */
export function limitFor(thing: LimitedThing, { [thing]: own }: ResourceLimits = {}): ResourceLimit {
  const { soft = usualLimits[thing].soft, hard } = own ?? {};
  if (hard === undefined) return soft === undefined ? {} : { soft };
  return soft === undefined || soft >= hard ? { hard } : { soft, hard };
}
