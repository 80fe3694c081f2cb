/** What a host says of its API, and whether its answers are as it says. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

type Json = Readonly<Record<string, unknown>>;

/** One operation of the document; `method` in capitals. */
export interface Documented {
  readonly id: string;
  readonly method: string;
  /** As the document writes it. */
  readonly path: string;
  readonly scope: string | undefined;
  readonly parameters: readonly { name: string; in: string; required: boolean; schema: Json }[];
  /** Schemas of its body, by content type; undefined: it takes none. */
  readonly body: Readonly<Record<string, { schema: Json }>> | undefined;
  /** Largest body, bytes. */
  readonly limit: number | undefined;
  readonly responses: Readonly<Record<string, Response>>;
}

interface Response {
  readonly content?: Readonly<Record<string, { schema: Json }>>;
}

/** An answer, with what was asked. */
export interface Exchange {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

/** What is looked at of a document. */
interface Parts {
  readonly paths: Readonly<Record<string, Json>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Json>>;
    readonly responses: Readonly<Record<string, Response>>;
  };
}

const methods = ['get', 'put', 'post', 'patch', 'delete'];
/** Told of any path, by whoever looks for the operation. */
const unlisted = new Set([404, 405, 401, 403, 421, 429]);

/** The document of one host. */
export class ApiDocument {
  readonly operations: readonly Documented[];
  readonly schemas: Readonly<Record<string, Json>>;
  readonly #ajv: Ajv2020;
  readonly #patterns: ReadonlyMap<Documented, RegExp>;
  readonly #compiled = new Map<string, ValidateFunction>();

  /** @param document of a host. Only operations whose path is `ours` are taken. */
  constructor(document: Json, ours: (path: string) => boolean = () => true) {
    const given = { open: document as unknown as Parts, closed: closeObjects(document) as Parts };
    this.schemas = given.closed.components.schemas;
    this.#ajv = new Ajv2020({ strict: false, validateSchema: false, validateFormats: false, allErrors: true });
    for (const [name, each] of Object.entries(given)) this.#ajv.addSchema(each, name);
    this.operations = Object.keys(document['paths'] as object)
      .filter(ours)
      .flatMap((path) => {
        const { paths, components } = isOfHost(path) ? given.closed : given.open;
        return Object.entries(paths[path] ?? {})
          .filter(([method]) => methods.includes(method))
          .map(([method, operation]) => operationOf(path, method, operation as Json, components.responses));
      });
    this.#patterns = new Map(
      this.operations.map((one) => [
        one,
        new RegExp(`^${one.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}/?$`, 'i'),
      ]),
    );
  }

  /** The operation that serves `method` on `path`; undefined when none does. */
  find(method: string, path: string): Documented | undefined {
    const served = method === 'HEAD' ? 'GET' : method;
    return this.operations.find((one) => one.method === served && this.#patterns.get(one)?.test(path) === true);
  }

  /** What of `value` is not as the document's schema `name` has it; undefined when nothing is. */
  flaws(name: string, value: unknown): string | undefined {
    return this.#fits(name, { $ref: `#/components/schemas/${name}` }, value, 'closed');
  }

  /** What of an answer is not as the document has it; undefined when nothing is. */
  complaint(exchange: Exchange): string | undefined {
    const { method, target, status } = exchange;
    const path = target.replace(/\?.*$/s, '');
    const operation = this.find(method, path);
    const why =
      operation?.responses[status] === undefined && !isOfHost(path) && [404, 503].includes(status)
        ? this.#gone(exchange)
        : operation === undefined
          ? this.#other(exchange)
          : this.#answered(operation, exchange);
    return why === undefined
      ? undefined
      : `${method} ${target} ${status} (${operation?.id ?? 'no operation'}): ${why}: ${exchange.body.slice(0, 600)}`;
  }

  /** What a plugin serves may be gone since the document was read. */
  #gone({ method, ...rest }: Exchange): string | undefined {
    return method === 'HEAD' ? undefined : this.#problem(rest);
  }

  #other({ status, method, ...rest }: Exchange): string | undefined {
    if (method === 'OPTIONS' && status === 204) return undefined;
    if (method !== 'HEAD' && unlisted.has(status)) return this.#problem(rest);
    return unlisted.has(status) ? undefined : 'nobody has said that this is answered';
  }

  #problem({ type, body }: Pick<Exchange, 'type' | 'body'>): string | undefined {
    return bareType(type) === 'application/problem+json'
      ? this.flaws('Problem', JSON.parse(body))
      : `it is ${type}, and no problem`;
  }

  #answered({ id, path, responses }: Documented, { method, status, type, body }: Exchange): string | undefined {
    const response = responses[status] ?? responses['default'];
    if (response === undefined) return 'the status is not in the document';
    if (method === 'HEAD') return undefined;
    if (response.content === undefined)
      return body === '' || responses[status] === undefined ? undefined : 'there is a body';
    const bare = bareType(type);
    const content = response.content[bare];
    if (content === undefined) return `the type ${type} is not in the document`;
    if (!bare.endsWith('json')) return undefined;
    return this.#fits(`${id} ${status} ${bare}`, content.schema, JSON.parse(body), isOfHost(path) ? 'closed' : 'open');
  }

  #fits(name: string, schema: Json, value: unknown, base: 'open' | 'closed'): string | undefined {
    const validate = this.#compiled.get(name) ?? this.#ajv.compile(absolute(schema, base) as Json);
    this.#compiled.set(name, validate);
    if (validate(value)) return undefined;
    return (validate.errors ?? [])
      .slice(0, 5)
      .map(
        ({ instancePath, message, params }) =>
          `${instancePath || 'it'} ${message ?? 'is wrong'} ${JSON.stringify(params)}`,
      )
      .join('; ');
  }
}

