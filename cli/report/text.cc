#include "report/text.h"

#include <algorithm>
#include <cmath>

namespace cli {
namespace {
constexpr size_t kName = 11, kPage = 110;
}  // namespace

std::string clean(std::string_view s) {
  std::string out;
  for (const char c : s) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f)
      out += format("\\x{:02x}", u);
    else
      out += c;
  }
  return out;
}

size_t width(std::string_view s) {
  size_t n = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\x1b') {  // a colour takes no room
      while (i < s.size() && s[i] != 'm') ++i;
      continue;
    }
    n += (static_cast<unsigned char>(s[i]) & 0xc0u) != 0x80u ? 1 : 0;
  }
  return n;
}

std::string bytes_text(int64_t bytes) {
  const double b = static_cast<double>(bytes);
  if (b < 1e3) return format("{} B", bytes);
  if (b < 1e6) return format("{:.1f} kB", b / 1e3);
  if (b < 1e9) return format("{:.1f} MB", b / 1e6);
  return format("{:.2f} GB", b / 1e9);
}

std::string count_text(double count) {
  if (count < 1e3) return format("{:.0f} ", count);
  if (count < 1e6) return format("{:.1f} k", count / 1e3);
  if (count < 1e9) return format("{:.1f} M", count / 1e6);
  return format("{:.2f} G", count / 1e9);
}

std::string ms_text(double ms) {
  if (ms < 1) return format("{:.3f} ms", ms);
  if (ms < 1000) return format("{:.2f} ms", ms);
  return format("{:.2f} s", ms / 1000);
}

std::string percent_text(double share) {
  // 99.96 % is not 100 %: what is missing must show.
  const double percent = share * 100;
  if (percent < 100 && percent > 99.9) return ">99.9 %";
  return format("{:.1f} %", percent);
}

std::string plural(int64_t n, std::string_view noun) { return format("{} {}{}", n, noun, n == 1 ? "" : "s"); }

std::string Page::paint(std::string_view code, std::string_view s) const {
  return colour_ && !s.empty() ? format("\x1b[{}m{}\x1b[0m", code, s) : std::string(s);
}

void Page::line(std::string_view s) {
  out_ += s;
  out_ += '\n';
}

void Page::item(std::string_view name, std::string_view words) {
  std::string text = "  " + faint(name) + std::string(kName - std::min(kName - 1, width(name)), ' ');
  const std::string margin(2 + kName, ' ');
  size_t column = margin.size();
  bool first = true;
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, end);
    const size_t size = width(word);
    if (!first && column + 1 + size > kPage) {
      text += "\n" + margin;
      column = margin.size();
      first = true;
    }
    if (!first) text += ' ', ++column;
    text += word;
    column += size;
    first = false;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  line(text);
}

void Page::table(const std::vector<std::vector<std::string>>& rows, std::string_view indent, std::vector<size_t> right,
                 bool heading) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string text(indent);
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const std::string pad(widths[i] - width(rows[r][i]), ' ');
      const bool to_right = std::find(right.begin(), right.end(), i) != right.end();
      const std::string cell = heading && r == 0 ? faint(rows[r][i]) : rows[r][i];
      text += i == 0 ? "" : "  ";
      text += to_right ? pad + cell : cell + pad;
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    line(text);
  }
}

void Page::block(std::string_view text, std::string_view indent) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    line(std::string(indent) + clean(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace cli
