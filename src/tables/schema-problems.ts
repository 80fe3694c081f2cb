/** What is wrong in the files of a schema, each with its place. */
import type { ASTNode } from 'graphql';
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';

/** Lines and columns count from 1. */
export interface SchemaProblem {
  file: string;
  line: number;
  column: number;
  message: string;
}

const mostTold = 100;
/** In the sentence of the error; its details have all. */
const mostSaid = 20;
/** A longer word is no slip of the pen. */
const longestGuessed = 100;

export class SchemaProblems {
  readonly #files: readonly string[];
  readonly #problems: SchemaProblem[] = [];

  /** @param files in the order in which their problems are told */
  constructor(files: readonly string[]) {
    this.#files = files;
  }

  at(node: ASTNode, message: string): void {
    const { source, startToken } = node.loc ?? {};
    this.add({
      file: source?.name ?? '',
      line: startToken?.line ?? 1,
      column: startToken?.column ?? 1,
      message,
    });
  }

  /** Throws when there are so many that nobody reads on. */
  add(problem: SchemaProblem): void {
    this.#problems.push(problem);
    if (this.#problems.length === mostTold) this.throwAny();
  }

  /** Throws `SchemaInvalid` when there are any; they come by place. */
  throwAny(): void {
    const files = this.#files;
    const ordered = this.#problems.toSorted(
      (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
    );
    const [first] = ordered;
    if (first === undefined) return;
    const { file, line, column } = first;
    const said = ordered.slice(0, mostSaid).map((each) => `${each.file}:${each.line}:${each.column}: ${each.message}`);
    const more = ordered.length > mostSaid ? [`and ${ordered.length - mostSaid} more`] : [];
    throw new TenonError('SchemaInvalid', [...said, ...more].join('; '), {
      next: `correct ${file}; a host that watches it then tries again`,
      details: { file, line, column, problems: ordered },
    });
  }
}

/** The end of a sentence about the unknown `word`; empty when nothing known is near. */
export function didYouMean(word: string, known: Iterable<string>, mark = ''): string {
  const meant = word.length > longestGuessed ? undefined : closest(word, known);
  return meant === undefined ? '' : `; did you mean ${mark}${meant}?`;
}
