/** Requests byte for byte, and what they are answered. */

/** One connection. */
export interface RawCase {
  name: string;
  /** Characters from 0 to 255. */
  bytes: string;
  /** Statuses of all answers, in order; empty: the connection just ends. */
  statuses: readonly number[];
  /** Code of the last one, when that is a problem. */
  code?: string;
  /** Our side ends behind the bytes. */
  ends?: true;
}

/** What must never be answered: it is hidden in what belongs to another request. It counts itself. */
export const hidden = 'POST /service/count HTTP/1.1\r\nHost: hidden\r\nContent-Length: 0\r\n\r\n';

/** Token of the admin API of the host. */
export const token = 'a-token-of-the-tests';

const close = 'Connection: close\r\n';

function one(name: string, bytes: string, status: number, code?: string, ends?: true): RawCase {
  return {
    name,
    bytes,
    statuses: [status],
    ...(code === undefined ? {} : { code }),
    ...(ends === undefined ? {} : { ends }),
  };
}

const bad = (name: string, bytes: string, ends?: true): RawCase => one(name, bytes, 400, 'BadRequest', ends);

/** A POST of the service with these headers and this body. */
const post = (headers: string, body: string): string =>
  `POST /service/echo HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;
const chunked = (body: string, headers = ''): string => post(`Transfer-Encoding: chunked\r\n${headers}`, body);
const get = (target: string, headers = '', host = 'Host: x\r\n'): string =>
  `GET ${target} HTTP/1.1\r\n${host}${headers}${close}\r\n`;
const admin = (method: string, target: string, headers = '', body = ''): string =>
  `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n${headers}${close}\r\n${body}`;
const sized = (body: string, type = 'application/json'): string =>
  `Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body, 'latin1')}\r\n`;
const adminBody = (method: string, target: string, body: string, type?: string): string =>
  admin(method, target, sized(body, type), body);
const table = (method: string, target: string, body: string, type?: string): string =>
  `${method} ${target} HTTP/1.1\r\nHost: x\r\n${sized(body, type)}${close}\r\n${body}`;

const lengths: RawCase[] = [
  bad(
    'Content-Length and Transfer-Encoding',
    post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${hidden}`),
  ),
  bad(
    'Transfer-Encoding and Content-Length',
    post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', `0\r\n\r\n${hidden}`),
  ),
  bad(
    'Content-Length 0 and Transfer-Encoding',
    post('Content-Length: 0\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${hidden}`),
  ),
  bad('two Content-Length that differ', post('Content-Length: 0\r\nContent-Length: 70\r\n', hidden)),
  bad('two Content-Length that are equal', post('Content-Length: 0\r\nContent-Length: 0\r\n', hidden)),
  bad('two Content-Length in one line', post('Content-Length: 0, 70\r\n', hidden)),
  bad('two equal Content-Length in one line', post('Content-Length: 0, 0\r\n', hidden)),
  bad('a negative Content-Length', post('Content-Length: -1\r\n', hidden)),
  bad('a Content-Length with a plus', post('Content-Length: +0\r\n', hidden)),
  bad('an empty Content-Length', post('Content-Length:\r\n', hidden)),
  bad('a hexadecimal Content-Length', post('Content-Length: 0x10\r\n', hidden)),
  bad('a Content-Length with a dot', post('Content-Length: 1.0\r\n', hidden)),
  bad('a Content-Length with an exponent', post('Content-Length: 1e1\r\n', hidden)),
  bad('a Content-Length with a blank inside', post('Content-Length: 1 0\r\n', hidden)),
  bad('a Content-Length with a tail', post('Content-Length: 5;\r\n', hidden)),
  bad('a Content-Length of 2^64', post('Content-Length: 18446744073709551616\r\n', hidden)),
  bad('a Content-Length of 40 digits', post(`Content-Length: ${'9'.repeat(40)}\r\n`, hidden)),
  one('a Content-Length of 2^53', post(`Content-Length: 9007199254740992\r\n${close}`, ''), 413, 'BodyTooLarge'),
  one('a Content-Length over the limit', post(`Content-Length: 1001\r\n${close}`, ''), 413, 'BodyTooLarge'),
  one('a Content-Length with zeros before it', post(`Content-Length: 00003\r\n${close}`, 'abc'), 200),
  one('blanks around a Content-Length', post(`Content-Length:   3  \r\n${close}`, 'abc'), 200),
  bad('tabs around a Content-Length', post(`Content-Length: \t 3 \t\r\n${close}`, hidden)),
  bad('a body that ends before its length', post('Content-Length: 10\r\n', 'abc'), true),
  bad('no name of a length', post('Content-Length\r\n', hidden)),
  bad('a blank before the colon of Content-Length', post('Content-Length : 70\r\n', hidden)),
  bad('a tab before the colon of Content-Length', post('Content-Length\t: 70\r\n', hidden)),
  {
    name: 'a GET with a body',
    bytes: `GET /service/build HTTP/1.1\r\nHost: x\r\nContent-Length: ${hidden.length}\r\n${close}\r\n${hidden}`,
    statuses: [200],
  },
  {
    name: 'a body that is longer than its length',
    bytes: post('Content-Length: 3\r\n', 'abcXYZ'),
    statuses: [200, 400],
    code: 'BadRequest',
  },
  { name: 'what follows a last request', bytes: `${get('/service/build')}${hidden}`, statuses: [200] },
  { name: 'noise behind a last request', bytes: `${get('/service/slow?ms=20')}\0\0\0`, statuses: [200] },
];

