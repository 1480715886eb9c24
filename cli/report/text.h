// How reports look: words with colour or without, columns, numbers with units. Everything that comes from a model goes
// through clean(), so that no file can send control sequences to a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace cli {

using fmt::format;

std::string clean(std::string_view s);  // control characters as \xNN
size_t width(std::string_view s);       // in characters, not bytes

std::string bytes_text(int64_t bytes);                 // "137.4 kB"
std::string count_text(double count);                  // "3.64 G"
std::string ms_text(double ms);                        // "0.42 ms", "1.30 s"
std::string percent_text(double share);                // "99.2 %"
std::string plural(int64_t n, std::string_view noun);  // "1 node", "3 nodes"

// A page of text under construction.
class Page {
 public:
  explicit Page(bool colour) : colour_(colour) {}

  std::string bold(std::string_view s) const { return paint("1", s); }
  std::string faint(std::string_view s) const { return paint("2", s); }
  std::string good(std::string_view s) const { return paint("32", s); }
  std::string bad(std::string_view s) const { return paint("31", s); }
  std::string warn(std::string_view s) const { return paint("33", s); }

  void line(std::string_view s = {});
  // "  name      words", the words wrapped under themselves; an empty name continues the one before.
  void item(std::string_view name, std::string_view words);
  // Rows of cells, each column as wide as its widest cell; `right` names the columns aligned to the right. The first
  // row is a heading when `heading`.
  void table(const std::vector<std::vector<std::string>>& rows, std::string_view indent, std::vector<size_t> right = {},
             bool heading = false);
  // Several lines, each indented.
  void block(std::string_view text, std::string_view indent);

  std::string take() { return std::move(out_); }

 private:
  std::string paint(std::string_view code, std::string_view s) const;

  bool colour_;
  std::string out_;
};

}  // namespace cli
