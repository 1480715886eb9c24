"""A compile that is killed, or meets a full disk, leaves the old package, the new one, or nothing."""

import filecmp
import os
import random
import resource
import signal
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GRAFT = os.environ.get("GRAFT", os.path.join(ROOT, "build", "graft"))
OLD = os.path.join(ROOT, "models", "small", "mlp.onnx")
NEW = os.path.join(ROOT, "models", "digits.onnx")


def compile_to(model, package, **kwargs):
    return subprocess.Popen([GRAFT, "compile", model, "-o", str(package)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **kwargs)


def same(a, b):
    d = filecmp.dircmp(a, b)
    files = [os.path.join(r, f) for r, _, fs in os.walk(a) for f in fs]
    return not (d.left_only or d.right_only) and all(filecmp.cmp(f, os.path.join(b, os.path.relpath(f, a)), shallow=False) for f in files)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    for name, model in (("old", OLD), ("new", NEW)):
        assert compile_to(model, folder / f"{name}.mlpackage").wait() == 0
    begin = time.time()
    assert compile_to(NEW, folder / "again.mlpackage").wait() == 0
    return folder, time.time() - begin


def test_killed_at_fifty_moments(finished, tmp_path):
    folder, seconds = finished
    rng = random.Random(3)
    seen = set()
    for i in range(50):
        package = tmp_path / f"p{i}.mlpackage"
        replaces = i % 2 == 0
        if replaces:
            assert compile_to(OLD, package).wait() == 0
        p = compile_to(NEW, package)
        time.sleep(rng.uniform(0, 1.3 * seconds))
        p.send_signal(signal.SIGKILL)
        p.wait()
        if not package.exists():
            assert not replaces, "the old package is gone"
            seen.add("nothing")
        elif same(package, folder / "new.mlpackage"):
            seen.add("new")
        else:
            assert replaces and same(package, folder / "old.mlpackage"), f"half a package after kill {i}"
            seen.add("old")
    assert len(seen) > 1, "every kill came at the same stage: the moments are not random enough"
    # What a killed process left is removed by the next compile to the same place.
    for i in range(50):
        assert compile_to(NEW, tmp_path / f"p{i}.mlpackage").wait() == 0
    assert [n for n in os.listdir(tmp_path) if n.startswith(".")] == []


def test_full_disk_leaves_nothing(tmp_path):
    # A file size limit fails writes the way a full disk does, without needing one.
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    package = tmp_path / "p.mlpackage"
    p = compile_to(NEW, package, preexec_fn=limit)
    _, err = p.communicate()
    assert p.returncode == 1, err
    assert b"io_error" in err and b"p.mlpackage" in err, err
    assert os.listdir(tmp_path) == []


def test_refuses_to_overwrite_what_is_no_package(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.txt").write_text("dear")
    p = compile_to(NEW, folder)
    _, err = p.communicate()
    assert p.returncode == 1 and b"would_overwrite" in err, err
    assert (folder / "a.txt").read_text() == "dear"
