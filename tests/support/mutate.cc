#include "support/mutate.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <string_view>
#include <vector>

namespace graft::test {
namespace {

std::string flip_bits(std::string s, Random& random) {
  for (size_t n = 1 + below(random, 8); n > 0; --n)
    s[below(random, s.size())] ^= static_cast<char>(1 << below(random, 8));
  return s;
}

std::string truncate(std::string s, Random& random) { return s.substr(0, below(random, s.size())); }

// The places where protobuf keeps lengths and other varints: most bytes that could be one.
std::string corrupt_lengths(std::string s, Random& random) {
  static const std::string values[] = {std::string(1, '\0'),
                                       "\x01",
                                       "\x7f",
                                       "\xff\x7f",
                                       "\xff\xff\xff\xff\x07",
                                       "\xff\xff\xff\xff\x0f",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                       "\x80\x80\x80\x80\x80\x80\x01"};
  std::vector<size_t> places;
  for (size_t i = 0; i + 1 < s.size(); ++i) {
    if ((s[i] & 7) == 2 && static_cast<unsigned char>(s[i]) < 0x80) places.push_back(i + 1);
  }
  for (size_t n = 1 + below(random, 3); n > 0 && !places.empty(); --n) {
    const size_t at = places[below(random, places.size())];
    const std::string& v = values[below(random, std::size(values))];
    if (below(random, 2) == 0) {
      s.replace(std::min(at, s.size()), 1, v);
    } else {
      s[std::min(at, s.size() - 1)] = static_cast<char>(random());
    }
  }
  return s;
}

// A partition of the file, or of another one, put somewhere else: whole messages often land where others belong.
std::string splice(std::string s, const std::string& other, Random& random) {
  const std::string& from = below(random, 2) == 0 ? s : other;
  const size_t start = below(random, from.size()), size = 1 + below(random, 200);
  const std::string partition = from.substr(start, size);
  const size_t at = below(random, s.size());
  return below(random, 2) == 0 ? s.insert(at, partition) : s.replace(at, partition.size(), partition);
}

std::string cut(std::string s, Random& random) {
  for (size_t n = 1 + below(random, 4); n > 0; --n) {
    const size_t at = below(random, s.size());
    s.erase(at, 1 + below(random, 12));
  }
  return s;
}

// Words, numbers and single characters, in order; with the white space they make the whole text.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t i = 0; i < text.size();) {
    const auto in_word = [&](size_t at) {
      return std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_';
    };
    size_t end = i + 1;
    while (in_word(i) && end < text.size() && in_word(end)) ++end;
    words.push_back(text.substr(i, end - i));
    i = end;
  }
  return words;
}

std::string joined(const std::vector<std::string_view>& words) {
  std::string s;
  for (const std::string_view w : words) s += w;
  return s;
}

bool is_number(std::string_view w) { return std::isdigit(static_cast<unsigned char>(w[0])) != 0; }

}  // namespace

size_t below(Random& random, size_t n) { return n == 0 ? 0 : random() % n; }

std::string mutated(int kind, const std::string& good, const std::string& other, Random& random) {
  switch (kind) {
    case 0: return flip_bits(good, random);
    case 1: return truncate(good, random);
    case 2: return corrupt_lengths(good, random);
    case 3: return splice(good, other, random);
    default: return cut(good, random);
  }
}

std::string mutated_text(int kind, const std::string& good, const std::string& other, Random& random) {
  if (kind == 0) return truncate(good, random);
  static constexpr std::string_view kNumbers[] = {
      "0", "1", "7", "-1", "2147483648", "1099511627776", "9223372036854775807", "18446744073709551616", "1e30", "nan"};
  std::vector<std::string_view> words = words_of(good);
  const std::vector<std::string_view> others = words_of(other);
  for (size_t n = 1 + below(random, 3); n > 0; --n) {
    const size_t at = below(random, words.size());
    const auto here = words.begin() + static_cast<std::ptrdiff_t>(at);
    switch (kind) {
      case 1: {  // the next number
        const auto number = std::find_if(here, words.end(), is_number);
        if (number != words.end()) *number = kNumbers[below(random, std::size(kNumbers))];
        break;
      }
      case 2:
        words.erase(here, here + std::min<std::ptrdiff_t>(1 + static_cast<std::ptrdiff_t>(below(random, 4)),
                                                          words.end() - here));
        if (words.empty()) return {};
        break;
      case 3: {
        const size_t from = below(random, others.size()), run = std::min(1 + below(random, 30), others.size() - from);
        words.insert(here, others.begin() + static_cast<std::ptrdiff_t>(from),
                     others.begin() + static_cast<std::ptrdiff_t>(from + run));
        break;
      }
      default: {
        const std::vector<std::string_view> run(
            here,
            here + std::min<std::ptrdiff_t>(1 + static_cast<std::ptrdiff_t>(below(random, 4)), words.end() - here));
        std::vector<std::string_view> many;
        for (size_t i = 0; i < 2000; ++i) many.insert(many.end(), run.begin(), run.end());
        words.insert(here, many.begin(), many.end());
        return joined(words);
      }
    }
  }
  return joined(words);
}

}  // namespace graft::test
