/** What config.yaml says to browsers: `cors`, whose pages may read what is served, and `static_files`. */
import { type Check, matching, oneOf, patterns, prefix, texts, truth, whole } from './config-check.js';

/** Whose pages may read the answers of an application, and how they may ask. */
export interface CorsRules {
  /** `*` for all; a listed one may have `*` in place of the first label of its name. */
  readonly origins: '*' | readonly string[];
  /** Absent: those that the path is served with. */
  readonly methods?: readonly string[];
  /** Headers of requests; absent: whatever is asked for. */
  readonly headers?: readonly string[];
  /** Headers of answers that pages may read, beside the harmless ones. */
  readonly expose: readonly string[];
  /** Whether they may send cookies along. */
  readonly credentials: boolean;
  readonly maxAgeSeconds: number;
}

/** Files of an application that are served as they are. */
export interface StaticFiles {
  /** Relative to the application's folder. */
  readonly directory: string;
  /** Below the application's prefix; `/` is the prefix itself. */
  readonly path: string;
  /** Name of the file that stands for its folder. */
  readonly index: string;
  /** The page that answers where there is no file, relative to `directory`. */
  readonly fallback?: string;
  readonly maxAgeSeconds: number;
  /** Patterns of files, relative to `directory`, that never change under their name. */
  readonly immutable: readonly string[];
}

const mostOrigins = 100;
const origin = /^[a-z][a-z\d+.-]*:\/\/(?:\*\.)?[^\s*/?#@\\]+$/;

function wrongOrigin(text: string): string | undefined {
  if (text === '*') return 'holds "*", which stands alone: `origins: "*"`';
  const quoted = JSON.stringify(text);
  if (!origin.test(text) || text !== text.toLowerCase())
    return `holds ${quoted}, which is no origin as browsers say it: "https://example.org", "https://*.example.org"`;
  const plain = text.replace('://*.', '://x.');
  if (!/^https?:/.test(plain)) return undefined;
  const said = URL.canParse(plain) ? new URL(plain).origin : undefined;
  return said === plain ? undefined : `holds ${quoted}, which browsers never say: no default port, and names in ASCII`;
}

const origins: Check = (value) => {
  if (value === '*') return undefined;
  if (texts(value) !== undefined || (value as string[]).length === 0) return 'must be "*", or a list of origins';
  if ((value as string[]).length > mostOrigins) return `must hold at most ${mostOrigins} origins`;
  return (value as string[]).map(wrongOrigin).find((wrong) => wrong !== undefined);
};

const names =
  (grammar: RegExp, what: string): Check =>
  (value) => {
    if (texts(value) !== undefined) return `must be a list of ${what}`;
    const odd = (value as string[]).find((name) => !grammar.test(name));
    return odd === undefined ? undefined : `holds ${JSON.stringify(odd)}, which is none of ${what}`;
  };

const headers = names(/^[!#$%&'+.^_`|~\w-]{1,128}$/, 'names of headers');

/** Every key of `cors`. */
export const corsKeys: Record<keyof CorsRules, Check> = {
  origins,
  methods: names(/^[A-Z]{1,16}$/, 'methods in capitals'),
  headers,
  expose: headers,
  credentials: truth,
  maxAgeSeconds: whole(0, 86_400),
};

export const checkCors: Check = (value) => {
  if (typeof value === 'boolean') return undefined;
  if (!isMapping(value)) return 'must be true, false, or a mapping with `origins`';
  if (value['origins'] === undefined) return 'needs `origins`: "*", or a list of them';
  if (value['credentials'] === true && value['origins'] === '*')
    return 'cannot have `credentials` for the origins "*": any page could act as whoever looks at it; list the origins';
  return undefined;
};

/** Of a value that is right. */
export function readCors(value: unknown): CorsRules | undefined {
  if (value === undefined || value === false) return undefined;
  const given = value === true ? { origins: '*' as const } : (value as Partial<CorsRules>);
  return { origins: '*', expose: [], credentials: false, maxAgeSeconds: 600, ...given };
}

const folder = matching(
  /^(?!(?:.*\/)?node_modules(?:\/|$))[\w-][\w.-]*(?:\/[\w-][\w.-]*)*\/?$/,
  'must be a folder below the application, such as "public"',
);
const file = matching(
  /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/,
  'must be the path of a file below the directory, such as "index.html"',
);

/** Every key of `static_files`. */
export const fileKeys: Record<keyof StaticFiles | 'dotfiles', Check> = {
  directory: folder,
  path: prefix,
  index: matching(/^[\w-][\w.-]*$/, 'must be the name of a file, such as "index.html"'),
  fallback: file,
  maxAgeSeconds: whole(0, 31_536_000),
  immutable: patterns(0),
  dotfiles: oneOf('deny'),
};

export const checkFiles: Check = (value) => {
  if (typeof value === 'string') return folder(value);
  if (!isMapping(value)) return 'must be a folder, or a mapping with `directory`';
  return value['directory'] === undefined ? 'needs `directory`: a folder below the application' : undefined;
};

/** Of a value that is right. */
export function readFiles(value: unknown): StaticFiles | undefined {
  if (value === undefined) return undefined;
  const given = (typeof value === 'string' ? { directory: value } : value) as Partial<StaticFiles>;
  const { directory = '', path = '/', index = 'index.html', maxAgeSeconds = 0, immutable = [], fallback } = given;
  const said = { path, index, maxAgeSeconds, immutable, ...(fallback === undefined ? {} : { fallback }) };
  return { directory: directory.replace(/\/$/, ''), ...said };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
