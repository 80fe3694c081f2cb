/**
 * Reads the filter language of addresses (FIQL, with the short operators and quotes of RSQL):
 * `state==open;(priority=gt=2,owner==ann)`; `;` is and, `,` is or, and binds tighter.
 */
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';

/** What a comparison asks of a field; the short forms `<` `<=` `>` `>=` are read as the long ones. */
export const comparators = [
  '==',
  '!=',
  '=lt=',
  '=le=',
  '=gt=',
  '=ge=',
  '=in=',
  '=out=',
  '=contains=',
  '=starts=',
  '=ends=',
  '=null=',
] as const;
export type Comparator = (typeof comparators)[number];

/** An argument, without its quotes. One in quotes is never taken for a pattern, a number or anything but text. */
export interface Argument {
  text: string;
  quoted: boolean;
}

export interface Comparison {
  /** Name of a field, or a path into an object: `address.city`. */
  field: string;
  comparator: Comparator;
  /** One; one or more with `=in=` and `=out=`. */
  values: Argument[];
}

/** What was read. An `and` or `or` has two parts at least, none of its own kind. */
export type Expression = { and: Expression[] } | { or: Expression[] } | Comparison;

const shortForms: Readonly<Record<string, Comparator>> = { '<': '=lt=', '<=': '=le=', '>': '=gt=', '>=': '=ge=' };
const depthLimit = 16;
const comparisonLimit = 256;

/** Whether text that follows a name begins with a comparator, a known one or none. */
export function beginsWithComparator(text: string): boolean {
  return /^(?:==|!=|[<>]|=[a-z]+=)/i.test(text);
}

/**
 * The expression that `text`, free of percent escapes, stands for. Throws `QueryInvalid` with details `position`
 * (characters from 0) for anything that is none, that is nested deeper than 16, or has more than 256 comparisons.
 */
export function parseFiql(text: string): Expression {
  return new Parser(text).whole();
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #comparisons = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Expression {
    const expression = this.#either();
    if (this.#at < this.#text.length) this.#fail(`${this.#here()} is one too many`);
    return expression;
  }

  #either(): Expression {
    const parts = this.#separated(',', () => this.#both());
    return parts.length === 1
      ? (parts[0] as Expression)
      : { or: parts.flatMap((part) => ('or' in part ? part.or : part)) };
  }

  #both(): Expression {
    const parts = this.#separated(';', () => this.#single());
    return parts.length === 1
      ? (parts[0] as Expression)
      : { and: parts.flatMap((part) => ('and' in part ? part.and : part)) };
  }

  #separated(separator: string, read: () => Expression): Expression[] {
    const parts = [read()];
    while (this.#take(separator)) parts.push(read());
    return parts;
  }

  #single(): Expression {
    if (!this.#take('(')) return this.#comparison();
    this.#depth += 1;
    if (this.#depth > depthLimit) this.#fail(`parentheses are nested deeper than ${depthLimit}`);
    const inner = this.#either();
    if (!this.#take(')')) this.#fail('a closing parenthesis is missing');
    this.#depth -= 1;
    return inner;
  }

  #comparison(): Comparison {
    this.#comparisons += 1;
    if (this.#comparisons > comparisonLimit) this.#fail(`there are more than ${comparisonLimit} comparisons`);
    this.#blank();
    const field = this.#match(/[^\s"'();,=!<>~]+/y);
    if (field === undefined) return this.#fail(`the name of a field is missing before ${this.#here()}`);
    this.#blank();
    const comparator = this.#comparator(field);
    if (comparator !== '=in=' && comparator !== '=out=')
      return { field, comparator, values: [this.#argument(field, comparator)] };
    if (!this.#take('(')) this.#fail(`${comparator} takes a list in parentheses, as in ${field}${comparator}(a,b)`);
    const values = [this.#argument(field, comparator)];
    while (this.#take(',')) values.push(this.#argument(field, comparator));
    if (!this.#take(')')) this.#fail('a closing parenthesis is missing');
    return { field, comparator, values };
  }

  #comparator(field: string): Comparator {
    const found = this.#match(/==|!=|<=|>=|<|>|=[A-Za-z]+=/y);
    if (found === undefined) return this.#fail(`an operator is missing behind ${field}`);
    const comparator = shortForms[found] ?? comparators.find((known) => known === found);
    if (comparator !== undefined) return comparator;
    this.#at -= found.length;
    const meant = closest(found, comparators);
    return this.#fail(
      `there is no operator ${found}; ${meant === undefined ? `there are ${comparators.join(' ')}` : `did you mean ${meant}?`}`,
    );
  }

  #argument(field: string, comparator: Comparator): Argument {
    this.#blank();
    const quote = this.#text[this.#at];
    if (quote === '"' || quote === "'") return { text: this.#quotedText(quote), quoted: true };
    const text = this.#match(/(?:[^();,=<>!]|!(?!=))+/y)?.trim() ?? '';
    if (text === '') this.#fail(`a value is missing behind ${field}${comparator} ('' is the empty text)`);
    if (/[=<>!]/.test(this.#text[this.#at] ?? '')) this.#fail(`a value with ${this.#here()} in it stands in quotes`);
    return { text, quoted: false };
  }

  #quotedText(quote: string): string {
    const begin = this.#at;
    let text = '';
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at] as string;
      if (character === quote) {
        this.#at += 1;
        this.#blank();
        return text;
      }
      if (character === '\\') this.#at += 1;
      text += this.#text[this.#at] ?? '';
    }
    this.#at = begin;
    return this.#fail(`the quote ${quote} is not closed`);
  }

  #blank(): void {
    this.#match(/\s+/y);
  }

  #take(character: string): boolean {
    this.#blank();
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  /** What stands at the place of reading, for a sentence. */
  #here(): string {
    return JSON.stringify(this.#text[this.#at] ?? '') === '""' ? 'the end' : JSON.stringify(this.#text[this.#at]);
  }

  #fail(problem: string): never {
    throw new TenonError('QueryInvalid', `the filter ${JSON.stringify(this.#text)}: at ${this.#at}: ${problem}`, {
      details: { position: this.#at },
    });
  }
}