const codings: RawCase[] = [
  bad('a transfer coding that is unknown', post('Transfer-Encoding: gzip\r\n', hidden)),
  bad('chunked under another coding', post('Transfer-Encoding: chunked, gzip\r\n', `0\r\n\r\n${hidden}`)),
  bad('chunked over another coding', post('Transfer-Encoding: gzip, chunked\r\n', `0\r\n\r\n${hidden}`)),
  bad('identity as a transfer coding', post('Transfer-Encoding: identity\r\n', hidden)),
  bad('chunked twice', post('Transfer-Encoding: chunked, chunked\r\n', `0\r\n\r\n${hidden}`)),
  bad(
    'two Transfer-Encoding',
    post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${hidden}`),
  ),
  bad(
    'two Transfer-Encoding that differ',
    post('Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n', `0\r\n\r\n${hidden}`),
  ),
  bad('xchunked', post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${hidden}`)),
  bad('chunked with a parameter', post('Transfer-Encoding: chunked;q=1\r\n', `0\r\n\r\n${hidden}`)),
  bad('chunked in quotes', post('Transfer-Encoding: "chunked"\r\n', `0\r\n\r\n${hidden}`)),
  bad('an empty Transfer-Encoding', post('Transfer-Encoding:\r\n', hidden)),
  bad('a vertical tab before chunked', post('Transfer-Encoding: \x0bchunked\r\n', `0\r\n\r\n${hidden}`)),
  bad('a blank before the colon of Transfer-Encoding', post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${hidden}`)),
  bad(
    'Transfer-Encoding in HTTP/1.0',
    `POST /service/echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
  ),
  one('CHUNKED', post(`Transfer-Encoding: CHUNKED\r\n${close}`, '3\r\nabc\r\n0\r\n\r\n'), 200),
];

