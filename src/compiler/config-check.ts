/** What a value of config.yaml may be: the checks that its keys share. */
import { wrongPattern } from '../base/pattern.js';

/** Undefined when `value` is right, else what it should be. */
export type Check = (value: unknown) => string | undefined;

export const text: Check = (value) => (typeof value === 'string' ? undefined : 'must be text (quote it)');
export const truth: Check = (value) => (typeof value === 'boolean' ? undefined : 'must be true or false');
export const anything: Check = () => undefined;
export const texts: Check = (value) =>
  Array.isArray(value) && value.every((item) => typeof item === 'string') ? undefined : 'must be a list of texts';
export const mapping: Check = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? undefined
    : 'must be a mapping of keys to values';
export const whole =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}`;
export const oneOf =
  (...words: string[]): Check =>
  (value) =>
    words.includes(value as string) ? undefined : `must be ${words.join(' or ')}`;
export const matching =
  (grammar: RegExp, sentence: string): Check =>
  (value) =>
    typeof value === 'string' && grammar.test(value) ? undefined : sentence;

/** Plain segments, as in a route: they stand in the path of a request letter for letter. */
export const prefix: Check = (value) => {
  const given = typeof value === 'string' ? value : '';
  const segments = given.slice(1).replace(/\/$/, '').split('/');
  const plain = segments.every((segment) => /^(?!\.\.?$)[\w.~!$&'()+,;=@-]+$/.test(segment));
  return given === '/' || (given.startsWith('/') && plain)
    ? undefined
    : `must be a path that begins with "/", of segments of A-Z, a-z, 0-9 and -._~!$&'()+,;=@, none of them "." or ".."`;
};

export const patterns =
  (least: number): Check =>
  (value) => {
    const wrong = texts(value);
    if (wrong !== undefined) return wrong;
    if ((value as string[]).length < least) return 'must hold at least one pattern';
    const clause = (value as string[]).map(wrongPattern).find((one) => one !== undefined);
    return clause === undefined ? undefined : `must hold nothing but ${clause.replace('a pattern', 'patterns')}`;
  };
