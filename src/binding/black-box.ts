/**
 * The black box of a host: memory that another process holds too, so that what is in it is there after the host's death, however it comes.
 * The core writes into it; the parent reads it. All of it may be damaged: a plugin can write anywhere in its process.
 */

/** Life of an image. Between `loading` and `serving` lies what a start intent is: nothing has shown yet that it is well. */
export type ImageState = 'loading' | 'open' | 'serving' | 'closing' | 'closed' | 'pinned';

export interface BoxImage {
  readonly index: number;
  readonly plugin: string;
  readonly generation: number;
  readonly sha256: string;
  readonly state: ImageState;
  /** Whether its build has shown before that it is well, in this host or another one. */
  readonly proven?: boolean;
  /** Where it is, or was mapped, hexadecimal with 0x; `0x0` until it is open. */
  readonly low: string;
  readonly high: string;
}

export interface BoxWork {
  /** Index of the image whose code it is. */
  readonly image: number;
  readonly work: string;
  /** Method and path of the route; empty for what is no request. */
  readonly route: string;
  /** Number of the request; 0 for what is none. */
  readonly request: number;
  /** ms since it began; of what is over, how long it took. */
  readonly ms: number;
}

export interface BoxThread {
  readonly tid: number;
  readonly kind: string;
  readonly inside?: BoxWork;
  readonly before: readonly BoxWork[];
}

/** What the handler has written about the end. */
export interface BoxFault {
  /** `signal`, or a call that ends the process: `exit`, `_exit`, `quick_exit`, `abort`, `kill`. */
  readonly kind: string;
  readonly signal: number;
  /** Of `exit`, `_exit` and `quick_exit`, 0 to 255; absent where it is not known. */
  readonly status?: number;
  readonly code: number;
  /** Whether the signal came from a process, as kill(2) does, and not from an instruction. */
  readonly sent: boolean;
  /** Whether the thread is known to have used up its stack. */
  readonly overflow: boolean;
  readonly address: string;
  readonly pc: string;
  readonly tid: number;
  /** Index of the image that called it, of a call that ends the process; -1: not known. */
  readonly caller: number;
  readonly message: string;
  readonly registers: Readonly<Record<string, string>>;
  /** Addresses that the stack unwinds to, innermost first; empty when that was not finished. */
  readonly unwound: readonly string[];
  /** Words of its stack that point into an image of a plugin, present or past, innermost first. */
  readonly scanned: readonly string[];
  /** How far it came: `registers`, `threads`, `scanned`, `unwound`. */
  readonly stage: string;
}

export interface BoxContents {
  readonly pid: number;
  /** Whether it has said that it ends on purpose. */
  readonly ended: boolean;
  /** ms since its event loop turned last; undefined before the first time. */
  readonly beatMs?: number;
  readonly images: readonly BoxImage[];
  readonly threads: readonly BoxThread[];
  readonly fault?: BoxFault;
  /** Files of the process's other images and where they are, for the frames of a fault: the host's own and system libraries. */
  readonly files: readonly { readonly low: string; readonly high: string; readonly file: string }[];
}

/** What a plugin has of the process's resources, as far as its own code has asked for them (libraries that it uses ask unseen). */
export interface PluginGauges {
  readonly plugin: string;
  readonly generation: number;
  /** Threads that it has started and that have not ended. */
  readonly threads: number;
  /** Descriptors that it has opened and not closed. */
  readonly descriptors: number;
  /** Bytes that it has allocated and not freed; an estimate from samples. */
  readonly memory: number;
}

/** Something that a guard has caught a plugin at. */
export interface GuardNote {
  /** Empty when nobody knows who it was; `generation` is 0 then, and `certain` false. */
  readonly plugin: string;
  readonly generation: number;
  /** `directory`, `umask`, `locale`, `environment`, `signals`, `descriptor`, `fork`, `overrun`, `exit`. */
  readonly guard: string;
  /** One sentence. */
  readonly detail: string;
  /** Whether it was put right. */
  readonly restored: boolean;
  /** False when others ran at the same time and it may have been one of them. */
  readonly certain: boolean;
}

/** The part of the core that writes and reads black boxes. */
export interface BlackBoxDoor {
  /** Make one; the descriptor of its memory, which is given to a host and read here. Throws an Error where the system refuses. */
  createBlackBox(): number;
  /** What is in it now, as far as it can be understood. Throws an Error when it is none, or of another layout. */
  readBlackBox(descriptor: number): BoxContents;
  /** `beatMs` of it, without reading the rest; undefined before the first time, and where it is none. */
  blackBoxBeat(descriptor: number): number | undefined;
  /**
   * Write into a black box from now on, and catch faults. Once for the process: what comes later only makes the thread that asks a
   * `main` one, and puts its report file in the place of the one before. Before anything else of the core is used: threads that were started before are
   * not in it. Throws an Error where that cannot be.
   * @param descriptor of one that another process reads; absent: one of its own
   * @param orphanMs when the parent process of this moment has ended, for the event loop to stand before the process is killed; 1 to a day
   * @param reportFile descriptor of a file that the whole box is written to at a fault, where nobody else has it; it should have its size
   * already, and is duplicated: the caller may close it. With one, the process is taken to be somebody else's as well
   */
  openBlackBox(options: { descriptor?: number; reportFile?: number; orphanMs?: number }): void;
  /** The event loop turns. */
  beat(): void;
  /** From here on the end of the process is meant. */
  endOnPurpose(): void;
  /** No plugin closes this one, as long as it is the file that it is now. Those that are open before the first plugin are so already. */
  protectDescriptor(descriptor: number): void;
  /**
   * A library is about to be opened; its index, -1 when nothing is kept.
   * @param path of its file, whose name no other has: with it a fault in its constructors is placed
   * @param proven whether that build has shown before that it is well
   */
  imageLoading(plugin: string, generation: number, sha256: string, path?: string, proven?: boolean): number;
  /** @param inside an address in it */
  imageOpened(index: number, inside: bigint): void;
  imageState(index: number, state: ImageState): void;
  /** Of every generation that is open. */
  pluginGauges(): PluginGauges[];
  /** What is open now and was opened by no plugin is the host's: no plugin closes it as long as it is that file. */
  guardDescriptors(): void;
  /** What the guards have caught since it was asked last. */
  /** What the guards have caught since it was asked last; first looks that the host's handlers of faults are still there. */
  takeGuardNotes(): GuardNote[];
}
