/** A config as a request says it: JSON that nobody can read in two ways. */
import { TenonError } from '../base/errors.js';
import { JsonRefused, strictJson, twice } from '../bundle/strict-json.js';
import { refusePrototype } from './json-body.js';

const depthLimit = 64;

/**
 * Throws SyntaxError for what is no JSON, `BadRequest` for a name that is there twice, and for `__proto__`. What cannot be a config is
 * told by whoever checks it.
 */
export function readConfigText(text: string): unknown {
  const config: unknown = JSON.parse(text);
  try {
    strictJson(Buffer.from(text), depthLimit);
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    const { pointer, message } = error;
    if (message !== twice) return config;
    throw new TenonError('BadRequest', `${pointer} ${message}`, { next: 'give it once', details: { pointer } });
  }
  refusePrototype(config, 'the config');
  return config;
}
