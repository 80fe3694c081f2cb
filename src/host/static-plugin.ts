/** A plugin that is part of the program: what an embedder writes. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A JSON object, secrets in clear. */
export type StaticConfig = Readonly<Record<string, unknown>>;

type Later<T> = T | Promise<T>;

/** Who asks, as an extension of the plugin knows it. */
export interface StaticCaller {
  readonly subject: string;
  readonly name: string;
  readonly roles: readonly string[];
  /** What the extension says beside. */
  readonly [fact: string]: unknown;
}

/** What comes with a request. */
export interface StaticRequestContext {
  /** Values of `:name` and `*` in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** As it is now. */
  readonly config: StaticConfig;
  /** Id of the plugin. */
  readonly plugin: string;
  /** Undefined for nobody, and where the plugin lists no extension that knows people. */
  readonly caller: StaticCaller | undefined;
  /** Aborts when nobody waits for the answer any more: the client is gone, the deadline has passed, or the plugin is taken down. */
  readonly signal: AbortSignal;
}

/** One route. */
export interface StaticRoute {
  /** GET, POST, PUT, PATCH, DELETE or OPTIONS; a HEAD is served by the route of GET. */
  readonly method: string;
  /** Below the prefix: begins with `/`, `:name` is one segment, a last `*` the rest. */
  readonly path: string;
  /** Who may call it; the `auth` of the plugin by default. */
  readonly auth?: 'open' | 'identity' | undefined;
  /** Only who is known and has one of these roles may call it. */
  readonly roles?: readonly string[] | undefined;
  /** Until the answer begins, ms, 1 to 3,600,000; the host's setting by default. */
  readonly deadlineMs?: number | undefined;
  /** What it does, in one line, for `/openapi.json`. */
  readonly summary?: string | undefined;
  /** More of it, CommonMark. */
  readonly description?: string | undefined;
  /** An operation of OpenAPI 3.1: tags, deprecated, parameters, requestBody, responses. At most 64 KiB of JSON. */
  readonly openapi?: Readonly<Record<string, unknown>> | undefined;
  /**
   * Answers, at once or later, on the event loop; what it throws or rejects with is logged and answered with 500
   * `HandlerFailed`. The body is its own to read and to limit. Called with the route as `this`.
   */
  readonly handle: (request: IncomingMessage, response: ServerResponse, context: StaticRequestContext) => unknown;
}

/** What a step of its life is told. */
export interface StaticContext {
  readonly plugin: string;
  readonly config: StaticConfig;
  /** Aborts when the step has missed its deadline: nobody waits for it any more. */
  readonly signal: AbortSignal;
}

/**
 * A plugin in TypeScript that the program which embeds the host brings along. Each step of its life may take `lifecycleMs`; what
 * it throws or rejects with is told as `LifecycleFailed`. Its methods are called with the plugin as `this`.
 */
export interface StaticPlugin {
  /** 1 to 63 of a-z, 0-9, `_` and `-`, begins with a letter or digit. */
  readonly id: string;
  /** Semantic version of at most 31 characters; `0.0.0` by default. */
  readonly version?: string | undefined;
  readonly description?: string | undefined;
  /** Path before its routes; `/ID` by default, `/` for none. */
  readonly prefix?: string | undefined;
  readonly routes?: readonly StaticRoute[] | undefined;
  /** JSON Schema (2020-12) of its config. */
  readonly configSchema?: Readonly<Record<string, unknown>> | undefined;
  /** Config that it begins with where nothing is set: a JSON object; texts may refer to secrets. */
  readonly config?: StaticConfig | undefined;
  /** Ids of extensions that its requests pass, in this order. */
  readonly extensions?: readonly string[] | undefined;
  /** For routes that do not say; `identity` where one of its extensions knows people, else `open`. */
  readonly auth?: 'open' | 'identity' | undefined;
  /** Before it serves. */
  initialize?(context: StaticContext): Later<unknown>;
  /** When its routes are served. */
  ready?(context: StaticContext): Later<unknown>;
  /** Its config is another one; what it throws refuses that, and what was holds. Without it every config is taken. */
  changed?(config: StaticConfig, context: StaticContext): Later<unknown>;
  /** Throws, with the reason, when it cannot serve. */
  health?(context: StaticContext): Later<unknown>;
  /** After its last request; not called when `initialize` failed. It may be initialized again later. */
  shutdown?(context: StaticContext): Later<unknown>;
}

/** A static plugin, what makes one, or a module whose default export is one of these. */
export type StaticPluginSource =
  | StaticPlugin
  | (() => Later<StaticPlugin>)
  | { readonly default: StaticPlugin | (() => Later<StaticPlugin>) }
  | Promise<
      StaticPlugin | (() => Later<StaticPlugin>) | { readonly default: StaticPlugin | (() => Later<StaticPlugin>) }
    >;
