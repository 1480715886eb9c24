"""What is under test: files that variables of the environment name, else the newest in the build folders."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("build", "build-dev")  # not those with sanitizers: Python can't load such a library


def _newest(variable, path):
    given = os.environ.get(variable)
    found = [p for p in (ROOT / folder / path for folder in FOLDERS) if p.exists()]
    return given or (str(max(found, key=lambda p: p.stat().st_mtime)) if found else None)


# Each is a path, None when it is not built.
GRAFT = _newest("GRAFT", "graft")  # the command
LIBRARY = _newest("GRAFT_LIBRARY", "lib/libgraft.so")
RUN_MODELS = _newest("GRAFT_RUN_MODELS", "tests/run_models")  # many models in one process: tests/tools/driver
