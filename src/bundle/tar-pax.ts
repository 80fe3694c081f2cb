/** The extended header of an entry: records of `length key=value`, of which the path alone may mean anything here. */

/** Largest extended header, bytes. */
export const paxLimit = 16 * 1024;

const time = /^\d{1,11}(?:\.\d{1,9})?$/;
const id = /^\d{1,9}$/;
const text = /^[^\0]*$/;
/** What says nothing about which file has which bytes. */
const ignored: Readonly<Record<string, RegExp>> = {
  mtime: time,
  atime: time,
  ctime: time,
  uid: id,
  gid: id,
  uname: text,
  gname: text,
  comment: text,
};

/** What an extended header says that matters. */
export interface PaxHeader {
  readonly path: string | undefined;
}

function decoded(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** What `bytes` say, or the clause that says what is wrong with them. */
export function readPax(bytes: Buffer): PaxHeader | string {
  const seen = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const head = /^([1-9]\d{0,4}) ([A-Za-z]+)=/.exec(bytes.toString('latin1', at, at + 40));
    if (head === null) return 'has an extended header that is not one';
    const [whole, length = '', key = ''] = head;
    const end = at + Number(length);
    if (end > bytes.length || at + whole.length >= end || bytes[end - 1] !== 0x0a)
      return `has an extended header whose ${key} has another length than it says`;
    const value = decoded(bytes.subarray(at + whole.length, end - 1));
    if (value === undefined || value === '') return `has an extended header whose ${key} is empty or not UTF-8`;
    if (seen.has(key)) return `has an extended header with ${key} twice`;
    if (key !== 'path' && !(Object.hasOwn(ignored, key) && ignored[key]?.test(value) === true))
      return `has an extended header with a ${key} that is not read`;
    seen.set(key, value);
    at = end;
  }
  return { path: seen.get('path') };
}

/** The body of an extended header that gives an entry its path. */
export function paxPath(path: string): Buffer {
  const rest = Buffer.byteLength(` path=${path}\n`);
  let length = rest + 1;
  while (rest + String(length).length !== length) length = rest + String(length).length;
  return Buffer.from(`${length} path=${path}\n`);
}
