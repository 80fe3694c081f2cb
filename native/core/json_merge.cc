#include "json_merge.h"

#include <algorithm>
#include <forward_list>
#include <utility>
#include <vector>

#include "json.h"

namespace tenon::core {

namespace {

using Next = JsonReader::Kind;

struct Member {
  std::string name;
  std::string_view raw;
  bool used;
};

std::vector<Member> members_of(std::string_view json) {
  std::vector<Member> members;
  JsonReader reader(json);
  std::string_view name;
  bool escaped = false;
  reader.begin_object();
  while (reader.member(name, escaped)) {
    Member& member = members.emplace_back(Member{unescaped(name), {}, false});
    if (!reader.skip(member.raw)) break;
  }
  return members;
}

bool is_object(std::string_view json) { return JsonReader(json).peek() == Next::Object; }

bool find_twice(JsonReader& reader, std::string& twice) {
  const Next next = reader.peek();
  std::string_view raw;
  bool escaped = false;
  if (next == Next::List) {
    reader.begin_list();
    while (reader.item()) {
      if (find_twice(reader, twice)) return true;
    }
    return false;
  }
  if (next != Next::Object) {
    reader.skip(raw);
    return false;
  }
  std::vector<std::string_view> names;
  std::forward_list<std::string> with_escapes;
  reader.begin_object();
  while (reader.member(raw, escaped)) {
    names.push_back(escaped ? with_escapes.emplace_front(unescaped(raw)) : raw);
    if (find_twice(reader, twice)) return true;
  }
  std::sort(names.begin(), names.end());
  const auto found = std::adjacent_find(names.begin(), names.end());
  if (found == names.end()) return false;
  twice = *found;
  return true;
}

}  // namespace

void merge_json(std::string_view stored, std::string_view patch, std::string& json) {
  if (!is_object(stored) || !is_object(patch)) {
    json.append(patch);
    return;
  }
  std::vector<Member> changes = members_of(patch);
  const auto before = [](const Member& left, const Member& right) { return left.name < right.name; };
  std::stable_sort(changes.begin(), changes.end(), before);
  char comma = '{';
  const auto append_name = [&](const std::string& name) {
    json.push_back(std::exchange(comma, ','));
    append_quoted(name, json);
    json.push_back(':');
  };
  for (const Member& member : members_of(stored)) {
    append_name(member.name);
    const auto change = std::lower_bound(changes.begin(), changes.end(), member, before);
    if (change == changes.end() || change->name != member.name) {
      json.append(member.raw);
    } else {
      change->used = true;
      merge_json(member.raw, change->raw, json);
    }
  }
  for (const Member& member : changes) {
    if (member.used) continue;
    append_name(member.name);
    json.append(member.raw);
  }
  json.append(comma == '{' ? "{}" : "}");
}

bool member_twice(std::string_view json, std::string& twice) {
  JsonReader reader(json);
  return find_twice(reader, twice);
}

}  // namespace tenon::core
