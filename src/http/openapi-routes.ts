/** What plugins and tables serve, as a part of the API's document. */
import type { ErrorCode } from '../base/errors.js';
import type { TableGate } from '../host/chains.js';
import type { ServedRoute } from '../host/live.js';
import type { DescribedOperation } from '../host/route-words.js';
import { recordSchemas } from '../tables/record-schemas.js';
import type { ServedTables } from '../tables/served.js';
import type { OpenApiPart } from './openapi.js';
import { type OperationObject, problems, referTo, type SecurityRequirement, together } from './openapi-part.js';
import { type TablePlace, tableOperation } from './openapi-tables.js';
import type { Schema } from './operation.js';

export interface RouteDocumentOptions {
  /** What a route of tables is for. */
  placeOf: (route: ServedRoute) => TablePlace | undefined;
  /** What stands before the routes of a plugin; undefined: nothing. */
  gateOf: (plugin: string) => Pick<TableGate, 'auth' | 'challenges'> | undefined;
}

/** The part of the document that follows what is served. */
export class RouteDocument {
  readonly #options: RouteDocumentOptions;
  #routes: readonly ServedRoute[] = [];
  #drawn: { readonly routes: readonly ServedRoute[]; readonly access: string; readonly part: OpenApiPart } | undefined;

  constructor(options: RouteDocumentOptions) {
    this.#options = options;
  }

  /** These are served from now on, and no other. */
  serve(routes: readonly ServedRoute[]): void {
    this.#routes = routes;
  }

  /** What is served now: the same object until that changes. */
  part(): OpenApiPart {
    const { gateOf } = this.#options;
    const routes = this.#routes;
    const gates = new Map([...new Set(routes.map(({ plugin }) => plugin))].map((id) => [id, accessOf(gateOf(id))]));
    // Who may call may change without the routes.
    const access = JSON.stringify([...gates]);
    if (this.#drawn?.routes !== routes || this.#drawn.access !== access)
      this.#drawn = { routes, access, part: new Drawing(this.#options, gates).part(routes) };
    return this.#drawn.part;
  }
}

/** Who may call what a plugin serves and does not say so. */
interface Access {
  readonly gated: boolean;
  readonly auth: 'open' | 'identity';
  readonly schemes: readonly string[];
}

function accessOf(gate: Pick<TableGate, 'auth' | 'challenges'> | undefined): Access {
  if (gate === undefined) return { gated: false, auth: 'open', schemes: [] };
  const schemes = (gate.challenges() ?? []).flatMap((challenge) => /^[A-Za-z][\w.-]*/.exec(challenge)?.[0] ?? []);
  return { gated: true, auth: gate.auth, schemes: [...new Set(schemes)] };
}

const called: readonly ErrorCode[] = [
  'RouteGone',
  'PluginStopped',
  'HandlerFailed',
  'DeadlineExceeded',
  'PermissionDenied',
];
const native: readonly ErrorCode[] = [
  ...called,
  'PluginBusy',
  'PluginUnresponsive',
  'ResponseInvalid',
  'MemoryOverrun',
  'ProcessEnded',
  'ProcessRestarting',
];
const gatedBy: readonly ErrorCode[] = [
  'Unauthenticated',
  'Forbidden',
  'TooManyAttempts',
  'ExtensionUnavailable',
  'ExtensionFailed',
  'PluginStopped',
  'PluginBusy',
  'PluginUnresponsive',
  'DeadlineExceeded',
];

class Drawing {
  readonly #options: RouteDocumentOptions;
  readonly #access: ReadonlyMap<string, Access>;
  /** By the shape of the path: the names that its parameters have, and its operations. */
  readonly #items = new Map<string, { path: string; shown: string[]; operations: Record<string, OperationObject> }>();
  readonly #schemas: Record<string, Schema> = {};
  readonly #securitySchemes: Record<string, object> = {};
  readonly #served = new Set<ServedTables>();
  readonly #ids = new Set<string>();
  readonly #tags = new Map<string, string>();

