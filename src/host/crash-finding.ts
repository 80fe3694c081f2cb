/**
 * Whom the end of a host is put down to, by its black box.
 *
 * In this order; the first that says something decides:
 * 1. The fault lies in an image that is there: its plugin.
 * 2. It lies in an image that was there: its plugin, a call into an unloaded generation.
 * 3. A call ended the process, and it is known whose: its plugin.
 * 4. The thread was in a plugin's code, and the fault lies elsewhere, as in libc: that plugin, unless the stack also knows another one.
 * 5. The thread was in none, or is not the core's: the plugin that alone occurs on its stack, else all of them.
 * 6. Nothing was reported: the plugins whose code was running, or the one that was being loaded; of several, all. One that SIGKILL has
 *    ended was ended from outside, most likely.
 * 7. Nobody.
 *
 * Of an event loop that stood it is the plugin whose code the main thread was in.
 */
import type { CrashKind, CrashReport, Party, ReportedThread, ThreadWork, Verdict } from '../base/crash-report.js';
import type { BoxContents, BoxFault, BoxImage, BoxThread, BoxWork, ImageState } from '../binding/black-box.js';
import { addressOf, BoxImages, type Place } from './box-images.js';
import { faultCode } from './signal-names.js';

/** How a host has ended, as its parent sees it. */
export interface HostDeath {
  /** Exit status, of one that ended by itself. */
  readonly status?: number | undefined;
  /** What it was killed by. */
  readonly signal?: string | undefined;
  /** It was ended because its event loop stood for so long. */
  readonly hang?:
    | { readonly ms: number /** It was stopped, as SIGSTOP does. */; readonly stopped: boolean }
    | undefined;
  /** Of its black box, as far as it could be read. */
  readonly contents?: BoxContents | undefined;
  /** What the ids of its requests begin with; they are numbers where it is not known. */
  readonly requests?: string | undefined;
  /** Why something of it is missing. */
  readonly gaps?: readonly string[];
}

/** The plugin that a crash counts against. */
export interface Accused {
  /** Without doubt; as the only suspect; or as the only one that was at work when somebody has killed the host. */
  readonly by: 'verdict' | 'suspicion' | 'presence';
  readonly plugin: string;
  readonly generation: number;
  /** Of the build that is to be held back; empty when it is not known. */
  readonly sha256: string;
  /** How far that image was. */
  readonly state: ImageState;
  /** Whether that build has shown before that it is well: then it is not its being new. */
  readonly isProven: boolean;
}

/** What a crash report has of the end itself. */
export type Finding = Pick<CrashReport, 'kind' | 'verdict' | 'registers' | 'frames' | 'threads' | 'gaps'> &
  Partial<Pick<CrashReport, 'signal' | 'status' | 'code' | 'address' | 'stackOverflow' | 'message' | 'thread'>>;

/** What is believed, and whether it is believed of one alone. */
interface Belief {
  readonly images: readonly BoxImage[];
  readonly isCertain: boolean;
  readonly because: readonly string[];
}

/** @returns accused: undefined when nobody is to answer for it, or more than one might */
export function findCrash(death: HostDeath): { finding: Finding; accused: Accused | undefined } {
  const { contents = nothing } = death;
  const images = new BoxImages(contents);
  const { fault } = contents;
  const work = (box: BoxWork): ThreadWork | undefined => workOf(images, box, death.requests);
  const belief = believe(death, contents, images);
  const [first] = belief.images;
  const threads = contents.threads.map((thread) => threadOf(thread, work));
  const inside = (image: BoxImage): ThreadWork | undefined => {
    const own = contents.threads.filter(({ inside: box }) => box !== undefined && box.image === image.index);
    const told = own.find(({ tid }) => tid === fault?.tid) ?? (death.hang === undefined ? own[0] : mainOf(contents));
    return told?.inside === undefined || told.inside.image !== image.index ? undefined : work(told.inside);
  };
  const parties = belief.images.map((image) => partyOf(image, inside(image)));
  const verdict: Verdict = {
    ...(belief.isCertain && parties[0] !== undefined ? { culprit: parties[0] } : {}),
    suspects: belief.isCertain ? [] : parties,
    because: belief.because,
    sentence: sentenceOf(death, parties, belief.isCertain),
  };
  const thread = threads.find(({ tid }) => tid === fault?.tid);
  const status = statusOf(death);
  const finding: Finding = {
    kind: kindOf(death),
    ...(death.signal === undefined || (isExit(fault) && death.hang === undefined) ? {} : { signal: death.signal }),
    ...(status === undefined ? {} : { status }),
    ...(fault === undefined ? {} : factsOf(fault)),
    verdict,
    ...(thread === undefined ? {} : { thread }),
    registers: fault?.registers ?? {},
    frames: fault === undefined ? [] : images.frames(fault),
    threads,
    gaps: [...(death.gaps ?? []), ...gapsOf(death, fault)],
  };
  if (first === undefined || belief.images.length > 1) return { finding, accused: undefined };
  const by = belief.isCertain ? 'verdict' : isKilled(death) ? 'presence' : 'suspicion';
  return { finding, accused: { by, ...accusedOf(first, images) } };
}

