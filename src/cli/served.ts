/** `tenon metrics` and `tenon openapi`: what a running host says of itself for programs. */
import { type AskFlags, Client } from './client.js';

/** One value of the text format of Prometheus. */
interface Sample {
  name: string;
  labels: Record<string, string>;
  /** As it is written: what is no number in JSON, too. */
  value: string;
}

/** As it is served; with --json one object with each value. */
export async function metrics(flags: AskFlags): Promise<void> {
  const text = await Client.find(flags).text('/metrics');
  process.stdout.write(flags.json === true ? `${JSON.stringify({ samples: samplesIn(text) })}\n` : text);
}

export async function openapi(flags: AskFlags): Promise<void> {
  const document = await Client.find(flags).get<object>('/openapi.json');
  process.stdout.write(`${JSON.stringify(document, undefined, flags.json === true ? undefined : 2)}\n`);
}

function samplesIn(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [{ name, labels: labelsIn(labels), value }];
  });
}

const escapes: Readonly<Record<string, string>> = { n: '\n' };

function labelsIn(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
  return Object.fromEntries(
    pairs.map(([, name = '', value = '']) => [
      name,
      value.replaceAll(/\\(.)/g, (_, character: string) => escapes[character] ?? character),
    ]),
  );
}
