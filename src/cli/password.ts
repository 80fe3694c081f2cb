/** The password of a secret key: from a file, from the environment, or from whoever sits at the terminal. */
import { readFileSync } from 'node:fs';
import { processEnvironment } from '../base/config.js';

const variable = 'TENON_KEY_PASSWORD';
const limit = 1024;

export interface PasswordFlags {
  /** File whose first line it is. */
  passwordFile?: string;
}

function checked(password: string, where: string): string {
  if (password === '') throw new TypeError(`${where}: the password must not be empty`);
  if (Buffer.byteLength(password) > limit) throw new TypeError(`${where}: the password has more than ${limit} bytes`);
  return password;
}

function given({ passwordFile }: PasswordFlags): string | undefined {
  if (passwordFile !== undefined) {
    let text: string;
    try {
      text = readFileSync(passwordFile, 'utf8');
    } catch (error) {
      throw new TypeError(`option password-file: ${(error as Error).message}`, { cause: error });
    }
    return checked(text.replace(/\r?\n[\s\S]*$/, ''), `option password-file: ${passwordFile}`);
  }
  const value = processEnvironment()[variable];
  return value === undefined || value === '' ? undefined : checked(value, `environment variable ${variable}`);
}

/** Of a key that is there. Rejects with TypeError where nobody can be asked. */
export async function knownPassword(flags: PasswordFlags): Promise<string> {
  return given(flags) ?? checked(await askedFor('Password: '), 'the terminal');
}

/** Of a new key: asked for twice. Rejects with TypeError where nobody can be asked. */
export async function newPassword(flags: PasswordFlags): Promise<string> {
  const known = given(flags);
  if (known !== undefined) return known;
  const first = checked(await askedFor('Password: '), 'the terminal');
  if ((await askedFor('Password again: ')) !== first) throw new TypeError('the two passwords are not the same');
  return first;
}

/** What is typed up to the end of the line, which nobody sees. */
function askedFor(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY)
    throw new TypeError(`there is no terminal to ask for the password at: set ${variable}, or give --password-file`);
  // Before the prompt: what is typed at once is not to be seen either.
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stderr.write(prompt);
  return new Promise((resolve, reject) => {
    let typed = '';
    const end = (settle: () => void): void => {
      stdin.off('data', read);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      settle();
    };
    const read = (text: string): void => {
      for (const sign of text) {
        if (sign === '\r' || sign === '\n') return end(() => resolve(typed));
        if (sign === '\u0003' || sign === '\u0004') return end(() => reject(new TypeError('no password was given')));
        if (sign === '\u007f' || sign === '\b') typed = typed.replace(/.$/su, '');
        else typed += sign;
      }
    };
    stdin.on('data', read);
    stdin.resume(); // a question before this one has paused it
  });
}
