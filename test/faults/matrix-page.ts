/** docs/fault-matrix.md: what came of each kind in each place, as it was seen. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { root } from '../architecture/tree.js';
import { type Apart, isolatedFaults, isolatedOutcomes, isolatedPlaces, isPossibleApart, titleOf } from './isolated.js';
import { isPossible, type Kind, kindNames, kinds, type Place, places } from './kinds.js';
import { type Attribution, type Observed, outcomes } from './observe.js';

export type Cell = Pick<Observed, 'outcome' | 'attribution'>;
export type Matrix = ReadonlyMap<string, Cell>;

export const cellKey = (kind: Kind, place: Place): string => `${kind} at ${place}`;

const file = path.join(root, 'docs', 'fault-matrix.md');
const impossible = '–';

/** Whom it is put down to stands in brackets unless it is the right one. */
function textOf(cell: Cell | undefined): string {
  if (cell === undefined) return impossible;
  const { outcome, attribution } = cell;
  return attribution === undefined || attribution === 'named' ? outcome : `${outcome} (${attribution})`;
}

const ended = new Set(['restarted', 'went back', 'crashes again']);

function cellOf(text: string): Cell | undefined {
  if (text === impossible) return undefined;
  const [, outcome = '', attribution] = /^(.*?)(?: \((\w+)\))?$/.exec(text) ?? [];
  if (attribution !== undefined) return { outcome, attribution: attribution as Attribution };
  return ended.has(outcome) ? { outcome, attribution: 'named' } : { outcome };
}

function row(kind: Kind, matrix: Matrix): string {
  const cells = places.map((place) => matrix.get(cellKey(kind, place)));
  const attributed = cells.filter((cell) => cell?.attribution !== undefined);
  const named = attributed.filter((cell) => cell?.attribution === 'named');
  const share = attributed.length === 0 ? impossible : `${named.length} of ${attributed.length}`;
  return `| ${['`' + kind + '`', kinds[kind].title, ...cells.map(textOf), share].join(' | ')} |`;
}

function pageOf(matrix: Matrix, node: string): string {
  const all = [...matrix.values()].filter(({ attribution }) => attribution !== undefined);
  const named = all.filter(({ attribution }) => attribution === 'named');
  return `# What comes of a fault

What a host does when the native code of a plugin does one thing wrong, in one place. The table is written by the long test suite
(\`TENON_TEST_LONG=1 npx vitest run test/116.faults.long.ts\`) from what it has seen of \`tenon start\`, here on ${process.platform} ${process.arch} with
Node ${node}; the plugin is \`test/plugins/fault.cpp\`. [Crashes](crashes.md) says how it works.

The places: \`inline\`, a handler on the event loop; \`pool\`, a handler on a thread of the pool; \`own\`, a thread that the plugin has started, when the
request that began it is over; the \`constructor\` of the library, \`initialize\`, each with the fault in the trial too, or in the host alone; \`shutdown\`, of a build that
a new one has taken the place of. ${impossible}: not possible there.

${Object.entries(outcomes)
  .map(([outcome, words]) => `- **${outcome}**: ${words}.`)
  .join('\n')}
- A number: the request is answered with this status, and the host goes on.

Where the host ends, the crash is put down to the right plugin and generation, unless it says otherwise in brackets: \`suspected\`, that plugin is the
first of the suspects; \`unknown\`, nobody is named; \`wrong\`, somebody else is. Here the right one was named in ${named.length} of ${all.length}; the last column says it by kind.

| kind | it … | ${places.join(' | ')} | named |
| --- | --- | ${places.map(() => '---').join(' | ')} | --- |
${kindNames.map((kind) => row(kind, matrix)).join('\n')}
`;
}

/** Begins the part about processes of their own. */
const apartHeading = '## In a process of its own';

/** What the page says above, and from there on. */
async function parts(): Promise<[string, string]> {
  const text = await readFile(file, 'utf8');
  const at = text.indexOf(apartHeading);
  return at < 0 ? [`${text}\n`, ''] : [text.slice(0, at), text.slice(at)];
}

