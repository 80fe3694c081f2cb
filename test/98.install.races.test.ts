import { test } from 'vitest';
import { race } from './bundle/race.js';

test('no byte that a manifest does not name is run, whatever is swapped while it is read', () => race(1000), 300_000);
