/** A running host as a command sees it: found through its data directory, spoken to over HTTP. */
import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { closest } from '../base/closest.js';
import { resolveSettings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { findApi } from '../base/host-file.js';
import type { Phase, ReloadRecord } from '../index.js';
import { type Asked, exchange, NoAnswer, textOf } from './exchange.js';

/** Where the host is, as the command line says it; each is optional. */
export interface HostFlags {
  /** Data directory of the host. */
  data?: string;
  /** Instead of it: where the host listens. */
  url?: string;
  /** Admin token, in place of that of the data directory. */
  token?: string;
}

/** Flags of every command that asks a running host. */
export interface AskFlags extends HostFlags {
  json?: true;
}

/** The body of an answer that is an error, as far as it is used here. */
interface Problem {
  error?: string;
  message?: string;
  details?: Record<string, unknown>;
}

/** The host says no: the message is its own sentence, with what was probably meant. */
export class Refusal extends Error {
  readonly status: number;
  readonly problem: Problem;

  constructor(status: number, problem: Problem) {
    super(sentenceOf(status, problem));
    this.name = 'Refusal';
    this.status = status;
    this.problem = problem;
  }
}

function sentenceOf(status: number, { error, message, details = {} }: Problem): string {
  const { plugin, known } = details;
  const said = message ?? `the host answered ${status}`;
  // The API's own next step is a header.
  if (error === 'Unauthorized') return said.replace(/; send `Authorization: .*$/s, '');
  if (error === 'VersionNotFound')
    return said.replace(/see GET \/api\/v1\/plugins\/([\w-]+)\/versions/, 'see `tenon versions $1`');
  if (error !== 'PluginNotFound' || typeof plugin !== 'string' || !Array.isArray(known)) return said;
  const ids = known.map(String);
  const meant = closest(plugin, ids);
  const next = ids.length === 0 ? 'none is there' : `there are ${ids.join(', ')}`;
  return `there is no plugin ${JSON.stringify(plugin)}; ${meant === undefined ? next : `did you mean ${meant}?`}`;
}

/** One event of the host, as its stream tells it. */
export interface StreamedEvent {
  type: string;
  /** ISO 8601. */
  at: string;
  plugin?: string;
  /** Of the end of a reload. */
  record?: ReloadRecord;
  /** Of the end of a phase. */
  phase?: Phase;
  ms?: number;
  generation?: number;
  /** Of a record of the log. */
  level?: string;
  message?: string;
  /** Why the host is full. */
  reason?: string;
  /** What a plugin has more of than its limit says. */
  gauge?: string;
  value?: number;
  limit?: number;
  /** Events that are not kept any more; null when the host is another one. */
  missed?: number | null;
}

/** What is found in the same place: a data directory, or a URL. */
export class Client {
  readonly url: string;
  readonly #token: string;
  readonly #certificate: string | undefined;
  #lastEvent = '';

  private constructor(url: string, token: string, certificate?: string) {
    this.url = url;
    this.#token = token;
    this.#certificate = certificate;
  }

  /**
   * The host that `flags`, the environment or `tenon.yaml` name; one that begins anew is the next one. Throws `HostNotRunning`, and TypeError for a wrong URL.
   */
  static find({ data, url, token }: HostFlags): Client {
    if (url !== undefined) {
      const isUrl = /^unix:\/./.test(url) || (/^https?:\/\/[^/]/.test(url) && URL.canParse(url));
      const why = url.startsWith('unix:') ? ': the path of its socket must be absolute' : '';
      if (!isUrl) throw new TypeError(`option url: ${JSON.stringify(url)} is no URL of a host${why}`);
      // The tenon.yaml that lies here is of another host, and may be wrong.
      return new Client(url.replace(/\/+$/, ''), token ?? resolveSettings({ flags: { data } }).settings.adminToken);
    }
    const { settings } = resolveSettings({ flags: { data } });
    const given = token ?? settings.adminToken;
    const found = findApi(settings.data);
    if (found === undefined) throw notRunning(`no host runs with the data directory ${settings.data}`);
    const file = path.join(settings.data, 'admin-token');
    const kept = given === '' && existsSync(file) ? readFileSync(file, 'utf8').trim() : given;
    return new Client(found.url, kept, found.certificate);
  }

  /** This one, which hears the events after the last that `before` heard. */
  continuing(before: Client): this {
    this.#lastEvent = before.#lastEvent;
    return this;
  }

  /** What `GET` answers. Rejects with `Refusal`, with `HostNotRunning` when nobody answers, or none before `signal` is aborted, and with `HostEnded` when the host ends meanwhile. */
  async get<Answer>(target: string, signal?: AbortSignal): Promise<Answer> {
    const answer = await this.#send('GET', target, signal === undefined ? {} : { signal });
    return JSON.parse(await this.#whole(answer)) as Answer;
  }

  /** The text that `GET` answers; rejects like `get`. */
  async text(target: string): Promise<string> {
    const answer = await this.#send('GET', target, {});
    return this.#whole(answer);
  }

  /** What `POST` answers, when it is done; rejects like `get`. */
  post<Answer>(target: string, body?: unknown): Promise<Answer> {
    return this.#ask('POST', target, body === undefined ? undefined : JSON.stringify(body));
  }

  /** What `PUT` of `body` answers; rejects like `get`. */
  put<Answer>(target: string, body: unknown): Promise<Answer> {
    return this.#ask('PUT', target, JSON.stringify(body));
  }

  /** What `POST` of an archive answers; rejects like `get`. */
  async upload<Answer>(target: string, archive: Buffer): Promise<Answer> {
    const headers = { 'content-type': 'application/gzip' };
    const answer = await this.#send('POST', target, { body: archive, headers });
    return JSON.parse(await this.#whole(answer)) as Answer;
  }

  /** What `method` answers, and the tag of it; rejects like `get`. */
  async tagged<Answer>(
    method: 'GET' | 'PUT' | 'PATCH' | 'DELETE',
    target: string,
    { body, ifMatch }: { body?: unknown; ifMatch?: string | undefined } = {},
  ): Promise<{ answer: Answer; tag: string | undefined }> {
    const answer = await this.#send(method, target, {
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(ifMatch === undefined ? {} : { headers: { 'if-match': ifMatch } }),
    });
    return { answer: JSON.parse(await this.#whole(answer)) as Answer, tag: answer.headers.etag };
  }

  /**
   * The events from now on, and at further calls from the last one on. It ends when the host ends the stream; rejects like
   * `get`.
   */
  events(signal?: AbortSignal): AsyncGenerator<StreamedEvent> {
    return this.stream('/api/v1/events', signal);
  }

  /** The same of another stream; one client is for one stream. */
  async *stream<Event>(target: string, signal?: AbortSignal): AsyncGenerator<Event> {
    const headers: Record<string, string> = this.#lastEvent === '' ? {} : { 'last-event-id': this.#lastEvent };
    const answer = await this.#send('GET', target, { headers, ...(signal === undefined ? {} : { signal }) });
    const decoder = new TextDecoder();
    let text = '';
    try {
      for await (const chunk of answer) {
        text += decoder.decode(chunk as Buffer, { stream: true });
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) {
          const fields = new Map(
            block.split('\n').map((line) => [line.replace(/:.*$/, ''), line.replace(/^\w+: ?/, '')]),
          );
          this.#lastEvent = fields.get('id') ?? this.#lastEvent;
          const data = fields.get('data');
          if (data !== undefined) yield JSON.parse(data) as Event;
        }
      }
    } catch (error) {
      // A connection that breaks is the end of the stream.
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET' && signal?.aborted !== true) throw error;
    }
  }

  async #ask<Answer>(method: string, target: string, body?: string): Promise<Answer> {
    const answer = await this.#send(method, target, body === undefined ? {} : { body });
    return JSON.parse(await this.#whole(answer)) as Answer;
  }

  async #whole(answer: IncomingMessage): Promise<string> {
    return textOf(answer).catch((error: Error) => {
      throw hungUp(error) ? ended(this.url, error) : error;
    });
  }

  async #send(method: string, target: string, { headers, ...asked }: Partial<Asked>): Promise<IncomingMessage> {
    const authorization = this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` };
    const all = { ...headers, ...authorization };
    const answer = await exchange(this.url, target, {
      ...asked,
      method,
      headers: all,
      certificate: this.#certificate,
    }).catch(async (error: Error) => {
      if (error instanceof NoAnswer)
        throw new TenonError('DeadlineExceeded', error.message, {
          next: 'what was asked for goes on; see `tenon reloads`',
          cause: error,
        });
      const refused = untrusted(this.url, error);
      if (refused !== undefined) throw refused;
      if (hungUp(error) && !(await this.#wantsTls())) throw ended(this.url, error);
      const hint = hungUp(error) ? '; if it serves HTTPS, write https://' : '';
      throw notRunning(`${this.url} does not answer: ${error.message}${hint}`, error);
    });
    const { statusCode: status = 0 } = answer;
    if (status >= 200 && status < 300) return answer;
    const problem = readProblem(await this.#whole(answer));
    if (problem.error === 'Unauthorized' && this.#token === '')
      throw new Refusal(status, { ...problem, message: wantsToken });
    throw new Refusal(status, problem);
  }

  /** Whether it hangs up on plain HTTP each time, as a server of HTTPS does. */
  async #wantsTls(): Promise<boolean> {
    if (!this.url.startsWith('http:')) return false;
    const signal = AbortSignal.timeout(livesMs);
    return exchange(this.url, '/livez', { method: 'HEAD', headers: {}, signal }).then((answer) => {
      answer.resume();
      return false;
    }, hungUp);
  }
}

/** For the next host to show what it speaks, ms. */
const livesMs = 10_000;

const wantsToken =
  'the host wants its admin token: give it with --token or TENON_ADMIN_TOKEN, or name its data directory with --data';

function readProblem(text: string): Problem {
  try {
    return JSON.parse(text) as Problem;
  } catch {
    return {}; // whoever answered is no host; the status says what is known
  }
}

/** What OpenSSL has against a certificate that a host shows. */
const certificateErrors =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_CERT_ALTNAME_INVALID|INVALID_CA$|HOSTNAME_MISMATCH$)/;

function untrusted(url: string, error: NodeJS.ErrnoException): Error | undefined {
  if (!certificateErrors.test(error.code ?? '')) return undefined;
  const next = 'name the file of its authority with NODE_EXTRA_CA_CERTS, or the data directory of the host with --data';
  return new Error(`the certificate of ${url} is not trusted: ${error.message}; ${next}`, { cause: error });
}

function hungUp({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNRESET';
}

function ended(url: string, cause: Error): TenonError {
  return new TenonError('HostEnded', `the host at ${url} ended before it had answered`, {
    next: 'see `tenon crashes` for why, and `tenon status`, `list` or `reloads` for whether what was asked for was done',
    cause,
  });
}

function notRunning(sentence: string, cause?: Error): TenonError {
  return new TenonError('HostNotRunning', sentence, {
    next: 'start one with `tenon start`, or say where it is with --data or --url',
    ...(cause === undefined ? {} : { cause }),
  });
}
