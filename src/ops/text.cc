// What models of text begin with: strings made alike, n-grams counted. ONNX StringNormalizer and TfIdfVectorizer.
#include <locale.h>
#include <wctype.h>

#include <unordered_map>
#include <unordered_set>

#include "base/format.h"
#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

// ---- case ---------------------------------------------------------------------------------------------------------

// The C library's table of letters, whatever locale the process has; null where it has none for UTF-8.
locale_t letters() {
  static const locale_t made = [] {
    for (const char* name : {"C.UTF-8", "en_US.UTF-8", "UTF-8"}) {
      if (locale_t l = newlocale(LC_CTYPE_MASK, name, nullptr); l != nullptr) return l;
    }
    return locale_t{};
  }();
  return made;
}

// The code point at s[at], which moves on; -1 where there is none.
int32_t take_code_point(std::string_view s, size_t& at) {
  const auto byte = [&](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : 0; };
  const uint32_t first = byte(at);
  const size_t more = first < 0x80 ? 0 : first < 0xc2 ? 9 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 9;
  uint32_t v = more == 0 ? first : first & (0x3fu >> more);
  if (more > 3) return -1;
  for (size_t i = 1; i <= more; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return -1;
    v = v << 6 | (byte(at + i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  if (v < kLeast[more] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)) return -1;
  at += more + 1;
  return static_cast<int32_t>(v);
}

void put_code_point(std::string& s, uint32_t v) {
  const auto put = [&](uint32_t byte) { s.push_back(static_cast<char>(byte)); };
  if (v < 0x80) return put(v);
  if (v < 0x800) {
    put(0xc0 | v >> 6);
  } else {
    if (v < 0x10000) {
      put(0xe0 | v >> 12);
    } else {
      put(0xf0 | v >> 18);
      put(0x80 | (v >> 12 & 0x3f));
    }
    put(0x80 | (v >> 6 & 0x3f));
  }
  put(0x80 | (v & 0x3f));
}

// Letter by letter, so that the number of letters stays; whatever else is in s stays too.
Result<std::string> with_case(std::string_view s, std::string_view action) {
  if (action == "NONE") return std::string(s);
  const bool upper = action == "UPPER";
  std::string made;
  for (size_t at = 0; at < s.size();) {
    const int32_t v = take_code_point(s, at);
    if (v < 0) return fail(Code::value_out_of_range, format("byte {} of '{}' is no UTF-8", at, s.substr(0, 40)));
    uint32_t changed = static_cast<uint32_t>(v);
    if (v < 0x80) {
      if (upper ? v >= 'a' && v <= 'z' : v >= 'A' && v <= 'Z') changed ^= 0x20;
    } else {
      if (letters() == nullptr) return fail(Code::not_available_yet, "this system has no table of letters for UTF-8");
      const auto w = static_cast<wint_t>(v);
      changed = static_cast<uint32_t>(upper ? towupper_l(w, letters()) : towlower_l(w, letters()));
    }
    put_code_point(made, changed);
  }
  return made;
}

// ---- StringNormalizer ---------------------------------------------------------------------------------------------

Status normalizer_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  const Dims& dims = x.dims();
  if (x.rank() != 1 && x.rank() != 2) return fail(Code::rank_mismatch, "takes [C] or [1, C]");
  if (x.rank() == 2 && dims[0].known() && dims[0] != 1)
    return fail(Code::shape_mismatch, format("x is {}, takes [C] or [1, C]", ir::to_string(dims)));
  const std::string_view action = call.str("case_change_action");
  if (action != "NONE" && action != "LOWER" && action != "UPPER")
    return fail(Code::invalid_attribute, format("case_change_action '{}', takes NONE, LOWER or UPPER", action));
  Dims made(dims.size(), Dim(1));
  made.back() = call.fresh({1, INT64_MAX});
  out.push_back(Type::tensor(DType::string, std::move(made)));
  return {};
}

Status normalizer_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  if (x.shape.size() == 2 && x.shape[0] != 1)
    return fail(Code::shape_mismatch, format("x is {}, takes [C] or [1, C]", to_string(x.shape)));
  const std::string_view action = call.str("case_change_action"),
                         compared = call.flag("is_case_sensitive") ? "NONE" : "LOWER";
  std::unordered_set<std::string> stop;
  if (call.has("stopwords")) {
    const TensorView words = call.in("stopwords").value;
    for (int64_t i = 0; i < words.count(); ++i) {
      GRAFT_TRY(std::string word, with_case(words.as<std::string>()[i], compared));
      stop.insert(std::move(word));
    }
  }
  std::vector<std::string> kept;
  Pace pace = call.pace();
  for (int64_t i = 0; i < x.count() && pace.go_on(8); ++i) {
    const std::string& s = x.as<std::string>()[i];
    GRAFT_TRY(const std::string known_as, with_case(s, compared));
    if (stop.contains(known_as)) continue;
    GRAFT_TRY(std::string changed, with_case(s, action));
    kept.push_back(std::move(changed));
  }
  if (kept.empty()) kept.emplace_back();  // as ONNX says: one empty string
  Shape shape = x.shape;
  shape[shape.size() - 1] = static_cast<int64_t>(kept.size());
  GRAFT_CHECK(out.allocate(0, DType::string, shape));
  std::move(kept.begin(), kept.end(), out[0].as<std::string>());
  return {};
}