const nothing: BoxContents = { pid: 0, ended: false, images: [], threads: [], files: [] };

function kindOf({ hang, signal, contents }: HostDeath): CrashKind {
  if (hang !== undefined) return 'hang';
  if (signal === undefined || isExit(contents?.fault)) return 'exit';
  return contents?.fault?.kind === 'signal' || contents?.fault?.kind === 'abort' ? 'signal' : 'killed';
}

/** By a call; what comes to the process on its way out is not how it ended. */
function isExit(fault: BoxFault | undefined): boolean {
  return fault?.kind === 'exit' || fault?.kind === '_exit' || fault?.kind === 'quick_exit';
}

function statusOf({ signal, status, hang, contents }: HostDeath): number | undefined {
  const own = signal === undefined ? status : undefined;
  return hang === undefined ? (own ?? contents?.fault?.status) : own;
}

function factsOf({ signal, code, sent, address, overflow, message, kind }: BoxFault): Partial<Finding> {
  const said = message === '' ? {} : { message };
  if (kind !== 'signal') return said;
  const place = { ...(sent ? {} : { address }), ...(overflow ? { stackOverflow: true } : {}) };
  return { code: faultCode(signal, code), ...place, ...said };
}

function gapsOf({ signal, hang }: HostDeath, fault: BoxFault | undefined): string[] {
  if (fault === undefined) {
    const why =
      signal === 'SIGKILL' || signal === 'SIGSTOP'
        ? 'such an end cannot be reported from within'
        : 'the crash handler wrote no report';
    return hang?.stopped === true ? ['a process that is stopped reports nothing'] : [why];
  }
  const missing: Readonly<Record<string, string>> = {
    registers: 'what threads did, and the stack: the report ends with the registers',
    threads: 'the stack: the report ends before it was read',
    scanned: 'the unwound stack: its frames are words of the stack that point into plugins',
  };
  const gap = fault.kind === 'signal' ? missing[fault.stage] : undefined;
  return gap === undefined ? [] : [gap];
}

function believe(death: HostDeath, contents: BoxContents, images: BoxImages): Belief {
  const { fault } = contents;
  if (death.hang !== undefined) return ofHang(death.hang, contents, images);
  if (fault === undefined) return ofSilence(death, contents, images);
  if (fault.kind !== 'signal') {
    const belief = ofCall(fault, contents, images);
    if (death.signal === undefined || !isExit(fault)) return belief;
    return { ...belief, because: [...belief.because, `then, on the way out, ${death.signal} ended the process`] };
  }
  if (isFromOutside(fault))
    return nobody(`the signal came from a process, by kill(2), and from no instruction of this one`);
  return ofFault(fault, contents, images);
}

/** By kill(2) or sigqueue(3); what a thread raises for itself is its own doing. */
function isFromOutside({ sent, code }: BoxFault): boolean {
  return sent && (code === 0 || code === -1);
}

