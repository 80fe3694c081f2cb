import { apiFuzz } from './load/api-fuzz.js';

apiFuzz(20_000);
