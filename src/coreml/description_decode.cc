#include "base/format.h"
#include "coreml/description.h"
#include "coreml/wire.h"

namespace graft::coreml {
namespace {

constexpr int64_t kMaxDim = int64_t{1} << 40;

Result<int64_t> size_of(uint64_t v) {
  if (v > static_cast<uint64_t>(kMaxDim)) return fail(Code::limit_exceeded, format("a size of {}", v));
  return static_cast<int64_t>(v);
}

Status append_size(Shape& shape, uint64_t v) {
  if (shape.size() == kMaxRank) return fail(Code::limit_exceeded, format("a shape of more than {} dims", kMaxRank));
  GRAFT_TRY(const int64_t size, size_of(v));
  shape.push_back(size);
  return {};
}

// A repeated integer field of sizes.
Status read_sizes(Fields& f, Shape& shape) {
  Status status;
  f.integers([&](uint64_t v) {
    if (status) status = append_size(shape, v);
  });
  return status;
}

Result<IntRange> read_size_range(std::string_view message) {
  IntRange r{0, 0};
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::SizeRange>()) {
      case proto::SizeRange::lowerBound: {
        GRAFT_TRY(r.lo, size_of(f.varint()));
        break;
      }
      case proto::SizeRange::upperBound: r.hi = f.integer(); break;
      default: f.skip();
    }
  }
  if (r.hi < 0 || r.hi > kMaxDim) r.hi = INT64_MAX;  // -1: no upper bound
  if (r.hi < r.lo) return fail(Code::invalid_model, format("a size range of {}..{}", r.lo, r.hi));
  return r;
}

DType array_dtype(uint64_t code) {
  switch (code) {
    case proto::kFloat16: return DType::f16;
    case proto::kFloat32: return DType::f32;
    case proto::kDouble: return DType::f64;
    case proto::kInt32: return DType::i32;
    case proto::kInt8: return DType::i8;
    default: return DType::invalid;
  }
}

Status read_array(std::string_view message, Feature& out) {
  using A = proto::ArrayFeatureType;
  for (Fields f(message); f.next();) {
    switch (f.tag<A>()) {
      case A::shape: GRAFT_CHECK(read_sizes(f, out.shape)); break;
      case A::dataType: out.dtype = array_dtype(f.varint()); break;
      case A::enumeratedShapes:
        for (Fields e(f.bytes()); e.next();) {
          if (e.tag<proto::EnumeratedShapes>() != proto::EnumeratedShapes::shapes) {
            e.skip();
            continue;
          }
          Shape shape;
          for (Fields s(e.bytes()); s.next();) {
            if (s.tag<proto::ArrayShape>() == proto::ArrayShape::shape)
              GRAFT_CHECK(read_sizes(s, shape));
            else
              s.skip();
          }
          out.enumerated.push_back(shape);
        }
        break;
      case A::shapeRange:
        for (Fields r(f.bytes()); r.next();) {
          if (r.tag<proto::ShapeRange>() != proto::ShapeRange::sizeRanges) {
            r.skip();
            continue;
          }
          GRAFT_TRY(const IntRange range, read_size_range(r.bytes()));
          if (out.ranges.size() == kMaxRank)
            return fail(Code::limit_exceeded, format("a shape range of more than {} dims", kMaxRank));
          out.ranges.push_back(range);
        }
        break;
      case A::intDefaultValue: out.default_value = static_cast<double>(f.integer()); break;
      case A::floatDefaultValue: out.default_value = static_cast<double>(f.f32()); break;
      case A::doubleDefaultValue: out.default_value = f.f64(); break;
      default: f.skip();
    }
  }
  // Where the default shape is missing, it is the first of those allowed.
  if (out.shape.empty() && !out.enumerated.empty()) out.shape = out.enumerated[0];
  if (out.shape.empty()) {
    for (const IntRange& r : out.ranges) out.shape.push_back(r.lo);
  }
  out.has_shape = !out.shape.empty();
  return {};
}

