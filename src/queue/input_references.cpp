#include "queue/input_references.h"

#include <algorithm>

namespace spool {
namespace {

bool allows(std::string_view named, std::string_view reference) {
  if (named == reference) return true;
  const bool below = named.starts_with("object:") && named.ends_with('/') && reference.starts_with(named);
  // Object stores that know no folders would take the dots for a name; folders would leave.
  return below && reference.find("..") == std::string_view::npos;
}

}  // namespace

Json input_schema() {
  return {{"type", "string"},
          {"minLength", 1},
          {"maxLength", 4096},
          {"pattern", "^[$]|^object:|^file:/|^source:"},
          {"examples", {"object:films/talk.mp4", "file:/films/talk.mp4"}}};
}

bool names_input(const Json& args, std::string_view reference) {
  if (args.is_string()) return allows(args.get_ref<const std::string&>(), reference);
  if (!args.is_structured()) return false;
  return std::any_of(args.begin(), args.end(),
                     [&](const Json& part) { return names_input(part, reference); });
}

}  // namespace spool
