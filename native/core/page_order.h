#ifndef TENON_CORE_PAGE_ORDER_H
#define TENON_CORE_PAGE_ORDER_H

#include <string>
#include <string_view>
#include <vector>

#include "store.h"

namespace tenon::core {

// Where a record stands in an order: two records compare as their places do.
struct Place {
  std::string values;  // of the fields, as an index has them, inverted where the order descends
  std::string key;     // encoded primary key
};

// The order of a query: some fields, then the primary key, in the direction of the last of them.
class PageOrder {
 public:
  // Nothing and `failure` when a field cannot be sorted by.
  static std::optional<PageOrder> of(const Definition& definition, const std::vector<Query::Order>& wanted,
                                     StoreFailure& failure);

  // Fields before the primary key.
  const std::vector<Query::Order>& fields() const { return fields_; }
  bool key_descends() const { return key_descends_; }

  void place_of(std::string_view record, std::string_view key, Place& place) const;
  bool before(const Place& one, const Place& other) const;

  // A place as text that a client hands back, and what it means. False when it is none of this order.
  std::string write_cursor(const Place& place) const;
  bool read_cursor(std::string_view text, Place& place) const;
  // The value of the first field, as an index has it.
  std::string index_value(const Place& place) const;

 private:
  explicit PageOrder(const Definition& definition) : definition_(&definition) {}
  uint32_t mark() const;

  const Definition* definition_;
  std::vector<Query::Order> fields_;
  bool key_descends_ = false;
};

}  // namespace tenon::core

#endif
