"""The judges of scripts/judge as tests; each prints its own table, shown when it fails.

They need ../shared (real models, Apple's operator cases) and are skipped where it is absent.
"""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")

needs_shared = pytest.mark.skipif(not os.path.isdir(SHARED), reason="../shared is not here")


def judge(script, *args):
    command = [sys.executable, os.path.join(ROOT, "scripts", "judge", script), *args]
    p = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    assert p.returncode == 0, f"{' '.join(command)}\n{p.stdout[-6000:]}\n{p.stderr[-2000:]}"
    return p.stdout


@needs_shared
@pytest.mark.parametrize("part", ["real", "zoo"])
def test_trained_models(part):
    assert "0 judgements failed" in judge("models.py", "--quick", "--only", os.sep + part + os.sep)


@needs_shared
def test_apple_operator_cases():
    assert " pass" in judge("op_packages.py")


@needs_shared
@pytest.mark.parametrize("letters", ["abcdefghijklm", "nopqrstuvwxyz"])
def test_modern_exports(letters):
    assert "inspected" in judge("modern.py", "--letters", letters)


@needs_shared
def test_cases_of_public_reports():
    assert "host: " in judge("cases.py")


def test_verify_against_onnxruntime(tmp_path):
    command = [sys.executable, os.path.join(ROOT, "scripts", "judge", "verify.py")]
    p = subprocess.run([*command, os.path.join(ROOT, "models", "digits.onnx"), "--against", "onnxruntime"], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    assert "host = ONNX, by onnxruntime: yes" in p.stdout
    wrong = subprocess.run([*command, os.path.join(ROOT, "models", "digits.onnx"), "--input", "picture=x.npy"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "picture" in wrong.stderr
    assert subprocess.run([*command, str(tmp_path / "none.onnx")], capture_output=True).returncode == 1
