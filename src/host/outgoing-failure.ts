/** Why another server gave no answer, as one sentence. */

const certificate = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/;

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

export function outgoingFailure({ host, hostname }: URL, error: Error): string {
  const code = codeOf(error);
  if (code === 'ENOTFOUND') return `there is no host of the name ${hostname}`;
  if (code === 'EAI_AGAIN') return `the name ${hostname} could not be looked up: the name server did not answer`;
  if (code === 'ECONNREFUSED') return `${host} refused the connection`;
  if (code === 'ECONNRESET' || code === 'EPIPE') return `${host} broke the connection before its answer was complete`;
  if (code === 'HPE_HEADER_OVERFLOW') return `${host} answered with too large headers`;
  if (code.startsWith('HPE_')) return `${host} did not answer in HTTP: ${error.message} (${code})`;
  if (certificate.test(code)) return `the certificate of ${host} is not trusted: ${error.message} (${code})`;
  return `${host} could not be asked: ${error.message || 'no reason is known'}${code === '' ? '' : ` (${code})`}`;
}
