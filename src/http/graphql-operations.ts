/** The way of an operation from its text to its result, whatever it came by. */
import {
  createSourceEventStream,
  execute,
  type ExecutionArgs,
  type ExecutionResult,
  getOperationAST,
  GraphQLError,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type OperationTypeNode,
} from 'graphql';
import { TenonError } from '../base/errors.js';
import type { Store } from '../binding/store.js';
import type { ServedTable } from '../tables/served.js';
import type { Access } from './access.js';
import { EventResults } from './graphql-events.js';
import { Documents, type KnownDocument } from './graphql-documents.js';
import { RequestRefused } from './graphql-errors.js';
import { type GraphqlLimits, type Measure, measure, tooComplex } from './graphql-limits.js';
import type { Parameters } from './graphql-parameters.js';
import { Reading, type RecordObject } from './graphql-reading.js';
import { rootNames } from './graphql-selection.js';

/** An operation that may run, once. */
export interface Prepared {
  readonly kind: OperationTypeNode;
  readonly cost: number;
  readonly reading: Reading;
  readonly args: ExecutionArgs;
}

/** Own properties only: a field may be called `constructor`. */
function fieldOf(source: unknown, _args: unknown, _reading: unknown, { fieldName }: { fieldName: string }): unknown {
  const record = source as RecordObject | undefined;
  return record !== undefined && Object.hasOwn(record, fieldName) ? record[fieldName] : undefined;
}

/** Prepares and runs operations on one schema. */
export class Operations {
  readonly #schema: GraphQLSchema;
  readonly #store: Store;
  readonly #limits: GraphqlLimits;
  readonly #documents: Documents;

  constructor(schema: GraphQLSchema, store: Store, limits: GraphqlLimits) {
    this.#schema = schema;
    this.#store = store;
    this.#limits = limits;
    this.#documents = new Documents(schema, limits);
  }

  /**
   * Check an operation whole, before anything of it runs. Throws RequestRefused.
   * @param access what whoever asks may do
   * @param spent cost of the operations before it in the same request
   */
  prepare({ query, operationName, variables }: Parameters, access: Access, spent = 0): Prepared {
    const known = this.#documents.get(query);
    const operation = getOperationAST(known.document, operationName);
    if (operation === null || operation === undefined) throw new RequestRefused([noOperation(operationName)], false);
    const { depth, cost } = this.#measure(known, operation, operationName, variables);
    if (depth > this.#limits.depth)
      throw overLimit(`the query is ${depth} levels deep, over the limit of`, { depth, limit: this.#limits.depth });
    if (cost + spent > this.#limits.cost)
      throw overLimit(`the request costs ${cost + spent}, over the limit of`, {
        cost: cost + spent,
        limit: this.#limits.cost,
      });
    const reading = new Reading(this.#store, access);
    const args = {
      schema: this.#schema,
      document: known.document,
      variableValues: variables,
      operationName,
      contextValue: reading,
      fieldResolver: fieldOf,
      hideSuggestions: !this.#limits.introspection,
    };
    return { kind: operation.operation, cost, reading, args };
  }

  /** Run a query or mutation. A result that is not there in time is one with the error `DeadlineExceeded`. */
  run({ args, reading }: Prepared): ExecutionResult | Promise<ExecutionResult> {
    const result = execute(args);
    return result instanceof Promise ? this.#inTime(result, reading) : result;
  }

  /**
   * Begin a subscription: its events, or the result that says why there are none. Each event has the time of a query; one that is not
   * there by then is the last.
   */
  async subscribe({ args, reading }: Prepared): Promise<AsyncGenerator<ExecutionResult, void, void> | ExecutionResult> {
    const events = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in events)) return events;
    const resultOf = (rootValue: unknown): ExecutionResult | Promise<ExecutionResult> => {
      const result = execute({ ...args, rootValue });
      return result instanceof Promise ? this.#inTime(result, reading) : result;
    };
    return new EventResults(events[Symbol.asyncIterator](), resultOf, isLate);
  }

  /** Throws `Unauthenticated` for a subscription whose table whoever asks would have to be known for. */
  requireCaller({ args, reading }: Prepared): void {
    const fields = this.#schema.getSubscriptionType()?.getFields() ?? {};
    for (const name of rootNames(args.document, args.operationName)) {
      const { table } = (fields[name]?.extensions ?? {}) as { table?: ServedTable };
      if (table === undefined || reading.access.may(table, 'read')) continue;
      const refusal = reading.access.refusal(table, 'read');
      if (refusal.code === 'Unauthenticated') throw refusal;
    }
  }

  #measure(
    known: KnownDocument,
    operation: OperationDefinitionNode,
    name: string | undefined,
    variables: Readonly<Record<string, unknown>>,
  ): Measure {
    const before = known.measured.get(name);
    if (before !== undefined) return before;
    const measured = measure(this.#schema, known.document, operation, variables);
    if (!measured.varies) known.measured.set(name, measured);
    return measured;
  }

  #inTime(result: Promise<ExecutionResult>, reading: Reading): Promise<ExecutionResult> {
    const { timeoutMs } = this.#limits;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const error = new TenonError('DeadlineExceeded', `the request did not end within ${timeoutMs} ms`);
        reading.abandon(error);
        resolve({ errors: [new GraphQLError(error.message, { originalError: error })] });
      }, timeoutMs);
      result.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}

function noOperation(name: string | undefined): GraphQLError {
  return new GraphQLError(
    name === undefined
      ? 'the document has several operations: operationName says which to run'
      : `the document has no operation ${name}`,
  );
}

function overLimit(sentence: string, details: Record<string, unknown>): RequestRefused {
  return new RequestRefused([tooComplex(`${sentence} ${String(details['limit'])}`, details)], true);
}

/** Whether a result says that the time was over. */
export function isLate(result: ExecutionResult): boolean {
  const cause = result.errors?.[0]?.originalError;
  return result.data === undefined && cause instanceof TenonError && cause.code === 'DeadlineExceeded';
}
