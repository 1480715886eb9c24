#include "files/utf.h"

#include <array>
#include <cstdint>

namespace cli {
namespace {

constexpr char32_t kUnknown = 0xfffd;
bool is_point(char32_t v) { return v < 0x110000 && (v < 0xd800 || v > 0xdfff); }

}  // namespace

std::vector<char32_t> code_points(std::string_view utf8) {
  std::vector<char32_t> list;
  for (size_t at = 0; at < utf8.size();) {
    const auto first = static_cast<uint8_t>(utf8[at]);
    const size_t more = first < 0x80   ? 0
                        : first < 0xc0 ? 4
                        : first < 0xe0 ? 1
                        : first < 0xf0 ? 2
                        : first < 0xf8 ? 3
                                       : 4;
    char32_t v = more == 0 ? first : first & (0x3f >> more);
    bool ok = more < 4 && at + more < utf8.size();
    for (size_t i = 1; ok && i <= more; ++i) {
      const auto next = static_cast<uint8_t>(utf8[at + i]);
      ok = (next & 0xc0) == 0x80;
      v = v << 6 | (next & 0x3f);
    }
    constexpr std::array<char32_t, 4> kLeast{0, 0x80, 0x800, 0x10000};
    ok = ok && v >= kLeast[more] && is_point(v);
    list.push_back(ok ? v : kUnknown);
    at += ok ? more + 1 : 1;
  }
  return list;
}

std::string utf8(std::span<const char32_t> points) {
  std::string s;
  for (char32_t v : points) {
    if (!is_point(v)) v = kUnknown;
    if (v < 0x80) {
      s.push_back(static_cast<char>(v));
      continue;
    }
    const int more = v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
    s.push_back(static_cast<char>((0xff00 >> (more + 1) & 0xff) | v >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) s.push_back(static_cast<char>(0x80 | (v >> (6 * i) & 0x3f)));
  }
  return s;
}

}  // namespace cli
