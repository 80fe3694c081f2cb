/** What the head of a request must keep to before anybody serves it, beyond what node:http itself refuses. */
import type { IncomingMessage } from 'node:http';
import { TenonError } from '../base/errors.js';

const headerCountLimit = 100;

/** RFC 3986, 3.2.2, and a port. May be empty. */
const authority = /^(?:[\w.~!$&'()*+,;=%-]*|\[[\da-f:.]+\])(?::\d{0,5})?$/i;

/** Checks heads, each in one pass over what came. */
export class HeadCheck {
  readonly #urlLimit: number;
  /** As a rule all requests call the host by the same name. */
  #lastHost = '';

  /** @param headersLimit of a whole head, bytes; its target may have half of them */
  constructor(headersLimit: number) {
    this.#urlLimit = headersLimit / 2;
  }

  /** Why the request is not served; undefined when it may be. */
  refuse(request: IncomingMessage): TenonError | undefined {
    const { rawHeaders, url = '/' } = request;
    if (rawHeaders.length > 2 * headerCountLimit) return tooManyHeaders();
    if (url.length > this.#urlLimit) return urlTooLong(this.#urlLimit);
    if (request.httpVersionMajor !== 1) return bad('the request line names no version of HTTP that is spoken here');
    if (url.includes('#')) return bad('the target has a fragment, which is not for servers');
    let host: string | undefined;
    let coding: string | undefined;
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
      const name = rawHeaders[at] as string;
      const { length } = name;
      if (length !== 4 && length !== 17) continue;
      const value = rawHeaders[at + 1] as string;
      const lower = name.toLowerCase();
      if (lower === 'host') {
        if (host !== undefined) return bad('the header Host is there twice');
        host = value;
      } else if (lower === 'transfer-encoding') {
        if (coding !== undefined) return bad('the header Transfer-Encoding is there twice');
        coding = value;
      }
    }
    if (host !== this.#lastHost || host === '') {
      const fault = hostFault(host, request.httpVersionMinor);
      if (fault !== undefined) return fault;
      if (host !== undefined) this.#lastHost = host;
    }
    if (coding !== undefined && (request.httpVersionMinor === 0 || coding.toLowerCase() !== 'chunked'))
      return bad(`a body with the transfer coding ${JSON.stringify(coding)} is not read`);
    return url.charCodeAt(0) === 47 ? undefined : takeTarget(request, url);
  }
}

function hostFault(host: string | undefined, minor: number): TenonError | undefined {
  if (host === undefined) return minor === 0 ? undefined : bad('the header Host is missing');
  return authority.test(host) ? undefined : bad(`the header Host, ${JSON.stringify(host)}, is no name of a host`);
}

/** A target that is no path. One in absolute form says by what name the host is called, whatever the header says (RFC 9112, 3.2.2). */
function takeTarget(request: IncomingMessage, url: string): TenonError | undefined {
  if (url === '*' && request.method === 'OPTIONS') return undefined;
  const [, name] = /^https?:\/\/([^/?#]*)/i.exec(url) ?? [];
  if (name === undefined) return bad(`the target ${JSON.stringify(url)} is neither a path nor a URL of HTTP`);
  if (name === '' || !authority.test(name)) return bad(`the target names the host ${JSON.stringify(name)}`);
  request.headers.host = name;
  return undefined;
}

function bad(sentence: string): TenonError {
  return new TenonError('BadRequest', sentence);
}

function tooManyHeaders(): TenonError {
  return new TenonError('HeadersTooLarge', `the request has more than ${headerCountLimit} headers`, {
    details: { limit: headerCountLimit },
  });
}

export function urlTooLong(limit: number): TenonError {
  return new TenonError('UrlTooLong', `the target of the request is over the limit of ${limit} bytes`, {
    next: 'send what it says in a body, or raise the setting `http.headersLimit`',
    details: { limit },
  });
}
