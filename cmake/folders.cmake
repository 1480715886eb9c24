# The folders of src/ and their arrows: the one place that states them. CMake builds one static library a row
# (graft_<folder>) and tests/structure reads the same rows to check every #include. A folder may include what its
# ARROWS name and what those name in turn.
#
#   graft_folder(<folder> [ARROWS <folder>...] [LIBS <third-party target>...] [OPTIONS <compile option>...])
#
# Reference kernels and folded constants must have the same bits on every machine, so the compiler may not fuse a
# multiply and an add in ir/ and ops/. The engine's loops need the full vectoriser, which g++ 12 keeps for -O3.

graft_folder(base      LIBS tl::expected fmt::fmt graft::xxhash Threads::Threads)
graft_folder(ir        ARROWS base    OPTIONS -ffp-contract=off)
graft_folder(ops       ARROWS ir      OPTIONS -ffp-contract=off)
graft_folder(onnx      ARROWS ops)
graft_folder(passes    ARROWS ops)
graft_folder(coreml    ARROWS ops     LIBS nlohmann_json::nlohmann_json)
graft_folder(engine    ARROWS passes  LIBS hwy::hwy graft::onednn OPTIONS $<$<NOT:$<CONFIG:Debug>>:-O3>)
graft_folder(partition ARROWS onnx passes coreml)
graft_folder(cache     ARROWS base)
graft_folder(backend   ARROWS engine coreml)
graft_folder(session   ARROWS base ir ops onnx passes coreml engine partition cache backend)
graft_folder(tools     ARROWS session LIBS graft::stb)
graft_folder(report    ARROWS tools   LIBS nlohmann_json::nlohmann_json)
graft_folder(api       ARROWS report  LIBS graft::headers)
