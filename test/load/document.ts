/** The document that a host serves, as tests look at it. */
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

export interface OperationObject {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly deprecated?: boolean;
  readonly security?: readonly Record<string, readonly string[]>[];
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema: Record<string, unknown> }[];
  readonly requestBody?: { content: Record<string, { schema: Record<string, unknown> }> };
  readonly responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
}

interface Json {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Record<string, unknown>>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

/** An answer without its headers, but for the type. */
export interface Answered {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

const lines = ['application/x-ndjson', 'text/event-stream'];

export class ApiDocument {
  readonly json: Json;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  readonly #asked = new Map<object, ValidateFunction>();

  constructor(text: string) {
    this.json = JSON.parse(text) as Json;
    this.#ajv.addSchema({ $id: 'document:/', ...this.json });
  }

  /** What OpenAPI has against it. */
  async flaws(): Promise<unknown> {
    const { valid, errors } = await new Validator().validate(structuredClone(this.json) as never);
    return valid ? undefined : (errors ?? 'it is not valid');
  }

  operation(method: string, path: string): OperationObject {
    const found = this.json.paths[path]?.[method.toLowerCase()];
    if (found === undefined) throw new Error(`the document has no ${method} ${path}`);
    return found;
  }

  /** The schema that `schema` refers to, or itself. */
  resolve(schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const reference = schema['$ref'];
    if (typeof reference !== 'string') return schema;
    const found = this.json.components.schemas[reference.slice(reference.lastIndexOf('/') + 1)];
    if (found === undefined) throw new Error(`${reference} leads nowhere`);
    return this.resolve(found);
  }

  /** Why the document does not tell of such an answer; undefined when it does. */
  flaw(method: string, path: string, { status, type, body }: Answered): string | undefined {
    const { responses } = this.operation(method, path);
    const answer = responses[String(status)];
    const said = `${method} ${path} answers ${status} ${type}: ${body.slice(0, 500)}`;
    if (answer === undefined) return `${said}, of which the document tells nothing`;
    if (body === '') return undefined;
    const media = type?.split(';')[0] ?? '';
    const schema = answer.content?.[media]?.schema;
    if (schema === undefined) return `${said}, of which the document does not tell the type`;
    if (lines.includes(media)) return undefined;
    const told = JSON.parse(body) as { error?: string };
    const validate = this.#validator(schema);
    if (!validate(told)) return `${said}: ${this.#ajv.errorsText(validate.errors)}`;
    const isTold = media !== 'application/problem+json' || answer.description.includes(`\`${told.error}\``);
    return isTold ? undefined : `${said}, whose code the document does not tell`;
  }

  #validator(schema: object): ValidateFunction {
    const known = this.#asked.get(schema);
    if (known !== undefined) return known;
    const whole = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document:/#/')) as object;
    const made = this.#ajv.compile(whole);
    this.#asked.set(schema, made);
    return made;
  }
}
