import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build, type BuildReport } from '../src/cli/build.js';
import { root } from './architecture/tree.js';
import { Command } from './load/command.js';
import { tenon } from './load/tenon.js';
import { until, World } from './load/world.js';

const plain = (body: string): string => `#include <string.h>
#include <tenon/entry.h>
static const void *get_extension(tenon_plugin_t *plugin, const char *id) { (void)plugin; (void)id; return NULL; }
static void destroy(tenon_plugin_t *plugin) { (void)plugin; }
static tenon_status create(const tenon_host_t *host, tenon_plugin_t **out) {
  static tenon_plugin_t plugin = {.size = sizeof(tenon_plugin_t), .destroy = destroy, .get_extension = get_extension};
  ${body}
  *out = &plugin;
  return host == NULL ? TENON_ERROR : TENON_OK;
}
TENON_PLUGIN("ID", "", "1.0.0", NULL, NULL, TENON_TRIAL_FULL, create)
`;

let world: World;
const write = async (id: string, body = ''): Promise<void> => {
  await world.write(id, 'config.yaml', `name: ${id}\n`);
  await world.write(id, 'resources/plugin.c', plain(body).replace('"ID"', `"${id}"`));
};
const report = (out: string): BuildReport => JSON.parse(out) as BuildReport;

beforeAll(async () => {
  world = await World.make();
  await write('good');
  await write('warns', 'int unused = 1;');
  await write('wrong', 'return "text" * 2;');
});
afterAll(() => world.close());

