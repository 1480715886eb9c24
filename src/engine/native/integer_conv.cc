// host_integer_conv by the products of code_products.h: rows of weights by panels of points.
#include "engine/native/integer_points.h"

namespace graft::engine {
namespace {

class IntegerConvStep final : public Step {
 public:
  IntegerConvStep(IntegerConv of, int threads) : conv(std::move(of)) {
    provider = "native";
    const CodeProducts& p = code_products();
    for (int64_t i = 0; i < p.steps(conv.k()) * p.together; ++i) {
      const int64_t e = std::min(i, conv.k() - 1);  // those behind the end meet weights of 0
      offsets_.push_back(e / conv.taps * conv.points.channel() + conv.points.offset(e % conv.taps));
    }
    // As many panels at once as the cache holds, so that the weights go by as seldom as can be.
    constexpr int64_t kCache = 128 << 10;
    const int64_t panels = conv.points.points() / p.width + 1, shares = (panels * conv.groups + threads - 1) / threads;
    at_once_ = std::clamp<int64_t>(kCache / panel_bytes(), 1, std::min<int64_t>(shares, kMostPanels));
    blocks_ = (conv.points.points() + at_once_ * p.width - 1) / (at_once_ * p.width);
    chunks_ = std::clamp<int64_t>(conv.groups * blocks_, 1, 4 * threads);
  }
  const std::byte* fixed = nullptr;  // packed weights

  // Rows of each group, then one of ones, whose products are the sums of the columns; then the sums of the rows.
  size_t weight_bytes() const { return rows_bytes() + static_cast<size_t>(conv.y[1]) * sizeof(int32_t); }
  void pack(const uint8_t* codes, std::byte* to) const {
    const CodeProducts& p = code_products();
    for (int64_t c = 0; c < conv.y[1]; ++c) {
      std::byte* row = to + (c / conv.outs() * (conv.outs() + 1) + c % conv.outs()) * stride();
      sums_of(to)[c] = p.take_row(codes + c * conv.k(), conv.k(), conv.w_mask(), true, row);
    }
    const std::vector<uint8_t> ones(static_cast<size_t>(conv.k()), 1);
    for (int64_t g = 0; g < conv.groups; ++g)
      p.take_row(ones.data(), conv.k(), 0, true, to + (g * (conv.outs() + 1) + conv.outs()) * stride());
  }

  void take_scratch() {
    const auto take = [&](size_t bytes) {
      const size_t at = scratch;
      scratch += align_up(bytes);
      return at;
    };
    weights_at_ = take(fixed == nullptr ? weight_bytes() : 0);
    image_at_ = take(conv.image_bytes());
    chunk_bytes_ = align_up(static_cast<size_t>(at_once_ * panel_bytes()));
    chunks_at_ = take(static_cast<size_t>(chunks_) * chunk_bytes_);
  }

  Status run(const Frame& frame) const override {
    const std::byte* weights = fixed;
    if (weights == nullptr) {
      pack(frame.in<uint8_t>(1), frame.scratch + weights_at_);
      weights = frame.scratch + weights_at_;
    }
    const Results results(frame, conv.after);
    auto* image = reinterpret_cast<uint8_t*>(frame.scratch + image_at_);
    const int64_t items = conv.groups * blocks_;
    for (int64_t n = 0; n < conv.x[0] && !frame.cancelled(); ++n) {
      conv.lay_out(frame, n, image);
      frame.parallel_for(chunks_, 1, [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; ++c) {
          auto* panels = reinterpret_cast<uint8_t*>(frame.scratch + chunks_at_ + static_cast<size_t>(c) * chunk_bytes_);
          for (int64_t i = items * c / chunks_; i < items * (c + 1) / chunks_ && !frame.cancelled(); ++i)
            block_of(frame, results, weights, image, panels, n, i / blocks_,
                     i % blocks_ * at_once_ * code_products().width);
        }
      });
    }
    return {};
  }

  IntegerConv conv;

