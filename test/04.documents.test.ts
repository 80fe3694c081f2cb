import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resolveSettings } from '../src/base/config.js';
import { errorCodes } from '../src/base/errors.js';
import { readTree, root } from './architecture/tree.js';

const project = readTree();
const documents = [...project].filter(([file]) => file.endsWith('.md'));
const { scripts } = JSON.parse(project.get('package.json') ?? '') as { scripts: Record<string, string> };

interface CodeBlock {
  place: string;
  language: string;
  text: string;
}

function codeBlocks(file: string, text: string): CodeBlock[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    place: `${file}:${text.slice(0, match.index).split('\n').length}`,
    language: match[1] ?? '',
    text: match[2] ?? '',
  }));
}

/** Targets of links to files, without the part after `#`. */
function fileLinks(text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => (match[1] ?? '').replace(/#.*$/, ''))
    .filter((link) => link !== '' && !/^[a-z]+:/.test(link));
}

function exists(file: string): boolean {
  return [...project.keys()].some((name) => name === file || name.startsWith(`${file}/`));
}

describe('docs/errors.md', () => {
  const rows = [
    ...(project.get('docs/errors.md') ?? '').matchAll(
      /^\| <a id="(\w+)"><\/a>`(\w+)` \| (\d+) \| (.+?) \| (.+?) \|$/gm,
    ),
  ];

  test('lists every code with its status and title, and nothing else', () => {
    const listed = Object.fromEntries(
      rows.map(([, , code = '', status, title]) => [code, { status: Number(status), title }]),
    );
    expect(listed).toEqual(errorCodes);
    expect(rows.filter(([, anchor, code]) => anchor !== code?.toLowerCase())).toEqual([]);
    expect(rows).toHaveLength(Object.keys(errorCodes).length);
  });
});

describe('docs/settings.md', () => {
  test('lists every setting with its key, variable, flag and default, and nothing else', () => {
    const rows = [...(project.get('docs/settings.md') ?? '').matchAll(/^\| `.*\|$/gm)].map(([row]) =>
      row.split('|').map((cell) => cell.trim()),
    );
    const code = (text: string): string => `\`${text}\``;
    const shown = (value: unknown): string =>
      Array.isArray(value)
        ? value.map(code).join(' ')
        : value === ''
          ? 'empty'
          : code(String(value).replace(/^\//, './'));
    const flags = project.get('src/cli/tenon.ts') ?? '';
    expect(
      rows.map(([, key, variable, flag, fallback, , , option]) => [key, variable, flag, fallback, option]),
    ).toEqual(
      resolveSettings({ variables: {}, directory: '/' }).printed.map(({ name, key, value, environment }) => [
        code(key),
        environment === undefined ? '' : code(environment),
        flags.includes(`'--${name} <`) ? code(`--${name}`) : '',
        shown(value),
        code(name),
      ]),
    );
    expect(rows.filter(([, , , , , , meaning]) => meaning === '')).toEqual([]);
  });
});

describe('documents', () => {
  test('link to files that are there', () => {
    const dead = documents.flatMap(([file, text]) =>
      fileLinks(text)
        .map((link) => path.posix.join(path.posix.dirname(file), link).replace(/\/$/, ''))
        .filter((link) => !exists(link))
        .map((link) => `${file}: ${link}`),
    );
    expect(dead).toEqual([]);
    expect(documents.flatMap(([, text]) => fileLinks(text))).not.toEqual([]);
  });

  test('name npm scripts that are there', () => {
    const named = documents.flatMap(([, text]) =>
      [...text.matchAll(/npm run ([a-z:-]+)/g)].map((match) => match[1] ?? ''),
    );
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
    expect(named).not.toEqual([]);
  });
});

describe('examples in documents', () => {
  const blocks = documents.flatMap(([file, text]) => codeBlocks(file, text));
  const compilers: Record<string, string[]> = {
    c: ['cc', '-std=c11', '-x', 'c'],
    cpp: ['c++', '-std=c++17', '-x', 'c++'],
  };
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'tenon-documents-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each(blocks.filter(({ language }) => language in compilers).map((block) => [block.place, block] as const))(
    '%s compiles',
    async (place, { language, text }) => {
      const file = path.join(folder, place.replace(/\W/g, '-'));
      await writeFile(file, text);
      const [compiler = '', ...flags] = compilers[language] ?? [];
      const include = path.join(root, 'native', 'include');
      const options = ['-fsyntax-only', '-Wall', '-Wextra', '-Werror', `-I${include}`, ...flags, file];
      await expect(promisify(execFile)(compiler, options)).resolves.toBeDefined();
    },
  );

  test.each(blocks.filter(({ language }) => language === 'ts').map((block) => [block.place, block] as const))(
    '%s has right types',
    async (place, { text }) => {
      const name = place.replace(/\W/g, '-');
      await writeFile(path.join(folder, `${name}.mts`), text);
      const project = path.join(folder, `${name}.json`);
      const compilerOptions = {
        typeRoots: [path.join(root, 'node_modules', '@types')],
        paths: { tenon: [path.join(root, 'dist', 'index.d.ts')] },
      };
      const extended = path.join(root, 'tsconfig.json');
      await writeFile(project, JSON.stringify({ extends: extended, compilerOptions, include: [`${name}.mts`] }));
      const run = promisify(execFile)(path.join(root, 'node_modules', '.bin', 'tsc'), ['-p', project]);
      await expect(
        run.catch(({ stdout }: { stdout: string }) => Promise.reject(new Error(stdout))),
      ).resolves.toBeDefined();
    },
    60_000,
  );

  test.each(blocks.filter(({ language }) => language === 'json').map((block) => [block.place, block] as const))(
    '%s is JSON',
    (_, { text }) => expect(() => JSON.parse(text) as unknown).not.toThrow(),
  );

  test.each(blocks.filter(({ language }) => language === 'graphql').map((block) => [block.place, block] as const))(
    '%s is GraphQL',
    (_, { text }) => expect(() => parse(text)).not.toThrow(),
  );

  test('are there in every language that is checked', () => {
    const languages = new Set([...Object.keys(compilers), 'sh', 'yaml', 'graphql', 'json', 'sql', 'ts']);
    expect(new Set(blocks.map(({ language }) => language))).toEqual(languages);
  });
});
