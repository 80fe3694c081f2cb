#include "record.h"

#include <utility>

#include "byte_buffer.h"
#include "json_merge.h"
#include "key.h"
#include "record_writer.h"
#include "tenon/ext/tables.h"

namespace tenon::core {

namespace {

using Kind = FieldType::Kind;

std::string_view literal_of(std::string_view record, uint32_t field) {
  const tenon_value_t value = value_of(record, field);
  if (value.kind == TENON_VALUE_ABSENT) return {};
  if (value.kind == TENON_VALUE_TEXT) return {value.text.data - 1, value.text.size + 2};
  return view(value.text);
}

// What a patch may reach into.
bool has_members(Kind kind) { return kind == Kind::Object || kind == Kind::Any; }

bool is_slot(std::string_view json, const char* at) {
  const uint32_t begin = tenon_load32(at);
  const uint32_t second = tenon_load32(at + 4);
  const uint32_t kind = second >> TENON_SLOT_KIND_SHIFT;
  const size_t length = second & TENON_SLOT_LENGTH;
  if (kind == TENON_VALUE_ABSENT) return true;
  if (kind > TENON_VALUE_JSON || begin > json.size() || length > json.size() - begin) return false;
  // Around a text there are quotes, which a projection takes along.
  if (kind != TENON_VALUE_TEXT) return length != 0;
  return begin != 0 && begin + length < json.size() && json[begin - 1] == '"' && json[begin + length] == '"';
}

}  // namespace

bool make_record(const Definition& definition, std::string_view json, const RecordOrigin& origin, std::string& record,
                 TableProblem& problem) {
  return RecordWriter(definition, origin, record, problem).write(json);
}

bool patch_record(const Definition& definition, std::string_view patch, const RecordOrigin& origin, std::string& record,
                  TableProblem& problem) {
  RecordOrigin known = origin;
  std::string key;
  if (known.key.empty() && !origin.previous.empty()) {
    if (!append_key(definition, value_of(origin.previous, definition.primary), key, problem)) return false;
    known.key = key;
  }
  RecordWriter writer(definition, known, record, problem);
  std::vector<std::string_view> values;
  if (!writer.collect(patch, values)) return false;
  std::vector<std::string> merged;
  merged.reserve(values.size());
  for (uint32_t number = 0; number < values.size() && !origin.previous.empty(); number++) {
    const std::string_view stored = literal_of(origin.previous, number);
    if (values[number].empty()) {
      values[number] = stored;
    } else if (has_members(definition.fields[number].type.kind) && !stored.empty()) {
      merge_json(stored, values[number], merged.emplace_back());
      values[number] = merged.back();
    }
  }
  return writer.write(values);
}

bool is_record(std::string_view bytes) {
  if (bytes.size() < TENON_RECORD_HEAD || bytes[0] != static_cast<char>(TENON_RECORD_FORMAT) || bytes[1] != 0) {
    return false;
  }
  const size_t count = tenon_load16(bytes.data() + 2);
  const size_t begin = TENON_RECORD_HEAD + count * TENON_RECORD_SLOT;
  if (bytes.size() < begin + 2 || bytes.size() - begin > TENON_TABLE_RECORD_LIMIT) return false;
  const std::string_view json = bytes.substr(begin);
  if (json.front() != '{' || json.back() != '}') return false;
  for (size_t number = 0; number < count; number++) {
    if (!is_slot(json, bytes.data() + TENON_RECORD_HEAD + number * TENON_RECORD_SLOT)) return false;
  }
  return true;
}

std::string_view json_of(std::string_view record) {
  const tenon_record_t wrapped = as_record(record);
  return view(tenon_record_json(&wrapped));
}

uint64_t revision_of(std::string_view record) {
  const tenon_record_t wrapped = as_record(record);
  return tenon_record_revision(&wrapped);
}

int64_t expiry_of(std::string_view record) { return static_cast<int64_t>(tenon_load64(record.data() + 16)); }

void project(const Definition& definition, std::string_view record, const std::vector<uint32_t>& fields,
             std::string& json) {
  if (fields.empty()) {
    json.append(json_of(record));
    return;
  }
  char comma = '{';
  for (const uint32_t field : fields) {
    const std::string_view literal = field < definition.fields.size() ? literal_of(record, field) : std::string_view();
    if (literal.empty()) continue;
    json.push_back(std::exchange(comma, ','));
    json.append("\"").append(definition.fields[field].name).append("\":").append(literal);
  }
  json.append(comma == '{' ? "{}" : "}");
}

}  // namespace tenon::core