 private:
  static constexpr int64_t kMostPanels = 8;
  int64_t stride() const { return code_products().row_bytes(conv.k()); }
  int64_t panel_bytes() const { return code_products().panel_bytes(conv.k()); }
  size_t rows_bytes() const { return align_up(static_cast<size_t>(conv.groups * (conv.outs() + 1) * stride())); }
  int32_t* sums_of(std::byte* weights) const { return reinterpret_cast<int32_t*>(weights + rows_bytes()); }

  // All channels of a group at the points from `first` on that are computed at once.
  void block_of(const Frame& frame, const Results& results, const std::byte* weights, const uint8_t* image,
                uint8_t* panels, int64_t n, int64_t group, int64_t first) const {
    const CodeProducts& p = code_products();
    const int64_t steps = p.steps(conv.k()), outs = conv.outs(), end = conv.points.points();
    const int64_t count = std::min(at_once_, (end - first + p.width - 1) / p.width);
    const std::byte* rows = weights + group * (outs + 1) * stride();
    std::array<int32_t, kMostPanels * kMostColumns> column_sums;
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* from = image + group * conv.ins() * conv.points.channel() + first + i * p.width;
      uint8_t* panel = panels + i * panel_bytes();
      p.interleave(from, offsets_.data(), steps, 0, panel);
      if (!conv.zeros_are_0)
        p.signed_rows(rows + outs * stride(), 0, panel, steps, 1, column_sums.data() + i * p.width);
    }
    std::array<std::array<Points::Line, kMostColumns>, kMostPanels> lines;
    std::array<size_t, kMostPanels> line_counts{};
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = first + i * p.width;
      line_counts[static_cast<size_t>(i)] =
          conv.points.lines(at, std::min(p.width, end - at), lines[static_cast<size_t>(i)].data());
    }
    const int32_t* row_sums = sums_of(const_cast<std::byte*>(weights)) + group * outs;
    std::array<int32_t, kMostRows * kMostColumns> tile;
    std::array<Shift, kMostRows> shifts;
    for (int64_t r = 0; r < outs; r += p.rows) {
      const int64_t some = std::min(p.rows, outs - r);
      for (int64_t o = 0; o < some; ++o)
        shifts[static_cast<size_t>(o)] = conv.shift_of(frame, group * outs + r + o, row_sums[r + o]);
      for (int64_t i = 0; i < count; ++i) {
        p.signed_rows(rows + r * stride(), stride(), panels + i * panel_bytes(), steps, some, tile.data());
        const auto panel = static_cast<size_t>(i);
        for (int64_t o = 0; o < some; ++o) {
          Shift& shift = shifts[static_cast<size_t>(o)];
          shift.times = conv.zeros_are_0 ? nullptr : column_sums.data() + i * p.width;
          conv.finish(results, n, group * outs + r + o, {lines[panel].data(), line_counts[panel]},
                      std::min(p.width, end - first - i * p.width), shift, tile.data() + o * p.width);
        }
      }
    }
  }

  std::vector<int64_t> offsets_;  // of the elements of a weight, from the first channel of its group on
  int64_t at_once_ = 1, blocks_ = 1, chunks_ = 1;
  size_t weights_at_ = 0, image_at_ = 0, chunks_at_ = 0, chunk_bytes_ = 0;
};

// One channel for each group: taps are few, and what there is to do is to read the image.
class DepthwiseStep final : public Step {
 public:
  explicit DepthwiseStep(IntegerConv of) : conv(std::move(of)) {
    provider = "native";
    for (int64_t t = 0; t < taps(); ++t) offsets_.push_back(conv.points.offset(std::min(t, conv.taps - 1)));
  }
  const std::byte* fixed = nullptr;

  int64_t taps() const { return conv.taps + conv.taps % 2; }  // the last one has a weight of 0
  // Words, then their sums.
  size_t weight_bytes() const { return words_bytes() + static_cast<size_t>(conv.y[1]) * sizeof(int32_t); }
  void pack(const uint8_t* codes, std::byte* to) const {
    for (int64_t c = 0; c < conv.y[1]; ++c) {
      auto* words = reinterpret_cast<int16_t*>(to) + c * taps();
      int32_t sum = 0;
      for (int64_t t = 0; t < conv.taps; ++t) {
        words[t] = static_cast<int8_t>(codes[c * conv.taps + t] ^ conv.w_mask());
        sum += words[t];
      }
      if (taps() != conv.taps) words[conv.taps] = 0;
      reinterpret_cast<int32_t*>(to + words_bytes())[c] = sum;
    }
  }
  void take_scratch() {
    weights_at_ = conv.image_bytes();
    scratch = weights_at_ + (fixed == nullptr ? align_up(weight_bytes()) : 0);
  }

