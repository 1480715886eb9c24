# What is shipped: libgraft.so, the tool `graft`, the headers and a CMake package that gives Graft::graft.

# Its only sources are the C ABI's; all else comes from the folders' archives. Nothing is exported but the checked-in
# list, which tests/structure compares with what the built library really exports.
get_target_property(api_type graft_api TYPE)
if(NOT api_type STREQUAL "STATIC_LIBRARY")
  message(STATUS "src/api has no source yet: libgraft and the tool are left out")
  return()
endif()

add_library(graft_shared SHARED $<TARGET_OBJECTS:graft_api>)
set_target_properties(graft_shared PROPERTIES
  OUTPUT_NAME graft
  EXPORT_NAME graft
  LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib
  INSTALL_RPATH "$ORIGIN")
target_link_libraries(graft_shared PRIVATE graft_tools graft_headers)
target_include_directories(graft_shared INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

set(exports_list ${CMAKE_SOURCE_DIR}/src/api/exports.txt)
if(EXISTS ${exports_list})
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${exports_list})
  file(STRINGS ${exports_list} exports REGEX "^[A-Za-z_]")
  set(map "{\n  global:\n")
  foreach(symbol IN LISTS exports)
    string(APPEND map "    ${symbol};\n")
  endforeach()
  string(APPEND map "  local:\n    *;\n};\n")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/graft.map CONTENT "${map}" @ONLY)
  target_link_options(graft_shared PRIVATE -Wl,--version-script=${CMAKE_BINARY_DIR}/graft.map)
  set_property(TARGET graft_shared APPEND PROPERTY LINK_DEPENDS ${CMAKE_BINARY_DIR}/graft.map)
endif()

# The tool: all of cli/ but main.cc is a library, for its tests. It sees include/graft and nothing of src/.
file(GLOB_RECURSE cli_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cli/*.cc)
list(REMOVE_ITEM cli_sources ${CMAKE_SOURCE_DIR}/cli/main.cc)
add_library(graft_cli STATIC ${cli_sources})
target_include_directories(graft_cli PUBLIC ${CMAKE_SOURCE_DIR}/cli)
target_link_libraries(graft_cli PUBLIC graft_shared fmt::fmt PRIVATE nlohmann_json::nlohmann_json graft::stb)
graft_compile(graft_cli)
add_executable(graft_tool ${CMAKE_SOURCE_DIR}/cli/main.cc)
set_target_properties(graft_tool PROPERTIES
  OUTPUT_NAME graft
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
  INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
target_link_libraries(graft_tool PRIVATE graft_cli CLI11::CLI11)
graft_compile(graft_tool)
install(TARGETS graft_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

install(TARGETS graft_shared EXPORT GraftTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# oneDNN from the wheel is no system library: the installed one sits beside libgraft, which looks in its own folder.
if(GRAFT_ONEDNN)
  get_target_property(dnnl_file DNNL::dnnl IMPORTED_LOCATION_RELEASE)
  get_target_property(dnnl_soname DNNL::dnnl IMPORTED_SONAME_RELEASE)
  if(dnnl_file AND dnnl_file MATCHES "/\\.venv/")
    install(PROGRAMS ${dnnl_file} DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME ${dnnl_soname})
    install(FILES ${CMAKE_SOURCE_DIR}/.venv/share/doc/onednn/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR}
            RENAME LICENSE.onednn OPTIONAL)
  endif()
endif()

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Graft)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/GraftConfig.cmake.in ${CMAKE_BINARY_DIR}/GraftConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/GraftConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/GraftConfig.cmake ${CMAKE_BINARY_DIR}/GraftConfigVersion.cmake
        DESTINATION ${package_dir})
install(EXPORT GraftTargets NAMESPACE Graft:: DESTINATION ${package_dir})
