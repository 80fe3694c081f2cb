#include "grammar.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "wire/protocol.h"
#include "wire/steps.h"

namespace tenon::fuzz {

namespace {

using wire::Writer;

/*
 * A letter for each value: b uint8, f flag, i int32, u uint32, w uint32 of any bits, l and s those of kLateShape and
 * the others, U uint64, n number of something held, k token of a request, d double, t text, v value, K key, c text of
 * changes, C changes, O at most an overrun, W writes of a batch; (…) a count and so many, […] a flag and with true one.
 */
struct Shape {
  uint16_t code;
  const char* values;
};

#define AUTH_ANSWER "i[ttttt(t)u](t)[tu][U]O"
constexpr std::array kShapes = {
    Shape{wire::kDownOpen, "it"},
    Shape{wire::kDownCreate, "itsuu"},
    Shape{wire::kDownInitialize, "i"},
    Shape{wire::kDownReady, "i"},
    Shape{wire::kDownHealth, "i"},
    Shape{wire::kDownQuiesce, "i"},
    Shape{wire::kDownResume, "i"},
    Shape{wire::kDownShutdown, "i"},
    Shape{wire::kDownDestroy, "i"},
    Shape{wire::kDownDeclare, "itli([ttt])([tui])([ituUutttt])"},
    Shape{wire::kDownSave, "itt"},
    Shape{wire::kDownLoad, "it"},
    Shape{wire::kDownConfigure, "i"},
    Shape{wire::kDownHandle, "iC"},
    Shape{wire::kDownAuthenticate, AUTH_ANSWER},
    Shape{wire::kDownResolveRoles, AUTH_ANSWER},
    Shape{wire::kDownAuthorize, AUTH_ANSWER},
    Shape{wire::kDownBefore, "if[U]C"},
    Shape{wire::kDownAfter, "[U]C"},
    Shape{wire::kDownHook, "iftt"},
    Shape{wire::kDownRunTask, ""},
    Shape{wire::kDownEndTask, ""},
    Shape{wire::kDownEvents, ""},
    Shape{wire::kDownFetched, ""},
    Shape{wire::kUpLog, "it(tt)"},
    Shape{wire::kUpStatePut, "tt"},
    Shape{wire::kUpStateGet, "tU"},
    Shape{wire::kUpStateRemove, "t"},
    Shape{wire::kUpConfigOwn, ""},
    Shape{wire::kUpConfigConsumers, ""},
    Shape{wire::kUpHttpCancelled, "k"},
    Shape{wire::kUpHttpWrite, "kct"},
    Shape{wire::kUpHttpDefer, "k"},
    Shape{wire::kUpHttpComplete, "kiC"},
    Shape{wire::kUpHttpFindRoute, "it"},
    Shape{wire::kUpHttpChange, "kC"},
    Shape{wire::kUpTaskAdd, "bUU"},
    Shape{wire::kUpTaskCancel, "n"},
    Shape{wire::kUpTaskCancelled, "n"},
    Shape{wire::kUpEventPublish, "tt"},
    Shape{wire::kUpEventSpan, "tUU(tt)"},
    Shape{wire::kUpEventSubscribe, "t"},
    Shape{wire::kUpEventUnsubscribe, "t"},
    Shape{wire::kUpEventWanted, "t"},
    Shape{wire::kUpMetricSeries, "utt(tt)(d)"},
    Shape{wire::kUpMetricAdd, "Ud"},
    Shape{wire::kUpMetricSet, "Ud"},
    Shape{wire::kUpMetricsCollect, ""},
    Shape{wire::kUpFetch, "Uutt(tt)t"},
    Shape{wire::kUpFetchCancel, "n"},
    Shape{wire::kUpAuthIdentity, "k"},
    Shape{wire::kUpAuthIsOperator, "k"},
    Shape{wire::kUpAuthForget, ""},
    Shape{wire::kUpAuthHash, "ftU"},
    Shape{wire::kUpAuthVerify, "ftt"},
    Shape{wire::kUpAuthSign, "tuU"},
    Shape{wire::kUpAuthToken, "tU"},
    Shape{wire::kUpAuthRandom, "U"},
    Shape{wire::kUpMiddlewareWay, "k"},
    Shape{wire::kUpHooksRun, "tut"},
    Shape{wire::kUpTables, ""},
    Shape{wire::kUpTablesOpen, "t"},
    Shape{wire::kUpTablesField, "nt"},
    Shape{wire::kUpTablesGet, "nK"},
    Shape{wire::kUpTablesPut, "nut"},
    Shape{wire::kUpTablesPatch, "nKt"},
    Shape{wire::kUpTablesRemove, "nK"},
    Shape{wire::kUpTablesCount, "nf"},
    Shape{wire::kUpTablesBatchBegin, ""},
    Shape{wire::kUpTablesMayAdd, "nfK"},
    Shape{wire::kUpTablesBatchAdd, "nW"},
    Shape{wire::kUpTablesBatchCommit, "nW"},
    Shape{wire::kUpTablesScan, "nivvffftt"},
    Shape{wire::kUpTablesNext, "nu"},
    Shape{wire::kUpTablesScanEnd, "n"},
    Shape{wire::kUpTablesFeed, "nU"},
    Shape{wire::kUpTablesFeedNext, "nu"},
    Shape{wire::kUpTablesFeedEnd, "n"},
};
#undef AUTH_ANSWER

// What is looked for in texts.
constexpr std::array<std::string_view, 16> kWords = {"/",
                                                     "/a/:b",
                                                     "/*",
                                                     "one",
                                                     "Bearer",
                                                     "x-key",
                                                     "ext.name",
                                                     "name",
                                                     "path and query",
                                                     "headers",
                                                     "body",
                                                     "content-type",
                                                     "text/plain",
                                                     "text/event-stream",
                                                     R"({"a":1})",
                                                     "GET"};

std::string_view text(Script& script) {
  const uint8_t byte = script.byte();
  if (byte < 128) return script.bytes(byte % 16);
  return byte < 248 ? kWords[byte % kWords.size()] : script.bytes(script.byte());
}

uint64_t number(Script& script) {
  const uint8_t byte = script.byte();
  return byte < 250 ? byte : script.number<uint64_t>();
}

void put_changes(Script& script, Writer& writer) {
  for (int count = script.byte() % 5; count > 0; count--) {
    const auto change = static_cast<wire::Change>(1 + script.byte() % 7);
    writer.put(static_cast<uint8_t>(change));
    if (change == wire::Change::Status) {
      writer.put<int32_t>(100 + script.byte() * 2);
    } else {
      writer.text(text(script));
      if (change == wire::Change::SetHeader || change == wire::Change::AddHeader) writer.text(text(script));
    }
  }
}

void put(Script& script, std::string_view values, Writer& writer);

void put_writes(Script& script, Writer& writer) {
  static constexpr std::array<std::string_view, 3> all = {"nut", "nKt", "nK"};
  const uint32_t count = script.byte() % 4;
  writer.put(count);
  for (uint32_t index = 0; index < count; index++) {
    const uint8_t kind = script.byte() % 3;
    writer.put<uint8_t>(kind + 1u);
    put(script, all[kind], writer);
  }
}

// Takes what is in brackets, and those around it, from `values`, whose first is the opening one.
std::string_view take_inner(std::string_view& values, char closing) {
  const size_t end = values.find(closing);
  const std::string_view inner = values.substr(1, end - 1);
  values.remove_prefix(end + 1);
  return inner;
}

void put_one(Script& script, char value, Writer& writer) {
  switch (value) {
    case 'b':
      writer.put<uint8_t>(script.byte() % 4);
      break;
    case 'f':
      writer.put((script.byte() & 1) != 0);
      break;
    case 'i': {
      // A status that is good, more often than not.
      const uint8_t byte = script.byte();
      writer.put<int32_t>(byte < 160 ? 0 : byte < 250 ? byte % 24 - 4 : script.number<int32_t>());
      break;
    }
    case 'u':
      writer.put(static_cast<uint32_t>(number(script)));
      break;
    case 'w':
      writer.put(script.number<uint32_t>());
      break;
    case 'l':
      writer.put(script.number<uint32_t>() & wire::kLateShape);
      break;
    case 's':
      writer.put(script.number<uint32_t>() & ~wire::kLateShape);
      break;
    case 'n':
      writer.put<uint64_t>(script.byte() % 8);
      break;
    case 'k': {
      const uint64_t place = script.byte() % 4;
      writer.put<uint64_t>(place << 40 | script.byte() % 8);
      break;
    }
    case 'd':
      writer.put(static_cast<double>(script.byte()) / 4);
      break;
    case 't':
      writer.text(text(script));
      break;
    case 'c': {
      Writer changes;
      put_changes(script, changes);
      writer.text(changes.bytes());
      break;
    }
    case 'C':
      put_changes(script, writer);
      break;
    case 'W':
      put_writes(script, writer);
      break;
    default:
      writer.put(number(script));
      break;
  }
}

void put(Script& script, std::string_view values, Writer& writer) {
  while (!values.empty()) {
    const char value = values.front();
    if (value == '[') {
      // None has another of its kind within.
      const std::string_view inner = take_inner(values, ']');
      const bool is_there = (script.byte() & 1) != 0;
      writer.put(is_there);
      if (is_there) put(script, inner, writer);
      continue;
    }
    if (value == '(') {
      const std::string_view inner = take_inner(values, ')');
      const uint8_t count = script.byte();
      // More than there are, at times.
      writer.put(count < 248 ? count % 4u : script.number<uint32_t>());
      for (uint32_t index = 0; index < count % 4u; index++) put(script, inner, writer);
      continue;
    }
    values.remove_prefix(1);
    if (value == 'v') {
      writer.put<uint32_t>(script.byte() % 8);
      put(script, "fUdt", writer);
    } else if (value == 'K') {
      put(script, "[v]", writer);
    } else if (value == 'O') {
      if ((script.byte() & 1) != 0) writer.put(static_cast<uint8_t>(wire::Change::Overrun)).text(text(script));
    } else {
      put_one(script, value, writer);
    }
  }
}

std::string damaged(Script& script, std::string bytes) {
  const size_t at = bytes.empty() ? 0 : script.number<uint16_t>() % bytes.size();
  switch (script.byte() % 4) {
    case 0:
      bytes.resize(at);
      break;
    case 1:
      bytes.append(script.bytes(script.byte() % 16));
      break;
    case 2:
      bytes.insert(at, script.bytes(script.byte() % 16));
      break;
    default:
      if (!bytes.empty()) bytes[at] = static_cast<char>(script.byte());
      break;
  }
  return bytes;
}

}  // namespace

std::string well_formed(Script& script, uint16_t code) {
  Writer writer;
  for (const Shape& shape : kShapes) {
    if (shape.code == code) put(script, shape.values, writer);
  }
  return writer.take();
}

uint16_t question(Script& script) {
  static const size_t first = static_cast<size_t>(
      std::find_if(kShapes.begin(), kShapes.end(), [](const Shape& shape) { return shape.code >= wire::kUpLog; }) -
      kShapes.begin());
  const uint8_t byte = script.byte();
  return byte < 248 ? kShapes[first + byte % (kShapes.size() - first)].code : script.number<uint16_t>();
}

std::string payload(Script& script, uint16_t code) {
  const uint8_t how = script.byte();
  if (how < 176) return well_formed(script, code);
  if (how < 208) return damaged(script, well_formed(script, code));
  if (how < 240) return script.message();
  return std::string(script.bytes(script.number<uint16_t>()));
}

}  // namespace tenon::fuzz