  Status run(const Frame& frame) const override {
    const std::byte* weights = fixed;
    if (weights == nullptr) {
      pack(frame.in<uint8_t>(1), frame.scratch + weights_at_);
      weights = frame.scratch + weights_at_;
    }
    const Results results(frame, conv.after);
    auto* image = reinterpret_cast<uint8_t*>(frame.scratch);
    const int64_t end = conv.points.points();
    for (int64_t n = 0; n < conv.x[0] && !frame.cancelled(); ++n) {
      conv.lay_out(frame, n, image);
      frame.parallel_for(conv.y[1], std::max<int64_t>(1, 65536 / (end * taps())),
                         [&](int64_t first_channel, int64_t last) {
                           for (int64_t c = first_channel; c < last && !frame.cancelled(); ++c)
                             channel_of(frame, results, weights, image + c / conv.outs() * conv.points.channel(), n, c);
                         });
    }
    return {};
  }

  IntegerConv conv;

 private:
  static constexpr int64_t kPiece = IntegerConv::kPiece;
  size_t words_bytes() const { return align_up(static_cast<size_t>(conv.y[1] * taps()) * sizeof(int16_t)); }

  void channel_of(const Frame& frame, const Results& results, const std::byte* weights, const uint8_t* x, int64_t n,
                  int64_t channel) const {
    std::array<int32_t, kPiece + CodeProducts::kBehind> sums, column_sums;
    std::array<Points::Line, kPiece> lines;
    const auto* words = reinterpret_cast<const int16_t*>(weights) + channel * taps();
    Shift shift = conv.shift_of(frame, channel, reinterpret_cast<const int32_t*>(weights + words_bytes())[channel]);
    if (!conv.zeros_are_0) shift.times = column_sums.data();
    const int64_t end = conv.points.points();
    for (int64_t at = 0; at < end; at += kPiece) {
      const int64_t count = std::min(kPiece, end - at);
      code_products().correlate(x + at, offsets_.data(), words, taps(), count, sums.data());
      if (!conv.zeros_are_0) {
        std::fill_n(column_sums.data(), count, 0);
        for (int64_t t = 0; t < conv.taps; ++t) {
          const uint8_t* from = x + at + offsets_[static_cast<size_t>(t)];
          for (int64_t i = 0; i < count; ++i) column_sums[static_cast<size_t>(i)] += from[i];
        }
      }
      const size_t found = conv.points.lines(at, count, lines.data());
      conv.finish(results, n, channel, {lines.data(), found}, count, shift, sums.data());
    }
  }

  std::vector<int64_t> offsets_;
  size_t weights_at_ = 0;
};

template <class S>
Result<Prepared> prepared(const Selection& s, int n, int64_t form, Prepared made, std::unique_ptr<S> step) {
  const PlanValue& w = s.value(s.arg(n, "weight"));
  if (w.where == PlanValue::Where::constant) {
    GRAFT_TRY(step->fixed, packed(s, w.constant, form, step->weight_bytes(),
                                  [&](const uint8_t* codes, std::byte* to) { step->pack(codes, to); }));
  }
  step->take_scratch();
  made.step = std::move(step);
  return made;
}

}  // namespace

Result<Prepared> prepare_integer_conv(const Selection& s, int n) {
  Prepared made;
  GRAFT_TRY(IntegerConv conv, read_integer_conv(s, n, made));
  const int64_t groups = conv.groups;
  if (conv.ins() == 1 && conv.outs() < 4)
    return prepared(s, n, kByChannel, std::move(made), std::make_unique<DepthwiseStep>(std::move(conv)));
  auto step = std::make_unique<IntegerConvStep>(std::move(conv), s.core().env->threads());
  return prepared(s, n, groups, std::move(made), std::move(step));
}

}  // namespace graft::engine
