/** compile_commands.json of an application, for editors: how each of its own sources is compiled. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Application } from './application.js';

interface Command {
  directory: string;
  command: string;
  file: string;
}

/** From the one that CMake wrote in the build below `directory`, which knows the glue only and is held, to `file`. */
export async function writeCommands(application: Application, directory: string, file: string): Promise<void> {
  const made = await readFile(path.join(directory, 'build', 'compile_commands.json'), 'utf8').catch(() => undefined);
  if (made === undefined) return;
  const sources = [...application.sources, ...application.vendored];
  const commands = (JSON.parse(made) as Command[]).flatMap((each) => {
    const index = /\/glue\/(\d+)\.c(?:pp)?$/.exec(each.file)?.[1];
    const source = index === undefined ? undefined : sources[Number(index)];
    if (source === undefined) return [];
    const own = path.join(application.folder, source);
    // The precompiled header is for the compiler that made it; an editor's reads tenon.hpp where the source says so.
    const command = each.command.replace(/ -Winvalid-pch| -include \S*cmake_pch\.hxx/g, '');
    const at = command.lastIndexOf(' -c ');
    return [
      {
        directory: each.directory,
        command: `${at === -1 ? command : command.slice(0, at)} -c ${quoted(own)}`,
        file: own,
      },
    ];
  });
  const text = `${JSON.stringify(commands, undefined, 2)}\n`;
  if ((await readFile(file, 'utf8').catch(() => undefined)) === text) return;
  // `file` is not in a directory of ours when the profile has its own: what is half-written stays where we hold.
  const temporary = path.join(directory, 'compile_commands.tmp');
  await writeFile(temporary, text);
  await rename(temporary, file);
}

function quoted(word: string): string {
  return /^[\w./+=:@%-]+$/.test(word) ? word : `"${word.replace(/["\\$`]/g, '\\$&')}"`;
}
