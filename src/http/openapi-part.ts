/** Words of which the document of the API is made. */
import { errorCodes, type ErrorCode } from '../base/errors.js';

export type OperationObject = Readonly<Record<string, unknown>>;

/** Somebody with one of these schemes and roles. */
export type SecurityRequirement = Readonly<Record<string, readonly string[]>>;

/** Where a schema of the document is. */
export function referTo(name: string): string {
  return `#/components/schemas/${name}`;
}

/** Answers that are errors, by status. */
export function problems(codes: readonly ErrorCode[]): Record<string, Record<string, unknown>> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = errorCodes[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus]
      .sort(([one], [other]) => one - other)
      .map(([status, of]) => [
        String(status),
        {
          description: of.map((code) => `\`${code}\`: ${errorCodes[code].title}`).join('. '),
          content: { 'application/problem+json': { schema: { $ref: referTo('Problem') } } },
        },
      ]),
  );
}

/** Both; of what is in both the content of both, and what `one` says first. */
export function together(
  one: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  other: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): Record<string, Record<string, unknown>> {
  const all: Record<string, Record<string, unknown>> = { ...other };
  for (const [status, answer] of Object.entries(one)) {
    const also = other[status];
    all[status] =
      also === undefined
        ? answer
        : {
            ...answer,
            description: [answer['description'], also['description']].filter((each) => each !== '').join('. Or '),
            content: { ...(also['content'] as object), ...(answer['content'] as object | undefined) },
          };
  }
  return all;
}
