# How everything of ours is compiled: warnings, sanitizers, precompiled headers, ccache, mold.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

# fuzzer-no-link, which Clang alone has, is what libFuzzer needs of our code: with it tests/fuzz is built too.
set(GRAFT_SANITIZE "" CACHE STRING "Sanitizers, as a list: address;undefined or address;undefined;fuzzer-no-link or thread")

# Asserts stay on in the developer's build; line numbers are all that its back traces need.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
if(GRAFT_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

option(GRAFT_WERROR "Warnings are errors" ON)
option(GRAFT_UNITY "Compile several sources as one (faster clean builds)" OFF)
# Off by default: ccache shares plain objects between build trees, precompiled headers are each tree's own.
option(GRAFT_PCH "Precompile the standard headers (faster clean builds)" OFF)

# -fPIC for all, executables too: a precompiled header serves only code compiled as it was itself.
add_compile_options(-fPIC -Wall -Wextra -Wpedantic -Wconversion)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Clang counts sign changes as part of -Wconversion and g++ does not; both compilers should ask the same of the code.
  add_compile_options(-Wno-sign-conversion)
endif()
if(GRAFT_WERROR)
  add_compile_options(-Werror)
endif()

add_compile_definitions(GRAFT_VERSION="${PROJECT_VERSION}")

if(GRAFT_SANITIZE)
  string(REPLACE ";" "," graft_sanitizers "${GRAFT_SANITIZE}")
  add_compile_options(-fsanitize=${graft_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${graft_sanitizers})
  if("thread" IN_LIST GRAFT_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fno-ipa-cp)  # g++ 12 crashes in that pass on sources of src/engine with -fsanitize=thread
  endif()
else()
  add_link_options(-Wl,--no-undefined)
endif()

# Counting each branch of a kernel's loops doubles the time of its tests and tells libFuzzer little: which kernels and
# inferences were entered is enough.
set(GRAFT_KERNEL_OPTIONS "")
if("fuzzer-no-link" IN_LIST GRAFT_SANITIZE)
  set(GRAFT_KERNEL_OPTIONS -fsanitize-coverage=func -fno-sanitize-coverage=trace-cmp)
endif()

find_program(GRAFT_MOLD mold)
if(GRAFT_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

find_program(GRAFT_CCACHE ccache)
if(GRAFT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness is what ccache's manual asks for with precompiled headers; the base dir lets two clones share results.
  set(graft_launcher ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
                     CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${GRAFT_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${graft_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${graft_launcher})
  if(GRAFT_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  elseif(GRAFT_PCH)
    add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
  endif()
endif()

# One precompiled header for all folders, one more for tests (with GoogleTest).
set(GRAFT_PCH_HEADERS <algorithm> <array> <atomic> <bit> <cmath> <cstddef> <cstdint> <cstdio> <cstdlib> <cstring>
    <filesystem> <functional> <limits> <map> <memory> <mutex> <optional> <set> <span> <string> <string_view> <tuple>
    <type_traits> <unordered_map> <unordered_set> <utility> <variant> <vector> <tl/expected.hpp>)

if(GRAFT_PCH)
  add_library(graft_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
  target_precompile_headers(graft_pch PRIVATE ${GRAFT_PCH_HEADERS})
endif()

# graft_compile(<target> [TESTS]): what a target of ours needs beside its sources.
function(graft_compile target)
  cmake_parse_arguments(arg "TESTS" "" "" ${ARGN})
  if(GRAFT_PCH)
    if(arg_TESTS)
      target_precompile_headers(${target} REUSE_FROM graft_test_pch)
    else()
      target_precompile_headers(${target} REUSE_FROM graft_pch)
    endif()
  endif()
  if(GRAFT_UNITY AND NOT arg_TESTS)  # tests keep their small helpers to one file each
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
endfunction()

# graft_keep_apart(<file>...): Highway sources include themselves once per instruction set, and stb_image's and similar
# implementation files define macros for one file only; neither survives being pasted together with others.
function(graft_keep_apart)
  foreach(file IN LISTS ARGN)
    file(STRINGS ${file} hit REGEX "foreach_target\\.h|_IMPLEMENTATION|GRAFT_NO_UNITY" LIMIT_COUNT 1)
    if(hit)
      set_source_files_properties(${file} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
  endforeach()
endfunction()
