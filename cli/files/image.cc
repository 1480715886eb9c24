#include "files/image.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "files/convert.h"
#include "files/failure.h"
#include "files/file.h"

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

namespace cli {
namespace {

std::vector<double> parse_numbers(std::string_view option, std::string_view text) {
  std::vector<double> list;
  for (size_t at = 0; !text.empty() && at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    double v = 0;
    const auto [rest, error] = std::from_chars(text.data() + at, text.data() + end, v);
    if (error != std::errc() || rest != text.data() + end || !std::isfinite(v))
      throw Failure(
          GRAFT_CODE_INVALID_OPTION,
          fmt::format("option {}: '{}' is not a number, or several with commas: one a channel", option, text));
    list.push_back(v);
    at = end + 1;
  }
  return list;
}

// 8-bit pixels, interleaved.
struct Pixels {
  int width = 0, height = 0, channels = 0;
  std::vector<uint8_t> data;
  double at(size_t y, size_t x, size_t channel) const {
    return data[(y * static_cast<size_t>(width) + x) * static_cast<size_t>(channels) + channel];
  }
};

Pixels decode(const std::string& path, int channels) {
  const std::string bytes = read_file(path, INT32_MAX);
  const auto* raw = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  Pixels p;
  int own = 0;
  constexpr int64_t kMaxPixels = 100'000'000;
  if (stbi_info_from_memory(raw, size, &p.width, &p.height, &own) == 0)
    throw Failure(GRAFT_CODE_MALFORMED, "not a PNG or JPEG image", path);
  if (int64_t{p.width} * p.height > kMaxPixels)
    throw Failure(GRAFT_CODE_LIMIT_EXCEEDED,
                  fmt::format("{}x{} pixels; at most {} are read", p.width, p.height, kMaxPixels), path);
  const std::unique_ptr<stbi_uc, void (*)(void*)> decoded(
      stbi_load_from_memory(raw, size, &p.width, &p.height, &own, channels), stbi_image_free);
  if (decoded == nullptr) throw Failure(GRAFT_CODE_MALFORMED, "the image is cut off or broken", path);
  p.channels = channels;
  p.data.assign(decoded.get(), decoded.get() + static_cast<size_t>(p.width) * static_cast<size_t>(p.height) *
                                                   static_cast<size_t>(channels));
  return p;
}

// Where an output pixel lies between two input pixels: centres are aligned at half pixels, edges repeat.
struct Tap {
  size_t a = 0, b = 0;
  double weight = 0;  // of b
};
std::vector<Tap> taps(int from, int to) {
  std::vector<Tap> list;
  for (int i = 0; i < to; ++i) {
    const double x = std::clamp((i + 0.5) * from / to - 0.5, 0.0, from - 1.0);
    const auto a = static_cast<size_t>(x);
    list.push_back({a, std::min(a + 1, static_cast<size_t>(from) - 1), x - static_cast<double>(a)});
  }
  return list;
}

struct Storage {
  graft_dtype dtype;
  size_t size;
  void (*store)(std::byte* to, double v);
};
template <class T>
void put(std::byte* to, T v) {
  std::memcpy(to, &v, sizeof v);
}
template <class T>
void put_clamped(std::byte* to, double v) {
  put(to,
      static_cast<T>(std::clamp<long>(std::lround(v), std::numeric_limits<T>::min(), std::numeric_limits<T>::max())));
}
constexpr Storage kStorage[] = {
    {GRAFT_DTYPE_FLOAT32, 4, [](std::byte* to, double v) { put(to, static_cast<float>(v)); }},
    {GRAFT_DTYPE_FLOAT16, 2, [](std::byte* to, double v) { put(to, half_bits(v)); }},
    {GRAFT_DTYPE_FLOAT64, 8, [](std::byte* to, double v) { put(to, v); }},
    {GRAFT_DTYPE_INT32, 4, [](std::byte* to, double v) { put(to, static_cast<int32_t>(std::lround(v))); }},
    {GRAFT_DTYPE_INT64, 8, [](std::byte* to, double v) { put(to, int64_t{std::lround(v)}); }},
    {GRAFT_DTYPE_INT8, 1, put_clamped<int8_t>},
    {GRAFT_DTYPE_UINT8, 1, put_clamped<uint8_t>}};
bool is_integer(graft_dtype t) {
  return t != GRAFT_DTYPE_FLOAT32 && t != GRAFT_DTYPE_FLOAT16 && t != GRAFT_DTYPE_FLOAT64;
}

// One number for all channels, one a channel, or the default.
double pick(const std::vector<double>& list, int channel, double fallback) {
  return list.empty() ? fallback : list[list.size() == 1 ? 0 : static_cast<size_t>(channel)];
}

}  // namespace

ImageOptions parse_image_options(std::string_view scale, std::string_view mean, std::string_view layout) {
  ImageOptions o;
  o.scale = parse_numbers("image-scale", scale);
  o.mean = parse_numbers("image-mean", mean);
  if (layout == "NHWC" || layout == "nhwc")
    o.layout = Layout::nhwc;
  else if (!layout.empty() && layout != "NCHW" && layout != "nchw")
    throw Failure(GRAFT_CODE_INVALID_OPTION, fmt::format("option image-layout: '{}' is not one of NCHW, NHWC", layout));
  return o;
}

std::string type_text(const graft::Port& port) {
  std::string dims;
  for (const graft::Dim& d : port.dims) {
    dims += fmt::format("{}{}", dims.empty() ? "" : ", ", d.symbol);
    if (d.value < 0 && d.max < INT32_MAX) dims += fmt::format(" {}..{}", d.min, d.max);
  }
  return port.has_rank ? fmt::format("tensor<{}, [{}]>", port.type, dims) : std::string(port.type);
}

Array read_image(const std::string& path, const graft::Port& input, const ImageOptions& options) {
  const auto refuse = [&](const std::string& why) -> Failure {
    return {GRAFT_CODE_INVALID_ARGUMENT, fmt::format("cannot take the image {}: {}", path, why), "",
            std::string(input.name)};
  };
  const size_t rank = input.dims.size();
  if (rank != 3 && rank != 4)
    throw refuse(fmt::format("an image needs rank 3 or 4, the input is {}", type_text(input)));
  const auto* storage =
      std::find_if(std::begin(kStorage), std::end(kStorage), [&](const Storage& s) { return s.dtype == input.dtype; });
  if (storage == std::end(kStorage)) throw refuse(fmt::format("its elements are {}", input.type));
  if (rank == 4 && input.dims[0].value >= 0 && input.dims[0].value != 1)
    throw refuse(fmt::format("its batch is {}; give an .npy file", input.dims[0].value));
  const bool nchw = options.layout == Layout::nchw;
  const auto dim = [&](size_t i) { return input.dims[rank - 3 + i]; };
  const graft::Dim channels = dim(nchw ? 0 : 2), height = dim(nchw ? 1 : 0), width = dim(nchw ? 2 : 1);
  const int64_t c = channels.value >= 0 ? channels.value : 3;
  if (c != 1 && c != 3) {
    const int64_t there = dim(nchw ? 2 : 0).value;
    const bool other = there == 1 || there == 3;
    throw refuse(fmt::format("it has {} channels, 1 (grey) or 3 (RGB) fit{}", c,
                             other ? fmt::format("; is its layout {} (--image-layout)?", nchw ? "NHWC" : "NCHW") : ""));
  }
  for (const auto* list : {&options.scale, &options.mean}) {
    if (list->size() > 1 && list->size() != static_cast<size_t>(c))
      throw refuse(fmt::format("{} values of scale or mean were given for {} channels", list->size(), c));
  }
  const Pixels pixels = decode(path, static_cast<int>(c));
  const auto size = [](const graft::Dim& d, int own) {
    return d.value >= 0 ? d.value : std::clamp<int64_t>(own, std::max<int64_t>(d.min, 1), d.max);
  };
  const int64_t h = size(height, pixels.height), w = size(width, pixels.width);
  constexpr int64_t kMaxSide = 1 << 15;
  if (h < 1 || w < 1 || h > kMaxSide || w > kMaxSide) throw refuse(fmt::format("its size is {}x{}", h, w));
  std::vector<int64_t> shape = nchw ? std::vector<int64_t>{c, h, w} : std::vector<int64_t>{h, w, c};
  if (rank == 4) shape.insert(shape.begin(), 1);
  Array image = Array::make(input.dtype, std::move(shape), static_cast<size_t>(c * h * w) * storage->size);
  const double unit = input.image || is_integer(input.dtype) ? 1.0 : 1.0 / 255;
  const std::vector<Tap> rows = taps(pixels.height, static_cast<int>(h)),
                         columns = taps(pixels.width, static_cast<int>(w));
  for (int64_t k = 0; k < c; ++k) {
    const double scale = pick(options.scale, static_cast<int>(k), unit),
                 mean = pick(options.mean, static_cast<int>(k), 0);
    for (int64_t y = 0; y < h; ++y) {
      const Tap& r = rows[static_cast<size_t>(y)];
      for (int64_t x = 0; x < w; ++x) {
        const Tap& q = columns[static_cast<size_t>(x)];
        const auto row = [&](size_t at) {
          const auto channel = static_cast<size_t>(k);
          return pixels.at(at, q.a, channel) * (1 - q.weight) + pixels.at(at, q.b, channel) * q.weight;
        };
        const double pixel = row(r.a) * (1 - r.weight) + row(r.b) * r.weight;
        const int64_t place = nchw ? (k * h + y) * w + x : (y * w + x) * c + k;
        storage->store(image.data.get() + static_cast<size_t>(place) * storage->size, (pixel - mean) * scale);
      }
    }
  }
  return image;
}

}  // namespace cli
