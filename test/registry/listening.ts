/** A listener that writes down what it is told. What it waits for ends with the test's own limit. */
import { vi } from 'vitest';
import type { Database, DatabaseListener } from '../../src/registry/database.js';
import { migrate } from '../../src/registry/migrate.js';

export interface Payload {
  readonly op: string;
  readonly name: string | null;
  readonly revision: number;
}

export interface Listening {
  readonly database: Database;
  /** `connected` or the sentence of what was lost. */
  readonly told: string[];
  readonly errors: Error[];
  readonly payloads: Payload[];
  /** Resolves when it has connected that many times. */
  readonly connected: (count?: number) => Promise<void>;
  /** Resolves when the connection, or a try, was lost that many times. */
  readonly lost: (count?: number) => Promise<void>;
}

/** Opens `database`; `prepare` in place of the migrations. */
export function listen(
  database: Database,
  prepare: DatabaseListener['prepare'] = (session) => migrate(session),
): Listening {
  const told: string[] = [];
  const errors: Error[] = [];
  const payloads: Payload[] = [];
  database.open({
    prepare,
    connected: () => told.push('connected'),
    lost: (error) => {
      told.push(error.message);
      errors.push(error);
    },
    notified: (payload) => payloads.push(JSON.parse(payload) as Payload),
  });
  const reached = async (count: number, wanted: (each: string) => boolean): Promise<void> => {
    await vi.waitUntil(() => told.filter(wanted).length >= count, { timeout: 170_000, interval: 10 });
  };
  return {
    database,
    told,
    errors,
    payloads,
    connected: (count = 1) => reached(count, (each) => each === 'connected'),
    lost: (count = 1) => reached(count, (each) => each !== 'connected'),
  };
}
