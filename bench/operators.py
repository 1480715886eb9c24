#!/usr/bin/env python3
"""Single operators: Graft's engine against onnxruntime on the CPU, in the same run.

    bench/operators.py [--threads 1] [--busy N] [--rounds 5] [--runs 20] [--only WORD,WORD] [--before GRAFT] [--reference]

The cases are those of bench/operator_cases.py; --only takes families and beginnings of names. Rounds, ratios, --threads
and --busy are as in bench/run.py, but each side's time in a round is its smallest run: operators are short, and what
interrupts them is not theirs. Printed: the smallest of all runs in ms, and the median and range of the rounds' ratios.
--before also times another build's tool. --reference also times the rows' reference kernels, once.
"""

import argparse
import statistics
import tempfile

import operator_cases
import run


def rows(a, folder):
    """Per case: family, name, and each side's smallest run in each round."""
    words = a.only.split(",") if a.only else [""]
    for family, cases in operator_cases.FAMILIES.items():
        for case in cases:
            if not any(family == word or case[0].startswith(word) for word in words):
                continue
            path, feeds = operator_cases.save(case, folder)
            sides = {"graft": [], "before": [], "reference": [], "ort": []}
            for number in range(a.rounds):
                sides["graft"].append(run.graft_side(path, a, extra=feeds))
                sides["ort"].append(run.ort_side(path, a, feeds))
                if a.before:
                    sides["before"].append(run.graft_side(path, a, a.before, feeds))
                if a.reference and number == 0:
                    sides["reference"].append(run.graft_side(path, a, extra=[*feeds, "--engine", "reference"]))
            yield family, case[0], sides


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    run.add_side_arguments(p, runs=20)
    p.add_argument("--only")
    p.add_argument("--reference", action="store_true")
    a = p.parse_args()
    columns = ["graft", *["before"] * bool(a.before), *["reference"] * a.reference, "ort"]
    within, known, count = 0, None, 0
    with tempfile.TemporaryDirectory() as folder, run.busy(a.busy):
        for family, name, sides in rows(a, folder):
            if count == 0:
                print(run.header(a, sides["graft"][0], sides["ort"][0]))
                print(f"{'operator':24} " + " ".join(f"{c:>9}" for c in columns) + "   time ratio" + ("          before's" if a.before else ""))
            if family != known:
                print(family)
                known = family
            times = {c: [r["run_ms"]["min"] for r in sides[c]] for c in columns}
            ratios = [x / y for x, y in zip(times["graft"], times["ort"])]
            before = f"  {run.spread([x / y for x, y in zip(times['before'], times['ort'])])}" if a.before else ""
            count += 1
            within += statistics.median(ratios) <= 2
            print(f"  {name:22} " + " ".join(f"{min(times[c]):9.3f}" for c in columns) + f"  {run.spread(ratios):19}{before}", flush=True)
    print(f"{within} of {count} within 2x of onnxruntime's time")


if __name__ == "__main__":
    main()