Result<Image::Size> read_image_size(std::string_view message) {
  Image::Size size;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::ImageSize>()) {
      case proto::ImageSize::width: {
        GRAFT_TRY(size.width, size_of(f.varint()));
        break;
      }
      case proto::ImageSize::height: {
        GRAFT_TRY(size.height, size_of(f.varint()));
        break;
      }
      default: f.skip();
    }
  }
  return size;
}

Status read_image_flexibility(Fields& f, Image& image) {
  if (f.tag<proto::ImageFeatureType>() == proto::ImageFeatureType::enumeratedSizes) {
    for (Fields e(f.bytes()); e.next();) {
      if (e.tag<proto::EnumeratedImageSizes>() != proto::EnumeratedImageSizes::sizes) {
        e.skip();
        continue;
      }
      GRAFT_TRY(const Image::Size size, read_image_size(e.bytes()));
      image.enumerated.push_back(size);
    }
    return {};
  }
  for (Fields r(f.bytes()); r.next();) {
    switch (r.tag<proto::ImageSizeRange>()) {
      case proto::ImageSizeRange::widthRange: {
        GRAFT_TRY(image.width, read_size_range(r.bytes()));
        break;
      }
      case proto::ImageSizeRange::heightRange: {
        GRAFT_TRY(image.height, read_size_range(r.bytes()));
        break;
      }
      default: r.skip();
    }
  }
  return {};
}

Status read_image(std::string_view message, Feature& out) {
  using I = proto::ImageFeatureType;
  Image image;
  bool ranged = false;
  for (Fields f(message); f.next();) {
    switch (f.tag<I>()) {
      case I::width: {
        GRAFT_TRY(image.size.width, size_of(f.varint()));
        break;
      }
      case I::height: {
        GRAFT_TRY(image.size.height, size_of(f.varint()));
        break;
      }
      case I::colorSpace: {
        const uint64_t code = f.varint();
        if (code != 10 && code != 20 && code != 30 && code != 40)
          return fail(Code::unsupported_format, format("unknown color space {}", code));
        image.color_space = static_cast<Image::ColorSpace>(code);
        break;
      }
      case I::enumeratedSizes: GRAFT_CHECK(read_image_flexibility(f, image)); break;
      case I::imageSizeRange:
        ranged = true;
        GRAFT_CHECK(read_image_flexibility(f, image));
        break;
      default: f.skip();
    }
  }
  if (!ranged) {
    image.width = {image.size.width, image.size.width};
    image.height = {image.size.height, image.size.height};
    for (const Image::Size& s : image.enumerated) {
      image.width = {std::min(image.width.lo, s.width), std::max(image.width.hi, s.width)};
      image.height = {std::min(image.height.lo, s.height), std::max(image.height.hi, s.height)};
    }
  }
  out.shape = {1, image.channels(), image.size.height, image.size.width};
  out.has_shape = true;
  if (image.width.lo != image.width.hi || image.height.lo != image.height.hi)
    out.ranges = {{1, 1}, {image.channels(), image.channels()}, image.height, image.width};
  for (const Image::Size& s : image.enumerated) out.enumerated.push_back({1, image.channels(), s.height, s.width});
  out.image = std::move(image);
  return {};
}

