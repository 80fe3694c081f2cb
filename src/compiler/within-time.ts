/** Runs what may never end by itself, such as a pattern that somebody else wrote, on this thread. */
import { createContext, Script } from 'node:vm';

const script = new Script('work()');
const context = createContext(Object.assign(Object.create(null) as { work?: () => void }, { work: undefined }));

/** What {@link withinTime} throws for work that was cut off. */
export class TimeExceeded extends Error {
  constructor(limitMs: number) {
    super(`it takes longer than ${limitMs} ms`);
    this.name = 'TimeExceeded';
  }
}

/**
 * What `work` returns. After `limitMs` it is cut off wherever it is, in the middle of a regular expression too, so it may
 * hold nothing that has to be let go. Throws {@link TimeExceeded}, and what `work` throws. Not to be nested.
 */
export function withinTime<Result>(limitMs: number, work: () => Result): Result {
  let result: Result | undefined;
  context.work = () => {
    result = work();
  };
  try {
    script.runInContext(context, { timeout: limitMs });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw new TimeExceeded(limitMs);
    throw error;
  } finally {
    context.work = undefined;
  }
  return result as Result;
}
