#include "store_postgres/rows.h"

#include <endian.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "store_postgres/failure.h"
#include "store_postgres/parameters.h"

namespace spool::postgres {
namespace {

// A big-endian integer of 2, 4 or 8 bytes; of none: 0.
std::int64_t integer(std::string_view bytes) {
  if (bytes.empty()) return 0;
  std::int64_t value = static_cast<signed char>(bytes.front());
  for (const char c : bytes.substr(1))
    value = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << 8 | static_cast<unsigned char>(c));
  return value;
}

Uuid uuid_of(std::string_view bytes) {
  Uuid id;
  if (bytes.size() == id.bytes.size()) std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  return id;
}

// Reads the numbers of an array one after the other.
struct Reader {
  std::string_view bytes;
  std::string_view take(std::size_t count) {
    if (count > bytes.size()) refuse(Code::kInternal, "database: an array ends in its middle");
    const std::string_view taken = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return taken;
  }
  std::int32_t i32() { return static_cast<std::int32_t>(integer(take(4))); }
};

}  // namespace

std::string_view Rows::raw(int at) const {
  if (null(at)) return {};
  return {PQgetvalue(answer_.get(), row_, at),
          static_cast<std::size_t>(PQgetlength(answer_.get(), row_, at))};
}

void Rows::wrong_type(int at, std::string_view wanted) const {
  const char* name = PQfname(answer_.get(), at);
  refuse(Code::kInternal,
         fmt::format("database: column {} ({}) has type {}, not {}", at,
                     name != nullptr ? name : "there is none", PQftype(answer_.get(), at), wanted));
}

std::int64_t Rows::i64(int at) const {
  const Oid type = PQftype(answer_.get(), at);
  if (type != oid::kInt8 && type != oid::kInt4 && type != oid::kInt2) wrong_type(at, "an integer");
  return integer(raw(at));
}

double Rows::real(int at) const {
  const Oid type = PQftype(answer_.get(), at);
  if (type == oid::kFloat8) return std::bit_cast<double>(integer(raw(at)));
  if (type == oid::kFloat4) return std::bit_cast<float>(static_cast<std::int32_t>(integer(raw(at))));
  wrong_type(at, "a floating point number");
}

bool Rows::boolean(int at) const {
  if (PQftype(answer_.get(), at) != oid::kBool) wrong_type(at, "boolean");
  return integer(raw(at)) != 0;
}

std::string_view Rows::view(int at) const {
  switch (PQftype(answer_.get(), at)) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kName:
    case oid::kJson:
    case oid::kBytea:
      return raw(at);
    case oid::kJsonb:
      return null(at) ? std::string_view() : raw(at).substr(1);  // behind the version of its format
    default:
      wrong_type(at, "text");
  }
}

Uuid Rows::uuid(int at) const {
  if (PQftype(answer_.get(), at) != oid::kUuid) wrong_type(at, "uuid");
  return uuid_of(raw(at));
}

std::optional<Time> Rows::maybe_time(int at) const {
  return null(at) ? std::nullopt : std::optional<Time>(time(at));
}
std::optional<Duration> Rows::maybe_duration(int at) const {
  return null(at) ? std::nullopt : std::optional<Duration>(duration(at));
}

std::vector<std::string_view> Rows::elements(int at, std::initializer_list<Oid> arrays) const {
  if (std::find(arrays.begin(), arrays.end(), PQftype(answer_.get(), at)) == arrays.end())
    wrong_type(at, fmt::format("of the array types {}", fmt::join(arrays, ", ")));
  std::vector<std::string_view> found;
  if (null(at)) return found;
  Reader reader{raw(at)};
  const int dimensions = reader.i32();
  reader.take(8);  // whether there are nulls, and the element's type
  if (dimensions == 0) return found;
  if (dimensions != 1) wrong_type(at, "an array of one dimension");
  const int count = reader.i32();
  reader.take(4);  // the first index
  found.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const int length = reader.i32();
    found.push_back(length < 0 ? std::string_view() : reader.take(static_cast<std::size_t>(length)));
  }
  return found;
}

std::vector<std::string> Rows::texts(int at) const {
  const auto found = elements(at, {oid::kTextArray});
  return {found.begin(), found.end()};
}

std::vector<std::int64_t> Rows::i64s(int at) const {
  std::vector<std::int64_t> values;
  for (const std::string_view bytes : elements(at, {oid::kInt8Array, oid::kInt4Array}))
    values.push_back(integer(bytes));
  return values;
}

std::vector<Uuid> Rows::uuids(int at) const {
  std::vector<Uuid> values;
  for (const std::string_view bytes : elements(at, {oid::kUuidArray})) values.push_back(uuid_of(bytes));
  return values;
}

}  // namespace spool::postgres
