#include "session/options.h"

#include <gtest/gtest.h>

namespace graft::session {
namespace {

Result<Options> parse(std::initializer_list<NamedOption> options) {
  return parse_options(std::span<const NamedOption>(options.begin(), options.size()));
}

std::string error_of(std::initializer_list<NamedOption> options) {
  const Result<Options> r = parse(options);
  return r ? std::string("accepted") : render(r.error());
}

TEST(Options, DefaultsAreFloat16OnAutomaticDevice) {
  const Result<Options> o = parse({});
  ASSERT_TRUE(o);
  EXPECT_EQ(o->device, "auto");
  EXPECT_EQ(o->partitioning.precision, partition::Precision::float16);
  EXPECT_FALSE(o->partitioning.target);
}

TEST(Options, CpuOnlyUnitsMeanFloat32UnlessAsked) {
  EXPECT_EQ(parse({{"device", "coreml-cpu"}})->partitioning.precision, partition::Precision::float32);
  EXPECT_EQ(parse({{"device", "coreml-cpu"}, {"precision", "float16"}})->partitioning.precision,
            partition::Precision::float16);
  EXPECT_EQ(parse({{"device", "coreml"}, {"MLComputeUnits", "CPUOnly"}})->partitioning.precision,
            partition::Precision::float32);
}

TEST(Options, NamesOfOtherToolsAreAccepted) {
  const Result<Options> o = parse({{"provider", "CoreMLExecutionProvider"},
                                   {"ModelFormat", "MLProgram"},
                                   {"MLComputeUnits", "CPUAndNeuralEngine"},
                                   {"minimum_deployment_target", "macOS13"},
                                   {"compute_precision", "FLOAT32"}});
  ASSERT_TRUE(o) << render(o.error());
  EXPECT_EQ(o->device, "coreml");
  EXPECT_EQ(o->units, backend::ComputeUnits::cpu_and_ne);
  EXPECT_EQ(o->partitioning.target, ir::Opset::ios16);
  EXPECT_EQ(o->partitioning.precision, partition::Precision::float32);
}

TEST(Options, MemoryLimitInBytes) {
  EXPECT_FALSE(parse({})->memory_limit);
  EXPECT_FALSE(parse({{"memory_limit", "1G"}, {"memory_limit", "auto"}})->memory_limit);
  EXPECT_EQ(parse({{"memory_limit", "none"}})->memory_limit, SIZE_MAX);
  EXPECT_EQ(parse({{"memory_limit", "500000000"}})->memory_limit, 500000000U);
  EXPECT_EQ(parse({{"memory_limit", "3K"}})->memory_limit, 3U << 10);
  EXPECT_EQ(parse({{"memory_limit", "512M"}})->memory_limit, 512U << 20);
  EXPECT_EQ(parse({{"memory_limit", "4g"}})->memory_limit, size_t{4} << 30);
  EXPECT_EQ(parse({{"memory_limit", "2T"}})->memory_limit, size_t{2} << 40);
  EXPECT_EQ(parse({{"memory_limit", "0"}})->memory_limit, SIZE_MAX);
  for (const char* bad : {"", "00", "-1", "M", "1.5G", "4GB", "4 G", "99999999999T", "99999999999999999999", "much"})
    EXPECT_NE(error_of({{"memory_limit", bad}}).find("powers of 1024"), std::string::npos) << bad;
}

TEST(Options, FlagForm) {
  EXPECT_EQ(parse({{"COREML_FLAGS", "COREML_FLAG_CREATE_MLPROGRAM|COREML_FLAG_USE_CPU_AND_GPU"}})->units,
            backend::ComputeUnits::cpu_and_gpu);
  EXPECT_EQ(parse({{"COREML_FLAGS", "17"}})->units, backend::ComputeUnits::cpu_only);
  EXPECT_NE(error_of({{"COREML_FLAGS", "COREML_FLAG_USE_CPU_ONLY"}}).find("NeuralNetwork is not available yet"),
            std::string::npos);
  EXPECT_NE(error_of({{"COREML_FLAGS", "COREML_FLAG_NONSENSE"}}).find("COREML_FLAG_USE_CPU_ONLY"), std::string::npos);
}

TEST(Options, TimeLimit) {
  using Time = CancelToken::Time;
  EXPECT_EQ(parse({})->time_limit, Time(3'600'000));
  EXPECT_EQ(parse({{"time_limit", "none"}})->time_limit, Time(0));
  EXPECT_EQ(parse({{"time_limit", "0"}})->time_limit, Time(0));
  EXPECT_EQ(parse({{"time_limit", "0.25"}})->time_limit, Time(250));
  EXPECT_EQ(parse({{"time_limit", "90S"}})->time_limit, Time(90'000));
  EXPECT_EQ(parse({{"time_limit", "10m"}})->time_limit, Time(600'000));
  EXPECT_EQ(parse({{"time_limit", "2h"}})->time_limit, Time(7'200'000));
  for (const char* bad : {"", "-1", "soon", "nan", "inf", "1e300", "1e-9", "1 s", "3d"})
    EXPECT_NE(error_of({{"time_limit", bad}}).find("a number of seconds"), std::string::npos) << bad;
}

TEST(Options, UnknownNamesAndValuesListTheLegalOnes) {
  const std::string name = error_of({{"devise", "cpu"}});
  EXPECT_NE(name.find("unknown option 'devise'"), std::string::npos);
  EXPECT_NE(name.find("MLComputeUnits"), std::string::npos);
  EXPECT_NE(error_of({{"device", "npu"}}).find("coreml-ane"), std::string::npos);
  EXPECT_NE(error_of({{"target", "iOS12"}}).find("macOS12"), std::string::npos);
  EXPECT_NE(error_of({{"target", "iOS13"}}).find("[not_available_yet]"), std::string::npos);
}

TEST(Options, WhatDoesNothingYetIsRefusedButForItsDefault) {
  EXPECT_TRUE(parse({{"SpecializationStrategy", "Default"}, {"ModelCacheDirectory", ""}, {"ProfileComputePlan", "0"}}));
  EXPECT_NE(error_of({{"SpecializationStrategy", "FastPrediction"}}).find("[not_available_yet]"), std::string::npos);
  EXPECT_NE(error_of({{"ModelFormat", "NeuralNetwork"}}).find("[not_available_yet]"), std::string::npos);
}

TEST(Options, EveryDocumentedDefaultIsAccepted) {
  for (const OptionInfo& o : all_options()) {
    std::string value(o.fallback);
    if (value.find(' ') != std::string::npos) value = value.substr(0, value.find(' '));
    if (value.empty() && o.available) continue;  // "not given" is their default
    const NamedOption one{std::string(o.name), value};
    const Result<Options> r = parse_options(std::span(&one, 1));
    EXPECT_TRUE(r) << o.name << ": " << (r ? "" : render(r.error()));
  }
}

TEST(Shapes, FixedRangesAndPreferredSizes) {
  const auto d = parse_shape("1x3x(64..2048)x(8..512=224)");
  ASSERT_TRUE(d) << render(d.error());
  ASSERT_EQ(d->size(), 4u);
  EXPECT_EQ((*d)[1].lo, 3);
  EXPECT_EQ((*d)[2].hi, 2048);
  EXPECT_FALSE((*d)[2].preferred);
  EXPECT_EQ((*d)[3].preferred, 224);
}

TEST(Shapes, MistakesAreExplained) {
  const auto why = [](std::string_view text) {
    const auto r = parse_shape(text);
    return r ? std::string("accepted") : r.error().message;
  };
  EXPECT_NE(why("1x").find("a size is missing"), std::string::npos);
  EXPECT_NE(why("1x(4..2)").find("range 4..2 is empty"), std::string::npos);
  EXPECT_NE(why("1x(4-2)").find("'..' is missing"), std::string::npos);
  EXPECT_NE(why("(1..8=9)").find("outside its range"), std::string::npos);
  EXPECT_NE(why("1x3 ").find("was not expected"), std::string::npos);
  EXPECT_NE(why("99999999999").find("sizes go up to"), std::string::npos);
  EXPECT_NE(why("1x1x1x1x1x1x1x1x1").find("at most 8 dims"), std::string::npos);
  EXPECT_NE(why("-3").find("a size is missing"), std::string::npos);
}

TEST(Shapes, SeveralInputsAndNamesWithColons) {
  onnx::LowerOptions o;
  ASSERT_TRUE(parse_shapes("x:1x2,model/input:0:4x5", o));
  EXPECT_EQ(o.shapes.at("x").size(), 2u);
  EXPECT_EQ(o.shapes.at("model/input:0")[1].lo, 5);
  EXPECT_FALSE(parse_shapes("1x2x3", o));
}

}  // namespace
}  // namespace graft::session
