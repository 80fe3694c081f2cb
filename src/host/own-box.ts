/** The black box of a host that has no parent process: a fault writes it to a file, and the next host makes a report of that. */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Log } from '../base/log.js';
import { crashFolder, crashId, CrashReports } from '../base/crash-reports.js';
import { version } from '../base/version.js';
import type { BoxContents } from '../binding/black-box.js';
import type { Core } from '../binding/core.js';
import { findCrash } from './crash-finding.js';

export interface OwnBoxOptions {
  core: Core;
  /** Absolute path of the data directory, which this host has to itself. */
  data: string;
  /** Folder of the applications; absolute. */
  applications: string;
  /** Reports that are kept. */
  keep: number;
  log: Log;
}

const name = 'left.box';
const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Of the process, which has one report file: a second host at the same time does without. */
const opened = new WeakSet<Core>();

/**
 * Make a report of what a host before this one has left, and have a fault of this process written from now on. What cannot be done is
 * logged, and keeps no host from beginning. The result ends it.
 */
export async function openOwnBox(options: OwnBoxOptions): Promise<() => void> {
  const { core, data, log } = options;
  const file = path.join(crashFolder(data), name);
  try {
    await reportLeft(options, file);
  } catch (error) {
    log.warn({ err: error, path: file }, 'what a host before this one has left of its crash could not be used');
  }
  if (opened.has(core)) return () => {};
  try {
    begin(core, file);
    opened.add(core);
    return () => {
      opened.delete(core);
      rmSync(file, { force: true });
    };
  } catch (error) {
    log.warn({ err: error, path: file }, 'a crash of this host would not be reported');
    return () => {};
  }
}

/** The file has its whole size already: a disk that is full then takes it all the same. */
function begin(core: Core, file: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  rmSync(file, { force: true });
  const report = openSync(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  const box = core.createBlackBox();
  try {
    writeSync(report, Buffer.alloc(fstatSync(box).size), 0);
    core.openBlackBox({ descriptor: box, reportFile: report });
  } finally {
    closeSync(box);
    closeSync(report);
  }
}

async function reportLeft({ core, data, applications, keep, log }: OwnBoxOptions, file: string): Promise<void> {
  const found = read(core, file);
  if (found?.contents?.fault === undefined) return;
  const { contents, at, uptimeMs } = found;
  const { kind, signal } = contents.fault ?? { kind: '', signal: 0 };
  const byItself = kind !== 'signal' && kind !== 'abort';
  const { finding } = findCrash({ contents, ...(byItself ? {} : { signal: nameOf(signal) }) });
  const id = crashId(at, contents.pid);
  const gaps = [
    ...finding.gaps,
    'nobody has seen the end of the process; the versions and the folder are those of the host that found this',
  ];
  const host = { pid: contents.pid, version, node: process.versions.node, uptimeMs, applications };
  const report = { id, at: at.toISOString(), ...finding, gaps, action: 'ended', host, output: [] } as const;
  await new CrashReports({ folder: crashFolder(data), keep }).write(report);
  rmSync(file, { force: true });
  log.error({ crash: id }, `the host before this one has crashed: ${finding.verdict.sentence}`);
}

interface LeftBox {
  readonly contents: BoxContents;
  readonly at: Date;
  readonly uptimeMs: number;
}

/** Undefined without one, and for one that no fault was written to. */
function read(core: Core, file: string): LeftBox | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const facts = fstatSync(descriptor);
    const first = Buffer.alloc(1);
    if (!facts.isFile() || facts.size === 0) return undefined;
    readSync(descriptor, first, 0, 1, 0);
    // A box begins with its mark.
    if (first[0] === 0) return undefined;
    const uptimeMs = Math.max(0, Math.round(facts.mtimeMs - facts.birthtimeMs));
    return { contents: core.readBlackBox(descriptor), at: facts.mtime, uptimeMs };
  } finally {
    closeSync(descriptor);
  }
}

function nameOf(signal: number): string {
  return Object.entries(os.constants.signals).find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`;
}
