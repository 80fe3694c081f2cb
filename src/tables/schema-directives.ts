/** The directives of a schema: which there are, where each may stand, what it takes. */
import type { ConstDirectiveNode, NameNode, ObjectTypeDefinitionNode, ValueNode } from 'graphql';
import { closest } from '../base/closest.js';
import { type Action, actions } from './permissions.js';
import { didYouMean, type SchemaProblems } from './schema-problems.js';

type Argument = 'String' | 'Int' | 'Boolean' | 'Actions';

interface Directive {
  readonly on: 'table' | 'field';
  readonly takes: Readonly<Record<string, Argument>>;
  /** Whether it may stand there more than once. */
  readonly repeats?: true;
}

const directives: ReadonlyMap<string, Directive> = new Map<string, Directive>([
  ['table', { on: 'table', takes: { database: 'String', expiration: 'Int' } }],
  ['export', { on: 'table', takes: { rest: 'Boolean', graphql: 'Boolean', sse: 'Boolean', ws: 'Boolean' } }],
  ['allow', { on: 'table', takes: { role: 'String', to: 'Actions' }, repeats: true }],
  ['shared', { on: 'table', takes: {} }],
  ['primaryKey', { on: 'field', takes: {} }],
  ['indexed', { on: 'field', takes: {} }],
  ['relationship', { on: 'field', takes: { from: 'String', to: 'String' } }],
  ['createdTime', { on: 'field', takes: {} }],
  ['updatedTime', { on: 'field', takes: {} }],
  ['expiresAt', { on: 'field', takes: {} }],
]);

export type DirectiveName =
  | 'table'
  | 'export'
  | 'allow'
  | 'shared'
  | 'primaryKey'
  | 'indexed'
  | 'relationship'
  | 'createdTime'
  | 'updatedTime'
  | 'expiresAt';

const argumentWords: Record<Argument, string> = {
  String: 'text in quotes',
  Int: 'a whole number',
  Boolean: 'true or false',
  Actions: `a list of ${actions.join(', ')}, one at least`,
};

export type DirectiveValue = string | number | boolean | readonly Action[];

/** One directive as it was given, its arguments checked. */
export interface GivenDirective {
  readonly node: ConstDirectiveNode;
  readonly values: ReadonlyMap<string, DirectiveValue>;
  /** What follows of the same name, where that may. */
  readonly more: GivenDirective[];
}

export type GivenDirectives = ReadonlyMap<DirectiveName, GivenDirective>;

export function isDirective(name: string): boolean {
  return directives.has(name);
}

/** Whether the type is written as a table, a misspelt `@table` included. */
export function meansTable({ directives: given }: ObjectTypeDefinitionNode): boolean {
  const names = (given ?? []).map(({ name }) => name.value);
  return names.some(
    (name) => name === 'table' || (!directives.has(name) && closest(name, directives.keys()) === 'table'),
  );
}

/** `@table`, `@export`: those that may stand at `place`, for people. */
function allowed(place: Directive['on']): string {
  const names = [...directives].filter(([, { on }]) => on === place).map(([name]) => `@${name}`);
  return names.join(', ');
}

function valueOf(node: ValueNode, kind: Argument): DirectiveValue | undefined {
  if (kind === 'String' && node.kind === 'StringValue') return node.value;
  if (kind === 'Boolean' && node.kind === 'BooleanValue') return node.value;
  if (kind === 'Int' && node.kind === 'IntValue') return Number(node.value);
  if (kind === 'Actions') return actionsIn(node.kind === 'ListValue' ? node.values : [node]);
  return undefined;
}

function actionsIn(nodes: readonly ValueNode[]): Action[] | undefined {
  const given = nodes.map((node) => actions.find((action) => node.kind === 'EnumValue' && node.value === action));
  const known = given.filter((action) => action !== undefined);
  return known.length === nodes.length && known.length > 0 ? known : undefined;
}

function readArguments(node: ConstDirectiveNode, { takes }: Directive, problems: SchemaProblems): GivenDirective {
  const values = new Map<string, DirectiveValue>();
  const known = Object.keys(takes);
  const directive = `@${node.name.value}`;
  for (const { name, value: given } of node.arguments ?? []) {
    const kind = Object.hasOwn(takes, name.value) ? takes[name.value] : undefined;
    if (kind === undefined) {
      const hint =
        known.length === 0 ? '; it takes none' : didYouMean(name.value, known) || `; it takes ${known.join(', ')}`;
      problems.at(name, `${directive} has no argument ${name.value}${hint}`);
      continue;
    }
    const value = valueOf(given, kind);
    if (value === undefined) problems.at(given, `${name.value} of ${directive} must be ${argumentWords[kind]}`);
    else if (values.has(name.value)) problems.at(name, `${directive} has the argument ${name.value} twice`);
    else values.set(name.value, value);
  }
  return { node, values, more: [] };
}

/**
 * The directives of a type or field at `place`; `owner` names it in sentences. What may not stand there is a problem and left out.
 */
export function readDirectives(
  nodes: readonly ConstDirectiveNode[],
  place: Directive['on'],
  owner: string,
  problems: SchemaProblems,
): GivenDirectives {
  const given = new Map<DirectiveName, GivenDirective>();
  for (const node of nodes) {
    const written = node.name.value;
    // A misspelt one counts as what was meant, so that nothing else seems to be missing.
    const name = directives.has(written) ? written : closest(written, directives.keys());
    const directive = name === undefined ? undefined : directives.get(name);
    if (name !== written) {
      const hint = name === undefined ? `; here may stand ${allowed(place)}` : `; did you mean @${name}?`;
      problems.at(node, `there is no directive @${written}${hint}`);
    }
    if (directive === undefined) continue;
    if (directive.on !== place) {
      const where = directive.on === 'table' ? 'behind the name of a type' : 'behind a field of a table';
      if (name === written) problems.at(node, `@${name} stands ${where}, not at ${owner}`);
    } else if (directive.repeats === true && given.has(name as DirectiveName)) {
      given.get(name as DirectiveName)?.more.push(readArguments(node, directive, problems));
    } else if (given.has(name as DirectiveName)) {
      problems.at(node, `${owner} has @${name} twice`);
    } else {
      given.set(name as DirectiveName, readArguments(node, directive, problems));
    }
  }
  return given;
}

/** Every directive in `nodes` is a problem, because `owner` takes none. */
export function refuseDirectives(
  nodes: readonly ConstDirectiveNode[] | undefined,
  owner: string,
  problems: SchemaProblems,
): void {
  for (const node of nodes ?? []) {
    const name = node.name.value;
    const hint = directives.has(name) ? '' : didYouMean(name, directives.keys(), '@');
    problems.at(node, directives.has(name) ? `${owner} takes no @${name}` : `there is no directive @${name}${hint}`);
  }
}

const nameGrammar = /^[A-Za-z][A-Za-z0-9_]*$/;
const longestName = 100;

/** Whether `node` is a name that tables, fields and values may have; else it is a problem. */
export function checkName(node: NameNode, problems: SchemaProblems): boolean {
  const good = nameGrammar.test(node.value) && node.value.length <= longestName;
  if (!good)
    problems.at(
      node,
      `the name ${node.value.slice(0, longestName)} must begin with a letter and go on with at most ${longestName - 1} letters, digits and _`,
    );
  return good;
}
