// PNG and JPEG files as input tensors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "ir/type.h"

namespace graft::tools {

enum class Layout : uint8_t { nchw, nhwc };

// value = (pixel - mean) * scale, pixel being 0..255. One number for all channels, or one a channel.
struct ImageOptions {
  std::vector<double> scale, mean;  // empty: 1/255 and 0, which gives 0..1 (integer inputs: 1 and 0)
  Layout layout = Layout::nchw;
};
Result<ImageOptions> parse_image_options(const std::string& scale, const std::string& mean, const std::string& layout);

// The image for an input of that type: grey or RGB by the input's channels, resized (bilinear) to its height and width;
// where those are open the image keeps its own. Rank 4 with a batch of 1, or rank 3 without one.
// plain: the input wants pixels as they are (an image feature of a package): scale is 1 unless given.
// Errors: file_not_found, io_error, malformed (not an image), limit_exceeded, invalid_argument (the input is no image).
Result<Tensor> read_image(const std::string& path, const std::string& input, const ir::Type& type,
                          const ImageOptions& options, bool plain);

}  // namespace graft::tools