describe('tenon build', () => {
  test('builds all of a folder, each for itself: paths on stdout, file:line:column from here on stderr', async () => {
    const built = await tenon(world.directory, 'build');
    expect(built.status).toBe(1);
    const libraries = ['good', 'warns'].map((id) => path.join(world.directory, 'data/cache/builds', id, `${id}.so`));
    expect(built.out.trimEnd().split('\n').sort()).toEqual(libraries);
    expect(libraries.filter(existsSync)).toEqual(libraries);
    expect(built.err).toMatch(/^applications\/warns\/resources\/plugin\.c:7:7: warning: unused variable/m);
    expect(built.err).toMatch(/^applications\/wrong\/resources\/plugin\.c:7:\d+: error: invalid operands/m);
    expect(built.err).toMatch(/^wrong: BuildFailed: resources\/plugin\.c:7:\d+: invalid operands/m);
    // No host runs: what is said next holds without one.
    expect(built.err).toMatch(/; correct it; a host that serves an earlier build goes on with it$/m);
  });

  test('builds the application it stands in, or those that are named, once', async () => {
    const data = path.join(world.directory, 'data');
    const here = await tenon(world.folder('good'), 'build', '--debug');
    expect(here.out).toBe(`${path.join(data, 'cache/builds/good/debug/good.so')}\n`);
    const words = ['applications/good', 'applications/../applications/good', 'applications'];
    const { applications, profile } = report((await tenon(world.directory, 'build', '--json', ...words)).out);
    expect(applications.map(({ id }) => id)).toEqual(['good', 'warns', 'wrong']);
    expect([profile, applications[0]?.cached]).toEqual(['release', true]);
    // From elsewhere the builds are elsewhere, unless it is said where.
    const other = path.relative(path.dirname(world.directory), world.folder('good'));
    const above = await tenon(path.dirname(world.directory), 'build', '--json', '--data', data, other);
    expect(report(above.out).applications[0]).toMatchObject({ cached: true, ok: true });
  });

  test('refuses two applications of one id, which would have one library', async () => {
    await world.write('../elsewhere/twin', 'config.yaml', 'app_id: good\n');
    await world.write('../elsewhere/twin', 'resources/plugin.c', plain('').replace('"ID"', '"good"'));
    const built = await tenon(world.directory, 'build', '--json', 'applications/good', 'elsewhere/twin');
    expect(built.status).toBe(1);
    const { applications } = report(built.out);
    expect(applications.filter(({ ok }) => ok)).toHaveLength(1);
    expect(built.out).toContain('its app_id good is that of');
  });

  test('begins with the folder where the id is that of another', async () => {
    await world.write('../elsewhere/twin', 'config.yaml', 'app_id: good\n');
    await world.write('../elsewhere/twin', 'resources/plugin.c', plain('').replace('"ID"', '"good"'));
    const { err } = await tenon(world.directory, 'build', 'applications/good', 'elsewhere/twin');
    expect(err).toMatch(/^(applications\/good|elsewhere\/twin): ConfigInvalid: its app_id good is that of \//m);
  });

  test("makes the data directory as the host does, its owner's alone", async () => {
    const data = path.join(world.directory, 'fresh', 'data');
    expect((await tenon(world.directory, 'build', '--data', data, 'applications/good')).status).toBe(0);
    expect((await stat(data)).mode & 0o777).toBe(0o700);
  });

  test.each([
    [['strat'], 'Did you mean start?'],
    [['start', '--prot', '1'], "unknown option '--prot'"],
  ])('%j is wrong use and ends with 2', async (words, sentence) => {
    const refused = await tenon(world.directory, ...words);
    expect([refused.status, refused.out]).toEqual([2, '']);
    expect(refused.err).toContain(sentence);
  });

  test('--json is one object with positions', async () => {
    const { out, status } = await tenon(world.applications, 'build', '--json', 'warns', 'wrong');
    const { ok, profile, applications } = report(out);
    expect([status, ok, profile]).toEqual([1, false, 'release']);
    expect(applications).toMatchObject([
      { id: 'warns', ok: true, folder: world.folder('warns'), library: expect.stringMatching(/warns\.so$/) as string },
      {
        id: 'wrong',
        ok: false,
        diagnostics: [
          { file: 'resources/plugin.c', line: 7, severity: 'error', message: expect.any(String) as string },
        ],
        error: { code: 'BuildFailed' },
      },
    ]);
    expect(applications[1]).not.toHaveProperty('library');
  });

  test('a config that is wrong is an error with its place, too', async () => {
    await world.write('odd', 'config.yaml', 'name: odd\nversoin: 1.0.0\n');
    const { out } = await tenon(world.directory, 'build', '--json', 'applications/odd');
    expect(report(out).applications[0]?.error).toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringContaining('config.yaml:2:1: unknown key "versoin"; did you mean "version"?') as string,
    });
  });

  test('one that cannot be read is an outcome as well, and the others are built', async () => {
    await write('deep');
    const folder = world.folder('deep');
    // Each step is taken from where the last one ended: the whole path is longer than any may be.
    const dig = `for (let n = 0; n < 20; n++) { fs.mkdirSync('${'d'.repeat(250)}'); process.chdir('${'d'.repeat(250)}'); }`;
    execFileSync(process.execPath, ['-e', dig], { cwd: folder });
    try {
      const built = await tenon(world.directory, 'build', '--json', 'applications/deep', 'applications/good');
      expect([built.status, built.err]).toEqual([1, '']);
      const message = /^the application deep cannot be read: d{200}…: ENAMETOOLONG$/;
      expect(report(built.out).applications).toMatchObject([
        { id: 'deep', error: { code: 'ApplicationUnreadable', message: expect.stringMatching(message) as string } },
        { id: 'good', ok: true },
      ]);
    } finally {
      execFileSync('rm', ['-rf', folder]);
    }
  });

  test('one that fails for a reason without a code is an outcome as well', async () => {
    const data = path.join(world.directory, 'blocked');
    await mkdir(data);
    await writeFile(path.join(data, 'cache'), '');
    const built = await tenon(world.directory, 'build', '--json', '--data', data, 'applications/good');
    expect([built.status, built.err]).toEqual([1, '']);
    expect(report(built.out).applications).toMatchObject([{ id: 'good', ok: false, error: { code: 'Internal' } }]);
  });

  test('names a folder that is no application, and has none', async () => {
    const folder = (name: string): string => path.join(world.directory, name);
    await expect(build([folder('nowhere')], {})).rejects.toThrow(TypeError);
    await expect(build([folder('nowhere')], {})).rejects.toThrow(`there is no folder ${folder('nowhere')}`);
    const resources = folder('applications/good/resources');
    await expect(build([resources], {})).rejects.toThrow(`there is no application in ${resources}`);
  });

  test.each([
    [['nowhere'], 'there is no folder'],
    [['--debug', '--sanitize'], 'cannot be used with option'],
  ])('%j ends with 2', async (words, sentence) => {
    const refused = await tenon(world.directory, 'build', ...words);
    expect([refused.status, refused.out]).toEqual([2, '']);
    expect(refused.err).toContain(sentence);
  });

  test('an interrupt ends the compilers as well', async () => {
    const cc = path.join(world.directory, 'slow-cc');
    const pids = path.join(world.directory, 'slow.pid');
    await writeFile(
      cc,
      `#!/bin/sh\ncase "$*" in *-version*|*-v*) exec cc "$@";; esac\necho $$ >> ${pids}\nexec sleep 300\n`,
    );
    await chmod(cc, 0o755);
    const command = new Command(['build', '--data', '../../slow'], world.folder('good'), { CC: cc });
    const started = (): number[] => (readFileSync(pids, 'utf8').match(/^\d+(?=\n)/gm) ?? []).map(Number);
    await until('a compiler runs', () => existsSync(pids) && started().length > 0);
    command.child.kill('SIGINT');
    expect(await command.exit).toEqual([130, null]);
    for (const pid of started()) expect(() => process.kill(pid, 0), String(pid)).toThrow('ESRCH');
  });
});

