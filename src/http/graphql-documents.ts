/** Documents, parsed and checked once however often they come. */
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import { RequestRefused } from './graphql-errors.js';
import { countAliases, type GraphqlLimits, type Measure, tooComplex } from './graphql-limits.js';

/** A document that may run. */
export interface KnownDocument {
  readonly document: DocumentNode;
  /** By the name of the operation, of those that cost the same whatever their variables are. */
  readonly measured: Map<string | undefined, Measure>;
}

const keptDocuments = 1_000;
/** A parsed document is some seventy times as large as its text. */
const keptCharacters = 512 * 1024;

/** Keeps what it has checked, the least used go first. One for each schema. */
export class Documents {
  readonly #schema: GraphQLSchema;
  readonly #limits: GraphqlLimits;
  readonly #rules: typeof specifiedRules;
  readonly #kept = new Map<string, KnownDocument>();
  #characters = 0;

  constructor(schema: GraphQLSchema, limits: GraphqlLimits) {
    this.#schema = schema;
    this.#limits = limits;
    this.#rules = limits.introspection ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
  }

  /** The document of a query's text. Throws RequestRefused. */
  get(text: string): KnownDocument {
    const known = this.#kept.get(text);
    if (known !== undefined) {
      this.#kept.delete(text);
      this.#kept.set(text, known);
      return known;
    }
    const made = { document: this.#check(text), measured: new Map<string | undefined, Measure>() };
    this.#keep(text, made);
    return made;
  }

  #check(text: string): DocumentNode {
    const document = this.#parse(text);
    const aliases = countAliases(document);
    const { aliases: limit } = this.#limits;
    if (aliases > limit) {
      const message = `${aliases} aliases in one document are over the limit of ${limit}`;
      throw new RequestRefused([tooComplex(message, { aliases, limit })], true);
    }
    const errors = validate(this.#schema, document, this.#rules, { hideSuggestions: !this.#limits.introspection });
    if (errors.length === 1 && errors[0]?.message === 'Validation aborted.')
      throw new RequestRefused([tooComplex('the document repeats itself too much to be checked', {})], true);
    if (errors.length > 0) throw new RequestRefused(errors, false);
    return document;
  }

  #parse(text: string): DocumentNode {
    const { tokens } = this.#limits;
    try {
      return parse(text, { maxTokens: tokens });
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error;
      if (!error.message.includes('Parsing aborted')) throw new RequestRefused([error], false);
      throw new RequestRefused([tooComplex(`the document has more than ${tokens} tokens`, { limit: tokens })], true);
    }
  }

  #keep(text: string, known: KnownDocument): void {
    this.#kept.set(text, known);
    this.#characters += text.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= keptDocuments && this.#characters <= keptCharacters) return;
      this.#kept.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}
