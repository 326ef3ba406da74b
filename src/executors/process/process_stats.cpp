#include "executors/process/process_stats.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "base/file.h"

namespace spool::process {
namespace {

// A file of /proc is whole in one read; errors are an empty text.
std::string slurp(pid_t pid, const char* name) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/{}", pid, name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  std::array<char, 8192> buffer;
  const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
  return n > 0 ? std::string(buffer.data(), static_cast<std::size_t>(n)) : std::string();
}

std::optional<std::int64_t> number_at(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

// The number behind "key:" at a line's start.
std::optional<std::int64_t> field(std::string_view text, std::string_view key) {
  for (std::size_t line = 0; line < text.size();) {
    if (text.substr(line).starts_with(key)) return number_at(text, line + key.size());
    const auto end = text.find('\n', line);
    if (end == std::string_view::npos) break;
    line = end + 1;
  }
  return std::nullopt;
}

// utime and stime are the 14th and 15th field (proc(5)); the name in the second one may hold anything.
std::optional<double> cpu_seconds(std::string_view stat) {
  std::size_t at = stat.rfind(')');
  if (at == std::string_view::npos) return std::nullopt;
  for (int skip = 0; skip < 12; ++skip) {
    at = stat.find(' ', at + 1);
    if (at == std::string_view::npos) return std::nullopt;
  }
  const auto user = number_at(stat, at);
  const auto system = number_at(stat, stat.find(' ', at + 1));
  if (!user || !system) return std::nullopt;
  static const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return static_cast<double>(*user + *system) / ticks;
}

}  // namespace

std::optional<ProcessStats> read_stats(pid_t pid) {
  const auto cpu = cpu_seconds(slurp(pid, "stat"));
  if (!cpu) return std::nullopt;
  ProcessStats stats;
  stats.cpu_seconds = *cpu;
  const std::string status = slurp(pid, "status");
  stats.resident_bytes = field(status, "VmRSS:").value_or(0) * 1024;
  stats.peak_bytes = field(status, "VmHWM:").value_or(0) * 1024;
  const std::string io = slurp(pid, "io");
  stats.bytes_read = field(io, "rchar:");
  stats.bytes_written = field(io, "wchar:");
  return stats;
}

void reset_peak(pid_t pid) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/clear_refs", pid).c_str(), O_WRONLY | O_CLOEXEC));
  if (fd) [[maybe_unused]]
    const ssize_t n = ::write(fd.get(), "5", 1);
}

}  // namespace spool::process