describe('what the host would refuse, tenon build refuses', () => {
  /** How the build of an application `id` with one source fails. */
  const refusal = async (id: string, file: string, text: string, ...words: string[]): Promise<unknown> => {
    await world.write(id, 'config.yaml', `name: ${id}\n`);
    await world.write(id, file, text);
    const { status, out, err } = await tenon(world.folder(id), 'build', '--json', ...words);
    const [{ ok, library, error } = {}] = report(out).applications;
    expect({ status, err, ok, built: library !== undefined }).toEqual({ status: 1, err: '', ok: false, built: true });
    return error;
  };
  const resource = (type: string, options = ''): string =>
    `struct ${type} : tenon::Resource {\n${options}  tenon::Response get(const tenon::Request&) override { return {}; }\n};\n`;
  const samePath = '  static constexpr std::string_view path = "/same";\n';

  test.each(['--release', '--sanitize'])(
    "an id that is not the application's, by the TENON_PLUGIN (%s)",
    async (profile) => {
      expect(await refusal('renamed', 'resources/plugin.c', plain('').replace('"ID"', '"before"'), profile)).toEqual({
        code: 'PluginIdMismatch',
        message: 'resources/plugin.c:11:1: TENON_PLUGIN has the id "before", and the application is "renamed"',
        next: 'write "renamed" there, or `app_id: before` in config.yaml',
      });
    },
  );

  test('two types of one address, by their names', async () => {
    const text = `#include <tenon/tenon.hpp>\n${resource('One', samePath)}${resource('Other', samePath)}`;
    expect(await refusal('twice', 'resources/both.cpp', text)).toMatchObject({
      code: 'TrialRefused',
      message: expect.stringContaining(
        'the types One and Other both serve GET /same: give one of them another `path`',
      ) as string,
    });
  });

  test('a type whose name is no address, by its name', async () => {
    const text = `#include <tenon/tenon.hpp>\n${resource('Größe')}`;
    expect(await refusal('wide', 'resources/wide.cpp', text)).toMatchObject({
      code: 'TrialRefused',
      message: expect.stringContaining(
        'the name of the type Größe cannot be an address: set its `path`, in ASCII',
      ) as string,
    });
  });

  test('routes of the contract itself, by their numbers, as they are written', async () => {
    const service = (count: number, pattern: string): string =>
      plain('')
        .replace('"ID"', '"contract"')
        .replace(
          'static const void *get_extension(tenon_plugin_t *plugin, const char *id) { (void)plugin; (void)id; return NULL; }',
          `#include <tenon/ext/http.h>
static uint32_t route_count(tenon_plugin_t *plugin) { (void)plugin; return ${count}; }
static const tenon_route_t *route(tenon_plugin_t *plugin, uint32_t index) {
  static const tenon_route_t only = {.size = sizeof(tenon_route_t), .method = TENON_HTTP_GET,
                                     .pattern = {"${pattern}", sizeof "${pattern}" - 1}};
  (void)plugin;
  (void)index;
  return &only;
}
static tenon_status handle(tenon_plugin_t *plugin, uint32_t index, tenon_request_t *request, tenon_response_t *response) {
  (void)plugin, (void)index, (void)request, (void)response;
  return TENON_ERROR;
}
static const void *get_extension(tenon_plugin_t *plugin, const char *id) {
  static const tenon_plugin_http_t http = {sizeof http, 0, route_count, route, handle};
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &http : NULL;
}`,
        );
    expect(await refusal('contract', 'resources/plugin.c', service(2, '/same'))).toEqual({
      code: 'RouteInvalid',
      message: 'plugin "contract" declares what cannot be served: routes 0 and 1 are both GET /same',
      next: 'correct that route',
    });
    expect(await refusal('contract', 'resources/plugin.c', service(1, '/größe'))).toMatchObject({
      code: 'RouteInvalid',
      message: expect.stringContaining('route 0: its pattern "/größe" has a segment with a byte') as string,
    });
  });

  test('what stops in its trial', async () => {
    await write('stops', 'return TENON_ERROR;');
    const { status, err } = await tenon(world.folder('stops'), 'build');
    expect(status).toBe(1);
    expect(err).toMatch(/^stops: TrialRefused: plugin "stops" refused in create/m);
  });
});

