/** What a client asks: GraphQL's parameters in an address, in a body, in a message. */
import { RequestRefused } from './graphql-errors.js';
import { codedError, malformed } from './graphql-errors.js';

export interface Parameters {
  readonly query: string;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The parameters in an object from outside. Throws RequestRefused. */
export function readParameters(given: unknown): Parameters {
  if (!isObject(given)) throw malformed('a request must be an object with the member query');
  const { query, operationName, variables, extensions } = given;
  if (query === undefined || query === null) throw malformed('query is missing');
  if (typeof query !== 'string') throw malformed('query must be a text');
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string')
    throw malformed('operationName must be a text');
  if (variables !== undefined && variables !== null && !isObject(variables))
    throw malformed('variables must be an object');
  if (extensions !== undefined && extensions !== null && !isObject(extensions))
    throw malformed('extensions must be an object');
  return {
    query,
    operationName: operationName === null || operationName === '' ? undefined : operationName,
    variables: variables ?? {},
  };
}

function readJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw malformed(`${what} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The parameters in the query of an address. Throws RequestRefused. */
export function parametersInUrl(url: string): Parameters {
  const mark = url.indexOf('?');
  const search = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
  const read = (name: string): unknown => {
    const text = search.get(name);
    return text === null || text === '' ? undefined : readJson(text, name);
  };
  return readParameters({
    query: search.get('query') ?? undefined,
    operationName: search.get('operationName') ?? undefined,
    variables: read('variables'),
    extensions: read('extensions'),
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decode(body: Uint8Array): string {
  try {
    return utf8.decode(body);
  } catch {
    throw malformed('the body is not UTF-8');
  }
}

/** The parameters in a body of JSON: one request, or a list of at most `batch`. Throws RequestRefused. */
export function parametersInBody(body: Uint8Array, batch: number): Parameters | Parameters[] {
  if (body.length === 0) throw malformed('the body is missing');
  const given = readJson(decode(body), 'the body');
  if (!Array.isArray(given)) return readParameters(given);
  if (given.length === 0) throw malformed('a list of requests must not be empty');
  if (given.length > batch) {
    const message = `${given.length} operations in one request are over the limit of ${batch}`;
    throw new RequestRefused([codedError('QueryTooComplex', message, { batch: given.length, limit: batch })], true);
  }
  return given.map(readParameters);
}
