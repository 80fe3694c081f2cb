/** Milliseconds of the machine's own clock: what one process reads can be compared with what another one reads. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
