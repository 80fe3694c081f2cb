#ifndef TENON_WIRE_PROTOCOL_H
#define TENON_WIRE_PROTOCOL_H

#include <cstddef>
#include <cstdint>

#include "crash_note.h"
#include "lane.h"

/*
 * What the host and a runner say to each other. Both are of one build, so nothing here has versions: the runner is told
 * kProtocol at its start and refuses another one.
 *
 * Descriptors of a runner at its start, all others closed: 0 nothing, 1 and 2 what it prints, then those below.
 *
 * Threads. Each thread of the host that calls the plugin takes a lane, and the runner has a thread for each lane: lane
 * 0 is that of the life cycle. A thread that the plugin has made itself asks the host over one of the last kUpLanes, on
 * whose other side a thread of the host serves.
 *
 * The express lane. Requests for handlers go over it without a thread of the host that waits: the event loop writes
 * them into one ring, a few threads of the runner take them out, and what they answer lies in the other ring until the
 * event loop looks. A handler that asks the host for anything, or whose answer is large, goes on over a lane of its
 * own.
 *
 * The host trusts nothing that comes back. What a down call answers, and what an up call asks, is decoded by a Reader
 * and checked to have ended before anything is done with it.
 */
namespace tenon::wire {

constexpr uint32_t kProtocol = 1;

enum Descriptor : int { kControlSocket = 3, kSharedMemory = 4, kLibrary = 5, kFirstFree = 6 };

constexpr uint32_t kLanes = 160;
constexpr uint32_t kUpLanes = 32;
constexpr uint32_t kFirstUpLane = kLanes - kUpLanes;
constexpr size_t kLaneBytes = (sizeof(LaneMemory) + 4095) / 4096 * 4096;
// The first page is written by the host alone.
struct SharedHead {
  std::atomic<int32_t> log_level;  // the lowest that tenon.log keeps
  // Handlers that may run for the express lane at once, without those of slots in `express_late`, a bit for each, whose
  // deadline has passed: what comes beyond waits in its ring.
  std::atomic<uint32_t> express_limit;
  std::atomic<uint64_t> express_late;
};
constexpr size_t kCrashNoteAt = 4096;
constexpr size_t kHeadBytes = kCrashNoteAt + kCrashNoteBytes;
constexpr size_t kExpressAt = kHeadBytes + kLanes * kLaneBytes;
constexpr size_t kSharedBytes = kExpressAt + kLaneBytes;

// The number of the express lane in packets, and from there on those of its requests in the note of a crash.
constexpr uint32_t kExpressLane = kLanes;
// Requests that may be on it at once: bits of express_late.
constexpr uint32_t kExpressSlots = 64;
// The largest message on it, without its head.
constexpr uint32_t kExpressBytes = 16 * 1024;
enum class Express : uint32_t {
  Request = 1,    // host: as kDownHandle
  Answer = 2,     // runner: as the answer to it
  WantsLane = 3,  // runner: it goes on over a lane, with kDownContinue
};
struct ExpressHead {
  uint32_t slot;  // the host's number of the request
  Express kind;
  uint32_t size;  // of what follows
  // Answer: how long the handler took, us. WantsLane: 1 when it would want one again.
  uint32_t detail;
};
static_assert(sizeof(ExpressHead) == 16);

// Payloads: what a runner may say at once, and what the host does.
constexpr uint64_t kFromRunnerBytes = 67ull * 1024 * 1024;
constexpr uint64_t kFromHostBytes = 1025ull * 1024 * 1024;

// Packets on the control socket: a number of these, the number of a lane, and with Lane its two doorbells (waiting end
// of the runner, ringing end towards the host) as descriptors.
enum class Packet : uint32_t {
  Start = 1,     // host, first: followed by the settings of the process, see RunnerSettings
  Lane = 2,      // host: open this lane
  WantLane = 3,  // runner: a thread needs one of the up lanes
  Failed = 4,    // runner: it ends, and why; followed by a sentence
  Confined = 5,  // runner, once, before its library is opened: followed by Confinement
};
struct PacketHead {
  Packet packet;
  uint32_t lane;
};
// Room for the settings of a process with all paths that it may have.
constexpr size_t kPacketBytes = 128 * 1024;

// Down: what the host asks of the plugin. Answers begin with int32 tenon_status unless something else is said.
enum Down : uint16_t {
  // text id expected -> status, text problem, uint16 abi_major, uint16 abi_minor, text id, name, version, description,
  // author, flag trial-open-only
  kDownOpen = 1,
  // -> status, text problem, uint32 the rest of the shape, uint32 max_concurrency, uint32 version of the state
  kDownCreate = 2,
  // -> status each
  kDownInitialize = 3,
  kDownReady = 4,  // text app_id, text root, uint64 generation
  kDownHealth = 5,
  kDownQuiesce = 6,
  kDownResume = 7,
  kDownShutdown = 8,
  kDownDestroy = 9,
  // -> status, text problem, uint32 kLateShape of the shape, int32 order of middleware; then of providers, hooks and
  // routes: uint32 how many the plugin says, and of each, unless there are more than may be, a flag and with true what
  // it is
  kDownDeclare = 10,
  // -> status, text message, text state
  kDownSave = 11,
  // flag dry_run, uint32 version, text state -> status, text message
  kDownLoad = 12,
  // text application, text json -> status
  kDownConfigure = 13,
  // uint32 index, RequestImage -> status, ResponseChanges
  kDownHandle = 20,
  // uint32 slot -> as kDownHandle
  kDownContinue = 21,
  // the extension's steps: see native/wire/steps.h
  kDownAuthenticate = 30,
  kDownResolveRoles = 31,
  kDownAuthorize = 32,
  kDownBefore = 33,
  kDownAfter = 34,
  kDownHook = 35,
  // uint64 the runner's number of the task, uint64 the plugin's, uint64 the host's -> nothing
  kDownRunTask = 40,
  // uint64 the runner's number of the task -> nothing
  kDownEndTask = 41,
  // uint64 dropped, uint32 count, then of each event: int32 level, int64 time_us, uint64 duration_us, int32 status,
  // uint64 generation, text topic, source, message, uint32 count, (text key, text value)… -> nothing
  kDownEvents = 42,
  // uint64 the runner's number of the request, int32 outcome, int32 status, text message, uint32 count, (text name,
  // text value)…, text body -> nothing
  kDownFetched = 43,
};

// Up: what the plugin asks of the host; one range for each capability. Answers begin with int32 tenon_status where the
// function they stand for returns one.
enum Up : uint16_t {
  // tenon.log: int32 level, text message, uint32 count, (text key, text value)… ; a post
  kUpLog = 100,
  // tenon.state: text key, text value | text key, uint64 capacity -> status, uint64 size, text value | text key
  kUpStatePut = 110,
  kUpStateGet = 111,
  kUpStateRemove = 112,
  // tenon.config
  kUpConfigOwn = 120,        // -> what is visited: flag, text json, at most once; then a false flag
  kUpConfigConsumers = 121,  // -> what is visited: flag, text application, text settings each; then a false flag
  // tenon.http: uint64 token first, but for the router. A token that is none any more is one of a request that nobody
  // waits for. Changes are as in an answer to kDownHandle.
  kUpHttpCancelled = 130,  // -> flag
  kUpHttpWrite = 131,      // text changes, text chunk -> status, flag whether the stream has begun, uint64 deadline
  kUpHttpDefer = 132,      // -> status, uint64 deadline
  kUpHttpComplete = 133,   // int32 status, changes; a post
  kUpHttpFindRoute = 134,  // int32 method, text path -> flag, text plugin, text pattern
  kUpHttpChange = 135,     // changes, when there are many -> status
  // tenon.tasks: a task has a number of the runner's, by which the host calls it down, one of the host's (see
  // Holdings), by which the runner asks, and the plugin's, which is that of the generation.
  kUpTasks = 140,  // to 149
  // uint8 TaskKind, uint64 ms, uint64 the runner's number -> status, uint64 the plugin's number, uint64 the host's
  kUpTaskAdd = 140,
  // uint64 the host's number -> status, flag: it is over, and the runner is to call its `end`
  kUpTaskCancel = 141,
  // uint64 the host's number -> flag
  kUpTaskCancelled = 142,
  // tenon.events
  kUpEvents = 150,  // to 159
  // text topic, text payload -> status
  kUpEventPublish = 150,
  // text name, int64 begin_us, uint64 duration_us, uint32 count, (text key, text value)… -> status
  kUpEventSpan = 151,
  // text pattern -> status
  kUpEventSubscribe = 152,
  kUpEventUnsubscribe = 153,
  // text topic -> flag
  kUpEventWanted = 154,
  // tenon.metrics; of a series: uint32 kind, text name, text help, uint32 count, (text key, text value)…, uint32 count,
  // double bound…
  kUpMetrics = 160,  // to 169
  // series -> status, uint64 number
  kUpMetricSeries = 160,
  // uint64 number, double value; posts
  kUpMetricAdd = 161,
  kUpMetricSet = 162,
  // nothing -> status, uint32 count, then of each: series, text plugin, double value, uint64 observations, uint64 count
  // at each bound…
  kUpMetricsCollect = 163,
  // tenon.http_client
  kUpHttpClient = 170,  // to 179
  // uint64 the runner's number, uint32 deadline_ms, text method, text url, uint32 count, (text name, text value)…, text
  // body -> status, uint64 number
  kUpFetch = 170,
  // uint64 number -> status
  kUpFetchCancel = 171,
  // tenon.auth
  kUpAuth = 180,  // to 199
  // tenon.middleware
  kUpMiddleware = 200,  // to 209
  // tenon.hooks
  kUpHooks = 210,  // to 219
  // tenon.tables. Tables, cursors, feeds and batches are uint64 numbers of the host's; a key is a flag whether there is
  // one, then a value: uint32 kind, flag escaped, int64 integer, double number, text. A problem is text field, text
  // message, and follows a status that is not OK.
  kUpTables = 220,  // -> flag whether it is offered
  // text name -> status, uint64 table, flag whether it is its own, int32 kind its keys have (TENON_VALUE_…), uint32
  // count, text name of each field
  kUpTablesOpen = 221,
  kUpTablesField = 222,   // uint64 table, text name -> int32 number
  kUpTablesGet = 223,     // uint64 table, key -> status, text record
  kUpTablesPut = 224,     // uint64 table, uint32 mode, text json -> status, problem
  kUpTablesPatch = 225,   // uint64 table, key, text json -> status, problem
  kUpTablesRemove = 226,  // uint64 table, key -> status, problem
  kUpTablesCount = 227,   // uint64 table, flag exact -> status, uint64 count
  // -> status: whether one may be begun
  kUpTablesBatchBegin = 228,
  // uint64 table, flag whether it needs a key, key -> status: whether such a write may be added
  kUpTablesMayAdd = 229,
  // uint64 batch (0: a new one), uint32 count, TableWrite… -> status, problem or uint64 batch
  kUpTablesBatchAdd = 230,
  // The same, then all of it is written -> status, problem
  kUpTablesBatchCommit = 231,
  // uint64 table, int32 field, value lower, value upper, flags lower_excluded, upper_excluded, reverse, text prefix,
  // text filter -> status, problem or uint64 cursor, Page
  kUpTablesScan = 232,
  kUpTablesNext = 233,     // uint64 cursor, uint32 records -> Page
  kUpTablesScanEnd = 234,  // uint64 cursor; a post
  kUpTablesFeed = 235,     // uint64 table, uint64 from -> status, uint64 feed
  // uint64 feed, uint32 milliseconds -> status, flag deleted, uint64 sequence, text key, text record
  kUpTablesFeedNext = 236,
  kUpTablesFeedEnd = 237,  // uint64 feed; a post
};

// What a batch is made of: the kind, uint64 table, then for Put uint32 mode, text json; for Patch key, text json; for
// Remove key.
enum class TableWrite : uint8_t { Put = 1, Patch = 2, Remove = 3 };

// A page of a scan is a flag and a text for each record; then a false flag and int32 status: OK when there may be more,
// else what the next call on the cursor answers. With NOT_FOUND, the end, the host has given the cursor back.
constexpr uint32_t kPageRecords = 256;
constexpr size_t kPageBytes = 256 * 1024;
// Most bytes of writes that a runner sends at once; the rest of a batch goes before, in pieces.
constexpr size_t kBatchPieceBytes = 32ull * 1024 * 1024;

// What a plugin has: a bit for each function or capability, so that the host's side of it has the same ones.
enum Shape : uint32_t {
  kHasInitialize = 1u << 0,
  kHasReady = 1u << 1,
  kHasHealth = 1u << 2,
  kHasQuiesce = 1u << 3,
  kHasResume = 1u << 4,
  kHasShutdown = 1u << 5,
  kHasHttp = 1u << 6,
  kHasRouteCount = 1u << 7,
  kHasRoute = 1u << 8,
  kHasHandle = 1u << 9,
  kHasState = 1u << 10,
  kHasSave = 1u << 11,
  kHasLoad = 1u << 12,
  kHasConfig = 1u << 13,
  kHasEvents = 1u << 14,
  kHasAuth = 1u << 15,
  kHasProviderCount = 1u << 16,
  kHasProvider = 1u << 17,
  kHasAuthenticate = 1u << 18,
  kHasResolveRoles = 1u << 19,
  kHasAuthorize = 1u << 20,
  kHasMiddleware = 1u << 21,
  kHasBefore = 1u << 22,
  kHasAfter = 1u << 23,
  kHasHooks = 1u << 24,
  kHasHookCount = 1u << 25,
  kHasHook = 1u << 26,
  kHasHookCall = 1u << 27,
};

// What the host asks a plugin for once it is initialized, and not as `create` left it.
constexpr uint32_t kLateShape = kHasConfig | kHasEvents | kHasAuth | kHasProviderCount | kHasProvider |
                                kHasAuthenticate | kHasResolveRoles | kHasAuthorize | kHasMiddleware | kHasBefore |
                                kHasAfter | kHasHooks | kHasHookCount | kHasHook | kHasHookCall;

// How a task of tenon.tasks begins: at once, once in some time, again and again.
enum class TaskKind : uint8_t { Now = 0, Once = 1, Every = 2 };

// Changes of a response, one after the other; applied by the host as if the plugin had asked for them there. Once its
// stream has begun only Fail is one.
enum class Change : uint8_t {
  Status = 1,     // int32
  SetHeader = 2,  // text name, text value
  AddHeader = 3,  // text name, text value
  Body = 4,       // text
  Fail = 5,       // text message
  Flaw = 6,       // text, of at most kFlawBytes: something was refused in the runner, and what for
  Overrun = 7,    // uint8, of core::Request::Part: what the plugin has written beyond
};
constexpr size_t kFlawBytes = 256;

}  // namespace tenon::wire

#endif
