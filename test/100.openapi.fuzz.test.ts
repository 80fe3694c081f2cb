import { apiFuzz } from './load/api-fuzz.js';

// 20,000 are in 100.openapi.fuzz.long.ts.
apiFuzz(4000);
