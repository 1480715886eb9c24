#include "ir/dim.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/file.h"
#include "base/format.h"

namespace graft::ir {

struct Dim::Term {
  using Kind = Dim::Operation;
  Kind kind;
  std::string name;  // symbol only
  IntRange range;
  std::vector<Dim> args;  // two, but for a symbol
  int size = 1;           // terms in it, itself included; at most kMaxTerms
};

namespace {

// Beyond this, a dim is a size that only a run can tell: expressions that are built from expressions double at every
// step, and everything here takes time in proportion to them.
constexpr int kMaxTerms = 256;

// Saturating arithmetic: bounds only, never a dim's own value.
int64_t sat_add(int64_t a, int64_t b) {
  int64_t r;
  return __builtin_add_overflow(a, b, &r) ? (a > 0 ? INT64_MAX : INT64_MIN) : r;
}
int64_t sat_mul(int64_t a, int64_t b) {
  int64_t r;
  return __builtin_mul_overflow(a, b, &r) ? ((a > 0) == (b > 0) ? INT64_MAX : INT64_MIN) : r;
}
uint64_t magnitude(int64_t v) { return v < 0 ? 0 - static_cast<uint64_t>(v) : static_cast<uint64_t>(v); }
IntRange range_mul(IntRange a, IntRange b) {
  const int64_t v[] = {sat_mul(a.lo, b.lo), sat_mul(a.lo, b.hi), sat_mul(a.hi, b.lo), sat_mul(a.hi, b.hi)};
  return {*std::min_element(v, v + 4), *std::max_element(v, v + 4)};
}
int64_t floor_div_value(int64_t a, int64_t b) {
  if (b == -1) return sat_mul(a, -1);
  const int64_t q = a / b;
  return q - ((a % b != 0 && ((a < 0) != (b < 0))) ? 1 : 0);
}

}  // namespace

int compare(const Dim::Term& a, const Dim::Term& b) {
  if (a.kind != b.kind) return a.kind < b.kind ? -1 : 1;
  if (const int c = a.name.compare(b.name); c != 0) return c;
  for (size_t i = 0; i < a.args.size(); ++i) {
    if (const int c = compare(a.args[i], b.args[i]); c != 0) return c;
  }
  return 0;
}

int compare(const Dim& a, const Dim& b) {
  if (a.terms_.size() != b.terms_.size()) return a.terms_.size() < b.terms_.size() ? -1 : 1;
  for (size_t i = 0; i < a.terms_.size(); ++i) {
    if (a.terms_[i].first != b.terms_[i].first) {
      if (const int c = compare(*a.terms_[i].first, *b.terms_[i].first); c != 0) return c;
    }
    if (a.terms_[i].second != b.terms_[i].second) return a.terms_[i].second < b.terms_[i].second ? -1 : 1;
  }
  return a.constant_ == b.constant_ ? 0 : (a.constant_ < b.constant_ ? -1 : 1);
}

bool operator==(const Dim& a, const Dim& b) { return compare(a, b) == 0; }

Dim Dim::symbol(std::string_view name, IntRange range) {
  return of_term({Term::Kind::symbol, std::string(name), range, {}});
}

// What is built the same way gets the same name, and stays equal.
Dim Dim::unknown(std::string_view built, IntRange range) {
  return symbol('?' + hash128_hex(std::as_bytes(std::span(built))), range);
}

Dim Dim::of_term(Term term) {
  size_t size = 1;
  for (const Dim& a : term.args) {
    for (const auto& [t, c] : a.terms_) size += static_cast<size_t>(t->size);
  }
  if (size > kMaxTerms) {
    std::string text = std::to_string(static_cast<int>(term.kind));
    for (const Dim& a : term.args) text += '|' + a.to_string();
    return unknown(text, term.range);
  }
  term.size = static_cast<int>(size);
  Dim d;
  d.terms_.emplace_back(std::make_shared<const Term>(std::move(term)), 1);
  return d;
}

void Dim::add(const std::shared_ptr<const Term>& term, int64_t coefficient) {
  auto at = std::lower_bound(terms_.begin(), terms_.end(), term,
                             [](const auto& have, const auto& t) { return compare(*have.first, *t) < 0; });
  if (at != terms_.end() && compare(*at->first, *term) == 0) {
    at->second = sat_add(at->second, coefficient);
    if (at->second == 0) terms_.erase(at);
  } else if (coefficient != 0) {
    terms_.insert(at, {term, coefficient});
  }
}

IntRange Dim::range() const {
  IntRange r{constant_, constant_};
  for (const auto& [term, c] : terms_) {
    const IntRange t = range_mul(term->range, {c, c});
    r = {sat_add(r.lo, t.lo), sat_add(r.hi, t.hi)};
  }
  return r;
}

Dim operator+(const Dim& a, const Dim& b) {
  Dim r = a;
  r.constant_ = sat_add(r.constant_, b.constant_);
  for (const auto& [term, c] : b.terms_) r.add(term, c);
  size_t size = 0;
  for (const auto& part : r.terms_) size += static_cast<size_t>(part.first->size);
  return size > kMaxTerms ? Dim::unknown(r.to_string(), r.range()) : r;
}

Dim operator-(const Dim& a, const Dim& b) { return a + b * Dim(-1); }

// A dim as coefficient * factors, where no factor is known or a product: what makes h*w*8 and 8*w*h the same dim.
struct Dim::Factors {
  int64_t coefficient = 1;
  Dims list;

