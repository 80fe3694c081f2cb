/** What plugins may be granted: one line each, `what:how:which`. */

/** Undefined for a permission that there is, else a clause that says what is wrong: `must be …`. */
export function wrongPermission(line: string): string | undefined {
  return line === '' ? 'must not be empty' : undefined;
}

/** Whether one of `granted` allows what `wanted` asks for; `*` in the last part of a grant stands for anything. */
export function isGranted(granted: readonly string[], wanted: string): boolean {
  return granted.includes(wanted);
}
