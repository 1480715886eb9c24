// Longer than most files because types, values, statements and blocks refer to each other.
#include <charconv>
#include <cstring>

#include "base/format.h"
#include "base/half.h"
#include "ir/assemble.h"
#include "ir/text.h"
#include "ir/text_lexer.h"

namespace graft::ir {
namespace {

constexpr int kMaxDepth = 32;
constexpr int kMaxFactors = 256;  // numbers and symbols in one dim
constexpr int64_t kMaxElements = int64_t{1} << 40;

template <class T = int64_t>
std::optional<T> integer(std::string_view s) {
  T v = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  return error == std::errc() && end == s.data() + s.size() ? std::optional<T>(v) : std::nullopt;
}

std::optional<double> real(std::string_view s) {
  const bool negative = s.starts_with('-');
  if (negative) s.remove_prefix(1);
  const bool hex = s.starts_with("0x") || s.starts_with("0X");
  if (hex) s.remove_prefix(2);
  double v = 0;
  const auto [end, error] =
      std::from_chars(s.data(), s.data() + s.size(), v, hex ? std::chars_format::hex : std::chars_format::general);
  if (error != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return negative ? -v : v;
}

template <class T>
void append(std::string& bytes, T v) {
  bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
}

// Appends one element's bytes; false when the token is no such element.
bool append_element(std::string& bytes, DType dtype, const Token& t) {
  if (t.kind != Token::Kind::number && t.kind != Token::Kind::word) return false;
  if (dtype == DType::boolean) {
    if (t.text != "true" && t.text != "false") return false;
    append(bytes, static_cast<uint8_t>(t.text == "true"));
    return true;
  }
  if (is_float(dtype)) {
    const std::optional<double> v = real(t.text);
    if (!v) return false;
    switch (dtype) {
      case DType::f16: append(bytes, Half(*v).raw); return true;
      case DType::bf16: append(bytes, BFloat16(*v).raw); return true;
      case DType::f32: append(bytes, static_cast<float>(*v)); return true;
      case DType::f64: append(bytes, *v); return true;
      default: return false;
    }
  }
  if (dtype == DType::u64) {
    const std::optional<uint64_t> v = integer<uint64_t>(t.text);
    if (v) append(bytes, *v);
    return v.has_value();
  }
  const std::optional<int64_t> v = integer(t.text);
  const size_t size = item_size(dtype);
  if (!v || !is_int(dtype) || size == 0) return false;
  if (*v < int_range(dtype).lo || *v > int_range(dtype).hi) return false;
  bytes.append(reinterpret_cast<const char*>(&*v), size);
  return true;
}

class Parser {
 public:
  Parser(std::string_view text, const OpTable& table, const TextSource& source)
      : lex_(text), table_(table), source_(source) {}

  Result<std::shared_ptr<Program>> parse() {
    program_ = std::make_shared<Program>();
    GRAFT_CHECK(lex_.expect("program"));
    GRAFT_CHECK(lex_.expect("("));
    if (lex_.peek().text != "1.3" && lex_.peek().text != "1.0") return lex_.error("version 1.0 or 1.3");
    lex_.take();
    GRAFT_CHECK(lex_.expect(")"));
    while (lex_.is("[")) GRAFT_CHECK(program_attributes());
    GRAFT_CHECK(lex_.expect("{"));
    while (lex_.is("func")) GRAFT_CHECK(function());
    GRAFT_CHECK(lex_.expect("}"));
    if (lex_.peek().kind != Token::Kind::end) return lex_.error("the end");
    if (program_->functions.empty()) return fail(Code::invalid_model, "the program has no functions");
    if (program_->main() == nullptr)
      return fail(Code::invalid_model, format("there is no default function '{}'", program_->default_function));
    return program_;
  }

 private:
  // ---- attributes of the program -----------------------------------------------------------------------------------

  Status program_attributes() {
    GRAFT_CHECK(lex_.expect("["));
    const std::string_view key = lex_.take().text;
    GRAFT_CHECK(lex_.expect("="));
    if (key == "defaultFunction") {
      GRAFT_CHECK(lex_.expect("string"));
      GRAFT_CHECK(lex_.expect("("));
      GRAFT_TRY(program_->default_function, text());
      GRAFT_CHECK(lex_.expect(")"));
    } else {
      GRAFT_CHECK(dictionary(key == "metadata" ? &program_->metadata : nullptr));
    }
    return lex_.expect("]");
  }

  // dict<string, string>({{"k", "v"}, …})
  Status dictionary(std::map<std::string, std::string>* into) {
    GRAFT_TRY(const Type t, type());
    if (t.kind != Type::Kind::dictionary || t.key->dtype != DType::string || t.element->dtype != DType::string)
      return lex_.error("a dictionary of strings before this");
    for (const std::string_view s : {"(", "{"}) GRAFT_CHECK(lex_.expect(s));
    while (lex_.accept("{")) {
      GRAFT_TRY(std::string key, text());
      GRAFT_CHECK(lex_.expect(","));
      GRAFT_TRY(std::string value, text());
      GRAFT_CHECK(lex_.expect("}"));
      if (into != nullptr) (*into)[std::move(key)] = std::move(value);
      if (!lex_.accept(",")) break;
    }
    GRAFT_CHECK(lex_.expect("}"));
    return lex_.expect(")");
  }

  Result<std::string> text() {
    if (lex_.peek().kind != Token::Kind::text) return lex_.error("a string");
    return unescaped(lex_.take().text);
  }

  Result<std::string_view> word() {
    if (lex_.peek().kind != Token::Kind::word) return lex_.error("a name");
    return lex_.take().text;
  }

  // ---- types -------------------------------------------------------------------------------------------------------

  struct Deeper {
    explicit Deeper(int& depth) : depth_(++depth) {}
    ~Deeper() { --depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    int& depth_;
  };
  Status check_depth() const {
    return depth_ <= kMaxDepth ? Status() : Status(fail(Code::limit_exceeded, "the text nests too deeply"));
  }

  Result<Dim> symbol(std::string name) {
    const auto at = symbols_.find(name);
    if (!lex_.accept(":")) return at == symbols_.end() ? Dim::symbol(name) : at->second;
    IntRange range{0, INT64_MAX};
    GRAFT_TRY(range.lo, size());
    GRAFT_CHECK(lex_.expect(".."));
    if (lex_.peek().kind == Token::Kind::number) {
      GRAFT_TRY(range.hi, size());
    }
    if (range.hi < range.lo) return lex_.error("an upper bound not below the lower one");
    if (lex_.accept("=")) {
      if (builder_ == nullptr) return lex_.error("no default size outside of functions");
      GRAFT_TRY(const int64_t by_default, size());
      if (by_default < range.lo || by_default > range.hi) return lex_.error("a default in the range before this");
      builder_->function().default_dims[name] = by_default;
    }
    const Dim d = symbols_.emplace(name, Dim::symbol(name, range)).first->second;
    if (d.range() != range) return fail(Code::invalid_model, format("the symbol '{}' has two ranges", name));
    return d;
  }

  Result<int64_t> size() {
    const std::optional<int64_t> v = lex_.peek().kind == Token::Kind::number ? integer(lex_.peek().text) : std::nullopt;
    if (!v || *v < 0 || *v > kMaxElements) return lex_.error("a size");
    lex_.take();
    return *v;
  }

  Result<Dim> dim_factor() {
    if (++factors_ > kMaxFactors) return lex_.error(format("at most {} factors in a dim", kMaxFactors));
    if (lex_.accept("?")) return Dim::symbol(builder_ != nullptr ? builder_->function().fresh_symbol() : "?");
    if (lex_.peek().kind == Token::Kind::number) {
      const std::optional<int64_t> v = integer(lex_.peek().text);
      if (!v || *v > kMaxElements || *v < -kMaxElements) return lex_.error("a size");
      lex_.take();
      return Dim(*v);
    }
    if (lex_.peek().kind == Token::Kind::text) return symbol(unescaped(lex_.take().text));
    if (lex_.accept("(")) {
      GRAFT_TRY(Dim d, dim());
      if (lex_.accept("floordiv")) {
        GRAFT_TRY(const Dim by, dim());
        if (by == Dim(0)) return lex_.error("a divisor that is not 0");
        d = floor_div(d, by);
      }
      GRAFT_CHECK(lex_.expect(")"));
      return d;
    }
    GRAFT_TRY(const std::string_view name, word());
    if ((name == "min" || name == "max") && lex_.accept("(")) {
      GRAFT_TRY(const Dim a, dim());
      GRAFT_CHECK(lex_.expect(","));
      GRAFT_TRY(const Dim b, dim());
      GRAFT_CHECK(lex_.expect(")"));
      return name == "min" ? dim_min(a, b) : dim_max(a, b);
    }
    return symbol(std::string(name));
  }

  Result<Dim> dim_term() {
    const bool negative = lex_.accept("-");
    GRAFT_TRY(Dim d, dim_factor());
    while (lex_.accept("*")) {
      GRAFT_TRY(const Dim by, dim_factor());
      d = d * by;
    }
    return negative ? Dim(0) - d : d;
  }

  Result<Dim> dim() {
    const Deeper deeper(depth_);
    GRAFT_CHECK(check_depth());
    GRAFT_TRY(Dim d, dim_term());
    while (lex_.is("+") || lex_.is("-")) {
      const bool minus = lex_.take().text == "-";
      GRAFT_TRY(const Dim t, dim_term());
      d = minus ? d - t : d + t;
    }
    return d;
  }

  Result<Dim> whole_dim() {
    factors_ = 0;
    return dim();
  }

  Result<Type> tensor_type() {
    GRAFT_CHECK(lex_.expect("<"));
    GRAFT_TRY(const DType dtype, element_type());
    GRAFT_CHECK(lex_.expect(","));
    GRAFT_CHECK(lex_.expect("["));
    Dims dims;
    Shape known;
    while (!lex_.is("]")) {
      GRAFT_TRY(Dim d, whole_dim());
      if (dims.size() == kMaxRank) return lex_.error(format("at most {} dims", kMaxRank));
      if (d.known() && (d.value() < 0 || d.value() > kMaxElements)) return lex_.error("a size before this");
      known.push_back(d.known() ? d.value() : 1);
      dims.push_back(std::move(d));
      if (!lex_.accept(",")) break;
    }
    if (const int64_t n = checked_count(known); n < 0 || n > kMaxElements) return lex_.error("fewer elements");
    GRAFT_CHECK(lex_.expect("]"));
    GRAFT_CHECK(lex_.expect(">"));
    return Type::tensor(dtype, std::move(dims));
  }

  Result<DType> element_type() {
    const DType t = dtype_from_name(lex_.peek().text);
    if (lex_.peek().kind != Token::Kind::word || t == DType::invalid) return lex_.error("an element type");
    lex_.take();
    return t;
  }

  Result<Type> type() {
    const Deeper deeper(depth_);
    GRAFT_CHECK(check_depth());
    if (lex_.accept("tensor")) return tensor_type();
    for (const std::string_view kind : {"state", "optional", "list", "dict"}) {
      if (!lex_.accept(kind)) continue;
      GRAFT_CHECK(lex_.expect("<"));
      GRAFT_TRY(Type first, type());
      Type made;
      if (kind == "state" || kind == "optional") {
        made = kind == "state" ? Type::state(std::move(first))
                               : Type::optional(std::move(first), Dim::symbol("?", {0, 1}));
      } else {
        GRAFT_CHECK(lex_.expect(","));
        if (kind == "list") {
          GRAFT_TRY(Dim length, whole_dim());
          made = Type::list(std::move(first), std::move(length));
        } else {
          GRAFT_TRY(Type second, type());
          made = Type::dictionary(std::move(first), std::move(second));
        }
      }
      GRAFT_CHECK(lex_.expect(">"));
      return made;
    }
    GRAFT_TRY(const DType dtype, element_type());
    return Type::tensor(dtype, Dims{});
  }

  // ---- values ------------------------------------------------------------------------------------------------------

  // A literal behind its type: tensor<fp32, [2]>([0x1p+0, nan]), int32(3), string("same").
  Result<ConstantPtr> literal() {
    GRAFT_TRY(const Type t, type());
    if (!t.is_static()) return lex_.error("a value of fixed shape");
    GRAFT_CHECK(lex_.expect("("));
    GRAFT_TRY(ConstantPtr c, content(t));
    GRAFT_CHECK(lex_.expect(")"));
    return c;
  }

  Result<ConstantPtr> content(const Type& t) {
    if (lex_.is("ELIDED")) return lex_.error("the elements, which whoever printed this left out");
    if (lex_.accept("BLOBFILE")) return blob(t);
    if (lex_.accept("HEX")) return hex(t);
    std::string bytes;
    std::vector<std::string> strings;
    const bool list = lex_.accept("[");
    while (!lex_.is("]")) {
      if (t.dtype == DType::string) {
        GRAFT_TRY(std::string s, text());
        strings.push_back(std::move(s));
      } else {
        if (!append_element(bytes, t.dtype, lex_.peek())) return lex_.error(format("a {}", name(t.dtype)));
        lex_.take();
      }
      if (!list || !lex_.accept(",")) break;
    }
    if (list) GRAFT_CHECK(lex_.expect("]"));
    const size_t got =
        t.dtype == DType::string ? strings.size() : bytes.size() / std::max<size_t>(item_size(t.dtype), 1);
    if (got != static_cast<uint64_t>(t.shape().product()))
      return lex_.error(format("{} elements before this, not {}", t.shape().product(), got));
    if (t.dtype != DType::string) return of_bytes(t, bytes);
    return Constant::of(Tensor::of<std::string>(DType::string, t.shape(), strings));
  }

  Result<ConstantPtr> of_bytes(const Type& t, std::string_view bytes) {
    GRAFT_TRY(Tensor tensor, Tensor::allocate(t.dtype, t.shape()));
    if (!bytes.empty()) std::memcpy(tensor.mutable_view().data, bytes.data(), bytes.size());
    return Constant::of(std::move(tensor));
  }

  Result<ConstantPtr> hex(const Type& t) {
    GRAFT_CHECK(lex_.expect("("));
    GRAFT_TRY(const std::string digits, text());
    std::string bytes;
    for (size_t i = 0; i + 1 < digits.size(); i += 2) {
      uint8_t b = 0;
      const auto [end, error] = std::from_chars(digits.data() + i, digits.data() + i + 2, b, 16);
      if (error != std::errc() || end != digits.data() + i + 2) return lex_.error("hexadecimal digits before this");
      bytes += static_cast<char>(b);
    }
    if (t.dtype == DType::string || bytes.size() * 2 != digits.size() ||
        bytes.size() != byte_size(t.dtype, t.shape().product()))
      return lex_.error("as many bytes as the type has before this");
    GRAFT_CHECK(lex_.expect(")"));
    return of_bytes(t, bytes);
  }

  // BLOBFILE(path = string("@model_path/weights/weight.bin"), offset = uint64(64))
  Result<ConstantPtr> blob(const Type& t) {
    for (const std::string_view s : {"(", "path", "="}) GRAFT_CHECK(lex_.expect(s));
    GRAFT_TRY(const ConstantPtr path, literal());
    for (const std::string_view s : {",", "offset", "="}) GRAFT_CHECK(lex_.expect(s));
    GRAFT_TRY(const ConstantPtr offset, literal());
    GRAFT_CHECK(lex_.expect(")"));
    if (path->dtype() != DType::string || path->count() != 1 || !is_int(offset->dtype()) || offset->count() != 1)
      return lex_.error("a path and an offset before this");
    if (!source_.blob) return fail(Code::invalid_argument, "the text refers to a blob file, and none was given");
    return source_.blob(path->string_value(), static_cast<uint64_t>(element_as_int(offset->view(), 0)), t);
  }

  // ---- statements --------------------------------------------------------------------------------------------------

  Status define(std::string_view name, Value* v) {
    if (!scope_.emplace(name, v).second) return fail(Code::invalid_model, format("'{}' is defined twice", name));
    defined_.push_back(name);
    return {};
  }

  Result<Value*> lookup() {
    GRAFT_TRY(const std::string_view name, word());
    const auto at = scope_.find(name);
    if (at == scope_.end()) return fail(Code::invalid_model, format("'{}' is used, but not defined before", name));
    return at->second;
  }

  struct Result_ {
    Type type;
    std::string_view name;
  };

  bool starts_type() const {
    for (const std::string_view kind : {"tensor", "list", "dict", "state", "optional"}) {
      if (lex_.is(kind)) return true;
    }
    return lex_.peek().kind == Token::Kind::word && dtype_from_name(lex_.peek().text) != DType::invalid;
  }

  Result<Values> argument_values() {
    Values values;
    const bool tuple = lex_.accept("(");
    while (!lex_.is(")")) {
      if (starts_type()) {
        GRAFT_TRY(ConstantPtr c, literal());
        values.push_back(builder_->constant(std::move(c)));
      } else {
        GRAFT_TRY(Value * v, lookup());
        values.push_back(v);
      }
      if (!tuple || !lex_.accept(",")) break;
    }
    if (tuple) GRAFT_CHECK(lex_.expect(")"));
    if (values.empty()) return lex_.error("a value");
    return values;
  }

  struct Call_ {
    std::string_view op;
    std::vector<std::pair<std::string_view, Values>> args;
    std::vector<std::pair<std::string_view, ConstantPtr>> attributes;
    std::vector<std::unique_ptr<Block>> blocks;

    ConstantPtr attribute(std::string_view name) const {
      for (const auto& [key, value] : attributes) {
        if (key == name) return value;
      }
      return nullptr;
    }
  };

  Result<Call_> call() {
    Call_ c;
    GRAFT_TRY(c.op, word());
    GRAFT_CHECK(lex_.expect("("));
    while (!lex_.is(")")) {
      GRAFT_TRY(const std::string_view key, word());
      GRAFT_CHECK(lex_.expect("="));
      GRAFT_TRY(Values values, argument_values());
      c.args.emplace_back(key, std::move(values));
      if (!lex_.accept(",")) break;
    }
    GRAFT_CHECK(lex_.expect(")"));
    if (lex_.accept("[")) {
      while (!lex_.is("]")) {
        GRAFT_TRY(const std::string_view key, word());
        GRAFT_CHECK(lex_.expect("="));
        GRAFT_TRY(ConstantPtr value, literal());
        c.attributes.emplace_back(key, std::move(value));
        if (!lex_.accept(",")) break;
      }
      GRAFT_CHECK(lex_.expect("]"));
    }
    if (lex_.accept("{")) {
      while (lex_.is("(")) {
        c.blocks.push_back(std::make_unique<Block>());
        c.blocks.back()->function = &builder_->function();
        GRAFT_CHECK(nested(*c.blocks.back()));
      }
      GRAFT_CHECK(lex_.expect("}"));
    }
    return c;
  }

  Status nested(Block& block) {
    const Deeper deeper(depth_);
    GRAFT_CHECK(check_depth());
    const Builder::BlockScope here(*builder_, block);
    const size_t outer = defined_.size();
    GRAFT_CHECK(lex_.expect("("));
    while (!lex_.is(")")) {
      GRAFT_TRY(Type t, type());
      GRAFT_TRY(const std::string_view name, word());
      block.inputs.push_back(builder_->function().new_value(std::move(t), std::string(name)));
      GRAFT_CHECK(define(name, block.inputs.back()));
      if (!lex_.accept(",")) break;
    }
    GRAFT_CHECK(lex_.expect(")"));
    GRAFT_CHECK(statements());
    GRAFT_CHECK(lex_.expect("->"));
    GRAFT_CHECK(lex_.expect("("));
    while (!lex_.is(")")) {
      GRAFT_TRY(Value * v, lookup());
      block.outputs.push_back(v);
      if (!lex_.accept(",")) break;
    }
    GRAFT_CHECK(lex_.expect(")"));
    for (; defined_.size() > outer; defined_.pop_back()) scope_.erase(defined_.back());
    return lex_.expect(";");
  }

  Status statements() {
    GRAFT_CHECK(lex_.expect("{"));
    while (!lex_.is("}")) GRAFT_CHECK(statement());
    return lex_.expect("}");
  }

  Status statement() {
    std::vector<Result_> results;
    while (starts_type()) {
      GRAFT_TRY(Type t, type());
      GRAFT_TRY(const std::string_view name, word());
      results.push_back({std::move(t), name});
      if (!lex_.accept(",")) break;
    }
    if (!results.empty()) GRAFT_CHECK(lex_.expect("="));
    GRAFT_TRY(Call_ c, call());
    GRAFT_CHECK(lex_.expect(";"));
    Status s = emit(c, results);
    if (s) return s;
    Diag d = std::move(s).error();
    return fail(std::move(d).at_node(results.empty() ? std::string_view() : results[0].name, c.op));
  }

  Status emit(Call_& c, const std::vector<Result_>& results) {
    GRAFT_TRY(const Values values, emitted(c));
    if (values.size() != results.size())
      return fail(Code::invalid_model,
                  format("{} results are declared, the operator has {}", results.size(), values.size()));
    if (const ConstantPtr n = c.attribute("name"); n != nullptr && !values.empty() && values[0]->producer != nullptr)
      values[0]->producer->name = n->string_value();
    for (size_t i = 0; i < values.size(); ++i) {
      GRAFT_CHECK(accept_declared(*values[i], results[i].type));
      values[i]->name = std::string(results[i].name);
      GRAFT_CHECK(define(results[i].name, values[i]));
    }
    return {};
  }

  Result<Values> emitted(Call_& c) {
    const OpRow* row = table_.find(c.op);
    if (row == nullptr) return fail(Code::unsupported_operator, format("unsupported operator '{}'", c.op));
    if (row->def->kind == Kind::constant) {
      const ConstantPtr v = c.attribute("val");
      if (v == nullptr) return fail(Code::invalid_model, "a const without 'val'");
      return Values{builder_->constant(v)};
    }
    if (has_blocks(row->def->kind)) {
      const bool loop = row->def->kind == Kind::loop;
      if (c.args.size() != 1 || c.args[0].first != (loop ? "loop_vars" : "pred"))
        return fail(Code::invalid_model, "takes one argument");
      return loop ? assemble_while(*builder_, c.args[0].second, std::move(c.blocks))
                  : assemble_cond(*builder_, c.args[0].second, std::move(c.blocks));
    }
    std::vector<Arg> args;
    for (const auto& [key, values] : c.args) {
      if (row->param_index(key) < 0) return fail(Code::invalid_model, format("no parameter '{}'", key));
      args.emplace_back(key, values);
    }
    Values values = builder_->emit_all(c.op, args);
    if (!builder_->ok()) return fail(*builder_->failure());
    return values;
  }

  // ---- functions ---------------------------------------------------------------------------------------------------

  Status function() {
    GRAFT_CHECK(lex_.expect("func"));
    GRAFT_TRY(const std::string_view name, word());
    GRAFT_CHECK(lex_.expect("<"));
    GRAFT_CHECK(word());
    GRAFT_CHECK(lex_.expect(">"));
    for (const auto& other : program_->functions) {
      if (other->name == name) return fail(Code::invalid_model, format("two functions are named '{}'", name));
    }
    auto f = std::make_unique<Function>(std::string(name));
    Builder builder(*f, table_, Target());
    builder_ = &builder;
    scope_.clear();
    defined_.clear();
    symbols_.clear();
    Status s = function_body(*f);
    builder_ = nullptr;
    if (!s) return s;
    program_->functions.push_back(std::move(f));
    return {};
  }

  Status function_body(Function& f) {
    GRAFT_CHECK(lex_.expect("("));
    while (!lex_.is(")")) {
      GRAFT_TRY(Type t, type());
      GRAFT_TRY(const std::string_view name, word());
      GRAFT_TRY(std::string wanted, interface_name(name));
      for (const Value* other : f.inputs) GRAFT_CHECK(distinct(other->name, wanted));
      GRAFT_CHECK(define(name, f.add_input(std::move(t), std::move(wanted))));
      if (!lex_.accept(",")) break;
    }
    GRAFT_CHECK(lex_.expect(")"));
    GRAFT_CHECK(statements());
    GRAFT_CHECK(lex_.expect("->"));
    GRAFT_CHECK(lex_.expect("("));
    while (!lex_.is(")")) {
      const std::string_view name = lex_.peek().text;
      GRAFT_TRY(Value * v, lookup());
      GRAFT_TRY(std::string wanted, interface_name(name));
      for (const std::string& other : f.output_names) GRAFT_CHECK(distinct(other, wanted));
      f.body.outputs.push_back(v);
      f.output_names.push_back(std::move(wanted));
      if (!lex_.accept(",")) break;
    }
    GRAFT_CHECK(lex_.expect(")"));
    return lex_.expect(";");
  }

  // `x = "input.1"`: a value known outside under another name.
  Result<std::string> interface_name(std::string_view name) {
    if (!lex_.accept("=")) return std::string(name);
    GRAFT_TRY(std::string wanted, text());
    if (wanted.empty()) return lex_.error("a name before this");
    return wanted;
  }
  static Status distinct(std::string_view a, std::string_view b) {
    return a != b ? Status() : Status(fail(Code::invalid_model, format("two values are named '{}' outside", a)));
  }

  Lexer lex_;
  const OpTable& table_;
  const TextSource& source_;
  std::shared_ptr<Program> program_;
  Builder* builder_ = nullptr;  // of the function being read
  std::unordered_map<std::string_view, Value*> scope_;
  std::vector<std::string_view> defined_;  // in order, to forget a block's
  std::unordered_map<std::string, Dim> symbols_;
  int depth_ = 0;
  int factors_ = 0;  // of the dim being read, so far
};

}  // namespace

Result<std::shared_ptr<Program>> parse_text(std::string_view text, const OpTable& table, const TextSource& source) {
  return Parser(text, table, source).parse();
}

}  // namespace graft::ir