const chunks: RawCase[] = [
  one('chunks', chunked('3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n', close), 200),
  one('zeros before the size of a chunk', chunked('0003\r\nabc\r\n000\r\n\r\n', close), 200),
  one('a chunk with an extension', chunked('3;a=b;c\r\nabc\r\n0\r\n\r\n', close), 200),
  one('a trailer', chunked('0\r\nX-Late: 1\r\n\r\n', close), 200),
  bad('a size that is no number', chunked(`xyz\r\n${hidden}`)),
  bad('an empty size', chunked(`\r\n${hidden}`)),
  bad('a negative size', chunked(`-1\r\n${hidden}`)),
  bad('a size with a plus', chunked(`+3\r\nabc\r\n0\r\n\r\n${hidden}`)),
  bad('a size with 0x', chunked(`0x3\r\nabc\r\n0\r\n\r\n${hidden}`)),
  bad('a size with a blank before it', chunked(` 3\r\nabc\r\n0\r\n\r\n${hidden}`)),
  bad('a size with a blank behind it', chunked(`3 \r\nabc\r\n0\r\n\r\n${hidden}`)),
  bad('a size of 2^64', chunked(`10000000000000000\r\n${hidden}`)),
  bad('a size of 2^64 and 3', chunked(`10000000000000003\r\nabc\r\n0\r\n\r\n${hidden}`)),
  one('a size of 2^63', chunked('7fffffffffffffff\r\n' + 'x'.repeat(2000), close), 413, 'BodyTooLarge'),
  bad('a size with an underscore', chunked(`1_0\r\n${hidden}`)),
  bad('a size that ends with a line feed only', chunked(`3\nabc\r\n0\r\n\r\n${hidden}`)),
  bad('a size that ends with a carriage return only', chunked(`3\rabc\r\n0\r\n\r\n${hidden}`)),
  bad('a chunk that is longer than its size', chunked(`3\r\nabcdef\r\n0\r\n\r\n${hidden}`)),
  bad('a chunk that is shorter than its size', chunked('5\r\nabc\r\n0\r\n\r\n'), true),
  bad('a chunk that ends with a line feed only', chunked(`3\r\nabc\n0\r\n\r\n${hidden}`)),
  bad('an end without its empty line', chunked('3\r\nabc\r\n0\r\n'), true),
  bad('no end', chunked('3\r\nabc\r\n'), true),
  bad('an extension with a NUL', chunked(`3;a\0b\r\nabc\r\n0\r\n\r\n${hidden}`)),
  bad('an extension with a line feed', chunked(`3;a\nabc\r\n0\r\n\r\n${hidden}`)),
  one('an endless extension', chunked(`3;${'a'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`, close), 413, 'BodyTooLarge'),
  one(
    'a body over the limit',
    chunked(`${'3ff\r\n' + 'x'.repeat(1023) + '\r\n'}0\r\n\r\n`, close),
    413,
    'BodyTooLarge',
  ),
  one(
    'a body without an end',
    chunked('ff\r\n' + 'x'.repeat(255) + '\r\nff\r\n'.repeat(1) + ('x'.repeat(255) + '\r\nff\r\n').repeat(100), close),
    413,
    'BodyTooLarge',
  ),
  bad('a trailer that is no header', chunked('0\r\nnonsense\r\n\r\n')),
  bad('a trailer with a blank before its colon', chunked(`0\r\nX : 1\r\n\r\n${hidden}`)),
];

