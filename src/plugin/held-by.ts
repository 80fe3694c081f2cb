/** Why a generation cannot be closed yet, as a sentence's part. */
import type { GenerationHandle } from '../binding/core.js';

/** Who is still in it: `task 2 did not return`. */
export function heldBy({ leases, ledger, threads }: GenerationHandle): string {
  const { lost } = threads;
  const { running } = ledger;
  if (running.length > 0 && running.length >= leases) return `${running.join(', ')} did not return`;
  const others = running.map((name) => `, ${name} did not return`).join('');
  const calls = `${leases} ${leases === 1 ? 'call holds' : 'calls hold'} it${others}`;
  return lost > 0 ? `${calls}, ${lost} of its threads did not come back` : calls;
}
