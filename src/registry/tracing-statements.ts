/** A span for each statement of the registry: what is done to what, no text and no value. */
import { inSpan, type SpanAttributes } from '../base/tracing.js';
import type { Session } from './database.js';

/** What a statement begins with, and the first thing that it names. */
const verb = /^\s*([a-z]+)/i;
const subject = /\b(?:FROM|INTO|UPDATE|TABLE(?: IF NOT EXISTS)?)\s+([a-z_][\w.]*)/i;
const notSubjects = /\bextract\s*\([^)]*\)|\bFOR\s+UPDATE\b|\bDO\s+UPDATE\b|\bDISTINCT\s+FROM\b/gi;

/** As `SELECT plugins`. */
export function summaryOf(text: string): string {
  const operation = verb.exec(text)?.[1]?.toUpperCase() ?? 'SQL';
  const target = subject.exec(text.replace(notSubjects, ' '))?.[1];
  return target === undefined ? operation : `${operation} ${target}`;
}

/** Makes spans for the database at `place`, as `Database.place` has it. */
export class StatementSpans {
  readonly #attributes: SpanAttributes;

  constructor(place: string) {
    this.#attributes = { 'db.system.name': 'postgresql', ...addressOf(place) };
  }

  statement<Result>(text: string, work: () => Promise<Result>): Promise<Result> {
    const summary = summaryOf(text);
    const attributes = {
      ...this.#attributes,
      'db.query.summary': summary,
      'db.operation.name': summary.split(' ', 1)[0],
    };
    return inSpan(summary, { kind: 'client', attributes }, work);
  }

  /** `work` and the statements in it. */
  transaction<Result>(work: () => Promise<Result>): Promise<Result> {
    return inSpan('tenon.registry.transaction', { attributes: this.#attributes }, work);
  }

  /** `session` with a span for each statement. */
  session(session: Session): Session {
    return { query: (text, values) => this.statement(text, () => session.query(text, values)) };
  }
}

function addressOf(place: string): SpanAttributes {
  if (!URL.canParse(place)) return {};
  const { hostname, port, pathname } = new URL(place);
  const database = pathname.slice(1);
  return {
    ...(hostname === '' ? {} : { 'server.address': hostname }),
    ...(port === '' ? {} : { 'server.port': Number(port) }),
    ...(database === '' ? {} : { 'db.namespace': database }),
  };
}