Status read_type(std::string_view message, Feature& out) {
  using T = proto::FeatureType;
  using Kind = Feature::Kind;
  for (Fields f(message); f.next();) {
    switch (f.tag<T>()) {
      case T::multiArrayType:
        out.kind = Kind::array;
        GRAFT_CHECK(read_array(f.bytes(), out));
        break;
      case T::imageType:
        out.kind = Kind::array;
        GRAFT_CHECK(read_image(f.bytes(), out));
        break;
      case T::stateType:
        out.kind = Kind::state;
        for (Fields s(f.bytes()); s.next();) {
          if (s.tag<proto::StateFeatureType>() == proto::StateFeatureType::arrayType)
            GRAFT_CHECK(read_array(s.bytes(), out));
          else
            s.skip();
        }
        break;
      case T::int64Type: out.kind = Kind::int64, f.skip(); break;
      case T::doubleType: out.kind = Kind::float64, f.skip(); break;
      case T::stringType: out.kind = Kind::string, f.skip(); break;
      case T::dictionaryType: out.kind = Kind::dictionary, f.skip(); break;
      case T::sequenceType: out.kind = Kind::sequence, f.skip(); break;
      case T::isOptional: out.optional = f.varint() != 0; break;
      default: f.skip();
    }
  }
  return {};
}

Result<Feature> read_feature(std::string_view message) {
  using F = proto::FeatureDescription;
  Feature out;
  for (Fields f(message); f.next();) {
    switch (f.tag<F>()) {
      case F::name: out.file_name = std::string(f.bytes()); break;
      case F::shortDescription: out.description = std::string(f.bytes()); break;
      case F::type: GRAFT_CHECK(read_type(f.bytes(), out)); break;
      default: f.skip();
    }
  }
  out.name = out.file_name;
  if (out.name.empty()) return fail(Code::malformed, "a feature without name");
  return out;
}

Status add_feature(std::string_view message, std::vector<Feature>& to) {
  GRAFT_TRY(Feature feature, read_feature(message));
  to.push_back(std::move(feature));
  return {};
}

Result<FunctionInterface> read_function(std::string_view message) {
  using F = proto::FunctionDescription;
  FunctionInterface out;
  for (Fields f(message); f.next();) {
    switch (f.tag<F>()) {
      case F::name: out.name = std::string(f.bytes()); break;
      case F::input: GRAFT_CHECK(add_feature(f.bytes(), out.inputs)); break;
      case F::output: GRAFT_CHECK(add_feature(f.bytes(), out.outputs)); break;
      case F::state: GRAFT_CHECK(add_feature(f.bytes(), out.states)); break;
      case F::predictedFeatureName: out.predicted_feature = std::string(f.bytes()); break;
      case F::predictedProbabilitiesName: out.predicted_probabilities = std::string(f.bytes()); break;
      default: f.skip();
    }
  }
  return out;
}

void read_metadata(std::string_view message, std::map<std::string, std::string>& metadata) {
  for (Fields f(message); f.next();) {
    if (f.tag<proto::Metadata>() != proto::Metadata::userDefined) {
      f.skip();
      continue;
    }
    const Entry e = read_entry(f.bytes());
    metadata[std::string(e.key)] = std::string(e.value);
  }
}

}  // namespace

Result<Description> decode_description(std::string_view message) {
  using M = proto::ModelDescription;
  Description out;
  FunctionInterface top;
  top.name = "main";
  for (Fields f(message); f.next();) {
    switch (f.tag<M>()) {
      case M::input: GRAFT_CHECK(add_feature(f.bytes(), top.inputs)); break;
      case M::output: GRAFT_CHECK(add_feature(f.bytes(), top.outputs)); break;
      case M::state: GRAFT_CHECK(add_feature(f.bytes(), top.states)); break;
      case M::predictedFeatureName: top.predicted_feature = std::string(f.bytes()); break;
      case M::predictedProbabilitiesName: top.predicted_probabilities = std::string(f.bytes()); break;
      case M::functions: {
        GRAFT_TRY(FunctionInterface function, read_function(f.bytes()));
        out.interface.functions.push_back(std::move(function));
        break;
      }
      case M::defaultFunctionName: out.interface.default_function = std::string(f.bytes()); break;
      case M::metadata: read_metadata(f.bytes(), out.metadata); break;
      default: f.skip();
    }
  }
  if (out.interface.functions.empty()) {
    out.interface.default_function = "main";
    out.interface.functions.push_back(std::move(top));
  }
  return out;
}

}  // namespace graft::coreml