constexpr Variant kNormalizer[] = {{Opset::host,
                                    "x:T; stopwords?:const T=none; case_change_action?:const string=\"NONE\"; "
                                    "is_case_sensitive?:const bool=false",
                                    "T={string}"}};
constexpr OpDef host_string_normalizer = {.name = "host_string_normalizer",
                                          .family = "host",
                                          .doc = "ONNX StringNormalizer: without the stopwords, in one case",
                                          .variants = kNormalizer,
                                          .infer = normalizer_type,
                                          .reference = normalizer_reference,
                                          .kernel_sized = true};

// ---- TfIdfVectorizer ----------------------------------------------------------------------------------------------

// N-grams as a tree of tokens: a node for each beginning of one.
template <class T>
class NGrams {
 public:
  // The step from a node by a token; -1 where no n-gram goes on so.
  int next(int node, const T& token) const {
    const auto number = tokens_.find(token);
    if (number == tokens_.end()) return -1;
    const auto at = steps_.find(key(node, number->second));
    return at == steps_.end() ? -1 : at->second;
  }
  // The place in the result of the n-gram that ends at the node, -1 if none does.
  int64_t place(int node) const { return places_[static_cast<size_t>(node)]; }
  // False if it is there already.
  bool add(const T* tokens, int64_t count, int64_t place) {
    int node = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int number = tokens_.emplace(tokens[i], static_cast<int>(tokens_.size())).first->second;
      const auto [at, made] = steps_.emplace(key(node, number), static_cast<int>(places_.size()));
      if (made) places_.push_back(-1);
      node = at->second;
    }
    if (places_[static_cast<size_t>(node)] >= 0) return false;
    places_[static_cast<size_t>(node)] = place;
    return true;
  }

 private:
  static uint64_t key(int node, int number) {
    return static_cast<uint64_t>(node) << 32 | static_cast<uint64_t>(number);
  }
  std::unordered_map<T, int> tokens_;
  std::unordered_map<uint64_t, int> steps_;
  std::vector<int64_t> places_{-1};
};

struct Vocabulary {
  std::vector<int64_t> counts, places;  // where the n-grams of n tokens begin in the pool; of each, where it counts
  int64_t shortest, longest, skips;
};

template <class T>
Status count_ngrams(const Call& call, const Vocabulary& v, float* y, int64_t size) {
  const TensorView pool = call.in("pool").value, x = call.in("x").value;
  NGrams<T> known;
  for (size_t n = 0, place = 0; n < v.counts.size(); ++n) {
    const int64_t end = n + 1 < v.counts.size() ? v.counts[n + 1] : pool.count(), length = static_cast<int64_t>(n) + 1;
    for (int64_t at = v.counts[n]; at < end; at += length) {
      if (!known.add(pool.as<T>() + at, length, v.places[place++]))
        return fail(Code::invalid_attribute, format("the {}-gram at {} of the pool stands there twice", length, at));
    }
  }
  const int64_t length = x.shape.size() == 0 ? 1 : x.shape[x.shape.size() - 1],
                rows = length == 0 ? 0 : x.count() / length;
  Pace pace = call.pace();
  for (int64_t row = 0; row < rows; ++row) {
    const T* tokens = x.as<T>() + row * length;
    // Steps as long as the row find single tokens only.
    for (int64_t step = 1; step <= std::min(v.skips + 1, length); ++step) {
      for (int64_t first = 0; first < length && pace.go_on(v.longest); ++first) {
        int node = 0;
        for (int64_t n = 1, at = first; n <= v.longest && at < length && node >= 0; ++n, at += step) {
          node = known.next(node, tokens[at]);
          // Single tokens have no gaps: they count once.
          if (node >= 0 && n >= v.shortest && (n > 1 || step == 1) && known.place(node) >= 0)
            y[row * size + known.place(node)] += 1;
        }
      }
    }
  }
  return {};
}

