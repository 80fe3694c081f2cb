#ifndef TENON_CORE_RECORD_WRITER_H
#define TENON_CORE_RECORD_WRITER_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "record.h"
#include "record_value.h"

namespace tenon::core {

// Makes one record. Text whose fields stand in the order of the definition is written as it is read; other text is
// read again, its values by number.
class RecordWriter final : public ValueWriter {
 public:
  RecordWriter(const Definition& definition, const RecordOrigin& origin, std::string& record, TableProblem& problem)
      : ValueWriter(definition, record, problem), origin_(origin) {}

  bool write(std::string_view json);
  // Values by the number of their field; an empty one is absent.
  bool write(const std::vector<std::string_view>& values);
  // The values of the object `json` by the number of their field.
  bool collect(std::string_view json, std::vector<std::string_view>& values);

 private:
  bool begin(size_t size);
  bool finish();
  // False without a problem: the text is not in order.
  bool ordered(JsonReader& reader);
  static size_t find(const std::vector<Field>& fields, std::string_view name, size_t expected);
  bool host_sets(uint32_t number) const;
  // Whether only the client can give it.
  bool needed(uint32_t number) const;
  bool field(uint32_t number, JsonReader& reader);
  bool absent(uint32_t number);
  bool host_time(uint32_t number);
  // A time that the host sets, as the field has it.
  void time(uint32_t number, int64_t ms);
  int64_t fresh_expiry() const;
  static int64_t expiry(const ValueSlot& slot);
  bool own_key();
  bool check_key(const ValueSlot& slot);
  void keep(uint32_t number, const ValueSlot& slot);

  const RecordOrigin& origin_;
  int64_t expiry_ = 0;
  bool expires_by_field_ = false;
  bool first_ = true;
};

}  // namespace tenon::core

#endif
