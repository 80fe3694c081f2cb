#ifndef TENON_CORE_JSON_MERGE_H
#define TENON_CORE_JSON_MERGE_H

#include <string>
#include <string_view>

namespace tenon::core {

// Append `patch` laid over `stored`: member by member where both are objects, as in RFC 7396 but that null stays null;
// otherwise `patch`. A member that `patch` has twice stays so, for whoever checks the whole. Both are right JSON.
void merge_json(std::string_view stored, std::string_view patch, std::string& json);

// Whether an object within `json` has a member twice, and which. `json` is right otherwise.
bool member_twice(std::string_view json, std::string& twice);

}  // namespace tenon::core

#endif
