/** What a client says over a socket of changes. */
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';
import type { Filter, TableWrite } from '../binding/store.js';
import { pickMembers } from './json-slices.js';

/** By what a client knows the answers to a message: it chooses. */
export type MessageId = string | number;

export type ClientMessage =
  | { type: 'subscribe'; id: MessageId; from?: string; key?: string; filter?: Filter; snapshot: boolean }
  | { type: 'unsubscribe'; id: MessageId }
  | { type: 'write'; id: MessageId; write: Omit<TableWrite, 'table'> }
  | { type: 'ping'; id?: MessageId }
  | { type: 'invalid'; id?: MessageId; problem: TenonError };

type Members = Readonly<Record<string, unknown>>;
type WriteName = 'put' | 'patch' | 'delete';

const membersOf: Readonly<Record<string, readonly string[]>> = {
  subscribe: ['id', 'from', 'key', 'filter', 'snapshot'],
  unsubscribe: ['id'],
  put: ['id', 'key', 'record', 'ifMatch', 'ifNoneMatch'],
  patch: ['id', 'key', 'record', 'ifMatch'],
  delete: ['id', 'key', 'ifMatch'],
  ping: ['id'],
};
const writeKinds = { put: 'put', patch: 'patch', delete: 'remove' } as const;
const idLimit = 128;
const revisionLimit = 64;

/** What cannot be understood is of type `invalid`, with its id if it has one. */
export function readMessage(text: string): ClientMessage {
  let id: MessageId | undefined;
  try {
    const message = parsed(text);
    const { id: given } = message;
    if (isId(given)) id = given;
    else if (given !== undefined) throw wrong('id', 'a number or a text of 128 characters at most');
    return understood(text, message, id);
  } catch (error) {
    if (!(error instanceof TenonError)) throw error;
    return { type: 'invalid', ...(id === undefined ? {} : { id }), problem: error };
  }
}

function understood(text: string, message: Members, id: MessageId | undefined): ClientMessage {
  const type = typeOf(message);
  if (type === 'ping') return id === undefined ? { type } : { type, id };
  if (id === undefined) throw wrong('id', 'there: the answers bear it');
  if (type === 'unsubscribe') return { type, id };
  const key = optional(message, 'key', isText, 'a text');
  const common = { id, ...(key === undefined ? {} : { key }) };
  if (type !== 'subscribe') return { type: 'write', id, write: readWrite(type, text, message, key) };
  const from = optional(message, 'from', isText, 'the text that came with a change');
  const filter = optional(message, 'filter', isObject, 'an object');
  const snapshot = optional(message, 'snapshot', isBoolean, 'true or false') ?? false;
  return {
    type,
    ...common,
    ...(from === undefined ? {} : { from }),
    ...(filter === undefined ? {} : { filter: filter as Filter }),
    snapshot,
  };
}

function readWrite(
  type: WriteName,
  text: string,
  message: Members,
  key: string | undefined,
): Omit<TableWrite, 'table'> {
  if (type !== 'delete' && !isObject(message['record'])) throw wrong('record', 'an object');
  if (type !== 'put' && key === undefined) throw wrong('key', 'the primary key as text');
  const ifMatch = optional(message, 'ifMatch', isRevisions, 'a list of revisions, or "*"');
  const ifNoneMatch = optional(message, 'ifNoneMatch', isRevisions, 'a list of revisions, or "*"');
  return {
    kind: writeKinds[type],
    ...(key === undefined ? {} : { key }),
    ...(type === 'delete' ? {} : { json: recordIn(text) }),
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
  };
}

/** The record as it was sent: numbers that JavaScript rounds, or names given twice, are for the store to see. */
function recordIn(text: string): Buffer {
  const picked = pickMembers(Buffer.from(text.trim()), ['record']);
  return picked.subarray(picked.indexOf(':') + 1, -1);
}

function parsed(text: string): Members {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch (cause) {
    throw new TenonError('BadRequest', `the message is no JSON: ${(cause as Error).message}`, { cause });
  }
  if (isObject(message)) return message;
  throw new TenonError('BadRequest', 'the message is no JSON object', { next: 'send {"type": …}' });
}

function typeOf(message: Members): WriteName | 'subscribe' | 'unsubscribe' | 'ping' {
  const { type } = message;
  const names = typeof type === 'string' && Object.hasOwn(membersOf, type) ? membersOf[type] : undefined;
  if (names === undefined) throw wrong('type', `one of ${Object.keys(membersOf).join(', ')}`);
  for (const name of Object.keys(message)) {
    if (name === 'type' || names.includes(name)) continue;
    const meant = closest(name, names);
    throw new TenonError('BadRequest', `a message ${type as string} has no ${JSON.stringify(name)}`, {
      next: meant === undefined ? `it has ${names.join(', ')}` : `did you mean ${meant}?`,
    });
  }
  return type as WriteName;
}

function optional<T>(message: Members, name: string, is: (value: unknown) => value is T, what: string): T | undefined {
  const value = message[name];
  if (value === undefined) return undefined;
  if (is(value)) return value;
  throw wrong(name, what);
}

function wrong(name: string, what: string): TenonError {
  return new TenonError('BadRequest', `\`${name}\` of the message is not ${what}`, { details: { member: name } });
}

function isId(value: unknown): value is MessageId {
  return typeof value === 'number' || (typeof value === 'string' && value.length <= idLimit);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isRevisions(value: unknown): value is string[] | '*' {
  if (value === '*') return true;
  return (
    Array.isArray(value) && value.length <= revisionLimit && value.every((one) => /^[\da-f]{16}$/.test(String(one)))
  );
}
