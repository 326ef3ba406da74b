// The parameters of one statement, as PostgreSQL's binary formats want them: each type of ours has one type
// there, its own array type among them. Values are copied.
#pragma once

#include <libpq-fe.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "base/id.h"

namespace spool::postgres {

// JSON that is text already.
struct Jsonb {
  std::string_view text;
};
struct Bytes {
  std::string_view bytes;
};

// PostgreSQL's pg_type.dat
namespace oid {
inline constexpr Oid kBool = 16, kBytea = 17, kName = 19, kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25,
                     kJson = 114, kFloat4 = 700, kFloat8 = 701, kVarchar = 1043, kUuid = 2950, kJsonb = 3802;
inline constexpr Oid kBoolArray = 1000, kByteaArray = 1001, kInt4Array = 1007, kTextArray = 1009,
                     kInt8Array = 1016, kFloat8Array = 1022, kUuidArray = 2951, kJsonbArray = 3807;
}  // namespace oid

void put_i32(std::string& out, std::int32_t value);
void put_i64(std::string& out, std::int64_t value);
void put_real(std::string& out, double value);
void put_text(std::string& out, std::string_view value);  // throws kInvalidArgument for a NUL in it

template <class T>
struct Wire;  // no such parameter type: convert it to one of these
template <>
struct Wire<bool> {
  static constexpr Oid kType = oid::kBool, kArray = oid::kBoolArray;
  static void put(std::string& out, bool value) { out.push_back(value ? 1 : 0); }
};
template <>
struct Wire<int> {
  static constexpr Oid kType = oid::kInt4, kArray = oid::kInt4Array;
  static void put(std::string& out, int value) { put_i32(out, value); }
};
template <>
struct Wire<std::int64_t> {
  static constexpr Oid kType = oid::kInt8, kArray = oid::kInt8Array;
  static void put(std::string& out, std::int64_t value) { put_i64(out, value); }
};
template <>
struct Wire<double> {
  static constexpr Oid kType = oid::kFloat8, kArray = oid::kFloat8Array;
  static void put(std::string& out, double value) { put_real(out, value); }
};
template <std::convertible_to<std::string_view> T>
struct Wire<T> {
  static constexpr Oid kType = oid::kText, kArray = oid::kTextArray;
  static void put(std::string& out, std::string_view value) { put_text(out, value); }
};
template <>
struct Wire<Jsonb> {
  static constexpr Oid kType = oid::kJsonb, kArray = oid::kJsonbArray;
  static void put(std::string& out, Jsonb value) {
    out.push_back(1);  // the version of its format
    put_text(out, value.text);
  }
};
template <>
struct Wire<Bytes> {
  static constexpr Oid kType = oid::kBytea, kArray = oid::kByteaArray;
  static void put(std::string& out, Bytes value) { out += value.bytes; }
};
template <class T>
requires std::same_as<T, Uuid> || std::same_as<T, Token>
struct Wire<T> {
  static constexpr Oid kType = oid::kUuid, kArray = oid::kUuidArray;
  static void put(std::string& out, const T& value) {
    out.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
  }
};
template <>
struct Wire<Duration> {
  static constexpr Oid kType = oid::kInt8, kArray = oid::kInt8Array;
  static void put(std::string& out, Duration value) { put_i64(out, value.count()); }
};
template <>
struct Wire<Time> {
  static constexpr Oid kType = oid::kInt8, kArray = oid::kInt8Array;
  static void put(std::string& out, Time value) { put_i64(out, value.time_since_epoch().count()); }
};

class Parameters {
  template <class T>
  struct Element {
    using Type = T;
  };
  template <class T>
  struct Element<std::optional<T>> {
    using Type = T;
  };

 public:
  template <class T>
  void add(const T& value) {
    begin(Wire<std::decay_t<T>>::kType);
    Wire<std::decay_t<T>>::put(bytes_, value);
    end();
  }
  template <class T>
  void add(const std::optional<T>& value) {
    if (value) return add(*value);
    begin(Wire<T>::kType);
    lengths_.back() = kNull;
  }
  template <class T>
  void add(const std::optional<std::vector<T>>& values) {
    if (values) return add(*values);
    begin(Wire<typename Element<T>::Type>::kArray);
    lengths_.back() = kNull;
  }
  // Of any element type, optional ones too.
  template <class T>
  void add(const std::vector<T>& values) {
    add_array(values);
  }
  template <class T>
  void add(std::span<T> values) {
    add_array(values);
  }

  [[nodiscard]] int count() const { return static_cast<int>(types_.size()); }
  [[nodiscard]] const Oid* types() const { return types_.data(); }
  [[nodiscard]] const int* lengths() const { return lengths_.data(); }
  [[nodiscard]] std::vector<const char*> values() const;  // valid until the next add()
  [[nodiscard]] std::vector<int> formats() const { return std::vector<int>(types_.size(), 1); }

 private:
  static constexpr int kNull = -1;

  template <class Values>
  void add_array(const Values& values) {
    using Item = std::remove_cv_t<typename Values::value_type>;
    using Type = typename Element<Item>::Type;
    begin(Wire<Type>::kArray);
    put_array_head(Wire<Type>::kType, values.size());
    for (const auto& value : values) {
      if constexpr (std::same_as<Item, Type>)
        put_element<Type>(value);
      else if (value)
        put_element<Type>(*value);
      else
        put_i32(bytes_, kNull);
    }
    end();
  }
  template <class T>
  void put_element(const T& value) {
    const std::size_t head = bytes_.size();
    put_i32(bytes_, 0);
    Wire<T>::put(bytes_, value);
    set_length(head);
  }

  void begin(Oid type);
  void end();
  void put_array_head(Oid element, std::size_t count);
  void set_length(std::size_t head);  // of the element that begins there

  std::vector<Oid> types_;
  std::vector<std::size_t> starts_;
  std::vector<int> lengths_;
  std::string bytes_;  // all values, one behind the other
};

}  // namespace spool::postgres