  void times(const Factors& other) {
    coefficient = sat_mul(coefficient, other.coefficient);
    list.insert(list.end(), other.list.begin(), other.list.end());
  }
  Dim product() {
    std::sort(list.begin(), list.end(), [](const Dim& a, const Dim& b) { return compare(a, b) < 0; });
    Dim p(1);
    for (const Dim& f : list) {
      p = p.known() ? f : Dim::of_term({Term::Kind::product, "", range_mul(p.range(), f.range()), {p, f}});
    }
    return p * Dim(coefficient);
  }
  // Drops what both have; true if there was something.
  static bool cancel(Factors& a, Factors& b) {
    constexpr int64_t kNoMagnitude = INT64_MIN;  // a saturated coefficient: nothing divides it
    const int64_t common =
        a.coefficient == kNoMagnitude || b.coefficient == kNoMagnitude ? 1 : std::gcd(a.coefficient, b.coefficient);
    bool any = common > 1;
    if (any) {
      a.coefficient /= common;
      b.coefficient /= common;
    }
    for (size_t i = b.list.size(); i-- > 0;) {
      const auto at = std::find(a.list.begin(), a.list.end(), b.list[i]);
      if (at == a.list.end()) continue;
      a.list.erase(at);
      b.list.erase(b.list.begin() + static_cast<std::ptrdiff_t>(i));
      any = true;
    }
    return any;
  }
};

Dim::Factors Dim::factors() const {
  if (known()) return {constant_, {}};
  if (constant_ != 0 || terms_.size() != 1) {  // 2*h - 2 is 2 * (h - 1)
    uint64_t common = magnitude(constant_);
    for (const auto& [term, c] : terms_) common = std::gcd(common, magnitude(c));
    if (common > INT64_MAX) return {1, {*this}};
    const int64_t by = terms_[0].second < 0 ? -static_cast<int64_t>(common) : static_cast<int64_t>(common);
    if (by == 1) return {1, {*this}};
    Dim rest(floor_div_value(constant_, by));
    for (const auto& [term, c] : terms_) rest.terms_.emplace_back(term, floor_div_value(c, by));
    return {by, {std::move(rest)}};
  }
  Factors f{terms_[0].second, {}};
  const Term& t = *terms_[0].first;
  if (t.kind == Term::Kind::product) {
    for (const Dim& a : t.args) f.times(a.factors());
  } else {
    Dim one;
    one.terms_.emplace_back(terms_[0].first, 1);
    f.list.push_back(std::move(one));
  }
  return f;
}

Dim operator*(const Dim& a, const Dim& b) {
  if (!a.known() && !b.known()) {
    Dim::Factors f = a.factors();
    f.times(b.factors());
    return f.product();
  }
  const int64_t k = a.known() ? a.constant_ : b.constant_;
  const Dim& d = a.known() ? b : a;
  Dim r(sat_mul(d.constant_, k));
  if (k != 0) {
    r.terms_ = d.terms_;
    for (auto& [term, c] : r.terms_) c = sat_mul(c, k);
  }
  return r;
}

Dim floor_div(const Dim& a, const Dim& b) {
  if (b.known() && b.constant_ != 0) {
    const int64_t k = b.constant_;
    if (a.known()) return Dim(floor_div_value(a.constant_, k));
    if (k == -1) return a * b;  // INT64_MIN % -1 is no number
    // Split off what divides evenly: (4*h + 6) floordiv 2 = 2*h + 3; (4*h + x) floordiv 2 = 2*h + (x floordiv 2).
    Dim whole, rest;
    for (const auto& [term, c] : a.terms_) (c % k == 0 ? whole : rest).add(term, c % k == 0 ? c / k : c);
    whole.constant_ = floor_div_value(a.constant_, k);
    rest.constant_ = a.constant_ - whole.constant_ * k;
    if (rest.known()) return whole;
    // (x floordiv m) floordiv k = x floordiv (m*k)
    if (rest.constant_ == 0 && rest.terms_.size() == 1 && rest.terms_[0].second == 1 && k > 0) {
      const Dim::Term& t = *rest.terms_[0].first;
      if (t.kind == Dim::Term::Kind::floor_div && t.args[1].known() && t.args[1].value() > 0) {
        return whole + floor_div(t.args[0], Dim(sat_mul(t.args[1].value(), k)));
      }
    }
    const IntRange r = rest.range();
    IntRange q{floor_div_value(r.lo, k), floor_div_value(r.hi, k)};
    if (k < 0) std::swap(q.lo, q.hi);
    if (q.lo == q.hi) return whole + Dim(q.lo);
    return whole + Dim::of_term({Dim::Term::Kind::floor_div, "", q, {rest, b}});
  }
  if (a == b) return Dim(1);
  // What both have as a factor cancels.
  Dim::Factors fa = a.factors(), fb = b.factors();
  if (!b.known() && Dim::Factors::cancel(fa, fb)) return floor_div(fa.product(), fb.product());
  const IntRange ra = a.range(), rb = b.range();
  IntRange q;
  if (ra.lo >= 0 && rb.lo >= 1) q = {ra.lo / rb.hi, ra.hi / rb.lo};
  return Dim::of_term({Dim::Term::Kind::floor_div, "", q, {a, b}});
}

// By a known number in the form that window arithmetic has too, so that both give the same dim.
Dim ceil_div(const Dim& a, const Dim& b) {
  if (b.known() && b.value() > 0) return floor_div(a + Dim(b.value() - 1), b);
  return Dim(0) - floor_div(Dim(0) - a, b);
}

// The range of a difference. A quotient is not independent of what it divides: with k * (x floordiv k) between
// x - k + 1 and x, h - (h floordiv 2) is never negative, which the ranges of its terms alone do not tell.
IntRange Dim::tight_range() const {
  IntRange r = range();
  for (const auto& [term, c] : terms_) {
    if (term->kind != Operation::floor_div || !term->args[1].known() || term->args[1].value() < 1) continue;
    const int64_t k = term->args[1].value();
    Dim rest = *this;
    rest.add(term, sat_mul(c, -1));
    const Dim most = term->args[0] * Dim(c), least = (term->args[0] - Dim(k - 1)) * Dim(c);
    const IntRange scaled_lo = (rest * Dim(k) + (c < 0 ? most : least)).range();
    const IntRange scaled_hi = (rest * Dim(k) + (c < 0 ? least : most)).range();
    if (scaled_lo.lo != INT64_MIN) r.lo = std::max(r.lo, sat_mul(floor_div_value(sat_mul(scaled_lo.lo, -1), k), -1));
    if (scaled_hi.hi != INT64_MAX) r.hi = std::min(r.hi, floor_div_value(scaled_hi.hi, k));
  }
  return r;
}

Dim dim_min(const Dim& a, const Dim& b) {
  const Dim diff = a - b;
  const IntRange r = diff.tight_range();
  if (r.hi <= 0) return a;
  if (r.lo >= 0) return b;
  const IntRange ra = a.range(), rb = b.range();
  const bool swap = compare(a, b) > 0;
  return Dim::of_term(
      {Dim::Term::Kind::min, "", {std::min(ra.lo, rb.lo), std::min(ra.hi, rb.hi)}, {swap ? b : a, swap ? a : b}});
}

Dim dim_max(const Dim& a, const Dim& b) {
  const Dim diff = a - b;
  const IntRange r = diff.tight_range();
  if (r.lo >= 0) return a;
  if (r.hi <= 0) return b;
  const IntRange ra = a.range(), rb = b.range();
  const bool swap = compare(a, b) > 0;
  return Dim::of_term(
      {Dim::Term::Kind::max, "", {std::max(ra.lo, rb.lo), std::max(ra.hi, rb.hi)}, {swap ? b : a, swap ? a : b}});
}

Dim product(const Dims& dims) {
  Dim p(1);
  for (const Dim& d : dims) p = p * d;
  return p;
}

bool always_equal(const Dim& a, const Dim& b) { return a == b || (a - b) == Dim(0); }
bool never_equal(const Dim& a, const Dim& b) {
  const IntRange r = (a - b).tight_range();
  return r.lo > 0 || r.hi < 0;
}

std::optional<int64_t> Dim::eval(const std::function<std::optional<int64_t>(std::string_view)>& value_of) const {
  const Dim d = substitute([&](std::string_view n) -> std::optional<Dim> {
    const std::optional<int64_t> v = value_of(n);
    return v ? std::optional<Dim>(Dim(*v)) : std::nullopt;
  });
  return d.known() ? std::optional<int64_t>(d.constant_) : std::nullopt;
}

Dim Dim::substitute(const std::function<std::optional<Dim>(std::string_view)>& dim_of) const {
  Dim r(constant_);
  for (const auto& [term, c] : terms_) {
    Dim t;
    if (term->kind == Term::Kind::symbol) {
      const std::optional<Dim> d = dim_of(term->name);
      if (!d) {
        r.add(term, c);
        continue;
      }
      t = *d;
    } else {
      const Dim a = term->args[0].substitute(dim_of), b = term->args[1].substitute(dim_of);
      switch (term->kind) {
        case Term::Kind::floor_div: t = floor_div(a, b); break;
        case Term::Kind::min: t = dim_min(a, b); break;
        case Term::Kind::max: t = dim_max(a, b); break;
        case Term::Kind::product: t = a * b; break;
        case Term::Kind::symbol: break;
      }
    }
    r = r + t * Dim(c);
  }
  return r;
}

void Dim::visit_symbols(const std::function<void(std::string_view, IntRange)>& visit) const {
  for (const auto& [term, c] : terms_) {
    if (term->kind == Term::Kind::symbol) visit(term->name, term->range);
    for (const Dim& a : term->args) a.visit_symbols(visit);
  }
}

std::string_view Dim::symbol_name() const {
  if (constant_ != 0 || terms_.size() != 1 || terms_[0].second != 1 || terms_[0].first->kind != Term::Kind::symbol)
    return {};
  return terms_[0].first->name;
}

std::vector<std::pair<Dim, int64_t>> Dim::linear_terms() const {
  std::vector<std::pair<Dim, int64_t>> parts;
  for (const auto& [term, c] : terms_) {
    Dim d;
    d.terms_.emplace_back(term, 1);
    parts.emplace_back(std::move(d), c);
  }
  return parts;
}

Dim::Operation Dim::operation() const { return terms_[0].first->kind; }
std::pair<Dim, Dim> Dim::operands() const { return {terms_[0].first->args[0], terms_[0].first->args[1]}; }

std::string Dim::to_string() const {
  return to_string([](std::string_view name) { return std::string(name); });
}

std::string Dim::to_string(const std::function<std::string(std::string_view)>& name_of) const {
  const auto sum = [&](const Dim& d) {  // an operand that may be a product, as in 2*h floordiv 3
    const bool one = d.terms_.size() + (d.constant_ != 0 ? 1 : 0) <= 1;
    return one ? d.to_string(name_of) : format("({})", d.to_string(name_of));
  };
  const auto factor = [&](const Dim& d) {
    return d.known() && d.constant_ >= 0 ? d.to_string(name_of) : format("({})", d.to_string(name_of));
  };
  const auto divisor = [&](const Dim& d) { return d.symbol_name().empty() ? factor(d) : d.to_string(name_of); };
  std::string s;
  for (const auto& [term, c] : terms_) {
    if (!s.empty()) {
      s += c < 0 ? " - " : " + ";
    } else if (c < 0) {
      s += "-";
    }
    if (c != 1 && c != -1) s += format("{}*", magnitude(c));
    switch (term->kind) {
      case Term::Kind::symbol: s += name_of(term->name); break;
      case Term::Kind::floor_div: s += format("({} floordiv {})", sum(term->args[0]), divisor(term->args[1])); break;
      case Term::Kind::min:
        s += format("min({}, {})", term->args[0].to_string(name_of), term->args[1].to_string(name_of));
        break;
      case Term::Kind::max:
        s += format("max({}, {})", term->args[0].to_string(name_of), term->args[1].to_string(name_of));
        break;
      case Term::Kind::product: s += format("{}*{}", factor(term->args[0]), factor(term->args[1])); break;
    }
  }
  if (s.empty()) return std::to_string(constant_);
  if (constant_ != 0) s += format(" {} {}", constant_ < 0 ? '-' : '+', magnitude(constant_));
  return s;
}

std::string to_string(const Dims& dims) {
  constexpr size_t kMost = 64;  // of a list that tells sizes of parts; no shape has so many
  std::string s = "[";
  for (size_t i = 0; i < std::min(dims.size(), kMost); ++i) {
    if (i > 0) s += ", ";
    s += dims[i].to_string();
  }
  return s + (dims.size() > kMost ? format(", ... {} in all]", dims.size()) : "]");
}

bool all_known(const Dims& dims) {
  return std::all_of(dims.begin(), dims.end(), [](const Dim& d) { return d.known(); });
}

}  // namespace graft::ir
