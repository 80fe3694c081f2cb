/** The three ways to a table, which all do the same: REST, GraphQL and the code of a plugin. */
import type { World } from '../load/world.js';
import type { DrawnTable, Row } from './drawn-schema.js';

export type Door = 'rest' | 'graphql' | 'plugin';
export const doors: readonly Door[] = ['rest', 'graphql', 'plugin'];

export type Key = string | number;
export type Outcome = 'ok' | 'exists' | 'missing' | 'invalid';

export interface Write {
  kind: 'put' | 'create' | 'patch' | 'remove';
  table: DrawnTable;
  key: Key;
  body: Row;
}

const ofCode: Record<string, Outcome> = {
  RecordExists: 'exists',
  RecordNotFound: 'missing',
  RecordInvalid: 'invalid',
  DocumentInvalid: 'invalid',
};
const ofStatus: Record<string, Outcome> = { OK: 'ok', EXISTS: 'exists', NOT_FOUND: 'missing', INVALID: 'invalid' };

const json = { 'content-type': 'application/json' };

export interface GraphqlReply {
  data?: Record<string, unknown>;
  errors?: { message: string; extensions: { code: string } }[];
}

const whole = ({ table, key, body }: Write): Row => ({ [table.key]: key, ...body });

/** A key as the plugin takes it. */
export const plainKey = (key: Key): string => (typeof key === 'number' ? `#${key}` : key);

export class Doors {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  async write(door: Door, write: Write): Promise<Outcome> {
    if (door === 'rest') return this.#rest(write);
    return door === 'graphql' ? this.#graphql(write) : this.#plugin(write);
  }

  /** All or none; over REST and GraphQL those of one table, of one kind. */
  async writeTogether(door: Door, writes: readonly Write[]): Promise<Outcome> {
    const [first] = writes;
    if (first === undefined) return 'ok';
    const { table } = first;
    const all = writes.map(whole);
    if (door === 'rest') {
      const mode = first.kind === 'put' ? '?mode=upsert' : '';
      return this.#restOutcome('POST', `${table.name}${mode}`, all);
    }
    if (door === 'graphql') {
      const query = `mutation($inputs: [${table.name}Input!]!) { create${table.name}s(inputs: $inputs) { ${table.key} } }`;
      return outcomeOf(await this.ask(query, { inputs: all }));
    }
    const lines = writes.map((write) => {
      const { name } = write.table;
      if (write.kind === 'remove') return `remove ${name} ${plainKey(write.key)}`;
      if (write.kind === 'patch') return `patch ${name} ${plainKey(write.key)} ${JSON.stringify(write.body)}`;
      return `${write.kind} ${name} ${JSON.stringify(whole(write))}`;
    });
    return statusOf(await this.callPlugin({ op: 'batch', table: table.name }, lines.join('\n')));
  }

  async get(target: string, accept = 'application/json'): Promise<{ text: string; headers: Headers }> {
    const { status, body, headers } = await this.#world.request('GET', `/tables/${target}`, { headers: { accept } });
    if (status !== 200) throw new Error(`GET ${target}: ${body}`);
    return { text: body, headers };
  }

  async ask(query: string, variables: object): Promise<GraphqlReply> {
    const init = { headers: json, body: JSON.stringify({ query, variables }) };
    return JSON.parse((await this.#world.request('POST', '/tables/graphql', init)).body) as GraphqlReply;
  }

  async callPlugin(query: Record<string, string>, body = ''): Promise<string> {
    const target = `/tables/pool?${new URLSearchParams(query).toString()}`;
    return (await this.#world.request('POST', target, { body })).body;
  }

  async #rest(write: Write): Promise<Outcome> {
    const { kind, table, key, body } = write;
    const target = `${table.name}/${encodeURIComponent(key)}`;
    if (kind === 'create') return this.#restOutcome('POST', table.name, whole(write));
    if (kind === 'remove') return this.#restOutcome('DELETE', target);
    return this.#restOutcome(kind === 'put' ? 'PUT' : 'PATCH', target, body);
  }

  async #restOutcome(method: string, target: string, body?: unknown): Promise<Outcome> {
    const init = body === undefined ? {} : { headers: json, body: JSON.stringify(body) };
    const reply = await this.#world.request(method, `/tables/${target}`, init);
    if (reply.status < 300) return 'ok';
    const { error } = JSON.parse(reply.body) as { error: string };
    return known(ofCode[error], `${method} ${target}: ${reply.body}`);
  }

  async #graphql(write: Write): Promise<Outcome> {
    const { kind, table, key, body } = write;
    const { name } = table;
    const id = String(key);
    if (kind === 'remove')
      return outcomeOf(await this.ask(`mutation($id: ID!) { delete${name}(id: $id) { ${table.key} } }`, { id }));
    if (kind === 'patch') {
      const query = `mutation($id: ID!, $input: ${name}Patch!) { update${name}(id: $id, input: $input) { ${table.key} } }`;
      return outcomeOf(await this.ask(query, { id, input: body }));
    }
    const query = `mutation($input: ${name}Input!) { ${kind}${name}(input: $input) { ${table.key} } }`;
    return outcomeOf(await this.ask(query, { input: whole(write) }));
  }

  async #plugin(write: Write): Promise<Outcome> {
    const { kind, key, body } = write;
    const table = write.table.name;
    if (kind === 'remove') return statusOf(await this.callPlugin({ op: 'remove', table, key: plainKey(key) }));
    if (kind === 'patch')
      return statusOf(await this.callPlugin({ op: 'patch', table, key: plainKey(key) }, JSON.stringify(body)));
    const mode = kind === 'create' ? { mode: 'create' } : undefined;
    return statusOf(await this.callPlugin({ op: 'put', table, ...mode }, JSON.stringify(whole(write))));
  }
}

function known(outcome: Outcome | undefined, what: string): Outcome {
  if (outcome === undefined) throw new Error(what);
  return outcome;
}

function statusOf(answer: string): Outcome {
  return known(ofStatus[answer.split(' ')[0] ?? ''], answer);
}

function outcomeOf({ errors }: GraphqlReply): Outcome {
  const [error] = errors ?? [];
  return error === undefined ? 'ok' : known(ofCode[error.extensions.code], JSON.stringify(errors));
}
