// Strings: joined and cut up. They live on the host alone.
#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

constexpr Variant kConcat[] = {{Opset::host, "x:T; y:T", "T={string}"}};
constexpr OpDef host_string_concat = {.name = "host_string_concat",
                                      .family = "host",
                                      .doc = "x followed by y, element by element",
                                      .variants = kConcat,
                                      .infer = infer_broadcast,
                                      .reference = [](const Call& call, Outputs& out) -> Status {
                                        GRAFT_CHECK(allocate_outputs(call, out));
                                        const TensorView x = call.in("x").value, y = call.in("y").value;
                                        Walk<2> walk(out[0].shape, {x.shape, y.shape});
                                        Pace pace = call.pace();
                                        for (int64_t i = 0, n = out[0].count(); i < n && pace.go_on(); ++i, walk.next())
                                          out[0].as<std::string>()[i] =
                                              x.as<std::string>()[walk.offset(0)] + y.as<std::string>()[walk.offset(1)];
                                        return {};
                                      }};

// The pieces of one string, fn(piece): between delimiters, or between runs of white space where there is none. At most
// `cuts` cuts are made.
template <class Fn>
void split(std::string_view s, std::string_view delimiter, int64_t cuts, Fn&& fn) {
  constexpr std::string_view kBlank = " \t\n\v\f\r";
  if (delimiter.empty()) {
    for (size_t at = s.find_first_not_of(kBlank); at < s.size();) {
      const size_t end = cuts-- > 0 ? std::min(s.find_first_of(kBlank, at), s.size()) : s.find_last_not_of(kBlank) + 1;
      fn(s.substr(at, end - at));
      at = std::min(s.find_first_not_of(kBlank, end), s.size());
    }
    return;
  }
  if (s.empty()) return;
  for (size_t at = 0;;) {
    const size_t end = cuts-- > 0 ? s.find(delimiter, at) : std::string_view::npos;
    fn(s.substr(at, end == std::string_view::npos ? end : end - at));
    if (end == std::string_view::npos) return;
    at = end + delimiter.size();
  }
}

Status split_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  if (x.rank() >= kMaxRank) return fail(Code::rank_mismatch, format("takes rank {} or less", kMaxRank - 1));
  Dims dims = x.dims();
  out.push_back(Type::tensor(DType::string, dims));
  out[0].dims.push_back(call.fresh({0, INT64_MAX}));
  out.push_back(Type::tensor(DType::i64, std::move(dims)));
  return {};
}
Status split_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const std::string_view delimiter = call.str("delimiter");
  const int64_t cuts = call.i("maxsplit"), most = cuts < 0 ? INT64_MAX : cuts;
  if (call.error()) return fail(*call.error());
  Pace pace = call.pace();
  const auto allocate = [&](int i, DType dtype, const Shape& shape) {
    return out[i].dtype == DType::invalid ? out.allocate(i, dtype, shape) : check_output(call, out[i], shape);
  };
  GRAFT_CHECK(allocate(1, DType::i64, x.shape));
  int64_t longest = 0;
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(); ++i) {
    int64_t& count = out[1].as<int64_t>()[i] = 0;
    split(x.as<std::string>()[i], delimiter, most, [&](std::string_view) { ++count; });
    longest = std::max(longest, count);
  }
  Shape shape = x.shape;
  shape.push_back(longest);
  GRAFT_CHECK(allocate(0, DType::string, shape));
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(longest + 1); ++i) {
    std::string* to = out[0].as<std::string>() + i * longest;
    std::string* const end = to + longest;
    split(x.as<std::string>()[i], delimiter, most, [&](std::string_view piece) {
      if (to != end) *to++ = piece;
    });
    while (to != end) (to++)->clear();
  }
  return {};
}
constexpr Variant kSplit[] = {
    {Opset::host, "x:T; delimiter?:const string=\"\"; maxsplit?:const int64=-1", "T={string}"}};
constexpr OpDef host_string_split = {
    .name = "host_string_split",
    .family = "host",
    .doc = "ONNX StringSplit: the pieces of each string, empty ones after them; how many",
    .variants = kSplit,
    .host = kInts,
    .infer = split_type,
    .reference = split_reference,
    .range = [](const Call&) -> IntRange {
      return {0, INT64_MAX};
    },
    .kernel_sized = true};

constexpr const OpDef* kRows[] = {&host_string_concat, &host_string_split};

}  // namespace

Rows strings_rows() { return kRows; }

}  // namespace graft::ops
