/** compile_commands.json of an application, for editors: how each of its own sources and tests is compiled. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Application } from './application.js';
import type { Profile } from './profile.js';
import { testCompiler, testSources } from './tests.js';
import type { Toolchain } from './toolchain.js';

interface Command {
  directory: string;
  command: string;
  file: string;
}

export interface CommandFacts {
  application: Application;
  profile: Profile;
  toolchain: Toolchain;
  /** Of the profile, and held. */
  directory: string;
}

const header = path.resolve(import.meta.dirname, '..', '..', 'native', 'include', 'tenon', 'tenon.hpp');

/** Into `directory`, from the one that CMake wrote in the build below it, which knows the glue only. */
export async function writeCommands({ application, profile, toolchain, directory }: CommandFacts): Promise<void> {
  const build = path.join(directory, 'build');
  const made = await readFile(path.join(build, 'compile_commands.json'), 'utf8').catch(() => undefined);
  if (made === undefined) return;
  const { folder, sources, vendored } = application;
  const there = new Set([...sources, ...vendored]);
  const own = await Promise.all(
    (JSON.parse(made) as Command[]).map(async ({ file, command }) => {
      const source = /\/glue\/\d+\.c(?:pp)?$/.test(file) ? await sourceOf(file) : undefined;
      return source !== undefined && there.has(source) ? { source, words: wordsOf(command) } : [];
    }),
  );
  const compiler = testCompiler(application, toolchain, profile === 'sanitize')
    .map(quoted)
    .join(' ');
  const tests = (await testSources(application)).map((source) => ({ source, words: compiler }));
  const commands = [...own.flat(), ...tests].map(({ source, words }): Command => {
    const file = path.join(folder, source);
    return { directory: build, command: `${words} -c ${quoted(file)}`, file };
  });
  const text = `${JSON.stringify(commands, undefined, 2)}\n`;
  const file = path.join(directory, 'compile_commands.json');
  if ((await readFile(file, 'utf8').catch(() => undefined)) === text) return;
  const temporary = path.join(directory, 'compile_commands.tmp');
  await writeFile(temporary, text);
  await rename(temporary, file);
}

/** What a piece of glue was made for; which number a source has changes with the others. */
async function sourceOf(glue: string): Promise<string | undefined> {
  const text = await readFile(glue, 'utf8').catch(() => '');
  return /^\/\/ (.+)/.exec(text)?.[1];
}

const word = String.raw`(?:"(?:\\.|[^"\\])*"|\\.|[^\s"\\])+`;
const included = new RegExp(` (?:-Xclang )?-include(-pch)? (?:-Xclang )?(${word})`, 'g');

/** Without what only the compiler of the build understands: its precompiled header, and options that clang refuses. */
function wordsOf(command: string): string {
  const end = command.lastIndexOf(' -c ');
  return (end === -1 ? command : command.slice(0, end))
    .replace(/ -(?:Winvalid-pch|fno-gnu-unique|fno-canonical-system-headers)(?= |$)/g, '')
    .replace(included, (whole, binary: string | undefined, file: string) => {
      if (!file.includes('/cmake_pch.hxx')) return whole;
      return binary === undefined ? ` -include ${quoted(header)}` : '';
    });
}

function quoted(text: string): string {
  return /^[\w./+=:@%-]+$/.test(text) ? text : `"${text.replace(/["\\$`]/g, '\\$&')}"`;
}
