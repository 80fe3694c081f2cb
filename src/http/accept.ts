/** Content negotiation by the Accept header (RFC 9110, 12.5.1). */

interface Range {
  type: string;
  quality: number;
}

function readRanges(accept: string): Range[] {
  return accept.split(',').flatMap((part) => {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    if (type === '') return [];
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter));
    const quality = weight === undefined ? 1 : Number(weight.replace(/^q\s*=\s*/, ''));
    return [{ type, quality: Number.isFinite(quality) ? quality : 0 }];
  });
}

/** How much a client wants `type`: the most specific range that covers it decides. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const [main = ''] = type.split('/');
  for (const covering of [type, `${main}/*`, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === covering);
    if (range !== undefined) return range.quality;
  }
  return 0;
}

/**
 * The type of `offered` that the client wants most, the first of equals; undefined when it takes none.
 * @param accept the header; undefined: anything
 */
export function preferred(accept: string | undefined, offered: readonly string[]): string | undefined {
  if (accept === undefined || accept === '*/*' || accept === '') return offered[0];
  const ranges = readRanges(accept);
  let best: string | undefined;
  let quality = 0;
  for (const type of offered) {
    const wanted = qualityOf(type, ranges);
    if (wanted > quality) {
      best = type;
      quality = wanted;
    }
  }
  return best;
}