export async function writePage(matrix: Matrix): Promise<void> {
  const [, apart] = await parts();
  await writeFile(file, `${pageOf(matrix, process.version)}\n${apart}`);
}

/** Outcomes by `cellKey`, where kind and place are possible. */
export type ApartMatrix = ReadonlyMap<string, Apart['outcome']>;

export const apartKey = (kind: string, place: string): string => `${kind} at ${place}`;

function apartOf(matrix: ApartMatrix, node: string): string {
  return `${apartHeading}

The same plugin under \`isolation: process\`, and \`test/plugins/hostile.cpp\`, which attacks its host. The host and all other plugins go on, whatever
happens, and no request to them is lost. Written by \`TENON_TEST_LONG=1 npx vitest run test/119.isolation.faults.long.ts\` on ${process.platform} ${process.arch} with Node ${node}.

The places: \`pool\`, under a request with a deadline of 500 ms (\`hostile.cpp\`: 2 s); \`own\`, a thread that the plugin has started, when the request that began it is over.

${Object.entries(isolatedOutcomes)
  .map(([outcome, words]) => `- **${outcome}**: ${words}.`)
  .join('\n')}
- A number: the request is answered with this status, and the process goes on.

| kind | it … | ${isolatedPlaces.join(' | ')} |
| --- | --- | ${isolatedPlaces.map(() => '---').join(' | ')} |
${isolatedFaults
  .map((fault) => {
    const cells = isolatedPlaces.map((place) => matrix.get(apartKey(fault.kind, place)) ?? impossible);
    return `| ${['`' + fault.kind + '`', titleOf(fault), ...cells].join(' | ')} |`;
  })
  .join('\n')}
`;
}

export async function writeApart(matrix: ApartMatrix): Promise<void> {
  const [above] = await parts();
  await writeFile(file, `${above}${apartOf(matrix, process.version)}`);
}

/** What the page says of plugins in processes of their own; a row that is missing, or is of no kind, is an Error. */
export async function readApart(): Promise<ApartMatrix> {
  const [, text] = await parts();
  const rows = [...text.matchAll(/^\| `([a-z\d-]+)` \| (.*) \|$/gm)];
  const found = rows.map(([, kind]) => kind).join();
  if (found !== isolatedFaults.map(({ kind }) => kind).join())
    throw new Error(`docs/fault-matrix.md has other rows of isolated plugins: ${found}`);
  const matrix = new Map<string, string>();
  for (const [index, fault] of isolatedFaults.entries()) {
    const cells = (rows[index]?.[2] ?? '').split(' | ').slice(1);
    for (const [column, place] of isolatedPlaces.entries()) {
      const cell = cells[column] ?? '';
      if ((cell !== impossible) !== isPossibleApart(fault, place))
        throw new Error(`docs/fault-matrix.md: ${fault.kind} at ${place} of isolated plugins says ${cell}`);
      if (cell !== impossible) matrix.set(apartKey(fault.kind, place), cell);
    }
  }
  return matrix;
}

/** What the page says; a row that is missing, or is of no kind, is an Error. */
export async function readPage(): Promise<Matrix> {
  const [text] = await parts();
  const rows = [...text.matchAll(/^\| `([a-z\d-]+)` \| (.*) \|$/gm)];
  const found = rows.map(([, kind]) => kind);
  if (found.join() !== kindNames.join()) throw new Error(`docs/fault-matrix.md has other rows: ${found.join(', ')}`);
  const matrix = new Map<string, Cell>();
  for (const [, kind, rest = ''] of rows) {
    const cells = rest.split(' | ').slice(1, -1);
    if (cells.length !== places.length) throw new Error(`docs/fault-matrix.md: ${kind} has ${cells.length} cells`);
    for (const [index, place] of places.entries()) {
      const cell = cellOf(cells[index] ?? '');
      if ((cell !== undefined) !== isPossible(kind as Kind, place))
        throw new Error(`docs/fault-matrix.md: ${kind} at ${place} says ${cells[index]}`);
      if (cell !== undefined) matrix.set(cellKey(kind as Kind, place), cell);
    }
  }
  return matrix;
}