function ofFault(fault: BoxFault, contents: BoxContents, images: BoxImages): Belief {
  const place = images.at(addressOf(fault.pc));
  if (place !== undefined) return ofPlace(place, images.frame(fault.pc, 'pc').offset ?? '');
  return ofStack(fault, contents, images, `the fault is in ${images.fileAt(addressOf(fault.pc)) ?? 'no known code'}`);
}

function ofPlace({ image, unloaded, also }: Place, offset: string): Belief {
  const where = `${image.plugin}+${offset}`;
  if (!unloaded) return certain(image, `the fault is in its code (${where})`);
  const was = `the fault is where generation ${image.generation} was until it was unloaded (${where})`;
  if (also.length === 0) return certain(image, was);
  const others = also.map(({ plugin, generation }) => `generation ${generation} of ${plugin}`);
  return suspects([image, ...also], was, `there was ${others.join(' and ')} before`);
}

function ofCall(fault: BoxFault, contents: BoxContents, images: BoxImages): Belief {
  const caller = images.byIndex(fault.caller);
  if (caller !== undefined) return certain(caller, `its code has called ${fault.kind}`);
  return ofStack(fault, contents, images, `somebody has called ${fault.kind}`);
}

function ofStack(fault: BoxFault, contents: BoxContents, images: BoxImages, clause: string): Belief {
  const thread = contents.threads.find(({ tid }) => tid === fault.tid);
  const inside = thread?.inside === undefined ? undefined : images.byIndex(thread.inside.image);
  const unwound = imagesOf(fault.unwound, images);
  const seen = unwound.length > 0 ? unwound : imagesOf(fault.scanned, images);
  const nearest = seen[0];
  if (inside !== undefined) {
    const was = `${clause}; the thread was in ${nameOf(inside)}`;
    if (nearest === undefined) return certain(inside, was, 'and its stack knows no other plugin');
    if (nearest.index === inside.index) return certain(inside, was, 'and so says its stack');
    const mixed = unique([...seen.filter(({ index }) => index !== inside.index), inside]);
    return suspects(mixed, was, `its stack names ${seen.map(nameOf).join(' and ')}`);
  }
  if (nearest === undefined) return nobody(clause, 'no plugin is on the stack');
  const names = seen.map(nameOf).join(' and ');
  if (unwound.length > 0) return certain(nearest, clause, `the stack comes from ${names}`);
  // Words of calls that are over stay on the stack of a thread that runs this plugin and that one.
  if (seen.length === 1 && (thread === undefined || thread.kind === 'own'))
    return certain(nearest, clause, `its stack names ${names} alone`);
  return suspects(seen, clause, `its stack names ${names}, and may do so of calls that are over`);
}

function imagesOf(addresses: readonly string[], images: BoxImages): BoxImage[] {
  return unique(addresses.flatMap((address) => images.at(addressOf(address))?.image ?? []));
}

function unique(images: readonly BoxImage[]): BoxImage[] {
  return [...new Map(images.map((image) => [image.index, image])).values()];
}

function ofSilence({ signal, status }: HostDeath, contents: BoxContents, images: BoxImages): Belief {
  const end = signal === undefined ? `it ended with status ${status ?? 0}` : `${signal} has killed it`;
  const running = unique(contents.threads.flatMap(({ inside }) => imageOf(images, inside) ?? []));
  if (running.length > 0)
    return suspects(running, `${end} without a report`, `threads were in ${running.map(nameOf).join(' and ')}`);
  const coming = contents.images.filter(({ state }) => state === 'loading');
  if (coming.length > 0)
    return suspects(coming, `${end} without a report`, `${coming.map(nameOf).join(' and ')} was being loaded`);
  return nobody(`${end} without a report`, 'and no thread was in a plugin');
}

function imageOf(images: BoxImages, work: BoxWork | undefined): BoxImage | undefined {
  return work === undefined ? undefined : images.byIndex(work.image);
}

function mainOf({ threads }: BoxContents): BoxThread | undefined {
  return threads.find(({ kind }) => kind === 'main');
}

