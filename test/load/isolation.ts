/** Which plugins the tests of this process are about: those in the host, or those in processes of their own. */
import { TestRunner } from 'vitest';

/** Whether plugins whose config says nothing run in processes of their own. */
export const isIsolated = process.env['TENON_ISOLATION'] === 'process';

/**
 * Leave the test out where plugins run in processes of their own. Said in the test, or before each of several.
 * @param reason what there is only in the host, as an end of "in process only: "
 */
export function inProcessOnly(reason: string): void {
  if (isIsolated) TestRunner.getCurrentTest()?.context.skip(`in process only: ${reason}`);
}