function bareType(type: string | null): string {
  return (type ?? '').replace(/;.*$/s, '').trim().toLowerCase();
}

function operationOf(
  path: string,
  method: string,
  operation: Json,
  shared: Readonly<Record<string, Response>>,
): Documented {
  const security = operation['security'] as readonly Json[] | undefined;
  const body = operation['requestBody'] as { content: Documented['body']; 'x-maxBytes'?: number } | undefined;
  const responses = Object.entries(operation['responses'] as Readonly<Record<string, Response & { $ref?: string }>>);
  return {
    id: operation['operationId'] as string,
    method: method.toUpperCase(),
    path,
    scope: (Object.values(security?.[0] ?? {})[0] as readonly string[] | undefined)?.[0],
    parameters: (operation['parameters'] ?? []) as Documented['parameters'],
    body: body?.content,
    limit: body?.['x-maxBytes'],
    responses: Object.fromEntries(
      responses.map(([status, one]) => {
        const name = one.$ref?.replace('#/components/responses/', '');
        return [status, name === undefined ? one : (shared[name] ?? {})];
      }),
    ),
  };
}

/** Of the host: a member that nobody has described is a mistake of the description, though clients have to bear it. */
function closeObjects(node: unknown, inAll = false): unknown {
  if (Array.isArray(node)) return node.map((each) => closeObjects(each, inAll));
  if (typeof node !== 'object' || node === null) return node;
  const entries = Object.entries(node).map(([key, value]) => [key, closeObjects(value, key === 'allOf')] as const);
  const object = Object.fromEntries(entries);
  const isOpen = object['type'] === 'object' && 'properties' in object && !('additionalProperties' in object);
  return isOpen && !inAll ? { ...object, additionalProperties: false } : object;
}

/** References into the document `base`, from outside of it. */
function absolute(node: unknown, base: string): unknown {
  if (Array.isArray(node)) return node.map((each) => absolute(each, base));
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key,
      key === '$ref' && typeof value === 'string' && value.startsWith('#') ? base + value : absolute(value, base),
    ]),
  );
}

/** Paths of the host itself; those of plugins and tables differ from host to host. */
export function isOfHost(path: string): boolean {
  return /^\/(?:api|livez|readyz|metrics|plugins|openapi\.json|docs)(?:\/|$)/.test(path);
}

let document: Promise<ApiDocument | undefined> | undefined;

/** Throws what of an answer of the host at `url` is not as hosts say. */
export async function requireDocumented(url: string, exchange: Exchange): Promise<void> {
  if (!isOfHost(exchange.target.replace(/\?.*$/s, ''))) return;
  document ??= fetch(`${url}/openapi.json`)
    .then(async (answer) => new ApiDocument((await answer.json()) as Json, isOfHost))
    .catch(() => {
      document = undefined; // it is closing: another one is asked
      return undefined;
    });
  const complaint = (await document)?.complaint(exchange);
  if (complaint !== undefined) throw new Error(`not as /openapi.json says: ${complaint}`);
}
