/** States as plugins leave them. */
import type { SavedState } from '../../src/host/state-file.js';
import { sealState } from '../../src/plugin/state.js';

/** A state of the plugin `keeper`. */
export async function savedState(bytes: Uint8Array, others: Partial<SavedState> = {}): Promise<SavedState> {
  const build = { version: '1.0.0', sha256: '5'.repeat(64) };
  return { plugin: 'keeper', savedAt: '2026-01-02T03:04:05.678Z', build, state: await sealState(7, bytes), ...others };
}
