// Strings: joined, compared and cut up. They live on the host alone.
#include <unordered_map>

#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

constexpr Variant kPair[] = {{Opset::host, "x:T; y:T", "T={string}"}};

// What strings hold beside their own size counts too, for the time that it is made: a loop could double them for ever.
Status check_room(const Outputs& out, uint64_t bytes) {
  constexpr uint64_t kMost = uint64_t{1} << 32;
  if (bytes > kMost)
    return fail(Code::out_of_memory, format("strings of {} bytes in all, takes up to {}", bytes, kMost));
  const Result<MemoryShare> share = MemoryShare::take(out.limit(), static_cast<size_t>(bytes));
  return share ? Status{} : fail(share.error());
}

// f(i, x, y) for every element of a result that x and y broadcast to.
template <class F>
void for_pairs(const Call& call, const Shape& shape, F&& f) {
  const TensorView x = call.in("x").value, y = call.in("y").value;
  Walk<2> walk(shape, {x.shape, y.shape});
  Pace pace = call.pace();
  for (int64_t i = 0, n = shape.product(); i < n && pace.go_on(); ++i, walk.next())
    f(i, x.as<std::string>()[walk.offset(0)], y.as<std::string>()[walk.offset(1)]);
}
constexpr OpDef host_string_concat = {
    .name = "host_string_concat",
    .family = "host",
    .doc = "x followed by y, element by element",
    .variants = kPair,
    .infer = infer_broadcast,
    .reference = [](const Call& call, Outputs& out) -> Status {
      GRAFT_CHECK(allocate_outputs(call, out));
      uint64_t bytes = 0;
      for_pairs(call, out[0].shape, [&](int64_t, const auto& x, const auto& y) { bytes += x.size() + y.size(); });
      GRAFT_CHECK(check_room(out, bytes));
      for_pairs(call, out[0].shape,
                [&](int64_t i, const auto& x, const auto& y) { out[0].as<std::string>()[i].assign(x).append(y); });
      return {};
    }};

constexpr OpDef host_string_equal = {.name = "host_string_equal",
                                     .family = "host",
                                     .doc = "whether x and y are the same bytes, element by element",
                                     .variants = kPair,
                                     .infer = [](const Call& call, Types& out) -> Status {
                                       GRAFT_CHECK(infer_broadcast(call, out));
                                       out[0].dtype = DType::boolean;
                                       return {};
                                     },
                                     .reference = [](const Call& call, Outputs& out) -> Status {
                                       GRAFT_CHECK(allocate_outputs(call, out));
                                       for_pairs(call, out[0].shape, [&](int64_t i, const auto& x, const auto& y) {
                                         out[0].as<uint8_t>()[i] = x == y ? 1 : 0;
                                       });
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

// ---- labels -------------------------------------------------------------------------------------------------------

Status label_type(const Call& call, Types& out) {
  const Operand &keys = call.in("keys"), &values = call.in("values");
  if (keys.rank() != 1 || values.rank() != 1 || call.in("default").rank() != 0)
    return fail(Code::rank_mismatch, "keys and values are lists, the default is one value");
  out.push_back(Type::tensor(values.dtype(), call.in("x").dims()));
  return {};
}

// The last of several values of a key counts. NaN is a key like others.
template <class T>
Status look_up(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, keys = call.in("keys").value, values = call.in("values").value;
  const TensorView other = call.in("default").value;
  if (keys.count() != values.count())
    return fail(Code::shape_mismatch, format("{} keys and {} values", keys.count(), values.count()));
  std::unordered_map<T, int64_t> places;
  int64_t nan = -1;
  for (int64_t i = 0; i < keys.count(); ++i) {
    const T& key = keys.as<T>()[i];
    if (key == key) places[key] = i;
    if (key != key) nan = i;
  }
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(4); ++i) {
    const T& key = x.as<T>()[i];
    const auto at = places.find(key);
    const int64_t place = key != key ? nan : at == places.end() ? -1 : at->second;
    copy_elements(values.dtype, place < 0 ? other.data : values.data, std::max<int64_t>(place, 0), out[0].data, i, 1,
                  pace);
  }
  return {};
}

Status label_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const DType t = call.in("x").dtype();
  switch (t) {
    case DType::string: return look_up<std::string>(call, out);
    case DType::f32: return look_up<float>(call, out);
    case DType::f64: return look_up<double>(call, out);
    case DType::i64: return look_up<int64_t>(call, out);
    case DType::i32: return look_up<int32_t>(call, out);
    case DType::i16: return look_up<int16_t>(call, out);
    default: return no_kernel(call, t);
  }
}

constexpr Variant kLabels[] = {{Opset::host, "x:T; keys:const T; values:const U; default:const U",
                                "T={string,fp32,fp64,int64,int32,int16}; U={string,fp32,fp64,int64,int32,int16}"}};
constexpr OpDef host_label_encoder = {
    .name = "host_label_encoder",
    .family = "host",
    .doc = "the value at the place of each element of x among the keys, else the default",
    .variants = kLabels,
    .infer = label_type,
    .reference = label_reference};

constexpr const OpDef* kRows[] = {&host_label_encoder, &host_string_concat, &host_string_equal, &host_string_split};

}  // namespace

Rows strings_rows() { return kRows; }

}  // namespace graft::ops