const names: RawCase[] = [
  bad('a line that goes on in the next', get('/service/build', 'X-A: one\r\n two\r\n')),
  bad('a Content-Length that goes on in the next line', post('Content-Length: 7\r\n 0\r\n', hidden)),
  bad('a first header that begins with a blank', `GET /service/build HTTP/1.1\r\n Host: x\r\n\r\n`),
  bad('a NUL in a name', get('/service/build', 'X\0A: 1\r\n')),
  bad('a NUL in a value', get('/service/build', 'X-A: 1\x002\r\n')),
  bad('a carriage return in a name', get('/service/build', 'X\rA: 1\r\n')),
  bad('a carriage return in a value', get('/service/build', 'X-A: 1\r2\r\n')),
  bad('a carriage return before the end of a line', get('/service/build', 'X-A: 1\r\r\n')),
  bad('a line feed in a name', get('/service/build', 'X\nA: 1\r\n')),
  bad('a line that ends with a line feed only', `GET /service/build HTTP/1.1\nHost: x\n\n`),
  bad('a header that ends with a line feed only', `GET /service/build HTTP/1.1\r\nHost: x\nX: y\r\n\r\n`),
  bad('a head that ends with line feeds only', `GET /service/build HTTP/1.1\r\nHost: x\r\n\n`),
  bad('an escape in a value', get('/service/build', 'X-A: \x1b[2J\r\n')),
  bad('a DEL in a value', get('/service/build', 'X-A: \x7f\r\n')),
  bad('a name with a blank', get('/service/build', 'X A: 1\r\n')),
  bad('a name with a blank behind it', get('/service/build', 'X-A : 1\r\n')),
  bad('an empty name', get('/service/build', ': 1\r\n')),
  bad('a name in UTF-8', get('/service/build', 'X-\xc3\xa4: 1\r\n')),
  bad('a name in brackets', get('/service/build', '(X): 1\r\n')),
  bad('a line without a colon', get('/service/build', 'nonsense\r\n')),
  one('UTF-8 in a value', get('/service/build', 'X-A: \xc3\xa4\xf0\x9f\x8c\xb3\r\n'), 200),
  one('an empty value', get('/service/build', 'X-A:\r\n'), 200),
  one('the same header a hundred times less two', get('/service/build', 'X-A: 1\r\n'.repeat(98)), 200),
  one('101 headers', get('/service/build', 'X-A: 1\r\n'.repeat(99)), 431, 'HeadersTooLarge'),
  one('1,000 headers', get('/service/build', 'X: 1\r\n'.repeat(1000)), 431, 'HeadersTooLarge'),
  one('a value over the limit', get('/service/build', `X-A: ${'a'.repeat(17_000)}\r\n`), 431, 'HeadersTooLarge'),
  one('a name over the limit', get('/service/build', `${'a'.repeat(17_000)}: 1\r\n`), 431, 'HeadersTooLarge'),
  one('5,000 headers', get('/service/build', 'X: 1\r\n'.repeat(5000)), 431, 'HeadersTooLarge'),
  one('a target over the limit of targets', get(`/service/items/${'a'.repeat(9000)}`), 414, 'UrlTooLong'),
  one('a target over the limit of heads', get(`/service/items/${'a'.repeat(20_000)}`), 414, 'UrlTooLong'),
  one('a query over the limit', get(`/service/build?${'a'.repeat(9000)}`), 414, 'UrlTooLong'),
  one('a method over the limit', `${'A'.repeat(20_000)} / HTTP/1.1\r\n\r\n`, 400, 'BadRequest'),
];

