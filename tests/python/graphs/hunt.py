"""Many random graphs, one after the other: counts, and each failing graph made small."""
import collections
import dataclasses
import json
import re
import shlex

import numpy as np
import onnx

from graphs.generate import Made, generate
from graphs.judge import COLUMNS, accepted
from graphs.shrink import remade, shrink


@dataclasses.dataclass
class Finding:
    seed: int
    index: int
    column: str
    verdict: str
    made: Made

    def name(self):
        """The same for the same fault, mostly."""
        ops = [n.op_type for n in self.made.model.graph.node if n.op_type != "Constant"]
        return "_".join([self.column, *ops[:4]])

    def text(self):
        feeds = "\n".join(f"  {n} = {np.array2string(x, threshold=20)}" for n, x in self.made.feeds[0].items())
        return (f"seed {self.seed}, graph {self.index}, {self.column}: {self.verdict}\n\n{onnx.printer.to_text(self.made.model)}\n\n{feeds}\n\n"
                f"the graph it was:  .venv/bin/python tests/python/differential.py --seed {self.seed} --from {self.index} --count 1\n")

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(self.made.model.SerializeToString())
        inputs = {}
        for i, (name, x) in enumerate(self.made.feeds[0].items()):
            np.save(folder / f"in{i}.npy", x)
            inputs[name] = f"in{i}.npy"
        (folder / "inputs.json").write_text(json.dumps(inputs))
        again = f".venv/bin/python tests/python/differential.py --replay {shlex.quote(str(folder))}"
        (folder / "note.txt").write_text(f"{self.text()}this one:          {again}\n")


def load(folder):
    """What save() wrote, judged anew by onnxruntime."""
    inputs = json.loads((folder / "inputs.json").read_text())
    return remade(onnx.load(folder / "model.onnx"), {name: np.load(folder / file) for name, file in inputs.items()})


def kind(verdict):
    """Two verdicts of the same kind are taken for the same fault: without names and numbers."""
    return re.sub(r"'[^']*'|output \S+:|-?\d[\d.e+-]*|nan|inf|True|False", "", verdict)[:60]


class Tally:
    """What happened to many graphs."""

    def __init__(self):
        self.graphs = self.rejected = self.twice = 0
        self.operators, self.verdicts, self.refusals = collections.Counter(), collections.Counter(), collections.Counter()
        self.why_rejected, self.findings = [], []

    def text(self):
        lines = [f"{self.graphs} graphs, {self.rejected} of them not accepted by onnxruntime; {self.twice} ran twice, with other inputs"]
        for column in COLUMNS:
            found = {w: n for (c, w), n in self.verdicts.items() if c == column}
            lines.append(f"  {column:8} " + ", ".join(f"{w} {n}" for w, n in sorted(found.items())))
        lines.append("nodes   " + ", ".join(f"{op} {n}" for op, n in self.operators.most_common()))
        for why, n in self.refusals.most_common(15):
            lines.append(f"  host refused {n} times: {why}")
        names = collections.Counter(f.name() for f in self.findings)
        lines += [f"FAILED  {name} ({n} times): {next(f.verdict for f in self.findings if f.name() == name)[:200]}" for name, n in names.items()]
        return "\n".join(lines)


def hunt(judges, seed, start, count, shrinking=True, report=lambda finding: None):
    """Judges graphs start, start + 1, … of a seed. `judges`: an Isolated."""
    tally = Tally()
    for index in range(start, start + count):
        made = generate(seed, index)
        tally.graphs += 1
        why = accepted(made)
        if why:
            tally.rejected += 1
            tally.why_rejected.append((index, why))
            continue
        tally.twice += len(made.feeds) == 2
        tally.operators.update(made.operators())
        found = judges.judge(made)
        for column, verdict in found.items():
            word = verdict.split(":")[0]
            tally.verdicts[column, word] += 1
            if column == "host" and word == "refused":
                tally.refusals[re.sub(r"'[^']*'", "''", verdict.splitlines()[-1])[:150]] += 1
        wrong = [(c, v) for c, v in found.items() if v.startswith("wrong")]
        if wrong:
            column, verdict = wrong[0]
            if shrinking:
                small = shrink(made, lambda m: kind(judges.judge(m).get(column, "")) == kind(verdict) and accepted(m) is None)
                made, verdict = small, judges.judge(small).get(column, verdict)
            tally.findings.append(Finding(seed, index, column, verdict, made))
            report(tally.findings[-1])
    return tally
