// Concrete shapes and small integer lists without heap allocation: kernels build them in steady state.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace graft {

// A list of at most N int64. push_back on a full list is a programming error (asserted): code that takes sizes from a
// model checks them against capacity first.
template <int N>
class InlineInts {
 public:
  static constexpr int capacity = N;
  constexpr InlineInts() = default;
  constexpr InlineInts(std::initializer_list<int64_t> v) : InlineInts(std::span<const int64_t>(v.begin(), v.size())) {}
  constexpr explicit InlineInts(std::span<const int64_t> v) {
    for (int64_t x : v) push_back(x);
  }
  constexpr InlineInts(int count, int64_t value) {
    for (int i = 0; i < count; ++i) push_back(value);
  }
  constexpr int size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr void push_back(int64_t v) {
    assert(size_ < N);
    if (size_ < N) v_[static_cast<size_t>(size_++)] = v;
  }
  constexpr void pop_back() { --size_; }
  constexpr void clear() { size_ = 0; }
  constexpr void resize(int n, int64_t fill = 0) {
    while (size_ < n) push_back(fill);
    size_ = n;
  }
  constexpr void insert(int at, int64_t v) {
    push_back(v);
    std::rotate(begin() + at, end() - 1, end());
  }
  constexpr void erase(int at) {
    std::copy(begin() + at + 1, end(), begin() + at);
    --size_;
  }
  constexpr int64_t& operator[](int i) { return v_[static_cast<size_t>(i)]; }
  constexpr int64_t operator[](int i) const { return v_[static_cast<size_t>(i)]; }
  constexpr int64_t back() const { return v_[static_cast<size_t>(size_ - 1)]; }
  constexpr int64_t* begin() { return v_.data(); }
  constexpr int64_t* end() { return v_.data() + size_; }
  constexpr const int64_t* begin() const { return v_.data(); }
  constexpr const int64_t* end() const { return v_.data() + size_; }
  constexpr const int64_t* data() const { return v_.data(); }
  constexpr operator std::span<const int64_t>() const { return {v_.data(), static_cast<size_t>(size_)}; }
  constexpr bool operator==(const InlineInts& o) const { return std::equal(begin(), end(), o.begin(), o.end()); }
  // The product of all entries from `from` up to, not including, `to`; 1 for none.
  constexpr int64_t product(int from, int to) const {
    int64_t p = 1;
    for (int i = from; i < to; ++i) p *= (*this)[i];
    return p;
  }
  constexpr int64_t product() const { return product(0, size_); }

 private:
  std::array<int64_t, static_cast<size_t>(N)> v_{};
  int size_ = 0;
};

// Tensors on the host have rank 0 to 8; Core ML's have 0 to 5. A model with more is refused (limit_exceeded).
inline constexpr int kMaxRank = 8;
using Shape = InlineInts<kMaxRank>;
using Ints = InlineInts<2 * kMaxRank>;  // pads, strides, axes: at most two entries a dim

// Row-major element strides.
constexpr Shape strides_of(const Shape& shape) {
  Shape s(shape.size(), 1);
  for (int i = shape.size() - 2; i >= 0; --i) s[i] = s[i + 1] * shape[i + 1];
  return s;
}

// The element count, or -1 when a dim is negative or the product does not fit int64.
int64_t checked_count(std::span<const int64_t> dims);
std::string to_string(std::span<const int64_t> dims);  // "[1, 3, 224, 224]"

}  // namespace graft
