// The words of MIL text, with their places for error messages.
#pragma once

#include <string>
#include <string_view>

#include "base/diag.h"

namespace graft::ir {

struct Token {
  enum class Kind : uint8_t { end, word, number, text, symbol };
  Kind kind = Kind::end;
  std::string_view text;  // of strings: between the quotes, escapes still in
  size_t at = 0;
};

// One token of lookahead. Words are names and keywords; numbers carry their sign; symbols are single characters, but
// for "->" and "..".
class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) { advance(); }
  const Token& peek() const { return token_; }
  Token take() {
    const Token t = token_;
    advance();
    return t;
  }
  bool is(std::string_view symbol_or_word) const {
    return (token_.kind == Token::Kind::symbol || token_.kind == Token::Kind::word) && token_.text == symbol_or_word;
  }
  bool accept(std::string_view symbol_or_word) {
    if (!is(symbol_or_word)) return false;
    advance();
    return true;
  }
  Status expect(std::string_view symbol_or_word);
  // "line 3, column 7: expected …, found …"
  tl::unexpected<Diag> error(std::string_view what) const;

 private:
  void advance();
  std::string_view source_;
  size_t at_ = 0;
  Token token_;
};

std::string unescaped(std::string_view text);

}  // namespace graft::ir
