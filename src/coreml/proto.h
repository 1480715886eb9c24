// Field numbers of the Core ML model format, for the messages that ML Programs need. One enum a message, named as in
// the format; the enumerators are the fields' names.
#pragma once

#include <protozero/types.hpp>

namespace graft::coreml::proto {

using protozero::pbf_tag_type;

enum class Model : pbf_tag_type { specificationVersion = 1, description = 2, isUpdatable = 10, mlProgram = 502 };
enum class ModelDescription : pbf_tag_type {
  input = 1,
  output = 10,
  predictedFeatureName = 11,
  predictedProbabilitiesName = 12,
  state = 13,
  functions = 20,
  defaultFunctionName = 21,
  metadata = 100,
};
enum class FunctionDescription : pbf_tag_type {
  name = 1,
  input = 2,
  output = 3,
  predictedFeatureName = 4,
  predictedProbabilitiesName = 5,
  state = 6,
};
enum class FeatureDescription : pbf_tag_type { name = 1, shortDescription = 2, type = 3 };
enum class Metadata : pbf_tag_type { userDefined = 100 };
enum class FeatureType : pbf_tag_type {
  int64Type = 1,
  doubleType = 2,
  stringType = 3,
  imageType = 4,
  multiArrayType = 5,
  dictionaryType = 6,
  sequenceType = 7,
  stateType = 8,
  isOptional = 1000,
};
enum class ArrayFeatureType : pbf_tag_type {
  shape = 1,
  dataType = 2,
  enumeratedShapes = 21,
  shapeRange = 31,
  intDefaultValue = 41,
  floatDefaultValue = 51,
  doubleDefaultValue = 61,
};
enum class EnumeratedShapes : pbf_tag_type { shapes = 1 };
enum class ArrayShape : pbf_tag_type { shape = 1 };
enum class ShapeRange : pbf_tag_type { sizeRanges = 1 };
enum class SizeRange : pbf_tag_type { lowerBound = 1, upperBound = 2 };
enum class ImageFeatureType : pbf_tag_type {
  width = 1,
  height = 2,
  colorSpace = 3,
  enumeratedSizes = 21,
  imageSizeRange = 31,
};
enum class EnumeratedImageSizes : pbf_tag_type { sizes = 1 };
enum class ImageSize : pbf_tag_type { width = 1, height = 2 };
enum class ImageSizeRange : pbf_tag_type { widthRange = 1, heightRange = 2 };
enum class StateFeatureType : pbf_tag_type { arrayType = 1 };
enum class DictionaryFeatureType : pbf_tag_type { int64KeyType = 1, stringKeyType = 2 };

enum class MapEntry : pbf_tag_type { key = 1, value = 2 };  // of every map field

enum class Program : pbf_tag_type { version = 1, functions = 2, docString = 3, attributes = 4 };
enum class Function : pbf_tag_type { inputs = 1, opset = 2, block_specializations = 3, attributes = 4 };
enum class Block : pbf_tag_type { inputs = 1, outputs = 2, operations = 3, attributes = 4 };
enum class Argument : pbf_tag_type { arguments = 1 };
enum class Binding : pbf_tag_type { name = 1, value = 2 };
enum class Operation : pbf_tag_type { type = 1, inputs = 2, outputs = 3, blocks = 4, attributes = 5 };
enum class NamedValueType : pbf_tag_type { name = 1, type = 2 };
enum class ValueType : pbf_tag_type { tensorType = 1, listType = 2, tupleType = 3, dictionaryType = 4, stateType = 5 };
enum class TensorType : pbf_tag_type { dataType = 1, rank = 2, dimensions = 3, attributes = 4 };
enum class ListType : pbf_tag_type { type = 1, length = 2 };
enum class DictionaryType : pbf_tag_type { keyType = 1, valueType = 2 };
enum class StateType : pbf_tag_type { wrappedType = 1 };
enum class Dimension : pbf_tag_type { constant = 1, unknown = 2 };
enum class ConstantDimension : pbf_tag_type { size = 1 };
enum class UnknownDimension : pbf_tag_type { variadic = 1 };
enum class Value : pbf_tag_type { docString = 1, type = 2, immediateValue = 3, blobFileValue = 5 };
enum class ImmediateValue : pbf_tag_type { tensor = 1, tuple = 2, list = 3, dictionary = 4 };
enum class ListValue : pbf_tag_type { values = 1 };
enum class BlobFileValue : pbf_tag_type { fileName = 1, offset = 2 };
enum class TensorValue : pbf_tag_type {
  floats = 1,
  ints = 2,
  bools = 3,
  strings = 4,
  longInts = 5,
  doubles = 6,
  bytes = 7,
};
enum class Repeated : pbf_tag_type { values = 1 };  // RepeatedFloats, RepeatedInts, …

// ArrayFeatureType.ArrayDataType
constexpr int kFloat16 = 65552, kFloat32 = 65568, kDouble = 65600, kInt32 = 131104, kInt8 = 131080;

}  // namespace graft::coreml::proto
