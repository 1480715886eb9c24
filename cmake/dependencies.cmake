# Third-party libraries. docs/dependencies.md says why each is here; scripts/apt-packages.txt installs them.
# Every one is given a target, so that folders.cmake can name it.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(tl-expected CONFIG REQUIRED)
find_package(fmt 9 CONFIG REQUIRED)
find_package(nlohmann_json 3.11 CONFIG REQUIRED)
find_package(hwy 1.0 CONFIG REQUIRED)
find_package(CLI11 2.1 CONFIG REQUIRED)
find_path(GRAFT_PROTOZERO_INCLUDE protozero/pbf_reader.hpp REQUIRED)
find_path(GRAFT_XXHASH_INCLUDE xxhash.h REQUIRED)
find_library(GRAFT_XXHASH_LIBRARY xxhash REQUIRED)
find_path(GRAFT_STB_INCLUDE stb/stb_image.h REQUIRED)

add_library(graft_xxhash INTERFACE)
target_include_directories(graft_xxhash SYSTEM INTERFACE ${GRAFT_XXHASH_INCLUDE})
target_link_libraries(graft_xxhash INTERFACE ${GRAFT_XXHASH_LIBRARY})
add_library(graft::xxhash ALIAS graft_xxhash)

# Header only: the one .cc that uses it defines STB_IMAGE_IMPLEMENTATION.
add_library(graft_stb INTERFACE)
target_include_directories(graft_stb SYSTEM INTERFACE ${GRAFT_STB_INCLUDE})
add_library(graft::stb ALIAS graft_stb)

# oneDNN is one optional provider of engine kernels. A system copy wins; PATHS is searched last and names the wheel that
# scripts/setup.sh puts in .venv. An older major (Debian 12 has 2.6) does not match and is passed over.
find_package(dnnl 3.2 CONFIG QUIET PATHS ${CMAKE_SOURCE_DIR}/.venv)
set(GRAFT_ONEDNN AUTO CACHE STRING "Engine kernels by oneDNN: ON, OFF, or AUTO (on where it is found)")
if(GRAFT_ONEDNN STREQUAL "AUTO")
  set(GRAFT_ONEDNN ${dnnl_FOUND})  # hides the cache entry, so that AUTO is asked again by each configure
endif()
add_library(graft_onednn INTERFACE)
if(GRAFT_ONEDNN)
  if(NOT dnnl_FOUND)
    message(FATAL_ERROR "GRAFT_ONEDNN is ON, but oneDNN 3.2 or a later 3.x was not found. Run scripts/setup.sh, or "
                        "install it and set dnnl_DIR, or configure with -DGRAFT_ONEDNN=OFF.")
  endif()
  target_link_libraries(graft_onednn INTERFACE DNNL::dnnl)
  target_compile_definitions(graft_onednn INTERFACE GRAFT_HAVE_ONEDNN=1)
  message(STATUS "oneDNN ${dnnl_VERSION}: ${dnnl_DIR}")
else()
  message(STATUS "oneDNN: off")
endif()
add_library(graft::onednn ALIAS graft_onednn)
