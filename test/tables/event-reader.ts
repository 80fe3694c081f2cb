/** A client of server-sent events that reads, unless it is told not to. */
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request as send } from 'node:http';

export interface ServerEvent {
  id: string;
  type: string;
  data: { key?: string; record?: Record<string, unknown>; reason?: string; resumed?: boolean; error?: string };
}

export class EventReader {
  readonly events: ServerEvent[] = [];
  readonly answer: IncomingMessage;
  /** All that came, as text. */
  text = '';
  /** What a browser would send as `Last-Event-ID`. */
  lastId = '';
  closed = false;
  readonly #outgoing: ClientRequest;
  #rest = '';

  private constructor(outgoing: ClientRequest, answer: IncomingMessage) {
    this.#outgoing = outgoing;
    this.answer = answer;
    answer.on('error', () => {}); // the end says it
    answer.on('close', () => {
      this.closed = true;
    });
  }

  static async open(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<EventReader> {
    const outgoing = send(url, { method, headers: { accept: 'text/event-stream', ...headers }, agent: false });
    outgoing.on('error', () => {});
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    return new EventReader(outgoing, answer);
  }

  read(): this {
    this.answer.setEncoding('utf8');
    this.answer.on('data', (text: string) => {
      this.text += text;
      const blocks = (this.#rest + text).split('\n\n');
      this.#rest = blocks.pop() ?? '';
      for (const block of blocks) this.#take(block);
    });
    return this;
  }

  /** `put 1`, `delete 2`, `ready`: what was told, in short. */
  get told(): string[] {
    return this.events.map(({ type, data }) => (data.key === undefined ? type : `${type} ${data.key}`));
  }

  get keys(): string[] {
    return this.events.flatMap(({ data }) => data.key ?? []);
  }

  leave(): void {
    this.#outgoing.destroy();
  }

  #take(block: string): void {
    const fields = new Map(block.split('\n').map((line) => [line.split(':', 1)[0] ?? '', line.replace(/^\w*: ?/, '')]));
    const id = fields.get('id');
    if (id !== undefined) this.lastId = id;
    const data = fields.get('data');
    if (data === undefined) return;
    this.events.push({ id: id ?? '', type: fields.get('event') ?? '', data: JSON.parse(data) as ServerEvent['data'] });
  }
}