  constructor(options: RouteDocumentOptions, access: ReadonlyMap<string, Access>) {
    this.#options = options;
    this.#access = access;
  }

  part(routes: readonly ServedRoute[]): OpenApiPart {
    // Which files there are is for nobody to know.
    const described = routes.filter(({ execution }) => execution !== 'file');
    const places = new Map(described.map((route) => [route, this.#options.placeOf(route)]));
    for (const place of places.values()) if (place !== undefined) this.#addSchemas(place.served);
    for (const route of described) this.#add(route, places.get(route));
    return {
      paths: Object.fromEntries([...this.#items.values()].map(({ path, operations }) => [path, operations])),
      schemas: this.#schemas,
      securitySchemes: this.#securitySchemes,
      tags: [...this.#tags].map(([name, description]) => ({ name, description })),
    };
  }

  #addSchemas(served: ServedTables): void {
    if (this.#served.has(served)) return;
    this.#served.add(served);
    const { application } = served;
    const refer = (name: string): string => referTo(`${application}.${name}`);
    for (const [name, schema] of recordSchemas(served.schema, refer)) this.#schemas[`${application}.${name}`] = schema;
  }

  #add(route: ServedRoute, place: TablePlace | undefined): void {
    const { plugin, method } = route;
    const { path, names, shown } = template(route.path);
    const shape = path.replaceAll(/\{[^}]*\}/g, '{}');
    const item = this.#items.get(shape) ?? { path, shown, operations: {} };
    const access = this.#access.get(plugin) ?? accessOf(undefined);
    const before = access.gated ? gatedBy : [];
    const described = place === undefined ? this.#plain(route, before) : tableOperation(place, method, before);
    if (described === undefined) return;
    this.#items.set(shape, item);
    const { parameters = [], tags, ...others } = described as DescribedOperation;
    const inPath = names.map((name, at) =>
      pathParameter(name, item.shown[at] ?? name, parameters, place !== undefined),
    );
    const rest = parameters.filter((one) => one.in !== 'path');
    const said = this.#security(route, access);
    const own = (tags ?? ['']).map((tag) => tagOf(plugin, tag));
    for (const tag of own) this.#tags.set(tag, `What ${plugin} serves`);
    item.operations[method.toLowerCase()] = {
      operationId: this.#idOf(route),
      tags: own,
      ...others,
      ...(inPath.length + rest.length === 0 ? {} : { parameters: [...inPath, ...rest] }),
      ...said,
    };
  }

  /** A route of a plugin, by what it says. */
  #plain(route: ServedRoute, before: readonly ErrorCode[]): OperationObject {
    const { plugin, method, execution, bodyLimit, words } = route;
    const { responses, requestBody, ...others } = this.#expanded(plugin, words?.operation ?? {}, words?.refers ?? []);
    const takes = method !== 'GET' && method !== 'OPTIONS';
    const limit = execution === 'static' ? '' : `At most ${bodyLimit} bytes`;
    const body =
      requestBody ?? (takes && method !== 'DELETE' ? { description: limit, content: { '*/*': {} } } : undefined);
    const codes = execution === 'static' ? called : [...native, ...(takes ? (['BodyTooLarge'] as const) : [])];
    const answers = Object.entries(responses ?? { default: { description: 'What the plugin answers' } });
    const whole = Object.fromEntries(answers.map(([status, answer]) => [status, { description: '', ...answer }]));
    return {
      ...others,
      ...(body === undefined ? {} : { requestBody: body }),
      responses: together(whole, problems([...codes, ...before])),
    };
  }

  /** With references to the schemas of its application; all that it says of itself is left out if one leads nowhere. */
  #expanded(plugin: string, operation: DescribedOperation, refers: readonly string[]): DescribedOperation {
    if (refers.length === 0) return operation;
    const { summary, description } = operation;
    if (!refers.every((name) => Object.hasOwn(this.#schemas, `${plugin}.${name}`)))
      return { ...(summary === undefined ? {} : { summary }), ...(description === undefined ? {} : { description }) };
    return renamed(operation, (name) => referTo(`${plugin}.${name}`)) as DescribedOperation;
  }

  #security(
    route: ServedRoute,
    access: Access,
  ): { security?: readonly SecurityRequirement[]; 'x-roles'?: readonly string[] } {
    const needs = needsOf(route, access);
    if (needs.includes('anyone')) return { security: [] };
    const roles = needs.filter((role) => role !== 'identity');
    const names = access.schemes.map((scheme) => this.#scheme(scheme));
    return {
      // Whoever is known in a way that tells no client how is not described by a scheme.
      ...(names.length === 0 ? {} : { security: names.map((name) => ({ [name]: [] })) }),
      ...(roles.length === 0 ? {} : { 'x-roles': roles }),
    };
  }

  #scheme(scheme: string): string {
    const name = `caller.${scheme}`;
    this.#securitySchemes[name] = { type: 'http', scheme: scheme.toLowerCase() };
    return name;
  }

  #idOf({ plugin, method, path }: ServedRoute): string {
    const [first, ...others] = path.split('/').slice(1);
    const words = first === plugin ? others : [first ?? '', ...others];
    const named = words.map((word) =>
      word === '*'
        ? 'Rest'
        : word.startsWith(':')
          ? `By${capital(word.slice(1))}`
          : capital(word.replaceAll(/\W+(\w)?/g, (_all, next: string | undefined) => (next ?? '').toUpperCase())),
    );
    const plain = `${plugin}.${method.toLowerCase()}${named.join('')}`;
    let id = plain;
    for (let at = 2; this.#ids.has(id); at++) id = `${plain}${at}`;
    this.#ids.add(id);
    return id;
  }
}

function needsOf({ auth, roles = [], needs }: ServedRoute, { auth: otherwise }: Access): readonly string[] {
  if (needs !== undefined) return needs(otherwise);
  if (auth === 'roles') return roles;
  return (auth === undefined || auth === 'none' ? otherwise : auth) === 'open' ? ['anyone'] : ['identity'];
}

function capital(word: string): string {
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
}

function tagOf(plugin: string, tag = ''): string {
  return tag === '' ? `application ${plugin}` : `application ${plugin}: ${tag}`;
}

/** `/a/:b/*` as OpenAPI writes it; the names in it as the pattern has them, and as they are shown. */
function template(pattern: string): { path: string; names: string[]; shown: string[] } {
  const segments = pattern.split('/');
  const names = segments.flatMap((segment) => nameOf(segment) ?? []);
  let rest = 'rest';
  while (names.includes(rest)) rest += '_';
  const shownAs = (name: string): string => (name === '*' ? rest : name);
  const path = segments.map((segment) => {
    const name = nameOf(segment);
    return name === undefined ? segment : `{${shownAs(name)}}`;
  });
  return { path: path.join('/'), names, shown: names.map(shownAs) };
}

function nameOf(segment: string): string | undefined {
  if (segment === '*') return segment;
  return segment.startsWith(':') ? segment.slice(1) : undefined;
}

/** As the route says, or as it is by itself. `shown`: what it is called in the path, which routes of other methods share. */
function pathParameter(
  name: string,
  shown: string,
  described: NonNullable<DescribedOperation['parameters']>,
  isKey: boolean,
): NonNullable<DescribedOperation['parameters']>[number] {
  const own = described.find((one) => one.in === 'path' && one.name === name);
  const text = isKey
    ? 'The primary key'
    : name === '*'
      ? 'The rest of the path, which may have slashes in it'
      : undefined;
  return {
    ...(text === undefined ? {} : { description: text }),
    schema: { type: 'string' },
    ...own,
    name: shown,
    in: 'path',
    required: true,
  };
}

/** A copy in which references lead to what `refer` says of their names. */
function renamed(value: unknown, refer: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one) => renamed(one, refer));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string'
        ? refer(inner.slice(inner.lastIndexOf('/') + 1))
        : renamed(inner, refer),
    ]),
  );
}
