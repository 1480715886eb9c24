#!/usr/bin/env python3
"""Random valid ONNX graphs against onnxruntime, as many as you like: on the host, and as fp32 packages.

    tests/python/differential.py --seed 7 --count 5000 --keep build/differential
    tests/python/differential.py --seed 7 --from 1234 --count 1         one graph again
    tests/python/differential.py --replay build/differential/NAME       a kept one again

Graphs that fail are made small and kept with their inputs. The same tree makes the same graphs of a seed.
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from graphs.hunt import hunt, load  # noqa: E402
from graphs.isolated import Isolated  # noqa: E402


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--from", dest="start", type=int, default=0, help="the first graph's number")
    p.add_argument("--count", type=int, default=1000)
    p.add_argument("--keep", type=pathlib.Path, help="the folder for failing graphs, each in one of its own")
    p.add_argument("--replay", type=pathlib.Path, help="a folder that was kept: judge that graph only")
    p.add_argument("--no-shrink", action="store_true", help="keep failing graphs as they are")
    args = p.parse_args()
    with Isolated() as judges:
        if args.replay:
            found = judges.judge(load(args.replay))
            print("\n".join(f"{column}: {verdict}" for column, verdict in found.items()))
            return any(v.startswith("wrong") for v in found.values())

        def report(finding):
            print(finding.text(), flush=True)
            if args.keep:
                finding.save(args.keep / f"{finding.name()}_{finding.seed}_{finding.index}")

        tally = hunt(judges, args.seed, args.start, args.count, not args.no_shrink, report)
        print(tally.text())
        for index, why in tally.why_rejected[:20]:
            print(f"  graph {index} not accepted: {why[:300]}")
        return bool(tally.findings)


if __name__ == "__main__":
    sys.exit(main())
