// Batches of writes.
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "key.h"
#include "store_request.h"

namespace tenon::node {

namespace {

using Length = core::StoreJob::Length;

constexpr size_t kMostWrites = TENON_TABLE_BATCH_LIMIT;
constexpr size_t kMostRevisions = 1000;

uint64_t RevisionOf(const std::string& digits) {
  uint64_t revision = 0;
  const char* const end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, revision, 16);
  return error == std::errc() && at == end && digits.size() == 16 ? revision : 0;
}

struct Writing {
  std::vector<core::Write> writes;
  std::vector<std::string> texts;  // what `json` of the writes views
  std::vector<core::Written> results;
};

const char* OutcomeName(core::Written::Outcome outcome) {
  using Outcome = core::Written::Outcome;
  switch (outcome) {
    case Outcome::Created:
      return "created";
    case Outcome::Updated:
      return "updated";
    case Outcome::Removed:
      return "removed";
    case Outcome::Missing:
      return "missing";
    case Outcome::Exists:
      return "exists";
    case Outcome::Invalid:
      return "invalid";
    case Outcome::PreconditionFailed:
      return "precondition";
    case Outcome::Undone:
      break;
  }
  return "undone";
}

// Of a write that was refused there may be the beginnings of one.
bool HasRecord(const core::Written& written) {
  using Outcome = core::Written::Outcome;
  const bool done =
      written.outcome == Outcome::Created || written.outcome == Outcome::Updated || written.outcome == Outcome::Removed;
  return done && !written.record.empty();
}

bool KindOf(const std::string& name, core::Write::Kind& kind) {
  using Kind = core::Write::Kind;
  constexpr std::pair<const char*, Kind> kinds[] = {{"put", Kind::Put},
                                                    {"create", Kind::Create},
                                                    {"replace", Kind::Replace},
                                                    {"patch", Kind::Patch},
                                                    {"remove", Kind::Remove}};
  for (const auto& [text, value] : kinds) {
    if (name == text) return kind = value, true;
  }
  return false;
}

// "*" or a list of revisions; false when it is neither.
bool ReadRevisions(Napi::Value value, bool& any, std::vector<uint64_t>& revisions) {
  if (value.IsUndefined()) return true;
  if (value.IsString()) return any = TextOf(value) == "*";
  if (!value.IsArray()) return false;
  const Napi::Array list = value.As<Napi::Array>();
  if (list.Length() == 0 || list.Length() > kMostRevisions) return false;
  for (uint32_t index = 0; index < list.Length(); index++) {
    const Napi::Value item = list.Get(index);
    if (!item.IsString()) return false;
    revisions.push_back(RevisionOf(TextOf(item)));
  }
  return true;
}

// What is wrong with the write, or nothing. `table` is set.
const char* ReadWrite(const Napi::Object& from, core::Write& write, std::string& key, std::string& text) {
  const Napi::Value kind = from.Get("kind");
  const Napi::Value given_key = from.Get("key");
  const Napi::Value json = from.Get("json");
  if (!kind.IsString() || !KindOf(TextOf(kind), write.kind)) {
    return "kind: put, create, replace, patch or remove is needed";
  }
  const bool removes = write.kind == core::Write::Kind::Remove;
  if (given_key.IsString()) {
    key = TextOf(given_key);
  } else if (!given_key.IsUndefined() || removes || write.kind == core::Write::Kind::Patch) {
    return "key: a string is needed";
  }
  if (json.IsTypedArray() && json.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    const Napi::Uint8Array bytes = json.As<Napi::Uint8Array>();
    text.assign(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
  } else if (!removes) {
    return "json: a Uint8Array is needed";
  }
  if (!ReadRevisions(from.Get("ifMatch"), write.any_revision, write.if_match)) {
    return "ifMatch: a list of revisions or * is needed";
  }
  if (!ReadRevisions(from.Get("ifNoneMatch"), write.no_revision, write.if_none_match)) {
    return "ifNoneMatch: a list of revisions or * is needed";
  }
  return nullptr;
}

}  // namespace

Napi::Value StoreObject::Write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (state_ != State::Open) return Refuse(env);
  if (!info[0].IsArray() || info[0].As<Napi::Array>().Length() > kMostWrites) {
    return Misuse(env, "writes: a list of at most " + std::to_string(kMostWrites) + " is needed");
  }
  const Napi::Array given = info[0].As<Napi::Array>();
  Writing writing;
  writing.writes.resize(given.Length());
  writing.texts.resize(given.Length());
  bool refused = false;
  std::string key;
  for (uint32_t index = 0; index < given.Length(); index++) {
    const Napi::HandleScope scope(env);
    const Napi::Value item = given.Get(index);
    if (!item.IsObject()) return Misuse(env, "writes: a list of objects is needed");
    core::Write& write = writing.writes[index];
    write.table = TableAt(item.As<Napi::Object>().Get("table"));
    if (write.table == nullptr) return env.Undefined();
    key.clear();
    const bool has_key = !item.As<Napi::Object>().Get("key").IsUndefined();
    const char* const flaw = ReadWrite(item.As<Napi::Object>(), write, key, writing.texts[index]);
    if (flaw != nullptr) return Misuse(env, "writes: " + std::string(flaw));
    write.json = writing.texts[index];
    core::TableProblem problem;
    if (!has_key || core::append_key_text(*store().definition(*write.table), key, write.key, problem)) continue;
    // No record can have such a key: the batch need not be tried.
    if (!refused) writing.results.resize(given.Length());
    refused = true;
    using Outcome = core::Written::Outcome;
    const bool names_one = write.kind == core::Write::Kind::Patch || write.kind == core::Write::Kind::Remove;
    writing.results[index].outcome = names_one ? Outcome::Missing : Outcome::Invalid;
    writing.results[index].problem = std::move(problem);
  }
  return Start<Writing>(
      env, Length::Write, std::move(writing),
      [](core::OpenStore& open, Writing& facts, core::StoreFailure& failure) {
        if (!facts.results.empty() || open.write(facts.writes, facts.results, failure)) return true;
        // What a write of the batch was refused for is in the results.
        return failure.status != TENON_ERROR_STORAGE && failure.status != TENON_ERROR_STATE &&
               failure.status != TENON_ERROR_TOO_LARGE && facts.results.size() == facts.writes.size();
      },
      [](Napi::Env to, StoreObject& self, Writing& facts) -> Napi::Value {
        const Napi::Array list = Napi::Array::New(to, facts.results.size());
        for (uint32_t index = 0; index < facts.results.size(); index++) {
          const Napi::HandleScope scope(to);
          const core::Written& written = facts.results[index];
          const core::Write& write = facts.writes[index];
          const std::string& encoded = written.key.empty() ? write.key : written.key;
          const Napi::Object object = Napi::Object::New(to);
          object.Set("outcome", OutcomeName(written.outcome));
          object.Set("key", encoded.empty() ? "" : core::key_text(*self.store().definition(*write.table), encoded));
          if (HasRecord(written)) object.Set("record", RecordOf(to, written.record));
          if (written.outcome == core::Written::Outcome::Invalid) {
            object.Set("field", written.problem.field);
            object.Set("message", written.problem.message);
          }
          list.Set(index, object);
        }
        return list;
      },
      "StoreFailed", "BodyTooLarge");
}

}  // namespace tenon::node