// The parameters, checked: every n-gram of the pool whole, with a place in the result.
Result<Vocabulary> vocabulary(const Call& call) {
  const auto list = [&](std::string_view param) {
    const TensorView v = call.in(param).elements();
    std::vector<int64_t> made;
    for (int64_t i = 0; i < v.count(); ++i) made.push_back(element_as_int(v, i));
    return made;
  };
  Vocabulary v{list("ngram_counts"), list("ngram_indexes"), call.i("min_gram_length"), call.i("max_gram_length"),
               call.i("max_skip_count")};
  if (call.error()) return fail(*call.error());
  const auto wrong = [](std::string why) { return fail(Code::invalid_attribute, std::move(why)); };
  if (v.shortest < 1 || v.longest < v.shortest || v.skips < 0 || v.skips > INT32_MAX)
    return wrong(format("n-grams of {} to {} tokens with gaps of up to {}", v.shortest, v.longest, v.skips));
  const int64_t pool = call.in("pool").value.count();
  size_t grams = 0;
  for (size_t n = 0; n < v.counts.size(); ++n) {
    const int64_t end = n + 1 < v.counts.size() ? v.counts[n + 1] : pool, length = static_cast<int64_t>(n) + 1;
    if (v.counts[n] < 0 || end < v.counts[n] || end > pool || (end - v.counts[n]) % length != 0)
      return wrong(format("{}-grams from {} to {} of a pool of {}", length, v.counts[n], end, pool));
    grams += static_cast<size_t>((end - v.counts[n]) / length);
  }
  if (static_cast<int64_t>(v.counts.size()) < v.longest)
    return wrong(format("ngram_counts has {} entries, max_gram_length is {}", v.counts.size(), v.longest));
  if (v.places.size() != grams)
    return wrong(format("ngram_indexes has {} entries for {} n-grams", v.places.size(), grams));
  for (const int64_t place : v.places) {
    if (place < 0 || place > INT32_MAX) return wrong(format("place {} in ngram_indexes", place));
  }
  return v;
}

Status vectorizer_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  if (x.rank() > 2) return fail(Code::rank_mismatch, format("x has rank {}, takes [C] or [N, C]", x.rank()));
  GRAFT_TRY(const Vocabulary v, vocabulary(call));
  const int64_t size = v.places.empty() ? 0 : *std::max_element(v.places.begin(), v.places.end()) + 1;
  if (call.has("weights") && call.in("weights").value.count() != static_cast<int64_t>(v.places.size()))
    return fail(Code::invalid_attribute,
                format("{} weights for {} n-grams", call.in("weights").value.count(), v.places.size()));
  const std::string_view mode = call.str("mode");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF")
    return fail(Code::invalid_attribute, format("mode '{}', takes TF, IDF or TFIDF", mode));
  Dims dims{Dim(size)};
  if (x.rank() == 2) dims.insert(dims.begin(), x.dims()[0]);
  out.push_back(Type::tensor(DType::f32, std::move(dims)));
  return {};
}

Status vectorizer_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  GRAFT_TRY(const Vocabulary v, vocabulary(call));
  const int64_t size = out[0].shape[out[0].shape.size() - 1];
  float* y = out[0].as<float>();
  std::fill_n(y, out[0].count(), 0.0f);
  GRAFT_CHECK(call.in("x").dtype() == DType::string ? count_ngrams<std::string>(call, v, y, size)
                                                    : count_ngrams<int64_t>(call, v, y, size));
  const std::string_view mode = call.str("mode");
  if (mode == "TF") return {};
  std::vector<float> weights(static_cast<size_t>(size), 1.0f);
  if (call.has("weights")) {
    const float* w = call.in("weights").value.as<float>();
    for (size_t i = 0; i < v.places.size(); ++i) weights[static_cast<size_t>(v.places[i])] = w[i];
  }
  for (int64_t i = 0; i < out[0].count(); ++i) {
    const float w = weights[static_cast<size_t>(i % size)];
    y[i] = mode == "TFIDF" ? y[i] * w : y[i] > 0 ? w : 0.0f;
  }
  return {};
}

constexpr Variant kVectorizer[] = {
    {Opset::host,
     "x:T; pool:const T; ngram_counts:const int64; ngram_indexes:const int64; weights?:const fp32=none; "
     "min_gram_length:const int32; max_gram_length:const int32; max_skip_count:const int32; mode:const string",
     "T={string,int64}"}};
constexpr OpDef host_tf_idf = {.name = "host_tf_idf",
                               .family = "host",
                               .doc =
                                   "ONNX TfIdfVectorizer: how often each n-gram of the pool is in a row, or whether, "
                                   "times its weight",
                               .variants = kVectorizer,
                               .infer = vectorizer_type,
                               .reference = vectorizer_reference};

constexpr const OpDef* kRows[] = {&host_string_normalizer, &host_tf_idf};

}  // namespace

Rows text_rows() { return kRows; }

}  // namespace graft::ops
