/** What an operation asks for, as its text has it: what directives may leave out is there. */
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  getOperationAST,
  type GraphQLResolveInfo,
  Kind,
  type SelectionSetNode,
} from 'graphql';

type Fragments = Readonly<Record<string, FragmentDefinitionNode | undefined>>;

/** The fields of a selection, those in fragments too, each fragment once. */
function fieldsOf(set: SelectionSetNode | undefined, fragments: Fragments, seen = new Set<string>()): FieldNode[] {
  return (set?.selections ?? []).flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection];
    if (selection.kind === Kind.INLINE_FRAGMENT) return fieldsOf(selection.selectionSet, fragments, seen);
    const { value: name } = selection.name;
    if (seen.has(name)) return [];
    seen.add(name);
    return fieldsOf(fragments[name]?.selectionSet, fragments, seen);
  });
}

/** Whether no field of the object that answers is asked for but `key`. */
export function answersKeyOnly({ fieldNodes, fragments }: GraphQLResolveInfo, key: string): boolean {
  const fields = fieldNodes.flatMap(({ selectionSet }) => fieldsOf(selectionSet, fragments));
  return fields.every(({ name }) => name.value === key || name.value === '__typename');
}

/** Names of the fields that an operation begins with. */
export function rootNames(document: DocumentNode, operationName: string | null | undefined): string[] {
  const fragments = document.definitions.filter((node) => node.kind === Kind.FRAGMENT_DEFINITION);
  const byName = Object.fromEntries(fragments.map((fragment) => [fragment.name.value, fragment]));
  return fieldsOf(getOperationAST(document, operationName)?.selectionSet, byName).map(({ name }) => name.value);
}
