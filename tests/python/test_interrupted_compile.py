"""What the tool writes is there whole or not at all: when it is killed, when the disk is full, when others write too."""

import filecmp
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import time

import onnx
import pytest
from onnx import TensorProto, helper

from built import GRAFT, ROOT

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


def small_files():
    # A file size limit fails writes the way a full disk does, without needing one.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_full_disk_leaves_nothing(tmp_path):
    package = tmp_path / "p.mlpackage"
    p = compile_to(NEW, package, preexec_fn=small_files)
    _, err = p.communicate()
    assert p.returncode == 1, err
    assert b"io_error" in err and b"p.mlpackage" in err and b".tmp-" not in err, err
    assert os.listdir(tmp_path) == []


def test_full_disk_keeps_the_old_package(tmp_path):
    package = tmp_path / "p.mlpackage"
    for model in (OLD, NEW):
        assert compile_to(model, package).wait() == 0
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    p = compile_to(NEW, package, preexec_fn=small_files)
    assert p.wait() == 1
    assert same(package, copy) and sorted(os.listdir(tmp_path)) == ["copy", "p.mlpackage"]


@pytest.fixture
def big(tmp_path):
    """Two outputs: one of 12 bytes, and one of 400,000."""
    nodes = [helper.make_node("Identity", ["x"], ["small"]), helper.make_node("Expand", ["x", "s"], ["large"])]
    value = lambda n, s: helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
    graph = helper.make_graph(nodes, "g", [value("x", [1, 3])], [value("small", [1, 3]), value("large", [33_333, 3])],
                              [helper.make_tensor("s", TensorProto.INT64, [2], [33_333, 3])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "big.onnx")
    return str(tmp_path / "big.onnx")


def run_to(model, folder, seed=1, **kwargs):
    return subprocess.run([GRAFT, "run", model, "-o", str(folder), "--seed", str(seed)], capture_output=True, **kwargs)


def test_outputs_on_a_full_disk_are_all_there_or_none(big, tmp_path):
    out = tmp_path / "deep" / "out"
    p = run_to(big, out, preexec_fn=small_files)
    assert p.returncode == 1 and b"large.npy" in p.stderr and b"io_error" in p.stderr and b".tmp-" not in p.stderr, p.stderr
    assert not out.exists()
    assert run_to(big, out).returncode == 0
    old = {f.name: f.read_bytes() for f in out.iterdir()}
    assert sorted(old) == ["large.npy", "small.npy"]
    assert run_to(big, out, seed=2, preexec_fn=small_files).returncode == 1
    assert {f.name: f.read_bytes() for f in out.iterdir()} == old, "half of the outputs are of another run"
    assert run_to(big, out, seed=2).returncode == 0
    assert {f.name: f.read_bytes() for f in out.iterdir()} != old


def test_outputs_never_take_the_place_of_pipes(big, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    os.mkfifo(out / "large.npy")
    p = run_to(big, out, timeout=60)
    assert p.returncode == 1 and b"would_overwrite" in p.stderr and b"large.npy: is a pipe" in p.stderr, p.stderr
    assert stat.S_ISFIFO((out / "large.npy").stat().st_mode) and os.listdir(out) == ["large.npy"]


@pytest.mark.parametrize("verb", ["compile", "run"])
def test_a_disk_that_is_really_full(tmp_path, big, verb):
    """In a mount namespace of its own, where that is allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [GRAFT, "compile", NEW, "-o", f"{disk}/p"] if verb == "compile" else [GRAFT, "run", big, "-o", f"{disk}/p"]
    script = f'mount -t tmpfs -o size=60k none "{disk}" || exit 77; "$@"; code=$?; ls -A "{disk}"; exit $code'
    p = in_namespace(["-m"], script, command)
    assert p.returncode == 1 and b"No space left on device" in p.stderr, p.stderr
    assert p.stdout == b"", "something was left"


def in_namespace(flags, script, command):
    """Runs the script as this user's root; skips where the system does not let us."""
    p = subprocess.run(["unshare", "-r", *flags, "bash", "-c", script, "bash", *command], capture_output=True, timeout=120)
    if p.returncode == 77 or p.stderr.startswith(b"unshare:"):
        pytest.skip(f"namespaces or mounts are not permitted here: {p.stderr.decode()}")
    return p


def test_a_package_of_a_lower_layer_is_replaced(finished, tmp_path):
    """In containers, folders of the image can't be renamed."""
    script = f'''mount -t tmpfs none "{tmp_path}" && cd "{tmp_path}" && mkdir lower upper work disk &&
        cp -r "{finished[0]}/old.mlpackage" lower/p && mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work none disk || exit 77
        "$@" disk/p >&2 && diff -r disk/p "{finished[0]}/new.mlpackage" && ls -A disk'''
    p = in_namespace(["-m"], script, [GRAFT, "compile", NEW, "-o"])
    assert p.returncode == 0 and p.stdout == b"p\n", p


# ---- containers: in each of them the tool is process 1 -------------------------------------------------------------


def test_killed_as_process_one(finished, tmp_path):
    """What a killed container left stands in nobody's way, and is removed by the next one."""
    (tmp_path / ".m.mlpackage.tmp-1-0" / "Data").mkdir(parents=True)  # as an earlier version named it
    as_one = ["unshare", "-r", "-p", "-f", "--kill-child=KILL", GRAFT, "compile", NEW, "-o", str(tmp_path / "m.mlpackage")]
    rng = random.Random(4)
    left = 0
    for _ in range(300):
        if left == 3:
            break
        p = subprocess.Popen(as_one, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(rng.uniform(0, 2 * finished[1]))
        p.send_signal(signal.SIGKILL)
        _, err = p.communicate()
        if err.startswith(b"unshare:"):
            pytest.skip(f"process namespaces are not permitted here: {err.decode()}")
        left += sum(n.startswith(".m.mlpackage.tmp-") for n in os.listdir(tmp_path)) > 1
    assert left > 0, "no kill came while something was written: the moments are not random enough"
    time.sleep(0.2)
    for _ in range(2):
        p = subprocess.run(as_one, capture_output=True)
        assert p.returncode == 0, p.stderr
    assert sorted(os.listdir(tmp_path)) == [".m.mlpackage.tmp-1-0", "m.mlpackage"]
    assert same(tmp_path / "m.mlpackage", finished[0] / "new.mlpackage")


def test_two_containers_on_one_volume(finished, tmp_path):
    one = ["unshare", "-r", "-p", "-f", GRAFT, "compile"]
    for _ in range(20):
        both = [subprocess.Popen([*one, model, "-o", str(tmp_path / "m.mlpackage")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                for model in (OLD, NEW, OLD, NEW)]
        for p in both:
            _, err = p.communicate()
            if err.startswith(b"unshare:"):
                pytest.skip(f"process namespaces are not permitted here: {err.decode()}")
            assert p.returncode == 0, err
        assert os.listdir(tmp_path) == ["m.mlpackage"]
        assert any(same(tmp_path / "m.mlpackage", finished[0] / f"{which}.mlpackage") for which in ("old", "new"))
