"""The judge in a process of its own, so that a crash or a hang of the library is a verdict like any other.

    python -m graphs.isolated     answers pickled cases on stdin with pickled verdicts on stdout
"""
import contextlib
import os
import pathlib
import pickle
import select
import subprocess
import sys
import tempfile

import onnx

from graphs.generate import Made

PATIENCE = 60  # seconds for one graph
HERE = pathlib.Path(__file__).resolve().parents[1]


class Isolated:
    def __init__(self):
        self.child = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            with contextlib.suppress(BrokenPipeError):  # of what it did not read
                self.child.stdin.close()
            self.child.stdout.close()
            self.child = None

    def judge(self, made):
        """{column: verdict}"""
        if self.child is None:
            self.child = subprocess.Popen([sys.executable, "-m", "graphs.isolated"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            pickle.load(self.child.stdout)  # EOFError: there is no library
        try:
            pickle.dump((made.model.SerializeToString(), made.feeds, made.expected), self.child.stdin)
            self.child.stdin.flush()
            if not select.select([self.child.stdout], [], [], PATIENCE)[0]:
                self.stop()
                return {"host": f"wrong: no answer in {PATIENCE} s"}
            return pickle.load(self.child.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            status = self.child.wait()
            self.stop()
            return {"host": f"wrong: the process ended with {status}"}


def serve():
    from graphs.judge import judge
    from graphs.library import Library

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not mix with the answers
    library = Library()
    pickle.dump("ready", answers)
    answers.flush()
    with tempfile.TemporaryDirectory() as scratch:
        while True:
            try:
                model, feeds, expected = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            pickle.dump(judge(Made(onnx.ModelProto.FromString(model), feeds, expected), library, scratch), answers)
            answers.flush()


if __name__ == "__main__":
    serve()