describe('the host of tenon/testing.hpp', () => {
  test.each(['--release', '--sanitize'])('does what the real one does (%s)', async (profile) => {
    const probe = path.join(root, 'test', 'sdk', 'probe');
    const { out, err } = await tenon(
      world.directory,
      'build',
      '--test',
      '--json',
      profile,
      '--data',
      world.data,
      probe,
    );
    const [{ error, diagnostics, tests } = {}] = report(out).applications;
    expect({ err, error, diagnostics }).toEqual({ err: '', error: undefined, diagnostics: [] });
    expect(tests).toMatchObject({ passed: 10, failed: 0, output: '' });
  });
});

describe('tenon build --test', () => {
  const folder = (): string => world.folder('tested');
  const put = (file: string, text: string): Promise<void> => world.write('tested', file, text);
  const run = async (...words: string[]): Promise<{ status: unknown; err: string; report: BuildReport }> => {
    const { status, out, err } = await tenon(folder(), 'build', '--test', '--json', ...words);
    return { status, err, report: report(out) };
  };
  beforeAll(async () => {
    await put('config.yaml', 'name: tested\n');
    await put(
      'resources/probe.cpp',
      `#include <cstdlib>
#include <tenon/tenon.hpp>
struct Probe : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    if (request.query("how") == "crash") std::abort();
    static int numbers[4] = {1, 2, 3, 4};
    const size_t at = request.query("at").value_or("").size();
    volatile int* const number = numbers;
    return tenon::text(std::to_string(number[at]));
  }
};
`,
    );
  });

  test('without tests is not a success', async () => {
    const { status, report } = await run();
    expect([status, report.ok, report.applications[0]?.ok]).toEqual([1, false, true]);
  });

  test('says which check failed, with both values, and goes on', async () => {
    await put(
      'test/first.cpp',
      `#include <tenon/testing.hpp>
TENON_TEST("holds") { TENON_CHECK_EQUAL(tenon::testing::Plugin().get("/probe").body, "1"); }
TENON_TEST("does not hold") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.get("/probe").status, 404);
  TENON_CHECK(plugin.logged("anything"));
}
`,
    );
    await put(
      'test/second.cpp',
      '#include <tenon/testing.hpp>\nTENON_TEST("throws") { throw std::runtime_error("no"); }\n',
    );
    const { status, report } = await run();
    expect(status).toBe(1);
    expect(report.applications[0]?.tests).toEqual({
      passed: 1,
      failed: 2,
      output: '',
      cases: [
        { name: 'holds', ok: true, complaints: [] },
        {
          name: 'does not hold',
          ok: false,
          complaints: [
            'test/first.cpp:5: plugin.get("/probe").status is 200, not 404',
            'test/first.cpp:6: plugin.logged("anything") does not hold',
          ],
        },
        { name: 'throws', ok: false, complaints: ['exception: no'] },
      ],
    });
  });

  test('a crash of the plugin is a failure of the test it happened in', async () => {
    await put('test/first.cpp', '#include <tenon/testing.hpp>\nTENON_TEST("fine") {}\n');
    await put(
      'test/second.cpp',
      `#include <tenon/testing.hpp>
TENON_TEST("crashes") { tenon::testing::Plugin().get("/probe?how=crash"); }
TENON_TEST("never run") {}
`,
    );
    const { status, report } = await run();
    expect(status).toBe(1);
    expect(report.applications[0]?.tests).toMatchObject({
      passed: 1,
      failed: 1,
      cases: [{ name: 'fine' }, { name: 'crashes # a signal ended it', complaints: ['1 more tests were not run'] }],
    });
  });

  test('a test that does not compile is named by its file', async () => {
    await put('test/second.cpp', '#include <tenon/testing.hpp>\nTENON_TEST("slip") { TENON_CHECK(tru); }\n');
    const { status, report } = await run();
    expect(status).toBe(1);
    const [{ library, error, diagnostics } = {}] = report.applications;
    expect(library).toBeDefined();
    expect(error).toMatchObject({
      code: 'BuildFailed',
      message: expect.stringMatching(/^test\/second\.cpp:2:\d+: /) as string,
    });
    expect(diagnostics?.find(({ severity }) => severity === 'error')).toMatchObject({
      file: 'test/second.cpp',
      line: 2,
    });
  });

  test('--sanitize finds what a release does not', async () => {
    await put(
      'test/second.cpp',
      '#include <tenon/testing.hpp>\nTENON_TEST("over") { TENON_CHECK_EQUAL(tenon::testing::Plugin().get("/probe?at=xxxx").status, 200); }\n',
    );
    expect((await run()).status).toBe(0);
    const { status, report } = await run('--sanitize');
    expect([status, report.profile]).toEqual([1, 'sanitize']);
    expect(report.applications[0]?.tests?.output).toMatch(/global-buffer-overflow|out of bounds|insufficient space/);
    expect(report.applications[0]?.tests?.output).toContain('resources/probe.cpp:9');
    expect(report.applications[0]?.tests?.cases).toMatchObject([
      { name: 'fine', ok: true },
      {
        name: 'over',
        ok: false,
        complaints: [
          'it ended with status 1',
          expect.stringMatching(/resources\/probe\.cpp:9.*(?:runtime error|Probe::get)|SUMMARY/) as string,
        ],
      },
    ]);
  });
});

