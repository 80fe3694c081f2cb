/** How the API describes crashes, and what they have led to. */
import type { Containment, HeldBuild } from '../base/containment.js';
import type {
  CrashRelease,
  CrashReport,
  Frame,
  Party,
  ReportedThread,
  ThreadWork,
  Verdict,
} from '../base/crash-report.js';
import type { CrashSummary } from './crash-summary.js';
import type { Schema } from './operation.js';
import { listOf, mapOf, moment, objectOf, oneOf, optional, quantity, ref, text, truth, whole } from './shapes.js';

const address = text('Hexadecimal, with 0x');

const work = objectOf<ThreadWork>({
  plugin: text(),
  generation: whole(),
  work: text('`handle`, `create`, `initialize`, `shutdown`, `task`, `on_event` …'),
  route: optional(text('Method and pattern, of a request')),
  request: optional(text('Id of the request, as its answer and the log have it')),
  ms: optional(quantity('How long it had taken')),
});

const party = objectOf<Party>({
  plugin: text(),
  generation: whole(),
  sha256: text('Of its library'),
  unloaded: truth('Whether that generation was closed by then'),
  inside: optional(ref('CrashWork', 'What it was doing')),
});

const thread = objectOf<ReportedThread>({
  tid: whole(),
  kind: text('`main`, `pool`, `control`, `task`, `event`, `store`, `own` (started by a plugin), `other` …'),
  inside: optional(ref('CrashWork', 'What it was in; absent when it ran no code of a plugin')),
  before: listOf(ref('CrashWork'), 'What it was in before, the last first'),
});

const frame = objectOf<Frame>({
  address,
  found: oneOf(
    ['pc', 'unwound', 'scanned'],
    'The fault itself, by unwinding, or a word of the stack that points into code',
  ),
  plugin: optional(text('In whose library it lies')),
  generation: optional(whole()),
  sha256: optional(text('Of that library')),
  unloaded: optional(truth('Whether the library is not there any more')),
  offset: optional(text('From the beginning of the image, hexadecimal with 0x')),
  file: optional(text('Of a library that is no plugin')),
  symbol: optional(text('`function+0x12`, as far as the library tells')),
  source: optional(text('`file:line`, where there is debug information')),
});

const verdict = objectOf<Verdict>({
  culprit: optional(ref('CrashParty', 'When there is no doubt')),
  suspects: listOf(ref('CrashParty'), 'The likeliest first; none: the host itself, or nobody knows'),
  because: listOf(text(), 'What it rests on'),
  sentence: text('For people'),
});

const kinds = oneOf(
  ['signal', 'exit', 'killed', 'hang'],
  '`signal`: a fault; `exit`: it ended itself; `killed`: by a signal that nobody can catch; `hang`: its event loop stood, and it was ended',
);
const actions = oneOf(
  ['restarted', 'demoted', 'processRestarted', 'quarantined', 'wentBack', 'safeMode', 'gaveUp', 'ended'],
  '`demoted`: the plugin goes on in a process of its own; `processRestarted`: it was in one, and another has taken its place; `wentBack`: the build before it serves; `safeMode`: no plugin is loaded; `gaveUp`: no host was begun again; `ended`: Tenon began no other one: it was on its way down, or part of a program',
);

const summary = {
  id: text('Later ones sort behind it'),
  at: moment(),
  kind: kinds,
  signal: optional(text('`SIGSEGV`')),
  status: optional(whole('Exit status')),
  stackOverflow: optional(
    truth('True when the thread of the fault had used up its stack; absent where that is not known'),
  ),
  action: actions,
  released: optional(
    objectOf<CrashRelease>(
      {
        at: moment(),
        by: oneOf(
          ['hand', 'build', 'process'],
          '`hand`: somebody; `build`: another build that is well; `process`: it runs in processes of its own now',
        ),
      },
      'Since when, and by what, the quarantine or the holding back of a build that it has led to is over',
    ),
  ),
};

const report = objectOf<CrashReport>({
  ...summary,
  code: optional(text('What the signal says of its cause, as `SEGV_MAPERR`')),
  address: optional(text('Of the fault, hexadecimal with 0x')),
  message: optional(text('What was said last, as `malloc(): corrupted top size`')),
  verdict,
  process: optional(
    objectOf<NonNullable<CrashReport['process']>>(
      { pid: whole(), uptimeMs: quantity() },
      'What has ended, when it was a process of the plugin and not the host',
    ),
  ),
  host: objectOf<CrashReport['host']>({
    pid: whole(),
    version: text(),
    node: text(),
    uptimeMs: quantity(),
    applications: optional(text('Folder of its applications, absolute')),
  }),
  thread: optional(ref('CrashThread', 'Of the fault')),
  registers: mapOf(address, 'By name'),
  frames: listOf(ref('CrashFrame'), 'The fault first'),
  threads: listOf(ref('CrashThread')),
  output: listOf(text(), 'Last lines of its output that were not logged'),
  gaps: listOf(text(), 'What is missing, and why'),
});

const held = objectOf<HeldBuild>({
  plugin: text(),
  sha256: text('Of its library; empty: whichever it is'),
  reason: text('For people'),
  crash: optional(text('Id of the report that has decided it; absent when it was no crash')),
  since: moment(),
  isolation: optional(
    oneOf(
      ['process', 'auto'],
      "Where it ran: `process`, in processes of its own; `auto`, in the host's, of that isolation; absent: in the host's, `inline`",
    ),
  ),
});

const containment = objectOf<Containment>({
  quarantined: listOf(
    ref('HeldBuild'),
    'Plugins that crashed the host too often: 503 until they have another build, run in processes of their own, or are released',
  ),
  demoted: optional(
    listOf(ref('HeldBuild'), 'Plugins of isolation `auto` that run in processes of their own since they ended a host'),
  ),
  bad: listOf(
    ref('HeldBuild'),
    'Builds that crashed before they had shown that they are well; others take their place',
  ),
  safeMode: optional(
    objectOf<NonNullable<Containment['safeMode']>>({ reason: text(), crash: text(), since: moment() }),
  ),
});

export const crashShapes: Readonly<Record<string, Schema>> = {
  CrashWork: { ...work, description: 'What a thread did' },
  CrashParty: { ...party, description: 'A plugin that a crash is put down to' },
  CrashThread: thread,
  CrashFrame: { ...frame, description: 'An address of the stack' },
  CrashSummary: objectOf<CrashSummary>(
    {
      ...summary,
      culprit: optional(ref('CrashParty', 'When there is no doubt')),
      suspects: listOf(ref('CrashParty'), 'The likeliest first'),
      sentence: text('For people'),
    },
    'A crash in a few words',
  ),
  CrashReport: { ...report, description: 'All that is known of the end of a host, or of the process of a plugin' },
  HeldBuild: { ...held, description: 'A build that is not loaded because of crashes' },
  Containment: { ...containment, description: 'What crashes have led to' },
};
