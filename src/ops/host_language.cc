// What speech and text models of ONNX Runtime have besides arithmetic: hashes of words, and two texts aligned in time.
#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/format.h"
#include "ops/host_rows.h"
#include "ops/kernel.h"

namespace graft::ops {
namespace {

// ---- MurmurHash3 --------------------------------------------------------------------------------------------------

// The hash of 32 bits for x86, by its published definition.
uint32_t murmur3(const void* bytes, size_t count, uint32_t seed) {
  const auto scrambled = [](uint32_t word) { return std::rotl(word * 0xcc9e2d51u, 15) * 0x1b873593u; };
  const auto* at = static_cast<const uint8_t*>(bytes);
  uint32_t hash = seed;
  size_t left = count;
  for (; left >= 4; left -= 4, at += 4) {
    uint32_t word = 0;
    std::memcpy(&word, at, 4);
    hash = std::rotl(hash ^ scrambled(word), 13) * 5 + 0xe6546b64u;
  }
  uint32_t tail = 0;
  for (size_t i = 0; i < left; ++i) tail |= static_cast<uint32_t>(at[i]) << (8 * i);
  hash ^= scrambled(tail) ^ static_cast<uint32_t>(count);
  hash = (hash ^ hash >> 16) * 0x85ebca6bu;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
  return hash ^ hash >> 16;
}

Status murmur_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const auto seed = static_cast<uint32_t>(call.i("seed"));
  auto* y = static_cast<uint32_t*>(out[0].data);
  const auto* bytes = static_cast<const uint8_t*>(x.data);
  const size_t each = x.dtype == DType::string ? 0 : byte_size(x.dtype, 1);
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n; ++i) {
    size_t length = each;
    if (each == 0) {
      const std::string& s = x.as<std::string>()[i];
      length = s.size();
      y[i] = murmur3(s.data(), length, seed);
    } else {
      y[i] = murmur3(bytes + static_cast<size_t>(i) * each, each, seed);
    }
    if (!pace.go_on(1 + static_cast<int64_t>(length))) break;
  }
  return {};
}

constexpr Variant kMurmur[] = {{Opset::host, "x:T; seed?:const int64=0; positive?:const bool=true",
                                "T={int32,int64,uint32,uint64,fp32,fp64,string}"}};
constexpr OpDef host_murmur_hash = {.name = "host_murmur_hash",
                                    .family = "host",
                                    .doc = "MurmurHash3 of 32 bits of each element: uint32, or the same bits as int32",
                                    .variants = kMurmur,
                                    .infer = [](const Call& call, Types& out) -> Status {
                                      const DType t = call.flag("positive") ? DType::u32 : DType::i32;
                                      out.push_back(Type::tensor(t, call.in("x").dims()));
                                      return {};
                                    },
                                    .reference = murmur_reference};

// ---- DynamicTimeWarping -------------------------------------------------------------------------------------------

Status warping_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  const bool batched = x.rank() == 3 && !never_equal(x.dims()[0], Dim(1));
  if (x.rank() != 2 && !batched)
    return fail(Code::shape_mismatch, format("x is {}, takes [M, N] or [1, M, N]", ir::to_string(x.dims())));
  out.push_back(Type::tensor(DType::i32, {Dim(2), call.fresh({0, INT64_MAX})}));
  return {};
}

// Where the cheapest path to a place came from.
enum Step : uint8_t { both, down, right };

Status warping_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const Shape& s = x.shape;
  if (s.size() == 3 && s[0] != 1)
    return fail(Code::shape_mismatch, format("x is {}, takes [M, N] or [1, M, N]", to_string(s)));
  const int64_t rows = s[s.size() - 2], columns = s[s.size() - 1];
  if (rows == 0 || columns == 0) return out.allocate(0, DType::i32, Shape{2, 0});
  if (rows > INT32_MAX || columns > INT32_MAX) return fail(Code::limit_exceeded, "there are too many places");
  GRAFT_TRY(Tensor steps, Tensor::allocate(DType::u8, Shape{rows, columns}, out.limit()));
  // Costs of the paths to each place of this row and the one above, which begin at a place before the first of both.
  constexpr float kNever = std::numeric_limits<float>::infinity();
  std::vector<float> above(static_cast<size_t>(columns) + 1, kNever), now(above);
  above[0] = 0;
  auto* step = steps.span<uint8_t>().data();
  const float* cost = x.as<float>();
  Pace pace = call.pace();
  for (int64_t r = 0; r < rows && pace.go_on(columns); ++r) {
    now[0] = kNever;
    for (int64_t c = 0; c < columns; ++c) {
      const auto at = static_cast<size_t>(c);
      const float from_both = above[at], from_above = above[at + 1], from_left = now[at];
      const bool diagonal = from_both < from_above && from_both < from_left;
      const bool vertical = from_above < from_both && from_above < from_left;
      now[at + 1] = cost[r * columns + c] + (diagonal ? from_both : vertical ? from_above : from_left);
      step[r * columns + c] = diagonal ? both : vertical ? down : right;
    }
    above.swap(now);
  }
  std::vector<std::pair<int32_t, int32_t>> path;
  int64_t r = rows - 1, c = columns - 1;
  while (pace.go_on()) {
    path.emplace_back(static_cast<int32_t>(r), static_cast<int32_t>(c));
    if (r == 0 && c == 0) break;
    // Along the edges there is one way only, whatever the costs, which may be no numbers.
    const auto from = r == 0 ? right : c == 0 ? down : static_cast<Step>(step[r * columns + c]);
    r -= from != right;
    c -= from != down;
  }
  const auto length = static_cast<int64_t>(path.size());
  GRAFT_CHECK(out.allocate(0, DType::i32, Shape{2, length}));
  auto* y = out[0].as<int32_t>();
  for (int64_t i = 0; i < length; ++i) {
    const auto& [row, column] = path[static_cast<size_t>(length - 1 - i)];
    y[i] = row;
    y[length + i] = column;
  }
  return {};
}

constexpr Variant kWarping[] = {{Opset::host, "x:T", "T={fp32}"}};
constexpr OpDef host_dynamic_time_warping = {
    .name = "host_dynamic_time_warping",
    .family = "host",
    .doc = "the rows and columns of the cheapest path through a matrix of costs",
    .variants = kWarping,
    .infer = warping_type,
    .reference = warping_reference,
    .kernel_sized = true};

constexpr const OpDef* kRows[] = {&host_murmur_hash, &host_dynamic_time_warping};

}  // namespace

Rows host_language_rows() { return kRows; }

}  // namespace graft::ops
