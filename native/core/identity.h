#ifndef TENON_CORE_IDENTITY_H
#define TENON_CORE_IDENTITY_H

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/ext/auth.h"

namespace tenon::core {

// Who a request is from: a checked copy of what a provider said. Does not change once a handler may see it.
class Identity {
 public:
  // Null when `given` is outside the bounds of auth.h.
  static std::unique_ptr<Identity> copy(const tenon_identity_t* given, std::string scheme, std::string extension);

  const std::string& subject() const { return subject_; }
  bool has_role(std::string_view role) const;
  // TENON_ERROR_ARGUMENT for what is none, TENON_ERROR_TOO_LARGE past TENON_AUTH_ROLE_LIMIT.
  tenon_status add_role(std::string_view role);
  // Views that live as long as this and until a role is added.
  tenon_identity_t face() const;
  // {"subject","name","scheme","extension","roles","claims"}
  std::string json() const;

 private:
  Identity() = default;
  std::string subject_;
  std::string name_;
  std::string scheme_;
  std::string extension_;
  std::string claims_;
  std::vector<std::unique_ptr<const std::string>> roles_;
  std::vector<tenon_bytes_t> role_views_;
};

}  // namespace tenon::core

#endif
