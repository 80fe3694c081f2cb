/** The ways to build an application. */

/**
 * `release` is what serves; `debug` is for a debugger; `sanitize` finds misuse of memory, under a host started for it;
 * `bundle` goes to other machines: the same bytes wherever and whenever it is built, for loaders as old as its symbols allow.
 */
export type Profile = 'release' | 'debug' | 'sanitize' | 'bundle';

export const profiles: readonly Profile[] = ['release', 'debug', 'sanitize', 'bundle'];

/** CMake's name for the kind of build, which is also the name of the folder that has its result. */
export function buildTypeOf(profile: Profile): 'Release' | 'Debug' {
  return profile === 'release' || profile === 'bundle' ? 'Release' : 'Debug';
}
