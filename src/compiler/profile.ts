/** The ways to build an application. */

/** `release` is what serves; `debug` is for a debugger; `sanitize` finds misuse of memory, under a host started for it. */
export type Profile = 'release' | 'debug' | 'sanitize';

export const profiles: readonly Profile[] = ['release', 'debug', 'sanitize'];

/** CMake's name for the kind of build, which is also the name of the folder that has its result. */
export function buildTypeOf(profile: Profile): 'Release' | 'Debug' {
  return profile === 'release' ? 'Release' : 'Debug';
}
