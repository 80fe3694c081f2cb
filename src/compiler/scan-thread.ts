/** A thread that scans one text. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Language, scanSource } from './scan.js';

const { text, language } = workerData as { text: string; language: Language };
parentPort?.postMessage(scanSource(text, language));
