/** From the words and bytes of the core to what node:http sends. */
import type { ServerResponse } from 'node:http';

/** One header of a response. */
export interface Header {
  readonly name: string;
  readonly value: string | string[];
}

const keptBlocks = 1024;

/** One header for each name of a block `name\nvalue\n…`, in order of first appearance. */
export function parseBlock(block: string): Header[] {
  const parts = block.split('\n');
  const headers = new Map<string, Header>();
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const name = parts[i] ?? '';
    const value = parts[i + 1] ?? '';
    const before = headers.get(name.toLowerCase());
    const values = before === undefined ? value : [before.value, value].flat();
    headers.set(name.toLowerCase(), { name: before?.name ?? name, value: values });
  }
  return [...headers.values()];
}

/** Puts header blocks on responses; a block that was seen is not parsed again. */
export class HeaderBlocks {
  readonly #read: () => string;
  readonly #parsed = new Map<number, readonly Header[]>();
  #lastId = 0;
  #last: readonly Header[] = [];

  /** @param read gives the block of the result just taken */
  constructor(read: () => string) {
    this.#read = read;
  }

  /** Set the headers of block `id`, which is not 0. */
  apply(response: ServerResponse, id: number): void {
    if (id !== this.#lastId) this.#find(id);
    const headers = this.#last;
    for (let i = 0; i < headers.length; i++) {
      const header = headers[i] as Header;
      response.setHeader(header.name, header.value);
    }
  }

  #find(id: number): void {
    let headers = this.#parsed.get(id);
    if (headers === undefined) {
      headers = parseBlock(this.#read());
      if (this.#parsed.size >= keptBlocks) this.#parsed.clear();
      this.#parsed.set(id, headers);
    }
    this.#lastId = id;
    this.#last = headers;
  }
}

/** Bytes of the body: a string has one character per byte. */
export type Bytes = string | Uint8Array | undefined;

/** End `response` with `body`; node:http adds the length. */
export function finish(response: ServerResponse, status: number, body: Bytes): void {
  if (status !== 200) response.statusCode = status;
  if (typeof body === 'string') response.end(body, 'latin1');
  else if (body === undefined) response.end();
  else response.end(body);
}
