/** The certificate of a host and its key: read from two files, checked together, read again when they change. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Settings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';

/** Absolute paths of PEM files; links are followed at each look. */
export interface CertificateFiles {
  /** The certificate, then those that lead from it to a root. */
  certificate: string;
  key: string;
}

/** What a server is given. */
export interface CertificatePair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

interface Read extends CertificatePair {
  readonly leaf: X509Certificate;
}

const lookMs = 1_000;
const dayMs = 86_400_000;
const earlyDays = 30;

/** Serves any number of ports. */
export class Certificate {
  readonly #files: CertificateFiles;
  readonly #log: Log;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  #current: Read;
  /** How the files were when they were read last. */
  #seen: string;
  /** How they were at the look before: what is still being written is not read. */
  #before: string;
  #toldAt = Number.NEGATIVE_INFINITY;
  readonly #looks: NodeJS.Timeout;

  private constructor(files: CertificateFiles, log: Log) {
    this.#files = files;
    this.#log = log;
    this.#seen = stamp(files);
    this.#before = this.#seen;
    this.#current = read(files);
    this.#tellState();
    this.#looks = setInterval(() => this.#look(), lookMs).unref();
  }

  /** Throws `TlsInvalid`. From then on the files are looked at every second. */
  static open(files: CertificateFiles, log: Log): Certificate {
    return new Certificate(files, log);
  }

  get pair(): CertificatePair {
    const { cert, key } = this.#current;
    return { cert, key };
  }

  /** The certificate of the host itself, without those above it, PEM. */
  get own(): string {
    return this.#current.leaf.toString();
  }

  get expiresAt(): Date {
    return new Date(this.#current.leaf.validTo);
  }

  /** Tell `renewed` of every pair that takes the place of the one before. */
  onRenewal(renewed: (pair: CertificatePair) => void): void {
    this.#listeners.add(renewed);
  }

  /** Read the files now; connections that are open keep theirs. Throws `TlsInvalid`: the pair before stays. */
  reload(): void {
    this.#seen = stamp(this.#files);
    const fresh = read(this.#files);
    if (fresh.cert.equals(this.#current.cert) && fresh.key.equals(this.#current.key)) return;
    this.#current = fresh;
    for (const renewed of this.#listeners) renewed(this.pair);
    this.#log.info(
      { certificate: this.#files.certificate, expires: this.expiresAt.toISOString() },
      'the certificate was renewed',
    );
    this.#tellState();
  }

  /** Look no more. Twice is fine. */
  close(): void {
    clearInterval(this.#looks);
  }

  #look(): void {
    try {
      if (Date.now() - this.#toldAt > dayMs) this.#tellState();
      const now = stamp(this.#files);
      const still = now === this.#before;
      this.#before = now;
      if (still && now !== this.#seen) this.reload();
    } catch (error) {
      this.#log.error({ err: error }, 'the new certificate cannot be used: the one before stays');
    }
  }

  #tellState(): void {
    this.#toldAt = Date.now();
    const { certificate, key } = this.#files;
    const facts = { certificate, expires: this.expiresAt.toISOString() };
    const days = Math.floor((this.expiresAt.getTime() - Date.now()) / dayMs);
    if (days < 0) this.#log.error(facts, 'the certificate has expired: clients refuse it');
    else if (days < earlyDays) this.#log.warn({ ...facts, days }, 'the certificate expires soon');
    if (Date.parse(this.#current.leaf.validFrom) > Date.now())
      this.#log.error({ certificate, from: this.#current.leaf.validFrom }, 'the certificate is not valid yet');
    if (isOpenToAll(key)) this.#log.warn({ key }, 'everybody on this machine can read the key of the certificate');
  }
}

/**
 * The certificate that the settings name; undefined when they name none. Throws `TlsInvalid`, and `SettingsInvalid` when one of the
 * two files is named without the other.
 */
export function certificateOf(
  { tlsCertificate, tlsKey }: Pick<Settings, 'tlsCertificate' | 'tlsKey'>,
  log: Log,
): Certificate | undefined {
  if (tlsCertificate === '' && tlsKey === '') return undefined;
  if (tlsCertificate === '' || tlsKey === '') {
    const [given, missing] = tlsKey === '' ? ['tls.certificate', 'tls.key'] : ['tls.key', 'tls.certificate'];
    throw new TenonError('SettingsInvalid', `${given} is given without ${missing}`, {
      next: 'name both files, or none',
    });
  }
  return Certificate.open({ certificate: path.resolve(tlsCertificate), key: path.resolve(tlsKey) }, log);
}

/** What changes when one of the files does, or why they cannot be looked at. */
function stamp({ certificate, key }: CertificateFiles): string {
  return [certificate, key].map(stampOf).join(' ');
}

function stampOf(file: string): string {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(file);
    return [dev, ino, size, mtimeMs, ctimeMs].join(':');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

function isOpenToAll(file: string): boolean {
  try {
    return (statSync(file).mode & 0o004) !== 0;
  } catch {
    return false; // told by whoever reads it
  }
}

function read({ certificate, key: keyFile }: CertificateFiles): Read {
  const cert = contentOf(certificate);
  const key = contentOf(keyFile);
  const leaf = attempt(certificate, 'has no certificate in PEM', () => new X509Certificate(cert));
  const secret = attempt(keyFile, 'has no private key in PEM without a passphrase', () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(secret)) throw invalid(keyFile, `is not the key of the certificate in ${certificate}`);
  attempt(certificate, 'cannot be served', () => createSecureContext({ cert, key }));
  return { cert, key, leaf };
}

const sizeLimit = 1024 * 1024;

function contentOf(file: string): Buffer {
  const facts = attempt(file, 'cannot be read', () => statSync(file));
  if (!facts.isFile()) throw invalid(file, 'is not a file');
  if (facts.size > sizeLimit) throw invalid(file, `is over the limit of ${sizeLimit} bytes`);
  return attempt(file, 'cannot be read', () => readFileSync(file));
}

function attempt<Result>(file: string, sentence: string, act: () => Result): Result {
  try {
    return act();
  } catch (cause) {
    throw invalid(file, `${sentence}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function invalid(file: string, sentence: string, cause?: unknown): TenonError {
  return new TenonError('TlsInvalid', `${file} ${sentence}`, {
    next: 'see the settings `tls.certificate` and `tls.key`',
    details: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}
