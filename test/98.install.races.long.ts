import { test } from 'vitest';
import { race } from './bundle/race.js';

test('no byte that a manifest does not name is run in 10,000 attempts', () => race(10_000), 1_800_000);
