#include "store_postgres/parameters.h"

#include <endian.h>

#include <bit>
#include <cstring>
#include <limits>

#include "store_postgres/failure.h"

namespace spool::postgres {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // a value of PostgreSQL's: 1 GiB

template <class Integer>
void put_bytes(std::string& out, Integer big_endian) {
  char bytes[sizeof big_endian];
  std::memcpy(bytes, &big_endian, sizeof bytes);
  out.append(bytes, sizeof bytes);
}

}  // namespace

void put_i32(std::string& out, std::int32_t value) {
  put_bytes(out, htobe32(static_cast<std::uint32_t>(value)));
}
void put_i64(std::string& out, std::int64_t value) {
  put_bytes(out, htobe64(static_cast<std::uint64_t>(value)));
}
void put_real(std::string& out, double value) {
  put_i64(out, std::bit_cast<std::int64_t>(value));
}
void put_text(std::string& out, std::string_view value) {
  if (value.find('\0') != std::string_view::npos)
    refuse(Code::kInvalidArgument, "a text holds a NUL character, which PostgreSQL cannot keep: remove it");
  out += value;
}

void Parameters::begin(Oid type) {
  types_.push_back(type);
  starts_.push_back(bytes_.size());
  lengths_.push_back(0);
}

void Parameters::end() {
  const std::size_t length = bytes_.size() - starts_.back();
  if (length >= kMostBytes) refuse(Code::kLimitExceeded, "a value of more than 1 GiB");
  lengths_.back() = static_cast<int>(length);
}

// array_recv: dimensions, whether there are nulls (it looks for itself), the element's type, and for the one
// dimension its size and first index.
void Parameters::put_array_head(Oid element, std::size_t count) {
  put_i32(bytes_, count > 0 ? 1 : 0);
  put_i32(bytes_, 1);
  put_i32(bytes_, static_cast<std::int32_t>(element));
  if (count == 0) return;
  if (count > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    refuse(Code::kLimitExceeded, "an array of more than 2,147,483,647 values");
  put_i32(bytes_, static_cast<std::int32_t>(count));
  put_i32(bytes_, 1);
}

void Parameters::set_length(std::size_t head) {
  const auto length = htobe32(static_cast<std::uint32_t>(bytes_.size() - head - sizeof(std::uint32_t)));
  std::memcpy(bytes_.data() + head, &length, sizeof length);
}

std::vector<const char*> Parameters::values() const {
  std::vector<const char*> values;
  values.reserve(types_.size());
  for (std::size_t i = 0; i < types_.size(); ++i)
    values.push_back(lengths_[i] == kNull ? nullptr : bytes_.data() + starts_[i]);
  return values;
}

}  // namespace spool::postgres
