// The table. Signatures are parsed once, when it is made.
#include "ir/op_def.h"

#include <algorithm>
#include <stdexcept>

#include "base/format.h"
#include "ir/call.h"

namespace graft::ir {

WideType wide_of(DType t) {
  switch (t) {
    case DType::f16:
    case DType::bf16:
    case DType::f32:
    case DType::f64: return WideType::real;
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64: return WideType::integer;
    case DType::u8:
    case DType::u16:
    case DType::u32:
    case DType::u64: return WideType::natural;
    case DType::boolean: return WideType::logical;
    default: return WideType::none;
  }
}

namespace {

std::string_view trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

// Splits at `separator` outside brackets and quotes.
std::vector<std::string_view> split(std::string_view s, char separator) {
  std::vector<std::string_view> parts;
  int depth = 0;
  bool quoted = false;
  size_t start = 0;
  for (size_t i = 0; i <= s.size(); ++i) {
    const char c = i < s.size() ? s[i] : separator;
    if (c == '"') quoted = !quoted;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (c == separator && depth == 0 && !quoted) {
      if (const std::string_view part = trim(s.substr(start, i - start)); !part.empty()) parts.push_back(part);
      start = i + 1;
    }
  }
  return parts;
}

[[noreturn]] void bad_row(const OpDef& def, std::string_view why) {
  throw std::logic_error(format("row '{}': {}", def.name, why));
}

DTypes parse_dtypes(const OpDef& def, std::string_view s, char separator) {
  DTypes set;
  for (std::string_view n : split(s, separator)) {
    if (n == "...") {  // and whatever else a run-time tensor can be
      set = set |
            DTypes{DType::f16, DType::f32, DType::i8, DType::u8, DType::i16, DType::u16, DType::i32, DType::boolean};
      continue;
    }
    const DType t = dtype_from_name(n);
    if (t == DType::invalid) bad_row(def, format("unknown type '{}'", n));
    set = set | DTypes{t};
  }
  return set;
}

Param parse_param(const OpDef& def, std::string_view s,
                  const std::vector<std::pair<std::string_view, DTypes>>& domains) {
  Param p;
  const size_t colon = s.find(':');
  if (colon == std::string_view::npos) bad_row(def, format("no type in '{}'", s));
  p.name = trim(s.substr(0, colon));
  if (p.name.ends_with('?')) {
    p.optional = true;
    p.name.remove_suffix(1);
  }
  std::string_view type = trim(s.substr(colon + 1));
  if (const size_t eq = type.find('='); eq != std::string_view::npos) {
    p.fallback = trim(type.substr(eq + 1));
    type = trim(type.substr(0, eq));
  }
  if (type.starts_with("const ")) {
    p.constant = true;
    type = trim(type.substr(6));
  }
  if (type == "tuple")
    p.kind = Param::Kind::tuple;
  else if (type == "list")
    p.kind = Param::Kind::list;
  else if (type == "state")
    p.kind = Param::Kind::state;
  else if (type == "block")
    p.kind = Param::Kind::block;
  else if (type == "any" || type == "internal" || type == "list|tensor|dict")
    p.kind = Param::Kind::any;
  else {
    for (const auto& [letter, set] : domains) {
      if (letter == type) {
        p.letter = letter;
        p.dtypes = set;
      }
    }
    if (p.letter.empty()) p.dtypes = parse_dtypes(def, type, '|');
  }
  return p;
}

Signature parse(const OpDef& def, const Variant& v) {
  std::vector<std::pair<std::string_view, DTypes>> domains;
  for (std::string_view d : split(v.domains, ';')) {
    const size_t eq = d.find('=');
    if (eq == std::string_view::npos || d.size() < eq + 3 || d[eq + 1] != '{')
      bad_row(def, format("bad domain '{}'", d));
    domains.emplace_back(trim(d.substr(0, eq)), parse_dtypes(def, d.substr(eq + 2, d.size() - eq - 3), ','));
  }
  Signature s;
  s.variant = &v;
  for (std::string_view p : split(v.inputs, ';')) s.params.push_back(parse_param(def, p, domains));
  return s;
}

}  // namespace

const Param* Signature::find(std::string_view name) const {
  for (const Param& p : params) {
    if (p.name == name) return &p;
  }
  return nullptr;
}

const Signature& OpRow::form_of(const Call& call) const {
  const auto has_all = [&](const Signature& s) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (!call.slots()[i].empty() && s.find(all[i].name) == nullptr) return false;
    }
    return true;
  };
  const auto at = std::find_if(signatures.rbegin(), signatures.rend(),
                               [&](const Signature& s) { return !s.variant->read_only && has_all(s); });
  return at == signatures.rend() ? newest() : *at;
}

int OpRow::param_index(std::string_view name) const {
  const std::vector<Param>& list = params();
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

const Signature* OpRow::at(Opset opset) const {
  const Signature* found = nullptr;
  for (const Signature& s : signatures) {
    if (!s.variant->read_only && s.variant->since != Opset::host && s.variant->since <= opset) found = &s;
  }
  return found;
}

OpTable::OpTable(std::span<const OpDef* const> rows) {
  for (const OpDef* def : rows) {
    auto row = std::make_unique<OpRow>();
    row->def = def;
    if (def->variants.empty()) bad_row(*def, "no variants");
    for (const Variant& v : def->variants) row->signatures.push_back(parse(*def, v));
    for (auto s = row->signatures.rbegin(); s != row->signatures.rend(); ++s) {
      if (s->variant->read_only) continue;
      for (const Param& p : s->params) {
        if (row->param_index(p.name) < 0) row->all.push_back(p);
      }
    }
    if (!by_name_.emplace(def->name, row.get()).second) bad_row(*def, "listed twice");
    rows_.push_back(std::move(row));
  }
  std::sort(rows_.begin(), rows_.end(), [](const auto& a, const auto& b) { return a->name() < b->name(); });
}

const OpRow* OpTable::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}

}  // namespace graft::ir
