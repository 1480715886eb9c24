// PNG and JPEG files as input tensors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <graft/graft.hpp>

#include "files/array.h"

namespace cli {

enum class Layout : uint8_t { nchw, nhwc };

// value = (pixel - mean) * scale, pixel being 0..255. One number for all channels, or one a channel.
struct ImageOptions {
  std::vector<double> scale, mean;  // empty: 1/255 and 0, which gives 0..1 (integer inputs: 1 and 0)
  Layout layout = Layout::nchw;
};
// Failure: invalid_option.
ImageOptions parse_image_options(std::string_view scale, std::string_view mean, std::string_view layout);

// The image for an input of that type: grey or RGB by the input's channels, resized (bilinear) to its height and width;
// where those are open the image keeps its own. Rank 4 with a batch of 1, or rank 3 without one. Where Core ML takes an
// image, pixels stay as they are: scale is 1 unless given.
// Failures: file_not_found, io_error, malformed (not an image), limit_exceeded, invalid_argument (the input is no
// image).
Array read_image(const std::string& path, const graft::Port& input, const ImageOptions& options);

// "tensor<fp32, [1, 3, height, width]>"
std::string type_text(const graft::Port& port);

}  // namespace cli
