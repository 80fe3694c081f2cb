/**
 * One operation of the HTTP API: what it is called, who may use it, what it takes and what it answers. It is served, and
 * described in `/openapi.json`, from the same words.
 */
import type { Request, Response } from 'express';
import type { ErrorCode } from '../base/errors.js';

/** A JSON Schema (2020-12), as OpenAPI 3.1 has it; `{ $ref: '#/components/schemas/NAME' }` names one of the document's own. */
export type Schema = Readonly<Record<string, unknown>>;

/** What a token may be allowed: to see, to steer and configure, to change what is installed, and everything with the tokens themselves. */
export const scopes = ['read', 'config', 'install', 'admin'] as const;
export type Scope = (typeof scopes)[number];

/**
 * A parameter. Where a token is needed, one of the query that is not declared is refused, and so is one that is given twice unless its
 * schema is an array. Operations for everybody are more patient: whoever watches a host adds parameters of its own.
 */
export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly description: string;
  /** Of type string (with `enum`, `pattern`), integer (with `minimum`, `maximum`), boolean, or array of strings. */
  readonly schema: Schema;
  /** Those of the path always are. */
  readonly required?: boolean;
  /** Whether `?name` alone is fine. */
  readonly allowEmptyValue?: boolean;
}

/** The body of a request. */
export interface RequestBody {
  readonly description: string;
  readonly required: boolean;
  /** By content type. */
  readonly content: Readonly<Record<string, Schema>>;
  /**
   * Who reads it: `json` and `text` are read before the operation is asked, whatever content type the request names (curl says form by
   * itself); `raw` is left to the operation.
   */
  readonly read: 'json' | 'text' | 'raw';
  /** Largest that is taken, bytes; of `raw` the operation sees to it. */
  readonly limit: number;
}

/** An answer that is no error. */
export interface DescribedAnswer {
  readonly description: string;
  /** By content type; absent when there is no body. */
  readonly content?: Readonly<Record<string, Schema>>;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: Schema }>>;
}

/** A request as an operation sees it: whoever sent it may, and its parameters are what they are declared to be. */
export interface Asked {
  /** Values of the path, decoded. */
  readonly path: Readonly<Record<string, string>>;
  /** Values of the query that were given, by their types; of an operation for everybody as they came. */
  readonly query: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  /** The parsed JSON, or the text. */
  readonly body: unknown;
  /** Who asks, for the audit log: the token's name and the address. */
  readonly by: string;
  readonly request: Request;
  readonly response: Response;
}

/** What an operation answers with, unless it has written to the response by itself. */
export interface Answered {
  /** 200 by default. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. Absent, and without `text`: no body. */
  readonly body?: unknown;
  /** Sent as it is, by the content type that `headers` name. */
  readonly text?: string;
}

export interface Operation {
  /** `operationId`: a verb and a noun, as `showPlugin`. */
  readonly id: string;
  readonly tag: string;
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** As OpenAPI writes it: `/api/v1/plugins/{id}`. */
  readonly path: string;
  /** Absent: everybody may. Operations below `/api` have one. */
  readonly scope?: Scope;
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: RequestBody;
  readonly answers: Readonly<Record<number, DescribedAnswer>>;
  /** Codes it may be refused with, beside those that every operation of its kind has (`Unauthorized`, `BadRequest` …). */
  readonly errors: readonly ErrorCode[];
  /** Undefined: it has answered, or will, by itself. What it throws is answered as a problem. */
  readonly handle: (asked: Asked) => Answered | undefined | Promise<Answered | undefined>;
}
