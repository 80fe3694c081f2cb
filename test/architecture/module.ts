import { parseAst } from 'vitest/node';

/** What one TypeScript module reaches out to, type imports included. */
export interface ModuleReach {
  /** Specifiers of import, export-from, `import()`, `import('…').Type`, `import x = require()` and `require()`. */
  imports: string[];
  /** Imports whose specifier is not a literal, as source text. */
  computedImports: string[];
  /** Whether `process.env` is read, by whatever spelling. */
  readsEnvironment: boolean;
  /** Whether a native addon is named or opened. */
  opensAddon: boolean;
}

type Node = Record<string, unknown> & { type: string; start: number; end: number };

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

/** Text of a string literal or of a template without substitutions. */
function literal(value: unknown): string | undefined {
  if (!isNode(value)) return undefined;
  if (value.type === 'Literal' && typeof value['value'] === 'string') return value['value'];
  const quasis = value['quasis'];
  if (value.type !== 'TemplateLiteral' || !Array.isArray(quasis) || quasis.length !== 1) return undefined;
  return (quasis[0] as { value: { cooked: string } }).value.cooked;
}

/** Name of an identifier, or of a property however it is written. */
function nameOf(value: unknown): string | undefined {
  if (!isNode(value)) return undefined;
  if (value.type === 'Identifier') return value['name'] as string;
  if (value.type === 'MemberExpression') return nameOf(value['property']);
  return literal(value);
}

function namesProperty(pattern: unknown, name: string): boolean {
  if (!isNode(pattern) || pattern.type !== 'ObjectPattern') return false;
  return (pattern['properties'] as Node[]).some((property) => nameOf(property['key']) === name);
}

function isEnvironment(node: Node): boolean {
  if (node.type === 'MemberExpression')
    return nameOf(node['object']) === 'process' && nameOf(node['property']) === 'env';
  if (node.type === 'VariableDeclarator') return nameOf(node['init']) === 'process' && namesProperty(node['id'], 'env');
  return false;
}

function isAddon(node: Node): boolean {
  if (node.type === 'MemberExpression') return nameOf(node['property']) === 'dlopen';
  return literal(node)?.endsWith('.node') ?? false;
}

function specifierOf(node: Node): unknown {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return node['source'];
    case 'TSExternalModuleReference':
      return node['expression'];
    case 'CallExpression':
      return nameOf(node['callee']) === 'require' ? (node['arguments'] as unknown[])[0] : undefined;
    default:
      return undefined;
  }
}

/** Parse `text` and collect what it reaches. Throws when it is not TypeScript. */
export function readModule(file: string, text: string): ModuleReach {
  const reach: ModuleReach = { imports: [], computedImports: [], readsEnvironment: false, opensAddon: false };
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (!isNode(value)) return;
    const specifier = specifierOf(value);
    if (isNode(specifier)) {
      const path = literal(specifier);
      if (path === undefined) reach.computedImports.push(text.slice(specifier.start, specifier.end));
      else reach.imports.push(path);
      if (path === 'process' || path === 'node:process') reach.readsEnvironment = true;
    }
    reach.readsEnvironment ||= isEnvironment(value);
    reach.opensAddon ||= isAddon(value);
    Object.values(value).forEach(visit);
  };
  visit(parseAst(text, { lang: 'ts' }, file));
  return reach;
}
