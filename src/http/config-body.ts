/** A config as a request says it: JSON that nobody can read in two ways. */
import { TenonError } from '../base/errors.js';
import { JsonRefused, strictJson } from '../bundle/strict-json.js';

const depthLimit = 64;

/** Throws SyntaxError for what is no JSON, `BadRequest` for a name that is there twice, too deep a value, and `__proto__`. */
export function readConfigText(text: string): unknown {
  JSON.parse(text);
  try {
    const config = strictJson(Buffer.from(text), depthLimit);
    refusePrototype(config);
    return config;
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    const where = error.pointer === '' ? 'the config' : error.pointer;
    throw new TenonError('BadRequest', `${where} ${error.message}`, { details: { pointer: error.pointer } });
  }
}

/** Whoever merges such a config with another one may set what all objects have. */
function refusePrototype(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (name === '__proto__')
      throw new TenonError('BadRequest', 'the config has a member __proto__', { next: 'give it another name' });
    refusePrototype(member);
  }
}
