/** Certificates of a test, made by openssl. */
import { execFile } from 'node:child_process';
import { mkdir, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Paths of a certificate and its key, PEM. */
export interface CertificateFiles {
  certificate: string;
  key: string;
}

async function openssl(...words: string[]): Promise<void> {
  await run('openssl', words);
}

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** One that has signed itself, for localhost. */
export async function selfSigned(directory: string, name: string, days = 90): Promise<CertificateFiles> {
  await mkdir(directory, { recursive: true });
  const files = { certificate: path.join(directory, `${name}.pem`), key: path.join(directory, `${name}.key`) };
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const to = ['-keyout', files.key, '-out', files.certificate];
  await openssl('req', '-x509', ...curve, ...to, '-days', String(days), '-subj', `/CN=${name}`, ...names);
  return files;
}

/** One that an authority has signed, which is not in the file, and whose name is no name of this machine. */
export async function signedByOther(directory: string, name: string): Promise<CertificateFiles> {
  const authority = await selfSigned(directory, `${name}-authority`);
  const files = { certificate: path.join(directory, `${name}.pem`), key: path.join(directory, `${name}.key`) };
  const request = path.join(directory, `${name}.csr`);
  await openssl('req', ...curve, '-keyout', files.key, '-out', request, '-subj', `/CN=${name}.example`);
  const by = ['-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial', '-days', '90'];
  await openssl('x509', '-req', '-in', request, '-out', files.certificate, ...by);
  return files;
}

/** Have the links `to` lead to these files: each is replaced in one step, as certbot does. */
export async function linkTo(files: CertificateFiles, to: CertificateFiles): Promise<void> {
  for (const which of ['key', 'certificate'] as const) {
    const fresh = `${to[which]}.fresh`;
    await rm(fresh, { force: true });
    await symlink(files[which], fresh);
    await rename(fresh, to[which]);
  }
}
