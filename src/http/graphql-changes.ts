/** The subscriptions of tables. */
import { GraphQLID, GraphQLNonNull, GraphQLString } from 'graphql';
import { TenonError } from '../base/errors.js';
import type { Store, TableChange } from '../binding/store.js';
import type { Changes, Subscription } from '../tables/changes.js';
import { changeToken, sequenceOf } from './change-token.js';
import type { FilterInput } from './graphql-filter.js';
import { parseRecord } from './graphql-reading.js';
import type { ChangePayload, Field, TableTypes } from './graphql-tables.js';

interface ChangeArguments {
  readonly id?: string | null;
  readonly filter?: FilterInput | null;
  readonly after?: string | null;
}

/** The sequence in a cursor. Throws `ChangesGone` for one of another database, `BadRequest` for what is none. */
function sequenceIn(store: Store, cursor: string): string {
  const sequence = sequenceOf(store, cursor);
  if (sequence !== undefined) return sequence;
  const next = 'read the records again, and subscribe without after';
  throw new TenonError('ChangesGone', 'the cursor is of another database', { next });
}

/**
 * Changes as the events of a subscription. No generator: one that waits for the next change could not be ended before that
 * came.
 */
class ChangeEvents implements AsyncIterableIterator<Record<string, ChangePayload>> {
  readonly #changes: Subscription;
  readonly #event: (change: TableChange) => Record<string, ChangePayload>;

  constructor(changes: Subscription, event: (change: TableChange) => Record<string, ChangePayload>) {
    this.#changes = changes;
    this.#event = event;
  }

  async next(): Promise<IteratorResult<Record<string, ChangePayload>>> {
    const { done, value } = await this.#changes.next();
    return done === true || value === undefined ? { done: true, value: undefined } : { value: this.#event(value) };
  }

  async return(): Promise<IteratorResult<Record<string, ChangePayload>>> {
    await this.#changes.return();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<Record<string, ChangePayload>>> {
    await this.#changes.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** The subscription of one table. */
export function changesOf(types: TableTypes, changes: Changes): Field<unknown, ChangeArguments> {
  const { names, served } = types;
  return {
    type: new GraphQLNonNull(types.change),
    extensions: { table: served },
    description: 'Changes from now on, or after one that was told before, in order.',
    args: {
      id: { type: GraphQLID, description: 'Of this record only.' },
      filter: { type: types.filter, description: 'Of records that meet it; of every record that goes.' },
      after: { type: GraphQLString, description: 'The cursor of an earlier change.' },
    },
    subscribe: async (_source, { id, filter, after }, { store, access }) => {
      access.demand(served, 'read');
      const wanted = types.storeFilter(filter);
      const subscription = changes.subscribe([served.number], {
        ...(id === undefined || id === null ? {} : { key: id }),
        ...(wanted === undefined ? {} : { filter: wanted }),
        ...(after === undefined || after === null ? {} : { from: sequenceIn(store, after) }),
      });
      await subscription.begun;
      return new ChangeEvents(subscription, (change) => ({
        [names.changed]: {
          kind: change.removed ? 'DELETE' : 'PUT',
          id: change.key,
          cursor: changeToken(store, change.sequence),
          record: change.record === undefined || change.removed ? null : parseRecord(change.record.json),
        },
      }));
    },
  };
}
