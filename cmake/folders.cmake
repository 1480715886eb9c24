# The folders of src/ and their arrows: the one place that states them. CMake builds one static library a row
# (graft_<folder>) and tests/structure reads the same rows to check every #include. A folder may include what its
# ARROWS name and what those name in turn.
#
#   graft_folder(<folder> [APART] [ARROWS <folder>...] [LIBS <library>...] [PRIVATE <library>...] [OPTIONS <compile option>...])
#
# APART keeps a folder out of unity builds: its files are lists of rows, or kernels, whose private names are alike.
# LIBS are third-party libraries that the folder's headers show to its users, PRIVATE those that stay in its sources.
# Reference kernels and folded constants must have the same bits on every machine, so the compiler may not fuse a
# multiply and an add in ir/ and ops/. g++ 12 at -O3 sees overlaps in std::string that are not there (GCC bug 105651). The engine's loops need the full vectoriser, which g++ 12 keeps for -O3.

graft_folder(base      LIBS tl::expected fmt::fmt Threads::Threads PRIVATE graft::xxhash)
graft_folder(ir        ARROWS base    OPTIONS -ffp-contract=off)
graft_folder(ops APART ARROWS ir      OPTIONS -ffp-contract=off ${GRAFT_KERNEL_OPTIONS})
graft_folder(onnx APART ARROWS ops)
graft_folder(passes    ARROWS ops)
graft_folder(coreml    ARROWS ops     PRIVATE nlohmann_json::nlohmann_json)
graft_folder(backend   ARROWS ir      PRIVATE nlohmann_json::nlohmann_json)
graft_folder(engine APART ARROWS passes backend  PRIVATE hwy::hwy graft::onednn
             OPTIONS $<$<NOT:$<CONFIG:Debug>>:-O3> $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> ${GRAFT_KERNEL_OPTIONS})
graft_folder(partition ARROWS onnx passes coreml backend)
graft_folder(cache     ARROWS base)
graft_folder(devices   ARROWS engine coreml)
graft_folder(session APART ARROWS base ir ops onnx passes coreml engine partition cache devices
             PRIVATE nlohmann_json::nlohmann_json)
graft_folder(tools APART   ARROWS session)
graft_folder(api       ARROWS tools   PRIVATE graft::headers)
