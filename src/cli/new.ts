/** `tenon new`: a folder with an application that compiles, serves, and has a test. */
import { existsSync, lstatSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { processEnvironment } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { packageRoot } from '../base/package-root.js';
import { idGrammar } from '../compiler/config.js';

export interface NewFlags {
  template: string;
  json?: true;
}

const templatesFolder = path.join(packageRoot, 'templates');
/** Each with what the next step asks for. */
const templates: Readonly<Record<string, string>> = {
  c: 'greeting',
  cpp: 'greeting',
  extension: 'visits',
  'table-app': 'Note',
};

/** What was written. */
export interface Made {
  id: string;
  template: string;
  /** Absolute. */
  folder: string;
  /** Relative to the folder, sorted. */
  files: string[];
}

/**
 * Make the application `name` of a template in `directory` (absolute), or in `applications/` of it when that or a
 * package.json is there. Throws TypeError for a name that cannot be an id and for a template that there is not, `ApplicationExists` when
 * something has the name: nothing is ever overwritten, and nothing half-written is ever seen.
 */
export async function makeApplication(name: string, template: string, directory: string): Promise<Made> {
  if (!idGrammar.test(name))
    throw new TypeError(
      `"${name}" cannot be the id of an application: it takes 1 to 63 of a-z, 0-9, "_" and "-", beginning with a letter or digit`,
    );
  if (!Object.hasOwn(templates, template))
    throw new TypeError(`the template ${template} does not exist; choose ${Object.keys(templates).join(', ')}`);
  const beside = path.join(directory, 'applications');
  // A package is somebody's program: `tenon start` in it serves ./applications.
  if (existsSync(path.join(directory, 'package.json'))) await mkdir(beside, { recursive: true });
  const parent = existsSync(beside) ? beside : directory;
  const folder = path.join(parent, name);
  if (lstatSync(folder, { throwIfNoEntry: false }) !== undefined) throw exists(folder);

  // Written out of sight, then renamed: a host that watches sees all of it or nothing.
  const hidden = await mkdtemp(path.join(parent, `.${name}-`));
  try {
    const staged = path.join(hidden, name);
    const files = await copyTemplate(path.join(templatesFolder, template), staged, name);
    await rename(staged, folder).catch((error: NodeJS.ErrnoException) => {
      throw ['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(error.code ?? '') ? exists(folder) : error;
    });
    return { id: name, template, folder, files };
  } finally {
    await rm(hidden, { recursive: true, force: true });
  }
}

function exists(folder: string): TenonError {
  return new TenonError('ApplicationExists', `${folder} exists already, and nothing was written`, {
    next: 'choose another name',
    details: { folder },
  });
}

/** A template is an application named my-app, so that it can be compiled and tested as it is. */
async function copyTemplate(from: string, to: string, id: string): Promise<string[]> {
  const title = id
    .split(/[_-]+/)
    .filter((word) => word !== '')
    .map((word) => word[0]?.toUpperCase() + word.slice(1))
    .join(' ');
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(from, path.join(entry.parentPath, entry.name)))
    .sort();
  for (const file of files) {
    const text = await readFile(path.join(from, file), 'utf8');
    await mkdir(path.dirname(path.join(to, file)), { recursive: true });
    await writeFile(path.join(to, file), text.replaceAll('my-app', id).replaceAll('My App', title), { flag: 'wx' });
  }
  return files;
}

/** Make it, and say what was written and what comes next. The folder's path goes to standard output. */
export async function newApplication(name: string, { template, json }: NewFlags): Promise<void> {
  const directory = process.cwd();
  const made = await makeApplication(name, template, directory);
  if (json === true) {
    process.stdout.write(`${JSON.stringify(made)}\n`);
    return;
  }
  process.stdout.write(`${made.folder}\n`);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const relative = path.relative(directory, made.folder);
  say(`Written, of the template ${template}: ${made.files.join(', ')}`);
  // npx finds it in a clone, where nothing else does; elsewhere it would look for it in the registry.
  const tenon = processEnvironment()['npm_command'] === 'exec' ? 'npx tenon' : 'tenon';
  say('Next:');
  if (template !== 'table-app') say(`  ${tenon} build --test ${relative}`);
  say(path.dirname(relative) === '.' ? `  ${tenon} start --applications .` : `  ${tenon} start`);
  say(`  curl localhost:8080/${made.id}/${templates[template]}`);
  if (template === 'extension')
    say(`An application that is to use it has \`extensions: ["${made.id}"]\` in its config.yaml.`);
}
