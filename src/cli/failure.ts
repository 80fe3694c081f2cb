/** How a command that failed ends. */
import { asTenonError, describeError } from '../base/errors.js';
import { Refusal } from './client.js';

/** Exit statuses beside 0. */
export const exitStatus = { refused: 1, misuse: 2, noHost: 3 } as const;

function sayIt(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Say it in one line on standard error, with `json` as one object on standard output too. The exit status. */
export function reportFailure(error: unknown, json = false, say = sayIt): number {
  say(`tenon: ${error instanceof Refusal ? error.message : describeError(error)}`);
  const misuse = error instanceof TypeError || (error instanceof Refusal && isMisuse(error));
  if (json && !misuse)
    process.stdout.write(`${JSON.stringify(error instanceof Refusal ? error.problem : facts(error))}\n`);
  if (misuse) return exitStatus.misuse;
  return asTenonError(error).code === 'HostNotRunning' ? exitStatus.noHost : exitStatus.refused;
}

/** What the host says of an archive is about what is in it, not about the words of the command. */
function isMisuse({ status, problem }: Refusal): boolean {
  return status === 400 && problem.error?.startsWith('Archive') !== true;
}

function facts(error: unknown): object {
  const { code, message, details } = asTenonError(error);
  return { error: code, message, details };
}
