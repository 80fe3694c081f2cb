/**
 * The answer on a path whose plugin does not run. Everybody gets it: it does not say whose request crashed it, and how. Of what was no
 * crash it says what that was: names of routes at most are in it.
 */
import { TenonError } from '../base/errors.js';

/**
 * `absence` as everybody may know it. No token is asked about on paths of plugins: credentials there are the plugin's own,
 * and would count as guesses.
 */
export function publicAbsence(absence: TenonError): TenonError {
  const { code, details } = absence;
  const what = words.get(code);
  if (what === undefined) return absence;
  const { plugin, crash, reason } = details;
  const isCrash = code !== 'PluginQuarantined' || (typeof crash === 'string' && crash !== '');
  const why = !isCrash && typeof reason === 'string' ? reason : undefined;
  const facts = {
    ...(typeof plugin === 'string' ? { plugin } : {}),
    ...(typeof crash === 'string' && crash !== '' ? { crash } : {}),
    ...(why === undefined ? {} : { reason: why }),
  };
  const after = why !== undefined ? `: ${why}` : facts.crash === undefined ? '' : ` (crash ${facts.crash})`;
  return new TenonError(code, `${facts.plugin ?? 'the host'} ${what}${after}`, { details: facts });
}

const words: ReadonlyMap<string, string> = new Map([
  ['PluginQuarantined', 'is in quarantine'],
  ['BuildCrashed', 'does not run: its build is held back'],
  ['SafeMode', 'runs without plugins'],
]);
