// What names, passwords, roles and permissions look like, and how credentials are written.
#ifndef TENON_AUTH_GRAMMAR_HPP
#define TENON_AUTH_GRAMMAR_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace auth {

constexpr std::string_view admin_role = "admin";
// Its permissions are everybody's, also of those who are not known.
constexpr std::string_view everyone_role = "everyone";
constexpr size_t most_roles = 32;
constexpr size_t most_permissions = 256;

inline bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return is_lower(static_cast<char>(c | 0x20)); }

// [a-z0-9._@-]{1,64}, beginning with a letter or digit.
inline bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || !(is_lower(name[0]) || is_digit(name[0]))) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return is_lower(c) || is_digit(c) || c == '.' || c == '_' || c == '@' || c == '-'; });
}

// 8 to 1,024 bytes.
inline bool is_password(std::string_view password) { return password.size() >= 8 && password.size() <= 1024; }

// As tenon::Decision::role has it.
inline bool is_role(std::string_view role) {
  return !role.empty() && role.size() <= 63 && std::all_of(role.begin(), role.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == ':' || c == '-';
  });
}

// "METHOD /path", the method "*" for all of them, the path with "*" at its end for all that begin like it.
inline bool is_permission(std::string_view permission) {
  const size_t space = permission.find(' ');
  if (space == std::string_view::npos || permission.size() > 512) return false;
  const std::string_view method = permission.substr(0, space);
  const std::string_view path = permission.substr(space + 1);
  constexpr std::string_view methods[] = {"*", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  if (std::find(std::begin(methods), std::end(methods), method) == std::end(methods)) return false;
  return !path.empty() && path[0] == '/' && path.find('*') >= path.size() - 1 &&
         path.find(' ') == std::string_view::npos;
}

// Paths are compared as they arrive: one that is written in another way is another one, and not permitted.
inline bool permits(std::string_view permission, std::string_view method, std::string_view path) {
  const size_t space = permission.find(' ');
  const std::string_view wanted = permission.substr(0, space);
  if (wanted != "*" && wanted != method) return false;
  std::string_view pattern = permission.substr(space + 1);
  if (pattern.back() != '*') return pattern == path;
  pattern.remove_suffix(1);
  return path.substr(0, pattern.size()) == pattern;
}

// What follows `scheme` and a space in the value of an Authorization header.
inline std::optional<std::string_view> credential_of(std::string_view value, std::string_view scheme) {
  if (value.size() <= scheme.size() || value[scheme.size()] != ' ') return std::nullopt;
  for (size_t at = 0; at < scheme.size(); ++at)
    if ((value[at] | 0x20) != (scheme[at] | 0x20)) return std::nullopt;
  return value.substr(scheme.size() + 1);
}

struct NameAndPassword {
  std::string name;
  std::string password;
};

// Of a Basic credential: base64 of "name:password".
inline std::optional<NameAndPassword> read_basic(std::string_view credential) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  constexpr size_t most = 2048;
  while (!credential.empty() && credential.back() == '=') credential.remove_suffix(1);
  if (credential.size() > most || credential.size() % 4 == 1) return std::nullopt;
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : credential) {
    const size_t value = alphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    text.push_back(static_cast<char>(bits >> count & 0xFFu));
  }
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  return NameAndPassword{text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace auth

#endif
