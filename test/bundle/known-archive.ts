/** Prints the SHA-256 of the archive of the known files. */
import { createHash } from 'node:crypto';
import { writeArchive } from '../../src/bundle/write-archive.js';
import { knownFiles } from './known-files.js';

process.stdout.write(createHash('sha256').update(writeArchive(knownFiles)).digest('hex'));
