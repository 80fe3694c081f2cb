/** What may stand where the cursor is in a line that begins with `tenon`, by the tree of its commands. */
import type { Argument, Command, Option } from 'commander';

/** One word that may stand there. */
export interface Candidate {
  word: string;
  description: string;
}

/** What may stand there: words, and beside them names that the shell knows better. */
export interface Candidates {
  words: readonly Candidate[];
  names: 'files' | 'folders' | 'none';
}

/** What has to be asked of a host that runs: ids of plugins, with the options of the line that say where it is. */
export type AskPlugins = (where: Readonly<Record<string, string>>) => Promise<readonly string[]>;

const none: Candidates = { words: [], names: 'none' };

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** Of arguments and options that commander knows no choices of; those of one command by its name before theirs. */
const known: Readonly<Record<string, readonly string[]>> = {
  'config action': ['get', 'set', 'unset', 'history'],
  'settings action': ['reload'],
  'logs level': levels,
  'level level': [...levels, 'silent', 'default'],
  scopes: ['read', 'config', 'install', 'admin'],
  shell: ['bash', 'zsh', 'fish'],
  template: ['c', 'cpp', 'extension', 'table-app'],
  platform: ['linux-x64', 'linux-arm64'],
};
const files = new Set(['bundle', 'file', 'key', 'place', 'paths', 'path', 'what', 'values']);
const folders = new Set(['folder', 'folders', 'socket']);

function candidates(words: readonly string[]): Candidates {
  return { words: words.map((word) => ({ word, description: '' })), names: 'none' };
}

/** Options whose values say which host is asked. */
const places = ['--data', '--url', '--token'];

interface Walked {
  command: Command;
  /** Arguments that are complete. */
  count: number;
  where: Record<string, string>;
  /** The option whose value is being written. */
  open: Option | undefined;
  /** Whether everything further is an argument. */
  ended: boolean;
}

function optionOf(command: Command, word: string): Option | undefined {
  const name = word.replace(/=.*$/s, '');
  return command.options.find(({ short, long }) => name === short || name === long);
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function walk(program: Command, words: readonly string[]): Walked {
  const at: Walked = { command: program, count: 0, where: {}, open: undefined, ended: false };
  for (const word of words) {
    if (at.open !== undefined) {
      const { long = '' } = at.open;
      if (places.includes(long)) at.where[long] = word;
      at.open = undefined;
    } else if (word === '--' && !at.ended) at.ended = true;
    else if (word.startsWith('-') && !at.ended) {
      const option = optionOf(at.command, word);
      if (option === undefined || !takesValue(option)) continue;
      const { long = '' } = option;
      if (!word.includes('=')) at.open = option;
      else if (places.includes(long)) at.where[long] = word.slice(word.indexOf('=') + 1);
    } else {
      const below = at.count === 0 ? at.command.commands.find((one) => one.name() === word) : undefined;
      if (below !== undefined) at.command = below;
      else at.count += 1;
    }
  }
  return at;
}

/** By what a value of `command` is called: `<folder>` is one. */
function byName(command: Command, name: string, choices: readonly string[] | undefined): Candidates {
  const given = choices ?? known[`${command.name()} ${name}`] ?? known[name];
  if (given !== undefined) return candidates(given);
  return { words: [], names: files.has(name) ? 'files' : folders.has(name) ? 'folders' : 'none' };
}

function ofOption(command: Command, { flags, argChoices }: Option): Candidates {
  return byName(command, /[<[](\w+)/.exec(flags)?.[1] ?? '', argChoices);
}

async function ofArgument(
  command: Command,
  argument: Argument,
  where: Walked['where'],
  ask: AskPlugins,
): Promise<Candidates> {
  const name = argument.name();
  return name === 'plugin' ? candidates(await ask(where)) : byName(command, name, argument.argChoices);
}

function optionsOf(command: Command): Candidate[] {
  const own = command.options
    .filter(({ hidden }) => !hidden)
    .map(({ long, short, description }) => ({ word: long ?? short ?? '', description }));
  return [...own, { word: '--help', description: 'display help for command' }];
}

function commandsOf(command: Command): Candidate[] {
  return command.commands.map((one) => ({ word: one.name(), description: one.description() }));
}

/** What may stand for the last of `words`, which follow `tenon` and of which the last one is being written. */
export async function candidatesFor(program: Command, words: readonly string[], ask: AskPlugins): Promise<Candidates> {
  const last = words.at(-1) ?? '';
  const { command, count, where, open, ended } = walk(program, words.slice(0, -1));
  const all = await candidatesAt();
  return { ...all, words: all.words.filter(({ word }) => word.startsWith(last)) };

  async function candidatesAt(): Promise<Candidates> {
    if (open !== undefined) return ofOption(command, open);
    if (last.startsWith('-') && !ended) return { words: optionsOf(command), names: 'none' };
    const declared = command.registeredArguments;
    const argument = declared[count] ?? declared.findLast(({ variadic }) => variadic);
    const below = count === 0 ? commandsOf(command) : [];
    if (argument !== undefined) {
      const own = await ofArgument(command, argument, where, ask);
      return { ...own, words: [...below, ...own.words] };
    }
    if (command.commands.length > 0) return { words: below, names: 'none' };
    return ended ? none : { words: optionsOf(command), names: 'none' };
  }
}
