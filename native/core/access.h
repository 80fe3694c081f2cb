#ifndef TENON_CORE_ACCESS_H
#define TENON_CORE_ACCESS_H

#include <string>

#include "page_order.h"
#include "table_walk.h"

namespace tenon::core {

// One way to the records that a filter may be met by.
struct Access {
  // How much of the table it leaves out, by rule of thumb.
  enum class Rank : uint8_t { Everything, Bounded, Prefix, Equal };
  const Index* index = nullptr;  // null: the primary key
  Rank rank = Rank::Everything;
  Span span;

  std::string name(const Definition& definition) const;
};

// The way that gives records in this order by itself, if there is one; the one that leaves out most; of several equal
// ones that of the least field number.
std::optional<Access> ordered_access(const Layout& layout, const Filter& filter, const PageOrder& order);
Access narrowest_access(const Layout& layout, const Filter& filter);

}  // namespace tenon::core

#endif
