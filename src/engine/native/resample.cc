// Bilinear grid sampling: where a point lies is worked out once for many channels.
#include <cmath>

#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"
#include "ops/sampling.h"

namespace graft::engine {
namespace {

struct Sampling {
  ops::Outside outside;
  float padding;
  // A coordinate v is at v * scale + shift of the image's elements.
  double scale_x, shift_x, scale_y, shift_y;
};

// The four elements of a stretch of points and their shares; -1: the padding.
constexpr int64_t kStretch = 256;
struct Points {
  int32_t at[4][kStretch];
  float share[4][kStretch];
  bool inside;  // all of them
};

class ResampleStep final : public Step {
 public:
  ResampleStep(const Sampling& sampling, bool half, bool half_grid, const Shape& x, const Shape& y)
      : s_(sampling), half_(half), half_grid_(half_grid), x_(x), y_(y) {
    provider = "native";
  }
  Status run(const Frame& frame) const override {
    // Few points: the channels are shared out too.
    constexpr int64_t kChannels = 32;
    const int64_t places = y_[2] * y_[3], stretches = (places + kStretch - 1) / kStretch;
    const int64_t shares = stretches >= 8 ? 1 : (y_[1] + kChannels - 1) / kChannels;
    const int64_t channels = (y_[1] + shares - 1) / shares;
    frame.parallel_for(y_[0] * stretches * shares, 1, [&](int64_t begin, int64_t end) {
      Points points;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / shares / stretches, from = i / shares % stretches * kStretch;
        const int64_t count = std::min(kStretch, places - from), first = i % shares * channels;
        if (half_grid_)
          find(frame.in<Half>(1) + 2 * (n * places + from), count, points);
        else
          find(frame.in<float>(1) + 2 * (n * places + from), count, points);
        for (int64_t c = first; c < std::min(first + channels, y_[1]); ++c) {
          const int64_t image = n * y_[1] + c;
          if (half_)
            read<Half>(frame, image, image * places + from, count, points);
          else
            read<float>(frame, image, image * places + from, count, points);
        }
      }
    });
    return {};
  }

 private:
  template <class G>
  void find(const G* grid, int64_t count, Points& p) const {
    const int64_t h = x_[2], w = x_[3];
    p.inside = true;
    for (int64_t i = 0; i < count; ++i) {
      const double u = static_cast<double>(static_cast<float>(grid[2 * i])) * s_.scale_x + s_.shift_x;
      const double v = static_cast<double>(static_cast<float>(grid[2 * i + 1])) * s_.scale_y + s_.shift_y;
      const double left = std::floor(u), top = std::floor(v);
      const auto fx = static_cast<float>(u - left), fy = static_cast<float>(v - top);
      int64_t columns[2], rows[2];
      if (left >= 0 && top >= 0 && left + 1 < static_cast<double>(w) && top + 1 < static_cast<double>(h)) {
        columns[0] = static_cast<int64_t>(left);
        rows[0] = static_cast<int64_t>(top);
        columns[1] = columns[0] + 1;
        rows[1] = rows[0] + 1;
      } else {
        for (int k = 0; k < 2; ++k) {
          columns[k] = ops::element_at(s_.outside, left + k, w);
          rows[k] = ops::element_at(s_.outside, top + k, h);
        }
      }
      for (int k = 0; k < 4; ++k) {
        const int64_t row = rows[k / 2], column = columns[k % 2];
        const bool padding = row < 0 || column < 0;
        p.inside &= !padding;
        p.at[k][i] = padding ? -1 : static_cast<int32_t>(row * w + column);
        p.share[k][i] = (k / 2 == 0 ? 1 - fy : fy) * (k % 2 == 0 ? 1 - fx : fx);
      }
    }
  }

  template <class T>
  void read(const Frame& frame, int64_t image, int64_t to, int64_t count, const Points& p) const {
    const T* from = frame.in<T>(0) + image * x_[2] * x_[3];
    T* y = frame.out<T>(0) + to;
    const auto sum = [&](int64_t i, auto&& element) {
      y[i] = T(p.share[0][i] * element(p.at[0][i]) + p.share[1][i] * element(p.at[1][i]) +
               p.share[2][i] * element(p.at[2][i]) + p.share[3][i] * element(p.at[3][i]));
    };
    if (p.inside) {
      for (int64_t i = 0; i < count; ++i) sum(i, [&](int32_t at) { return static_cast<float>(from[at]); });
    } else {
      for (int64_t i = 0; i < count; ++i)
        sum(i, [&](int32_t at) { return at < 0 ? s_.padding : static_cast<float>(from[at]); });
    }
  }

  Sampling s_;
  bool half_, half_grid_;
  Shape x_, y_;
};

}  // namespace

Result<Prepared> prepare_resample(const Selection& s, int n) {
  const int xi = s.arg(n, "x"), gi = s.arg(n, "coordinates"), yi = s.node(n).results[0];
  const PlanValue &x = s.value(xi), &grid = s.value(gi), &y = s.value(yi);
  const auto taken = [](DType t) { return t == DType::f32 || t == DType::f16; };
  if (!taken(x.dtype()) || !taken(grid.dtype()))
    return decline(format("{} data and {} coordinates", name(x.dtype()), name(grid.dtype())));
  const ir::Call call = s.call(n);
  GRAFT_TRY(const ops::Resample r, ops::resample_of(call));
  if (r.nearest) return decline("not bilinear");
  if (x.shape.product() == 0 || y.shape.product() == 0) return decline("nothing to sample");
  if (x.shape[2] * x.shape[3] > INT32_MAX) return decline("images too large for indices of 32 bits");
  Sampling how{};
  how.padding = static_cast<float>(r.padding);
  how.outside = r.outside;
  const auto place = [&](int64_t size, double& scale, double& shift) {
    shift = ops::pixel(r.coordinates, r.align_corners, 0, size);
    scale = ops::pixel(r.coordinates, r.align_corners, 1, size) - shift;
  };
  place(x.shape[3], how.scale_x, how.shift_x);
  place(x.shape[2], how.scale_y, how.shift_y);
  Prepared made;
  made.step =
      std::make_unique<ResampleStep>(how, x.dtype() == DType::f16, grid.dtype() == DType::f16, x.shape, y.shape);
  made.in = {{xi}, {gi}};
  made.out = {{yi}};
  made.nodes = {n};
  return made;
}

}  // namespace graft::engine
