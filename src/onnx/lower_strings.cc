// Operators on strings and on what is left of them, which live on the host alone.
#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

Values string_split(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int64_t cuts = n.i("maxsplit", INT64_MAX);
  if (cuts < 0) return {n.refuse(Code::invalid_attribute, format("maxsplit is {}, takes 0 or more", cuts))};
  return b.emit_all("host_string_split", {{"x", x}, {"delimiter", n.s("delimiter", "")}, {"maxsplit", cuts}});
}

Values string_normalizer(NodeView& n, OpBuilder& b) {
  // Turkish and its neighbours have two letters i; everywhere else case is that of Unicode.
  const std::string locale = n.s("locale", "");
  for (const std::string_view language : {"tr", "az", "lt"}) {
    if (locale.starts_with(language) && (locale.size() == 2 || locale[2] == '_' || locale[2] == '-'))
      return {n.refuse(Code::unsupported_attribute, format("locale '{}' has rules of its own for letters", locale))};
  }
  const std::vector<std::string> stopwords = n.strings("stopwords");
  return {b.emit("host_string_normalizer",
                 {{"x", n.in(0)},
                  {"stopwords", stopwords.empty() ? nullptr : b.constant(list_constant(DType::string, stopwords))},
                  {"case_change_action", n.s("case_change_action", "NONE")},
                  {"is_case_sensitive", n.flag("is_case_sensitive", false)}})};
}

Values tf_idf(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const bool text = x->dtype() == DType::string;
  const auto list = [&](std::string_view name) { return b.ints(n.ints(name), DType::i64); };
  const std::vector<std::string> words = n.strings("pool_strings");
  if (words.empty() == text)
    return {n.refuse(Code::invalid_attribute, text ? "x holds strings, pool_strings is empty"
                                                   : "x holds integers, and there is a pool_strings")};
  const std::vector<double> weights = n.floats("weights");
  Value* weight = nullptr;
  if (!weights.empty()) {
    weight = b.constant(list_constant(DType::f32, std::vector<float>(weights.begin(), weights.end())));
  }
  return {b.emit("host_tf_idf", {{"x", text ? x : b.cast(x, DType::i64)},
                                 {"pool", text ? b.constant(list_constant(DType::string, words)) : list("pool_int64s")},
                                 {"ngram_counts", list("ngram_counts")},
                                 {"ngram_indexes", list("ngram_indexes")},
                                 {"weights", weight},
                                 {"min_gram_length", n.required_i("min_gram_length")},
                                 {"max_gram_length", n.required_i("max_gram_length")},
                                 {"max_skip_count", n.required_i("max_skip_count")},
                                 {"mode", n.s("mode", "")}})};
}

Values murmur_hash(NodeView& n, OpBuilder& b) {
  const int64_t seed = n.i("seed", 0);
  if (seed < 0 || seed > UINT32_MAX)
    return {n.refuse(Code::invalid_attribute, format("seed is {}, takes 0..{}", seed, UINT32_MAX))};
  return {b.emit("host_murmur_hash", {{"x", n.in(0)},
                                      {"seed", b.constant(ir::Constant::int_scalar(DType::i64, seed))},
                                      {"positive", n.flag("positive", true)}})};
}

Values dynamic_time_warping(NodeView& n, OpBuilder& b) {
  return {b.emit("host_dynamic_time_warping", {{"x", n.in(0)}})};
}

constexpr Lowering kRows[] = {
    {"", "StringConcat", kSince<20>, "X Y -> Z", same_binary<"host_string_concat">, "on the host only"},
    {"", "StringSplit", kSince<20>, "X -> Y Z; delimiter maxsplit", string_split, "on the host only"},
    {"", "StringNormalizer", kSince<10>, "X -> Y; case_change_action is_case_sensitive locale stopwords",
     string_normalizer, "on the host only; letters change case as in Unicode, whatever the locale"},
    {"", "TfIdfVectorizer", kSince<9>,
     "X -> Y; max_gram_length max_skip_count min_gram_length mode ngram_counts ngram_indexes pool_int64s pool_strings "
     "weights",
     tf_idf, "on the host only"},
    {"com.microsoft", "MurmurHash3", kSince<1>, "X -> Y; positive seed", murmur_hash, "on the host only"},
    {"com.microsoft", "DynamicTimeWarping", kSince<1>, "input -> output", dynamic_time_warping, "on the host only"},
};

}  // namespace

LoweringRows strings_lowerings() { return kRows; }

}  // namespace graft::onnx