describe('the program of the tests', () => {
  const folder = (): string => world.folder('bounded');
  /** What comes of an application whose tests are `body`. */
  const run = async (
    body: string,
    ...words: string[]
  ): Promise<{ complaints: string[] | undefined; passed: number | undefined; output: string | undefined }> => {
    await world.write(
      'bounded',
      'test/only.cpp',
      `#include <fcntl.h>\n#include <sys/stat.h>\n#include <tenon/testing.hpp>\n${body}`,
    );
    const { out, err } = await tenon(folder(), 'build', '--test', '--json', ...words);
    const [{ error, tests } = {}] = report(out).applications;
    expect({ err, error }).toEqual({ err: '', error: undefined });
    const failed = tests?.cases.filter(({ ok }) => !ok) ?? [];
    return { complaints: failed.flatMap(({ complaints }) => complaints), passed: tests?.passed, output: tests?.output };
  };
  const alive = (pid: number): boolean => {
    try {
      return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    } catch {
      return false;
    }
  };
  beforeAll(async () => {
    await write('bounded');
  });

  test.runIf(process.platform === 'linux')('leaves no process behind, whatever session it is in', async () => {
    const pids = path.join(folder(), 'pids');
    const { passed } = await run(`
static void leave(bool session, bool pipes) {
  if (fork() != 0) return;
  if (session) setsid();
  if (!pipes) for (const int each : {0, 1, 2}) close(each);
  std::signal(SIGTERM, SIG_IGN);
  std::ofstream(${JSON.stringify(pids)}, std::ios::app) << getpid() << std::endl;
  for (;;) pause();
}
TENON_TEST("leaves") {
  leave(false, false);
  leave(true, false);
  leave(true, true);
  for (int lines = 0; lines < 3;) {
    usleep(1000);
    std::string line;
    std::ifstream all(${JSON.stringify(pids)});
    for (lines = 0; std::getline(all, line);) ++lines;
  }
}
`);
    expect(passed).toBe(1);
    const left = (await readFile(pids, 'utf8')).trim().split('\n').map(Number);
    expect(left).toHaveLength(3);
    expect(left.filter(alive)).toEqual([]);
  });

  test.runIf(process.platform === 'linux')('ends with the next build when its own was killed', async () => {
    const pid = path.join(folder(), 'pid');
    const body = `std::ofstream("pid.new") << getpid() << std::endl; std::rename("pid.new", "pid"); for (;;) pause();`;
    await world.write('bounded', 'test/only.cpp', `#include <tenon/testing.hpp>\nTENON_TEST("waits") { ${body} }\n`);
    const command = new Command(['build', '--test'], folder(), {});
    await until('the test runs', () => existsSync(pid));
    const program = Number(await readFile(pid, 'utf8'));
    // Others leave it alone for as long as its own is there.
    await tenon(folder(), 'build');
    expect(alive(program)).toBe(true);
    command.child.kill('SIGKILL');
    await command.exit;
    const tests = path.join(world.directory, 'data', 'cache', 'tests');
    expect([alive(program), (await readdir(tests)).length]).toEqual([true, 1]);
    await tenon(folder(), 'build');
    await until('it is gone', () => !alive(program));
    expect(await readdir(tests)).toEqual([]);
  });

  test('has a folder for temporary files, which is gone afterwards, and nothing of the environment', async () => {
    const seen = path.join(folder(), 'seen');
    const { passed } = await run(`
extern char **environ;
TENON_TEST("sees") {
  std::ofstream out(${JSON.stringify(seen)});
  for (char **each = environ; *each != nullptr; ++each) out << *each << '\\n';
  std::ofstream(std::string(std::getenv("TMPDIR")) + "/file") << "text";
}
`);
    expect(passed).toBe(1);
    const lines = (await readFile(seen, 'utf8')).trim().split('\n');
    const names = lines
      .map((line) => line.split('=')[0] ?? '')
      .filter((name) => !['PWD', '_', 'SHLVL', 'OLDPWD'].includes(name));
    expect(names.sort()).toEqual(
      ['ASAN_OPTIONS', 'HOME', 'LANG', 'LC_ALL', 'PATH', 'TENON_BUILD', 'TMPDIR', 'UBSAN_OPTIONS'].sort(),
    );
    const temporary = lines.find((line) => line.startsWith('TMPDIR='))?.slice('TMPDIR='.length) ?? '';
    expect(temporary).toContain(path.join('cache', 'tests', 'bounded-'));
    expect(existsSync(temporary)).toBe(false);
  });

  test('is ended when it does not end, and the tests before it count', async () => {
    const settings = path.join(world.directory, 'tenon.yaml');
    await writeFile(settings, 'limits: {buildMs: 20000}\n');
    const { passed, complaints } = await run(
      'TENON_TEST("fine") {}\nTENON_TEST("never") { std::signal(SIGTERM, SIG_IGN); for (;;) pause(); }\n',
    );
    expect(passed).toBe(1);
    await rm(settings);
    expect(complaints).toEqual(['it was ended after 20000 ms']);
  });

  test.runIf(process.platform === 'linux')('is refused memory beyond its limit', async () => {
    const { complaints } = await run(
      'static char* volatile last;\nTENON_TEST("takes") { for (;;) last = new char[size_t{1} << 26]; }\n',
    );
    expect(complaints).toEqual(['exception: std::bad_alloc', 'a test program has 4096 MiB of memory, and no more']);
  });

  test('is ended by a file that is too large', async () => {
    const { complaints } = await run(`
TENON_TEST("writes") {
  const int file = open((std::string(std::getenv("TMPDIR")) + "/file").c_str(), O_CREAT | O_WRONLY, 0600);
  for (off_t at = 0;; at += 1 << 20) if (pwrite(file, "x", 1, at) != 1) return;
}
`);
    expect(complaints).toEqual(['it was ended by SIGXFSZ because it wrote more than 512 MiB to one file']);
  });

  test('is ended by output without an end', async () => {
    const { complaints } = await run('TENON_TEST("talks") { for (;;) std::puts("so it goes"); }\n');
    const [end, ...words] = complaints ?? [];
    expect(end).toBe('it was ended because it wrote more than 4 MiB of output');
    expect(words.slice(0, 2)).toEqual(['so it goes', 'so it goes']);
  });

  test('says by which signal it was ended', async () => {
    const { complaints } = await run('TENON_TEST("is killed") { raise(SIGKILL); }\n');
    expect(complaints).toEqual(['it was ended by SIGKILL, as the system does when memory runs out']);
  });

  test('says in which test it ended, what it last said, and how many were not run', async () => {
    await run(
      'TENON_TEST("fine") {}\nTENON_TEST("leaves") { std::puts("so long"); std::exit(3); }\nTENON_TEST("never") {}\n',
    );
    const { out } = await tenon(folder(), 'build', '--test', '--json');
    expect(report(out).applications[0]?.tests).toMatchObject({
      passed: 1,
      failed: 1,
      cases: [
        { name: 'fine', ok: true },
        { name: 'leaves', ok: false, complaints: ['it ended with status 3, and 1 more tests were not run', 'so long'] },
      ],
    });
  });
});