function ofHang({ ms, stopped }: { ms: number; stopped: boolean }, contents: BoxContents, images: BoxImages): Belief {
  const stood = `its event loop had not turned for ${Math.round(ms)} ms`;
  if (stopped) return nobody(stood, 'the process was stopped, as SIGSTOP does');
  const image = imageOf(images, mainOf(contents)?.inside);
  if (image === undefined) return nobody(stood, 'the main thread was in no plugin');
  return certain(image, stood, `the main thread was in ${nameOf(image)} all the while`);
}

function certain(image: BoxImage, ...because: string[]): Belief {
  return { images: [image], isCertain: true, because };
}

function suspects(images: readonly BoxImage[], ...because: string[]): Belief {
  return { images, isCertain: false, because };
}

function nobody(...because: string[]): Belief {
  return { images: [], isCertain: false, because };
}

function nameOf({ plugin, generation }: { plugin: string; generation: number }): string {
  return `${plugin} generation ${generation}`;
}

function partyOf({ plugin, generation, sha256, state }: BoxImage, inside: ThreadWork | undefined): Party {
  const done = inside === undefined ? {} : { inside };
  return { plugin, generation, sha256, unloaded: state === 'closed', ...done };
}

/** Of a plugin that answers for an image that is gone, the build that runs is held. */
function accusedOf(image: BoxImage, images: BoxImages): Omit<Accused, 'by'> {
  const held = image.state === 'closed' ? (images.presentOf(image.plugin) ?? image) : image;
  const { plugin, generation, state } = image;
  return { plugin, generation, sha256: held.sha256, state, isProven: images.isProven(held) };
}

/** By whoever wants memory, or the process ended: a plugin that kills its own host is seen to. */
function isKilled({ signal, hang, contents }: HostDeath): boolean {
  return signal === 'SIGKILL' && hang === undefined && contents?.fault === undefined;
}

function workOf(
  images: BoxImages,
  { image, work, route, request, ms }: BoxWork,
  requests: string | undefined,
): ThreadWork | undefined {
  const of = images.byIndex(image);
  if (of === undefined) return undefined;
  return {
    plugin: of.plugin,
    generation: of.generation,
    work,
    ...(route === '' ? {} : { route }),
    ...(request === 0 ? {} : { request: requests === undefined ? String(request) : `${requests}-${request}` }),
    ms,
  };
}

function threadOf(
  { tid, kind, inside, before }: BoxThread,
  work: (box: BoxWork) => ThreadWork | undefined,
): ReportedThread {
  const now = inside === undefined ? undefined : work(inside);
  return {
    tid,
    kind,
    ...(now === undefined ? {} : { inside: now }),
    before: before.flatMap((box) => work(box) ?? []),
  };
}

function sentenceOf(death: HostDeath, parties: readonly Party[], isCertain: boolean): string {
  const end = `${endOf(death)}${placeOf(parties[0])}`;
  const [first] = parties;
  if (first === undefined) return `the host crashed (${end}); nobody knows why`;
  if (isCertain)
    return first.unloaded
      ? `a call into unloaded generation ${first.generation} of ${first.plugin} crashed the host (${end})`
      : `${nameOf(first)} crashed the host (${end})`;
  return `the host crashed (${end}); it may have been ${parties.map(nameOf).join(' or ')}`;
}

function endOf(death: HostDeath): string {
  const { hang, signal, status, contents } = death;
  if (hang !== undefined) return `its event loop stood for ${Math.round(hang.ms)} ms`;
  const { fault } = contents ?? {};
  if (fault !== undefined && fault.kind !== 'signal') {
    if (!isExit(fault)) return signal === undefined ? fault.kind : `${fault.kind}, ${signal}`;
    const of = statusOf(death);
    const then = signal === undefined ? '' : `, then ${signal}`;
    return `${fault.kind}${of === undefined ? '' : ` with status ${of}`}${then}`;
  }
  if (signal === undefined) return `exit with status ${status ?? 0}`;
  return fault?.overflow === true ? `${signal} (stack overflow)` : signal;
}

function placeOf(party: Party | undefined): string {
  if (party?.inside === undefined) return '';
  const { work, route, request } = party.inside;
  const of = route === undefined ? '' : ` of ${route}`;
  return ` in ${work}${of}${request === undefined ? '' : `, request ${request}`}`;
}
