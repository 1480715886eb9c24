// The options given to one verb, checked against its row.
#pragma once

#include <charconv>

#include <fmt/format.h>

#include "files/failure.h"
#include "verbs.h"

namespace cli {

class Arguments {
 public:
  // Failures: unknown_option, invalid_option. The verb must outlive the object.
  Arguments(const Verb& verb, const graft::Options& given);

  const std::string* find(std::string_view name) const;
  std::string text(std::string_view name, std::string_view fallback = {}) const;
  bool flag(std::string_view name) const { return text(name) == "1"; }
  std::vector<std::string> all(std::string_view name) const;
  template <class T>
  T number(std::string_view name, T fallback, T lo, T hi) const {
    const std::string* v = find(name);
    if (v == nullptr) return fallback;
    T out{};
    const auto [rest, error] = std::from_chars(v->data(), v->data() + v->size(), out);
    if (error != std::errc() || rest != v->data() + v->size() || !(out >= lo && out <= hi))
      throw Failure(GRAFT_CODE_INVALID_OPTION,
                    fmt::format("option {}: '{}' is not a number from {} to {}", name, *v, lo, hi));
    return out;
  }
  // Those that are the session's, by its names.
  graft::Options session() const;

 private:
  const Verb* verb_;
  graft::Options given_;
};

// "require-device" is the session's require_device.
std::string session_name(std::string name);

}  // namespace cli
