#include "access.h"

namespace tenon::core {

namespace {

using Rank = Access::Rank;

Rank rank_of(const Range& range) {
  if (!range.bounded) return Rank::Everything;
  if (range.equal) return Rank::Equal;
  if (!range.prefix.empty()) return Rank::Prefix;
  return Rank::Bounded;
}

Access access_by(const Layout& layout, const Filter& filter, const Index* index) {
  const Definition& definition = *layout.definition;
  const uint32_t field = index == nullptr ? definition.primary : index->field;
  const Range range = range_of(filter, field);
  Access access;
  access.index = index;
  access.rank = rank_of(range);
  access.span = *span_of(definition, field, range, false);
  if (access.span.begin.empty() && access.span.end.empty()) access.rank = Rank::Everything;
  return access;
}

bool is_usable(const Index& index) { return index.complete.load() && !index.retired.load(); }

}  // namespace

std::string Access::name(const Definition& definition) const {
  if (index != nullptr) return "index " + definition.fields[index->field].name;
  return rank == Rank::Everything ? "scan" : "primary";
}

std::optional<Access> ordered_access(const Layout& layout, const Filter& filter, const PageOrder& order) {
  const auto& fields = order.fields();
  std::optional<Access> best;
  if (fields.empty()) best = access_by(layout, filter, nullptr);
  for (const Index* const index : layout.indexes) {
    if (!is_usable(*index)) continue;
    const bool by_it = fields.size() == 1 && fields.front().field == index->field;
    if (!by_it && !fields.empty()) continue;
    if (by_it && fields.front().descending != order.key_descends()) continue;
    Access access = access_by(layout, filter, index);
    // Under one value of an index the records are in the order of the primary key.
    if (!by_it && access.rank != Rank::Equal) continue;
    if (!best || access.rank > best->rank) best = std::move(access);
  }
  return best;
}

Access narrowest_access(const Layout& layout, const Filter& filter) {
  Access best = access_by(layout, filter, nullptr);
  for (const Index* const index : layout.indexes) {
    if (!is_usable(*index)) continue;
    Access access = access_by(layout, filter, index);
    if (access.rank > best.rank) best = std::move(access);
  }
  return best;
}

}  // namespace tenon::core
