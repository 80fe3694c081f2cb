/** `tenon completion`: what a shell has to know to complete the words of a line. */
import type { Command } from 'commander';
import { closest } from '../base/closest.js';
import type { PluginView } from '../index.js';
import { Client } from './client.js';
import { filesMark, foldersMark, scripts, type Shell, shells } from './completion-scripts.js';
import { candidatesFor } from './completion-words.js';

/** Whoever waits at a prompt waits no longer for a host, ms. */
const hostMs = 1500;

export interface CompletionFlags {
  json?: true;
}

/** Print the script of a shell; for `words`, which the scripts ask for, what may stand in place of the last of them. */
export async function completion(
  program: Command,
  shell: string,
  words: readonly string[],
  flags: CompletionFlags,
): Promise<void> {
  if (shell === 'words') return printCandidates(program, words, flags);
  if (!isShell(shell)) {
    const meant = closest(shell, shells);
    throw new TypeError(
      `there is no completion for ${JSON.stringify(shell)}; ${meant === undefined ? `there is one for ${shells.join(', ')}` : `did you mean ${meant}?`}`,
    );
  }
  if (words.length > 0) throw new TypeError(`completion ${shell} takes no ${JSON.stringify(words[0])}`);
  const script = scripts[shell];
  process.stdout.write(flags.json === true ? `${JSON.stringify({ shell, script })}\n` : script);
}

function isShell(word: string): word is Shell {
  return shells.some((shell) => shell === word);
}

async function printCandidates(program: Command, words: readonly string[], flags: CompletionFlags): Promise<void> {
  const found = await candidatesFor(program, words.length === 0 ? [''] : words, pluginIds);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(found)}\n`);
    return;
  }
  const lines = found.words.map(({ word, description }) => `${word}\t${firstSentence(description)}`);
  if (found.names === 'files') lines.push(filesMark);
  if (found.names === 'folders') lines.push(foldersMark);
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

function firstSentence(text: string): string {
  return text
    .replace(/ \([A-Z][^)]*\)/, '')
    .replace(/[:;.] .*$/s, '')
    .replace(/\.$/, '');
}

/** None when no host answers at once: nobody is told of errors while a line is written. */
async function pluginIds(where: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const { '--data': data, '--url': url, '--token': token } = where;
  const flags = {
    ...(data === undefined ? {} : { data }),
    ...(url === undefined ? {} : { url }),
    ...(token === undefined ? {} : { token }),
  };
  try {
    const client = Client.find(flags);
    const { plugins } = await client.get<{ plugins: PluginView[] }>('/api/v1/plugins', AbortSignal.timeout(hostMs));
    return plugins.map(({ id }) => id);
  } catch {
    return []; // the line is completed without them
  }
}
