/** Cuts JSON text into its parts without making values of them. Whoever takes a part checks it. */
import { TenonError } from '../base/errors.js';

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const newline = 0x0a;
const bracket = { open: 0x5b, close: 0x5d } as const;
const brace = { open: 0x7b, close: 0x7d } as const;

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === newline || byte === 0x0d || byte === 0x09;
}

function trimmed(bytes: Buffer): Buffer {
  let begin = 0;
  let end = bytes.length;
  while (begin < end && isBlank(bytes[begin])) begin += 1;
  while (end > begin && isBlank(bytes[end - 1])) end -= 1;
  return bytes.subarray(begin, end);
}

/** Place behind the text whose opening quote is at `at`; the end of the bytes when it is not closed. */
function behindText(json: Buffer, at: number): number {
  for (let close = json.indexOf(quote, at + 1); close >= 0; close = json.indexOf(quote, close + 1)) {
    let before = close;
    while (json[before - 1] === backslash) before -= 1;
    if ((close - before) % 2 === 0) return close + 1;
  }
  return json.length;
}

/** What stands between the commas of `inner`, the inside of a list or an object; at most `most` parts. */
function parts(inner: Buffer, most: number): Buffer[] {
  const found: Buffer[] = [];
  let begin = 0;
  let depth = 0;
  let at = 0;
  while (at < inner.length && found.length < most) {
    const byte = inner[at] as number;
    if (byte === quote) {
      at = behindText(inner, at);
      continue;
    }
    if (byte === bracket.open || byte === brace.open) depth += 1;
    else if (byte === bracket.close || byte === brace.close) depth -= 1;
    else if (byte === comma && depth === 0) {
      found.push(trimmed(inner.subarray(begin, at)));
      begin = at + 1;
    }
    at += 1;
  }
  if (found.length === most) return found;
  const last = trimmed(inner.subarray(begin));
  return found.length === 0 && last.length === 0 ? [] : [...found, last];
}

/** Whether the text is JSON, whatever it holds. */
export function isJson(text: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString());
    return true;
  } catch (error) {
    return !(error instanceof SyntaxError);
  }
}

/** Whether the JSON text is a list, by its first character. */
export function isList(json: Buffer): boolean {
  return trimmed(json)[0] === bracket.open;
}

/**
 * The items of the list `json`, as views of it; at most `most`, the rest is not looked at. Wrong JSON in it shows as a
 * part that is wrong JSON. Throws `BadRequest` when the list is not closed.
 */
export function listItems(json: Buffer, most: number): Buffer[] {
  const list = trimmed(json);
  if (list.length < 2 || list[list.length - 1] !== bracket.close)
    throw new TenonError('BadRequest', 'the list in the body is not closed', { next: 'end it with ]' });
  return parts(list.subarray(1, -1), most);
}

/** The lines of `text` that are not blank, as views of it; at most `most`. */
export function lines(text: Buffer, most: number): Buffer[] {
  const found: Buffer[] = [];
  for (let begin = 0; begin < text.length && found.length < most; ) {
    const end = text.indexOf(newline, begin);
    const line = trimmed(text.subarray(begin, end < 0 ? text.length : end));
    if (line.length > 0) found.push(line);
    begin = end < 0 ? text.length : end + 1;
  }
  return found;
}

/** The object `json`, which is right and has no white space, with the members `names` only, in that order. */
export function pickMembers(json: Buffer, names: readonly string[]): Buffer {
  const members = new Map<string, Buffer>();
  for (const part of parts(json.subarray(1, -1), Number.POSITIVE_INFINITY)) {
    const end = part.indexOf(colon, behindText(part, 0));
    members.set(JSON.parse(part.toString('utf8', 0, end)) as string, part);
  }
  const picked = names.flatMap((name) => members.get(name) ?? []);
  return Buffer.concat([Buffer.from('{'), joined(picked, ','), Buffer.from('}')]);
}

/** Names of members to leave out, and the same of the members that are left. */
export interface Cut {
  readonly names: ReadonlySet<string>;
  readonly within: ReadonlyMap<string, Cut>;
}

/** `json`, which is right and has no white space, without these members: of the object that it is, or of each in a list. */
export function cutMembers(json: Buffer, cut: Cut): Buffer {
  const isObject = json[0] === brace.open;
  if (!isObject && json[0] !== bracket.open) return json;
  const all = parts(json.subarray(1, -1), Number.POSITIVE_INFINITY);
  const left = isObject ? all.flatMap((part) => leftOf(part, cut)) : all.map((part) => cutMembers(part, cut));
  return Buffer.concat([json.subarray(0, 1), joined(left, ','), json.subarray(-1)]);
}

/** What is left of one member, its name with it. */
function leftOf(part: Buffer, { names, within }: Cut): Buffer[] {
  const end = part.indexOf(colon, behindText(part, 0)) + 1;
  const name = JSON.parse(part.toString('utf8', 0, end - 1)) as string;
  if (names.has(name)) return [];
  const inner = within.get(name);
  return [inner === undefined ? part : Buffer.concat([part.subarray(0, end), cutMembers(part.subarray(end), inner)])];
}

/** `pieces` with `separator` between them. */
export function joined(pieces: readonly Uint8Array[], separator: string): Buffer {
  const between = Buffer.from(separator);
  return Buffer.concat(pieces.flatMap((piece, at) => (at === 0 ? [piece] : [between, piece])));
}
