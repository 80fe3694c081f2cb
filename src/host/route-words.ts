/** What routes say of themselves, for the document of the API: checked once, when their generation begins. */
import { isObject } from '../compiler/schema-shape.js';
import {
  anything,
  type Check,
  DescriptionFlawed,
  flag,
  list,
  mapping,
  members,
  namesReferred,
  oneOf,
  schema,
  text,
} from './described-schema.js';

/** An operation of OpenAPI 3.1 without what the host knows better: its id, its servers, who may call it. */
export interface DescribedOperation {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly deprecated?: boolean;
  readonly externalDocs?: object;
  readonly parameters?: readonly Readonly<{ name: string; in: string } & Record<string, unknown>>[];
  readonly requestBody?: Readonly<Record<string, unknown>>;
  readonly responses?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface RouteWords {
  readonly operation: DescribedOperation;
  /** Names of schemas that it refers to, without that of the application. */
  readonly refers: readonly string[];
}

/** What a route declares of itself. */
export interface DeclaredWords {
  readonly method: string;
  /** With `:name` and `*`. */
  readonly pattern: string;
  readonly summary?: string | undefined;
  readonly description?: string | undefined;
  /** JSON. */
  readonly openapi?: string | undefined;
  /** What was left out before. */
  readonly flaw?: string | undefined;
}

export interface ReadWords {
  /** Absent when it says nothing. */
  readonly words?: RouteWords;
  /** What of it is left out, and why. */
  readonly flaw?: string;
}

const methods = ['get', 'post', 'put', 'patch', 'delete', 'options'];
const mediaType = /^[\w!#$&^.+*-]{1,127}\/[\w!#$&^.+*-]{1,127}(?:\s*;.{0,200})?$/;
const status = /^(?:[1-5](?:\d\d|XX)|default)$/;
const web = /^https?:\/\/\S+$/;

const address: Check = (value, pointer) => {
  if (typeof value !== 'string' || !web.test(value))
    throw new DescriptionFlawed(pointer, 'must be an address, https://…');
};
const examples = mapping(/^/, members({ summary: text, description: text, value: anything }));
const shown = { schema, example: anything, examples };
const content = mapping(mediaType, members(shown));
const parameter = members(
  {
    name: text,
    in: oneOf('path', 'query', 'header', 'cookie'),
    description: text,
    required: flag,
    deprecated: flag,
    explode: flag,
    ...shown,
  },
  ['name', 'in'],
);
const answer = members({
  description: text,
  headers: mapping(/^/, members({ description: text, required: flag, deprecated: flag, ...shown })),
  content,
});
const operation = members({
  summary: text,
  description: text,
  tags: list(text),
  deprecated: flag,
  externalDocs: members({ url: address, description: text }, ['url']),
  parameters: list(parameter),
  requestBody: members({ description: text, required: flag, content }, ['content']),
  responses: mapping(status, answer),
});

const known = new WeakMap<DeclaredWords, ReadWords>();

/** Read what a route says; once for each. */
export function readWords(declared: DeclaredWords): ReadWords {
  const read = known.get(declared) ?? readAnew(declared);
  known.set(declared, read);
  return read;
}

function readAnew(declared: DeclaredWords): ReadWords {
  const { summary, description, openapi, flaw } = declared;
  const plain = {
    ...(summary === undefined ? {} : { summary }),
    ...(description === undefined ? {} : { description }),
  };
  const said = Object.keys(plain).length > 0 ? { words: { operation: plain, refers: [] } } : {};
  const told = flaw === undefined ? {} : { flaw };
  if (openapi === undefined) return { ...said, ...told };
  try {
    const described = readOperation(openapi, declared);
    const words = { operation: { ...plain, ...described.operation }, refers: described.refers };
    return { words, ...told };
  } catch (error) {
    if (!(error instanceof DescriptionFlawed)) throw error;
    return { ...said, flaw: `its openapi: ${error.message}` };
  }
}

/** Throws {@link DescriptionFlawed}. */
export function readOperation(
  json: string,
  { method, pattern }: Pick<DeclaredWords, 'method' | 'pattern'>,
): RouteWords {
  let document: unknown;
  try {
    document = JSON.parse(json);
  } catch (error) {
    throw new DescriptionFlawed('', `is not JSON: ${(error as Error).message}`);
  }
  const refers = namesReferred(document);
  if (!isObject(document)) throw new DescriptionFlawed('', 'must be an object');
  const own = ownOperation(document, method);
  operation(own, '');
  const described = own as DescribedOperation;
  checkParameters(described.parameters ?? [], pattern);
  return { operation: described, refers: [...refers] };
}

/** Of a path item, or of an operation that has some for other methods beside, the one of `method`. */
function ownOperation(document: Readonly<Record<string, unknown>>, method: string): Record<string, unknown> {
  const common = Object.entries(document).filter(([key]) => !methods.includes(key));
  const own = document[method.toLowerCase()];
  if (own !== undefined && !isObject(own)) throw new DescriptionFlawed(`/${method.toLowerCase()}`, 'must be an object');
  return Object.fromEntries([...common, ...Object.entries(own ?? {})]);
}

function checkParameters(parameters: NonNullable<DescribedOperation['parameters']>, pattern: string): void {
  const named = new Set<string>();
  for (const [at, { name, in: place }] of parameters.entries()) {
    const key = `${place} ${name}`;
    if (named.has(key)) throw new DescriptionFlawed(`/parameters/${at}`, `is there twice: ${name}`);
    named.add(key);
    if (place === 'path' && !pattern.split('/').includes(name === '*' ? '*' : `:${name}`))
      throw new DescriptionFlawed(`/parameters/${at}`, `is none of the path ${pattern}: ${name}`);
  }
}

const mostTold = 5;

/**
 * What of the words of `routes` of a plugin is left out, as sentences.
 * @param schemas names that they may refer to
 */
export function wordFlaws(plugin: string, routes: readonly DeclaredWords[], schemas: ReadonlySet<string>): string[] {
  const flaws = routes.flatMap((route) => {
    const { method, pattern } = route;
    const { flaw, words } = readWords(route);
    const missing = words?.refers.find((name) => !schemas.has(name));
    const why =
      flaw ??
      (missing === undefined ? undefined : `its openapi refers to ${missing}, which is no schema of its tables`);
    return why === undefined ? [] : [`${plugin}: ${method} ${pattern} is not documented as it says: ${why}`];
  });
  const more = flaws.length - mostTold;
  return more <= 0
    ? flaws
    : [...flaws.slice(0, mostTold), `${plugin}: ${more} more routes are not documented as they say`];
}
