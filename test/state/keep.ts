/** Keeps one state and ends: `keep.ts DIRECTORY SIZE`. For tests that kill it on the way. */
import { SavedStates } from '../../src/host/saved-states.js';
import { savedState } from './saved-state.js';

const [directory = '', size = ''] = process.argv.slice(2);
await new SavedStates({ directory, stateLimit: 2 ** 26 }).keep(await savedState(Buffer.alloc(Number(size), 'new')));
