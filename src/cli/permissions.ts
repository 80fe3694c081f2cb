/** `tenon permissions`: what a plugin asks for and is granted, and who changes that. */
import { wrongPermission } from '../base/permission.js';
import { type AskFlags, Client } from './client.js';

export interface PermissionFlags extends AskFlags {
  grant?: string[];
  revoke?: string[];
  grantAll?: true;
}

interface Answer {
  plugin: string;
  by: 'manifest' | 'config';
  asked: string[];
  granted: string[];
  missing: string[];
}

export async function permissions(id: string, flags: PermissionFlags): Promise<void> {
  const { grant = [], revoke = [], grantAll = false, json } = flags;
  for (const line of [...grant, ...revoke]) {
    const wrong = wrongPermission(line);
    if (wrong !== undefined) throw new TypeError(`${JSON.stringify(line)} ${wrong}`);
  }
  const client = Client.find(flags);
  const target = `/api/v1/plugins/${encodeURIComponent(id)}/permissions`;
  const present = await client.get<Answer>(target);
  const wanted = [...new Set([...grant, ...(grantAll ? present.missing : [])])];
  const changes = wanted.length > 0 || revoke.length > 0;
  const { answer } = changes
    ? await client.tagged<Answer>('PATCH', target, { body: { grant: wanted, revoke } })
    : { answer: present };
  process.stdout.write(json === true ? `${JSON.stringify(answer)}\n` : textOf(answer));
}

function textOf({ plugin, by, asked, granted, missing }: Answer): string {
  if (asked.length === 0) return `${plugin} asks for nothing\n`;
  if (by === 'config') return asked.map((line) => `asked in its config.yaml: ${line}\n`).join('');
  return [
    ...granted.map((line) => `granted: ${line}\n`),
    ...missing.map((line) => `not granted: ${line}; to grant it: tenon permissions ${plugin} --grant '${line}'\n`),
  ].join('');
}
