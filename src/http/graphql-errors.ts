/** Errors of GraphQL as clients get them: a sentence, a code, and nothing of the host's inside. */
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { asTenonError, describeError, type ErrorCode, errorCodes, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { clientError } from './client-error.js';

/** A request that was refused before anything of it ran. */
export class RequestRefused extends Error {
  readonly errors: readonly GraphQLError[];
  /** 400 whatever the client accepts; else 200 or 400, as its media type has it. */
  readonly isHard: boolean;

  constructor(errors: readonly GraphQLError[], isHard: boolean) {
    super(errors[0]?.message ?? 'the request was refused');
    this.name = 'RequestRefused';
    this.errors = errors;
    this.isHard = isHard;
  }
}

/** An error with one of the host's codes. */
export function codedError(code: ErrorCode, message: string, details: Record<string, unknown> = {}): GraphQLError {
  return new GraphQLError(message, { extensions: { code, ...details } });
}

/** Refuse a request for what is wrong with it as a request. */
export function malformed(message: string): RequestRefused {
  return new RequestRefused([codedError('BadRequest', message)], true);
}

/** The error that a resolver threw, if one did. */
function thrown(error: GraphQLError): Error | undefined {
  const { originalError } = error;
  if (originalError === undefined || originalError === null) return undefined;
  // An error of graphql's own has been given a place.
  return originalError instanceof GraphQLError ? thrown(originalError) : originalError;
}

function isKnown(error: Error): boolean {
  return error instanceof TenonError || ('code' in error && typeof error.code === 'string' && error.code in errorCodes);
}

/**
 * The errors of a result for the client. One that nobody foresaw is logged and told as `Internal` only.
 * @param code of errors that are graphql's own
 */
export function formatErrors(
  errors: readonly GraphQLError[],
  log: Log,
  code: ErrorCode = 'DocumentInvalid',
): GraphQLFormattedError[] {
  return errors.map((error) => {
    const { message, locations, path } = error;
    const place = {
      ...(locations === undefined ? {} : { locations }),
      ...(path === undefined ? {} : { path }),
    };
    const cause = thrown(error);
    if (cause === undefined) return { message, ...place, extensions: { code, ...error.extensions } };
    const known = asTenonError(cause);
    if (isKnown(cause) && known.code !== 'Internal') {
      const told = clientError(known);
      if (told !== known)
        log.error({ code: known.code, err: cause, path: path?.join('.') }, 'a field of GraphQL failed');
      return { message: describeError(told), ...place, extensions: { code: known.code, ...plain(known.details) } };
    }
    log.error({ err: cause, path: path?.join('.') }, 'a field of GraphQL failed');
    return { message: 'an error of the host; it is in its log', ...place, extensions: { code: 'Internal' } };
  });
}

function plain(details: Record<string, unknown>): Record<string, unknown> {
  return Object.keys(details).length === 0 ? {} : { details };
}

/** What ended a subscription, for the client. */
export function formatFailure(error: unknown, log: Log): GraphQLFormattedError[] {
  const originalError = error instanceof Error ? error : new Error(String(error));
  return formatErrors([new GraphQLError(originalError.message, { originalError })], log);
}
