#include "tools/image.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/file.h"
#include "base/format.h"
#include "base/half.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 16384
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace graft::tools {
namespace {

Result<std::vector<double>> parse_numbers(std::string_view option, std::string_view text) {
  std::vector<double> list;
  for (size_t at = 0; !text.empty() && at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    double v = 0;
    const auto [rest, error] = std::from_chars(text.data() + at, text.data() + end, v);
    if (error != std::errc() || rest != text.data() + end || !std::isfinite(v))
      return fail(Code::invalid_option,
                  format("option {}: '{}' is not a number, or several with commas: one a channel", option, text));
    list.push_back(v);
    at = end + 1;
  }
  return list;
}

// 8-bit pixels, interleaved.
struct Pixels {
  int width = 0, height = 0, channels = 0;
  std::vector<uint8_t> data;
};

Result<Pixels> decode(const std::string& path, int channels) {
  GRAFT_TRY(const std::string bytes, read_file(path, INT32_MAX));
  const auto* raw = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  Pixels p;
  int own = 0;
  constexpr int64_t kMaxPixels = 100'000'000;
  if (stbi_info_from_memory(raw, size, &p.width, &p.height, &own) == 0)
    return fail_in(Code::malformed, path, "not a PNG or JPEG image");
  if (int64_t{p.width} * p.height > kMaxPixels)
    return fail_in(Code::limit_exceeded, path,
                   format("{}x{} pixels; at most {} are read", p.width, p.height, kMaxPixels));
  const std::unique_ptr<stbi_uc, void (*)(void*)> decoded(
      stbi_load_from_memory(raw, size, &p.width, &p.height, &own, channels), stbi_image_free);
  if (decoded == nullptr) return fail_in(Code::malformed, path, "the image is cut off or broken");
  p.channels = channels;
  p.data.assign(decoded.get(), decoded.get() + static_cast<size_t>(p.width) * static_cast<size_t>(p.height) *
                                                   static_cast<size_t>(channels));
  return p;
}

// Where an output pixel lies between two input pixels: centres are aligned at half pixels, edges repeat.
struct Tap {
  int a = 0, b = 0;
  double weight = 0;  // of b
};
std::vector<Tap> taps(int from, int to) {
  std::vector<Tap> list;
  for (int i = 0; i < to; ++i) {
    const double x = std::clamp((i + 0.5) * from / to - 0.5, 0.0, from - 1.0);
    const int a = static_cast<int>(x);
    list.push_back({a, std::min(a + 1, from - 1), x - a});
  }
  return list;
}

void store(const MutableTensorView& to, int64_t i, double v) {
  switch (to.dtype) {
    case DType::f32: to.as<float>()[i] = static_cast<float>(v); break;
    case DType::f16: to.as<Half>()[i] = Half(v); break;
    case DType::f64: to.as<double>()[i] = v; break;
    case DType::i32: to.as<int32_t>()[i] = static_cast<int32_t>(std::lround(v)); break;
    case DType::i64: to.as<int64_t>()[i] = std::lround(v); break;
    case DType::i8: to.as<int8_t>()[i] = static_cast<int8_t>(std::clamp(std::lround(v), -128L, 127L)); break;
    default: to.as<uint8_t>()[i] = static_cast<uint8_t>(std::clamp(std::lround(v), 0L, 255L)); break;
  }
}

constexpr DTypes kTakes{DType::f32, DType::f16, DType::f64, DType::u8, DType::i8, DType::i32, DType::i64};

// One number for all channels, one a channel, or the default.
double pick(const std::vector<double>& list, int channel, double fallback) {
  return list.empty() ? fallback : list[list.size() == 1 ? 0 : static_cast<size_t>(channel)];
}

}  // namespace

Result<ImageOptions> parse_image_options(const std::string& scale, const std::string& mean, const std::string& layout) {
  ImageOptions o;
  GRAFT_TRY(o.scale, parse_numbers("image-scale", scale));
  GRAFT_TRY(o.mean, parse_numbers("image-mean", mean));
  if (layout == "NHWC" || layout == "nhwc")
    o.layout = Layout::nhwc;
  else if (!layout.empty() && layout != "NCHW" && layout != "nchw")
    return fail(Code::invalid_option, format("option image-layout: '{}' is not one of NCHW, NHWC", layout));
  return o;
}

Result<Tensor> read_image(const std::string& path, const std::string& input, const ir::Type& type,
                          const ImageOptions& options, bool plain) {
  const int rank = type.rank(), first = rank - 3;
  const auto refuse = [&](std::string why) {
    Diag d;
    d.code = Code::invalid_argument;
    d.tensor = input;
    d.message = format("cannot take the image {}: {}", path, why);
    return fail(std::move(d));
  };
  if (rank != 3 && rank != 4) return refuse(format("an image needs rank 3 or 4, the input is {}", type.to_string()));
  if (!kTakes.has(type.dtype)) return refuse(format("its elements are {}", graft::name(type.dtype)));
  if (rank == 4 && type.dims[0].known() && type.dims[0].value() != 1)
    return refuse(format("its batch is {}; give an .npy file", type.dims[0].value()));
  const bool nchw = options.layout == Layout::nchw;
  const auto dim = [&](int i) { return type.dims[static_cast<size_t>(first + i)]; };
  const ir::Dim channels = dim(nchw ? 0 : 2), height = dim(nchw ? 1 : 0), width = dim(nchw ? 2 : 1);
  const int64_t c = channels.known() ? channels.value() : 3;
  if (c != 1 && c != 3) {
    const bool other = dim(nchw ? 2 : 0).known() && (dim(nchw ? 2 : 0).value() == 1 || dim(nchw ? 2 : 0).value() == 3);
    return refuse(format("it has {} channels, 1 (grey) or 3 (RGB) fit{}", c,
                         other ? format("; is its layout {} (--image-layout)?", nchw ? "NHWC" : "NCHW") : ""));
  }
  for (const auto* list : {&options.scale, &options.mean}) {
    if (list->size() > 1 && list->size() != static_cast<size_t>(c))
      return refuse(format("{} values of scale or mean were given for {} channels", list->size(), c));
  }
  GRAFT_TRY(const Pixels pixels, decode(path, static_cast<int>(c)));
  const auto size = [](const ir::Dim& d, int own) {
    return d.known() ? d.value() : std::clamp<int64_t>(own, std::max<int64_t>(d.range().lo, 1), d.range().hi);
  };
  const int64_t h = size(height, pixels.height), w = size(width, pixels.width);
  constexpr int64_t kMaxSide = 1 << 15;
  if (h < 1 || w < 1 || h > kMaxSide || w > kMaxSide) return refuse(format("its size is {}x{}", h, w));
  Shape shape = nchw ? Shape{c, h, w} : Shape{h, w, c};
  if (rank == 4) shape.insert(0, 1);
  GRAFT_TRY(Tensor tensor, Tensor::allocate(type.dtype, shape));
  const double unit = plain || is_int(type.dtype) ? 1.0 : 1.0 / 255;
  const std::vector<Tap> rows = taps(pixels.height, static_cast<int>(h)),
                         columns = taps(pixels.width, static_cast<int>(w));
  const auto at = [&](int y, int x, int64_t k) {
    return double{static_cast<double>(
        pixels.data[(static_cast<size_t>(y) * static_cast<size_t>(pixels.width) + static_cast<size_t>(x)) *
                        static_cast<size_t>(c) +
                    static_cast<size_t>(k)])};
  };
  for (int64_t k = 0; k < c; ++k) {
    const double scale = pick(options.scale, static_cast<int>(k), unit),
                 mean = pick(options.mean, static_cast<int>(k), 0);
    for (int64_t y = 0; y < h; ++y) {
      const Tap& r = rows[static_cast<size_t>(y)];
      for (int64_t x = 0; x < w; ++x) {
        const Tap& q = columns[static_cast<size_t>(x)];
        const double top = at(r.a, q.a, k) * (1 - q.weight) + at(r.a, q.b, k) * q.weight;
        const double bottom = at(r.b, q.a, k) * (1 - q.weight) + at(r.b, q.b, k) * q.weight;
        const double pixel = top * (1 - r.weight) + bottom * r.weight;
        store(tensor.mutable_view(), nchw ? (k * h + y) * w + x : (y * w + x) * c + k, (pixel - mean) * scale);
      }
    }
  }
  return tensor;
}

}  // namespace graft::tools
