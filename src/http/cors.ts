/**
 * What an answer says to browsers whose page is of another origin, as config.yaml has it. Not by the package `cors`: that takes each
 * OPTIONS for a preflight, says no `Vary` where it refuses an origin, and is overwritten by what a handler sets after it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CorsRules } from '../compiler/config.js';

/** Whether pages of `origin`, as a browser says it, are meant by name: `*` alone means nobody. */
export function namesOrigin({ origins }: CorsRules, origin: string): boolean {
  return origins !== '*' && origins.some((listed) => matches(listed, origin));
}

/** The star stands for one label or more, in front of the rest of the name. */
function matches(listed: string, origin: string): boolean {
  const star = listed.indexOf('*');
  if (star === -1) return listed === origin;
  const before = listed.slice(0, star);
  const after = listed.slice(star + 1);
  if (!origin.startsWith(before) || !origin.endsWith(after) || origin.length <= before.length + after.length)
    return false;
  return /^[\w-]+(?:\.[\w-]+)*$/.test(origin.slice(before.length, origin.length - after.length));
}

/** Value of `Access-Control-Allow-Origin`; undefined: none. */
export function allowedOrigin(rules: CorsRules, origin: string | undefined): string | undefined {
  if (rules.origins === '*') return '*';
  return origin !== undefined && namesOrigin(rules, origin) ? origin : undefined;
}

/**
 * Have the answer say what `rules` do. True: it was a preflight, and is answered.
 * @param methods those that the path is served with
 */
export function meetPage(
  request: IncomingMessage,
  response: ServerResponse,
  rules: CorsRules,
  methods: () => readonly string[],
): boolean {
  const asksOnly = isPreflight(request);
  if (asksOnly) answerPreflight(request, response, rules, methods());
  else letPagesRead(request, response, rules);
  return asksOnly;
}

/** Whether a browser asks if it may send another request. */
function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
}

/** What the answer to a preflight says; `methods` are those that the path is served with. */
export function preflightHeaders(
  rules: CorsRules,
  methods: readonly string[],
  { headers }: Pick<IncomingMessage, 'headers'>,
): Record<string, string> {
  const vary = { vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers' };
  const origin = allowedOrigin(rules, headers.origin);
  if (origin === undefined) return vary;
  const asked = headers['access-control-request-headers'];
  const allowed = rules.headers?.join(', ') ?? (typeof asked === 'string' ? asked : '');
  return {
    ...vary,
    'access-control-allow-origin': origin,
    ...(rules.credentials ? { 'access-control-allow-credentials': 'true' } : {}),
    'access-control-allow-methods': (rules.methods ?? methods).join(', '),
    ...(allowed === '' ? {} : { 'access-control-allow-headers': allowed }),
    'access-control-max-age': String(rules.maxAgeSeconds),
  };
}

function answerPreflight(
  request: IncomingMessage,
  response: ServerResponse,
  rules: CorsRules,
  methods: readonly string[],
): void {
  for (const [name, value] of Object.entries(preflightHeaders(rules, methods, request)))
    response.setHeader(name, value);
  response.statusCode = 204;
  response.end();
}

/** Have the answer say what `rules` do, whatever else is put into its headers until they leave. */
function letPagesRead(request: IncomingMessage, response: ServerResponse, rules: CorsRules): void {
  const own = response.writeHead.bind(response) as (...all: unknown[]) => ServerResponse;
  response.writeHead = (status: number, ...rest: unknown[]) => {
    if (response.headersSent) return own(status, ...rest);
    const [message] = rest;
    setAll(
      response,
      rest.find((each) => typeof each === 'object' && each !== null),
    );
    for (const name of response.getHeaderNames()) if (name.startsWith('access-control-')) response.removeHeader(name);
    const origin = allowedOrigin(rules, request.headers.origin);
    if (rules.origins !== '*') addVary(response, 'Origin');
    if (origin !== undefined) {
      response.setHeader('access-control-allow-origin', origin);
      if (rules.credentials) response.setHeader('access-control-allow-credentials', 'true');
      if (rules.expose.length > 0) response.setHeader('access-control-expose-headers', rules.expose.join(', '));
    }
    return typeof message === 'string' ? own(status, message) : own(status);
  };
}

/** Headers as `writeHead` takes them: an object, or a list of names and values by turns. */
function setAll(response: ServerResponse, headers: unknown): void {
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries((headers ?? {}) as Record<string, string | string[] | undefined>))
      if (value !== undefined) response.setHeader(name, value);
    return;
  }
  const flat = (headers as unknown[]).flat() as string[];
  const fresh = new Set<string>();
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = String(flat[at]);
    const value = String(flat[at + 1]);
    if (fresh.has(name.toLowerCase())) response.appendHeader(name, value);
    else response.setHeader(name, value);
    fresh.add(name.toLowerCase());
  }
}

/** Say that the answer depends on the header `name` of the request. */
export function addVary(response: ServerResponse, name: string): void {
  const said = [response.getHeader('vary') ?? []].flat().join(', ');
  const names = said.split(',').map((each) => each.trim().toLowerCase());
  if (names.includes('*') || names.includes(name.toLowerCase())) return;
  response.setHeader('vary', said === '' ? name : `${said}, ${name}`);
}
