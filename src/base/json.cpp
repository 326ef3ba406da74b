#include "base/json.h"

#include <fmt/format.h>

namespace spool {
namespace {

constexpr int kMaxDepth = 64;

// Looks at a text without building anything. (The library's parser with a callback could build and count in
// one pass, but it takes quadratic time for a list of objects.)
class Survey final : public nlohmann::json_sax<Json> {
 public:
  explicit Survey(std::size_t most_values) : left_(most_values) {}

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool key(string_t&) override { return true; }
  bool start_object(std::size_t) override { return enter(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    broken_at = position;
    return false;
  }

  std::size_t broken_at = 0;
  bool too_deep = false;
  bool too_many = false;

 private:
  bool count() {
    too_many = left_ == 0;
    if (!too_many) --left_;
    return !too_many;
  }
  bool enter() {
    too_deep = ++depth_ > kMaxDepth;
    return !too_deep && count();
  }
  bool leave() {
    --depth_;
    return true;
  }

  std::size_t left_;
  int depth_ = 0;
};

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view what, std::size_t most_values) {
  Survey survey(most_values);
  if (!Json::sax_parse(text.begin(), text.end(), &survey)) {
    if (survey.too_deep)
      return fail(Code::kLimitExceeded, fmt::format("{}: nested deeper than {}", what, kMaxDepth));
    if (survey.too_many)
      return fail(Code::kLimitExceeded, fmt::format("{}: more than {} values", what, most_values));
    return fail(Code::kInvalidArgument, fmt::format("{}: not valid JSON at byte {}", what, survey.broken_at));
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& e) {
    return fail(Code::kInvalidArgument, fmt::format("{}: not valid JSON: {}", what, e.what()));
  }
}

std::string to_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace spool
