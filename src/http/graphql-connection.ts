/** Pages of records as connections: read once, and only as far as a query asks. */
import { TenonError } from '../base/errors.js';
import type { Filter, TablePage, TableQuery } from '../binding/store.js';
import type { Reading, RecordObject } from './graphql-reading.js';

/** What a connection may be asked for. */
export interface PageArguments {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
  readonly order?: readonly { readonly field: string; readonly direction: 'ASC' | 'DESC' }[] | null;
}

/** Records of a page when neither `first` nor `last` is given. */
export const defaultPage = 20;
const largestPage = 10_000;

export interface Edge {
  readonly cursor: string;
  readonly node: RecordObject;
}

interface LoadedPage {
  readonly page: TablePage;
  readonly nodes: readonly RecordObject[];
}

const emptyPage: LoadedPage = {
  page: { json: Buffer.from('[]'), count: 0, more: false, plan: 'none', examined: 0 },
  nodes: [],
};

function refuse(sentence: string): never {
  throw new TenonError('BadRequest', sentence, { next: 'see the pages in docs/tables-graphql.md' });
}

function pageSize({ first, last, after, before }: PageArguments): number {
  if (given(first) && given(last)) refuse('first and last cannot be given together');
  if (given(after) && given(before)) refuse('after and before cannot be given together');
  if (given(before) && given(first)) refuse('first goes on after a cursor; the page before one is last');
  if (given(after) && given(last)) refuse('last goes back before a cursor; the page after one is first');
  const size = first ?? last ?? defaultPage;
  if (size < 0 || size > largestPage)
    refuse(`${given(last) ? 'last' : 'first'} must be 0 to ${largestPage}, and is ${size}`);
  return size;
}

function given(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A page of a table, the source of the fields of a connection. */
export class Page {
  readonly #reading: Reading;
  readonly #table: number;
  readonly #filter: Filter | undefined;
  readonly #arguments: PageArguments;
  readonly #size: number;
  readonly #backwards: boolean;
  #wantsCursors = false;
  #loaded: Promise<LoadedPage> | undefined;

  /** Throws `BadRequest` when the arguments contradict each other. */
  constructor(reading: Reading, table: number, filter: Filter | undefined, args: PageArguments) {
    this.#reading = reading;
    this.#table = table;
    this.#filter = filter;
    this.#arguments = args;
    this.#size = pageSize(args);
    this.#backwards = given(args.last) || given(args.before);
  }

  async nodes(): Promise<readonly RecordObject[]> {
    return (await this.#load()).nodes;
  }

  async edges(): Promise<Edge[]> {
    this.#wantsCursors = true;
    const { page, nodes } = await this.#load();
    return nodes.map((node, index) => ({ node, cursor: page.cursors?.[index] ?? '' }));
  }

  async startCursor(): Promise<string | null> {
    return (await this.#load()).page.first ?? null;
  }

  async endCursor(): Promise<string | null> {
    return (await this.#load()).page.last ?? null;
  }

  async hasNextPage(): Promise<boolean> {
    const { page } = await this.#load();
    if (!this.#backwards) return page.more;
    return this.#beyond(this.#arguments.before, page.last, false);
  }

  async hasPreviousPage(): Promise<boolean> {
    const { page } = await this.#load();
    if (this.#backwards) return page.more;
    return this.#beyond(this.#arguments.after, page.first, true);
  }

  async totalCount(): Promise<number> {
    this.#reading.check();
    return this.#reading.store.count(this.#table, this.#filter);
  }

  /** Whether there are records on the side that the page was not read towards. Without a cursor it began at that end. */
  async #beyond(from: string | null | undefined, edge: string | undefined, backwards: boolean): Promise<boolean> {
    if (from === undefined || from === null) return false;
    if (edge === undefined) return true;
    this.#reading.check();
    const query = { ...this.#query(), limit: 1, after: edge, backwards };
    return (await this.#reading.store.query(this.#table, query)).count > 0;
  }

  #query(): Omit<TableQuery, 'limit'> {
    const order = (this.#arguments.order ?? []).map(({ field, direction }) => ({
      field,
      descending: direction === 'DESC',
    }));
    return {
      ...(this.#filter === undefined ? {} : { filter: this.#filter }),
      ...(order.length === 0 ? {} : { order }),
    };
  }

  #load(): Promise<LoadedPage> {
    // A moment later: until then every field of the page has said what it wants.
    this.#loaded ??= Promise.resolve().then(() => this.#read());
    return this.#loaded;
  }

  async #read(): Promise<LoadedPage> {
    if (this.#size === 0) return emptyPage;
    this.#reading.check();
    const from = this.#backwards ? this.#arguments.before : this.#arguments.after;
    const page = await this.#reading.store.query(this.#table, {
      ...this.#query(),
      limit: this.#size,
      ...(this.#wantsCursors ? { cursors: true } : {}),
      ...(this.#backwards ? { backwards: true } : {}),
      ...(from === undefined || from === null ? {} : { after: from }),
    });
    return { page, nodes: JSON.parse(page.json.toString()) as RecordObject[] };
  }
}
