#include "ir/text_lexer.h"

#include <algorithm>

#include "base/format.h"

namespace graft::ir {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool word_char(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '@' || digit(c); }

}  // namespace

void Lexer::advance() {
  const auto skip_space = [&] {
    while (at_ < source_.size() &&
           (source_[at_] == ' ' || source_[at_] == '\n' || source_[at_] == '\t' || source_[at_] == '\r'))
      ++at_;
  };
  skip_space();
  while (source_.substr(at_).starts_with("//")) {
    at_ = std::min(source_.find('\n', at_), source_.size());
    skip_space();
  }
  token_ = {Token::Kind::end, {}, at_};
  if (at_ >= source_.size()) return;
  const size_t start = at_;
  const char c = source_[at_];
  const char next = at_ + 1 < source_.size() ? source_[at_ + 1] : '\0';
  const std::string_view rest = source_.substr(at_);
  const bool infinity = rest.starts_with("-inf") && (rest.size() == 4 || !word_char(rest[4]));
  if (c == '"') {
    for (++at_; at_ < source_.size() && source_[at_] != '"'; ++at_) at_ += source_[at_] == '\\' ? 1 : 0;
    const bool closed = at_ < source_.size();
    token_.kind = closed ? Token::Kind::text : Token::Kind::symbol;  // an unclosed string is no legal token
    token_.text = closed ? source_.substr(start + 1, at_ - start - 1) : source_.substr(start, 1);
    at_ = std::min(at_ + 1, source_.size());
    return;
  }
  if ((c == '-' && next == '>') || (c == '.' && next == '.')) {
    at_ += 2;
    token_.kind = Token::Kind::symbol;
  } else if (digit(c) || (c == '-' && (digit(next) || infinity))) {
    token_.kind = Token::Kind::number;
    for (++at_; at_ < source_.size(); ++at_) {
      const char d = source_[at_], before = source_[at_ - 1];
      const bool range = d == '.' && source_.substr(at_).starts_with("..");
      const bool exponent_sign = (d == '+' || d == '-') && (before == 'p' || before == 'e');
      if (range || !(word_char(d) || d == '.' || exponent_sign)) break;
    }
  } else if (word_char(c)) {
    token_.kind = Token::Kind::word;
    while (at_ < source_.size() && word_char(source_[at_])) ++at_;
  } else {
    token_.kind = Token::Kind::symbol;
    ++at_;
  }
  token_.text = source_.substr(start, at_ - start);
}

Status Lexer::expect(std::string_view symbol_or_word) {
  if (accept(symbol_or_word)) return {};
  return error(format("'{}'", symbol_or_word));
}

tl::unexpected<Diag> Lexer::error(std::string_view what) const {
  const std::string_view before = source_.substr(0, token_.at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t start = before.rfind('\n');
  const size_t column = token_.at - (start == std::string_view::npos ? 0 : start + 1) + 1;
  const std::string_view found = token_.kind == Token::Kind::end ? "the end" : token_.text.substr(0, 40);
  return fail(Code::malformed, format("line {}, column {}: expected {}, found '{}'", line, column, what, found));
}

std::string unescaped(std::string_view text) {
  std::string s;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      s += text[i] == 'n' ? '\n' : text[i];
    } else {
      s += text[i];
    }
  }
  return s;
}

}  // namespace graft::ir