const lines: RawCase[] = [
  bad('a method in lower case', `get /service/build HTTP/1.1\r\nHost: x\r\n\r\n`),
  bad('an unknown method', `FOO /service/build HTTP/1.1\r\nHost: x\r\n\r\n`),
  bad('an empty method', ` /service/build HTTP/1.1\r\nHost: x\r\n\r\n`),
  one('two blanks', get('/service/build').replace(' ', '  '), 200),
  one('two blanks before the version', get('/service/build').replace(' HTTP', '  HTTP'), 200),
  bad('a tab for a blank', `GET\t/service/build HTTP/1.1\r\nHost: x\r\n\r\n`),
  bad('a blank in the target', `GET /service/items/a b HTTP/1.1\r\nHost: x\r\n\r\n`),
  bad('a NUL in the target', `GET /service/items/a\0b HTTP/1.1\r\nHost: x\r\n\r\n`),
  bad('a carriage return in the target', `GET /service/items/a\rb HTTP/1.1\r\nHost: x\r\n\r\n`),
  bad('no version', `GET /service/build\r\nHost: x\r\n\r\n`),
  bad('another protocol', `GET /service/build HTCPCP/1.1\r\nHost: x\r\n\r\n`),
  bad('a protocol in lower case', `GET /service/build http/1.1\r\nHost: x\r\n\r\n`),
  bad('version 1', `GET /service/build HTTP/1\r\nHost: x\r\n\r\n`),
  bad('version 1.11', `GET /service/build HTTP/1.11\r\nHost: x\r\n\r\n`),
  bad('version 1.2', `GET /service/build HTTP/1.2\r\nHost: x\r\n\r\n`),
  bad('version 3.0', `GET /service/build HTTP/3.0\r\nHost: x\r\n\r\n`),
  bad('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  bad('a handshake of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaa'),
  bad('a greeting of SSH', 'SSH-2.0-OpenSSH_9.6\r\n'),
  bad('noise', '\x00\x01\x02\x03\xff\xfe'),
  one('empty lines before a request', `\r\n\r\n${get('/service/build')}`, 200),
  one('HTTP/1.0', 'GET /service/build HTTP/1.0\r\n\r\n', 200),
  bad('no Host', `GET /service/build HTTP/1.1\r\n${close}\r\n`),
  bad('two Host', get('/service/build', 'Host: y\r\n')),
  bad('two equal Host', get('/service/build', 'Host: x\r\n')),
  one('an empty Host', get('/service/build', '', 'Host:\r\n'), 200),
  bad('a Host with a path', get('/service/build', '', 'Host: x/y\r\n')),
  bad('a Host with a user', get('/service/build', '', 'Host: a@b\r\n')),
  bad('a Host with a blank', get('/service/build', '', 'Host: a b\r\n')),
  bad('a Host with two ports', get('/service/build', '', 'Host: a:1:2\r\n')),
  bad('a Host with a port that is none', get('/service/build', '', 'Host: a:b\r\n')),
  bad('a Host that is a list', get('/service/build', '', 'Host: a, b/\r\n')),
  bad('a Host with an open bracket', get('/service/build', '', 'Host: [::1\r\n')),
  bad('a Host in UTF-8', get('/service/build', '', 'Host: \xc3\xa4\r\n')),
  one('a Host that is an address', get('/service/build', '', 'Host: [::1]:80\r\n'), 200),
  one('a target in absolute form', get('http://x/service/build'), 200),
  one('a target in absolute form with another host', get('http://other.example/service/build'), 200),
  one(
    'the admin API under another name in absolute form',
    admin('GET', 'http://evil.example/api/v1/plugins'),
    421,
    'HostNotAllowed',
  ),
  one('a target of HTTPS', get('https://x/service/build'), 200),
  bad('a target of FTP', get('ftp://x/service/build')),
  bad('a target with a user', get('http://a@b/service/build')),
  bad('a target without a host', get('http:///service/build')),
  bad('a target that is a file', get('file:///etc/passwd')),
  bad('a target that is no path', get('service/build')),
  bad('an asterisk for a path', get('*')),
  { name: 'OPTIONS *', bytes: `OPTIONS * HTTP/1.1\r\nHost: x\r\n${close}\r\n`, statuses: [204] },
  one('CONNECT', 'CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n', 405, 'MethodNotAllowed'),
  one('CONNECT of a path', 'CONNECT /service/build HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'MethodNotAllowed'),
  one('TRACE', `TRACE /service/build HTTP/1.1\r\nHost: x\r\n${close}\r\n`, 405, 'MethodNotAllowed'),
  one('PROPFIND', `PROPFIND /service/build HTTP/1.1\r\nHost: x\r\n${close}\r\n`, 405, 'MethodNotAllowed'),
  one(
    'h2c',
    get('/service/build', 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n').replace(
      close,
      'Connection: Upgrade, HTTP2-Settings, close\r\n',
    ),
    200,
  ),
  one(
    'an upgrade to nothing',
    get('/service/build', 'Upgrade:\r\n').replace(close, 'Connection: Upgrade, close\r\n'),
    200,
  ),
  one(
    'a WebSocket where there is none',
    get(
      '/service/build',
      'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
    ).replace(close, 'Connection: Upgrade\r\n'),
    404,
    'RouteNotFound',
  ),
  one(
    'a WebSocket without Host',
    get('/service/build', 'Upgrade: websocket\r\n', '').replace(close, 'Connection: Upgrade\r\n'),
    400,
    'BadRequest',
  ),
  one(
    'an expectation that is unknown',
    post(`Expect: cake\r\nContent-Length: 3\r\n${close}`, 'abc'),
    417,
    'ExpectationFailed',
  ),
  one(
    'two expectations',
    post(`Expect: 100-continue, cake\r\nContent-Length: 3\r\n${close}`, 'abc'),
    417,
    'ExpectationFailed',
  ),
  one('an expectation that is met', post(`Expect: 100-continue\r\nContent-Length: 3\r\n${close}`, 'abc'), 200),
  one('a range that is nonsense', get('/service/build', 'Range: bytes=9-1,-,x\r\n'), 200),
  one('a range of 10,000 pieces', get('/service/build', `Range: bytes=${'0-0,'.repeat(1000)}\r\n`), 200),
  {
    name: 'two requests behind each other',
    bytes: `GET /service/slow?ms=20 HTTP/1.1\r\nHost: x\r\n\r\n${get('/service/build')}`,
    statuses: [200, 200],
  },
  {
    name: 'noise behind a slow request',
    bytes: 'GET /service/slow?ms=20 HTTP/1.1\r\nHost: x\r\n\r\nnoise\r\n\r\n',
    statuses: [200, 400],
    code: 'BadRequest',
  },
  {
    name: 'a bad body behind a slow request',
    bytes: `GET /service/slow?ms=20 HTTP/1.1\r\nHost: x\r\n\r\n${chunked('zz\r\n')}`,
    statuses: [200, 400],
    code: 'BadRequest',
  },
  { name: 'nothing', bytes: '', statuses: [], ends: true },
  bad('half a line', 'GET /serv', true),
  bad('half a head', 'GET /service/build HTTP/1.1\r\nHost: x\r\n', true),
];

/** Ways to say a path that leaves its place. */
const ways = [
  '..%2f..%2fetc%2fpasswd',
  '%2e%2e%2fx',
  '..%5cx',
  '%252e%252e%252f',
  'a%00b',
  '%c0%ae%c0%ae%c0%af',
  '%ef%bc%8f',
  '\u2215'.replace('\u2215', '%e2%88%95'),
  'a..',
  'a.',
  '...',
  'a%20',
  '%0d%0aX-Injected:%201',
  'CON',
  '__proto__',
  'constructor',
  '-',
  'A',
  `${'a'.repeat(64)}`,
];

const isUndecodable = (text: string): boolean => {
  try {
    decodeURIComponent(text);
    return false;
  } catch {
    return true;
  }
};

const paths: RawCase[] = ways.flatMap((way) => {
  const undecodable = isUndecodable(way);
  const absent = (name: string, target: string, code: string): RawCase =>
    undecodable ? bad(name, admin('GET', target)) : one(name, admin('GET', target), 404, code);
  return [
    absent(`the plugin ${way}`, `/api/v1/plugins/${way}`, 'PluginNotFound'),
    absent(`the config of ${way}`, `/api/v1/plugins/${way}/config`, 'PluginNotFound'),
    undecodable
      ? bad(`the record ${way}`, get(`/shop/Item/${way}`))
      : one(`the record ${way}`, get(`/shop/Item/${way}`), 404, 'RecordNotFound'),
    undecodable
      ? bad(`the item ${way}`, get(`/service/items/${way}`))
      : one(`the item ${way}`, get(`/service/items/${way}`), 200),
  ];
});

const plainPaths: RawCase[] = [
  one('dots in a path', get('/service/../api/v1/plugins'), 404, 'RouteNotFound'),
  one('dots before documents', get('/docs/../../etc/passwd'), 404, 'RouteNotFound'),
  one('escaped dots before documents', get('/docs/%2e%2e/package.json'), 404, 'RouteNotFound'),
  one('the admin API in escapes', get('/%61pi/v1/plugins'), 404, 'RouteNotFound'),
  one('the admin API in capitals', get('/API/v1/plugins', '', 'Host: localhost\r\n'), 401, 'Unauthorized'),
  one('the admin API with two slashes', get('//api/v1/plugins'), 404, 'RouteNotFound'),
  bad('a fragment', get('/service/build#x')),
  one('a backslash', get('/service\\build'), 404, 'RouteNotFound'),
];

const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const item = '/shop/Item';
const config = '/api/v1/plugins/service/config';

const bodies: RawCase[] = [
  ...[
    ['half an object', '{"id":'],
    ['nothing', ''],
    ['a word', 'cow'],
    ['two values', '{"id":"a"} {"id":"b"}'],
    ['a NUL', '{"id":"a\0"}'],
    ['bytes that are no UTF-8', '{"id":"\xff\xfe"}'],
    ['half a surrogate in bytes', '{"id":"\xed\xa0\x80"}'],
    ['a number that is none', '{"id":"a","size":NaN}'],
    ['a number beyond all', '{"id":"a","size":1e999}'],
    ['an Int beyond its size', '{"id":"a","size":99999999999999999999}'],
    ['a key twice', '{"id":"a","id":"b"}'],
    ['__proto__', '{"id":"a","__proto__":{"polluted":true}}'],
    ['constructor', '{"id":"a","constructor":{"prototype":{"polluted":true}}}'],
    ['an array', '[1,2]'],
    ['null', 'null'],
    ['100,000 arrays', deep(100_000)],
    ['100,000 arrays in a field', `{"id":${deep(100_000)}}`],
  ].map(
    ([name = '', body = '']): RawCase => ({
      name: `a record that is ${name}`,
      bytes: table('POST', item, body),
      statuses: [400],
    }),
  ),
  ...[
    ['half an object', '{"config":'],
    ['a word', 'cow'],
    ['__proto__', '{"__proto__":{"polluted":true}}'],
    ['a key twice', '{"config":{},"config":{}}'],
    ['null', 'null'],
  ].map(
    ([name = '', body = '']): RawCase =>
      one(`a config that is ${name}`, adminBody('PUT', config, body), 400, 'BadRequest'),
  ),
  // What is JSON and no config is told as a wrong config.
  one('a config that is 100,000 arrays', adminBody('PUT', config, deep(100_000)), 422, 'ConfigInvalid'),
  ...[
    ['half an object', '{"level":'],
    ['nothing that is JSON', 'cow'],
    ['a text', '"debug"'],
    ['a key twice', '{"level":"loud","level":"info"}'],
    ['__proto__', '{"level":"info","__proto__":{"level":"info"}}'],
    ['100,000 arrays', deep(2_000)],
    ['not UTF-8', '{"level":"\xff"}'],
  ].map(
    ([name = '', body = '']): RawCase =>
      one(`a level whose body is ${name}`, adminBody('PUT', '/api/v1/log-level', body), 400, 'BadRequest'),
  ),
  one('a record of another type', table('POST', item, '{"id":"a"}', 'text/plain'), 415, 'ContentTypeUnsupported'),
  one(
    'a record in gzip',
    `POST ${item} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n${sized('{"id":"a"}')}${close}\r\n{"id":"a"}`,
    415,
    'ContentTypeUnsupported',
  ),
  one(
    'a document in gzip',
    `POST /shop/graphql HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n${sized('{"query":"{__typename}"}')}${close}\r\n{"query":"{__typename}"}`,
    415,
    'ContentTypeUnsupported',
  ),
  one(
    'a config in gzip',
    admin('PUT', config, `Content-Encoding: gzip\r\n${sized('{}')}`, '{}'),
    415,
    'ContentTypeUnsupported',
  ),
  one(
    'a record over the limit',
    `POST ${item} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n${close}\r\n`,
    413,
    'BodyTooLarge',
  ),
  one(
    'an archive that is none',
    adminBody('POST', '/api/v1/plugins/install', 'cow', 'application/gzip'),
    400,
    'ArchiveInvalid',
  ),
  one(
    'an archive of another type',
    adminBody('POST', '/api/v1/plugins/install', 'cow', 'text/plain'),
    415,
    'ContentTypeUnsupported',
  ),
];

export const rawCases: readonly RawCase[] = [
  ...lengths,
  ...codings,
  ...chunks,
  ...names,
  ...lines,
  ...plainPaths,
  ...paths,
  ...bodies,
];
