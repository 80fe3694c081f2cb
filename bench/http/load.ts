import { execFile, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';

const connections = 32;

interface Shot {
  '2xx': number;
  non2xx: number;
  errors: number;
  timeouts: number;
}

/** Makes requests to `url` for `seconds` over 32 connections; the number answered. Rejects when one was not. */
export type Load = (url: string, seconds: number) => Promise<number>;

async function wrk(pin: string[], url: string, seconds: number): Promise<number> {
  const command = [...pin, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, url];
  const { stdout } = await promisify(execFile)(command[0] ?? '', command.slice(1));
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${url}: unanswered requests\n${stdout}`);
  const answered = /(\d+) requests in/.exec(stdout)?.[1];
  if (answered === undefined) throw new Error(`wrk said nothing of requests\n${stdout}`);
  return Number(answered);
}

const autocannon = createRequire(import.meta.url)('autocannon') as (options: object) => Promise<Shot>;

async function cannon(url: string, seconds: number): Promise<number> {
  const shot = await autocannon({ url, connections, duration: seconds, workers: 1 });
  if (shot.non2xx + shot.errors + shot.timeouts > 0) throw new Error(`${url}: unanswered requests`);
  return shot['2xx'];
}

/** wrk where it is installed, else autocannon. `pin` goes before wrk's command line. */
export function chooseLoad(pin: string[]): { name: string; load: Load } {
  // wrk --version ends with 1
  const present = spawnSync('wrk', ['--version']).error === undefined;
  if (!present) return { name: 'autocannon', load: cannon };
  return { name: 'wrk', load: (url, seconds) => wrk(pin, url, seconds) };
}
