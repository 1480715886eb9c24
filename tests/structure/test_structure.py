"""Arrows between folders, include cycles, the boundary, and what may not be in the repository."""

import re
import unittest
from pathlib import PurePath

import rules
import tree

# What src may say by an operator's name: the folders that read, compile and run programs ask rows what they are. The
# rows themselves, lowerings (which say what they emit) and descriptions are not looked at.
NAMED_FREELY = {"ops", "onnx", "tools", "api"}
MOST_NAMES = 15

OUTSIDE = ("include", "cli", "python", "ort_plugin", "examples")


def read(paths):
    return {str(path): (tree.ROOT / path).read_text(errors="replace") for path in paths}


class Structure(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.table = tree.folders()
        cls.inside = read(tree.sources("src"))
        cls.outside = read(tree.sources(*OUTSIDE))

    def none(self, errors):
        self.assertFalse(errors, "\n" + "\n".join(errors))

    def test_table_names_every_folder(self):
        self.assertGreaterEqual(len(self.table), 13)
        self.assertEqual(self.table["base"], [])
        self.assertEqual(self.table["partition"], ["onnx", "passes", "coreml", "backend"])
        folders = {path.name for path in (tree.ROOT / "src").glob("*") if path.is_dir()}
        self.assertEqual(folders - set(self.table), set())
        self.assertEqual({arrow for arrows in self.table.values() for arrow in arrows} - set(self.table), set())

    def test_arrows_have_no_cycle(self):
        self.assertIsNone(rules.cycle_error(self.table))

    def test_includes_follow_arrows(self):
        self.none(rules.arrow_errors(self.inside, self.table))

    def test_headers_have_no_cycle(self):
        edges = {}
        for path, text in {**self.inside, **self.outside}.items():
            name = str(PurePath(*PurePath(path).parts[1:]))
            edges[name] = [target for _, target, _ in tree.includes(text)]
        self.assertIsNone(rules.cycle_error(edges))

    def test_boundary(self):
        self.none(rules.outside_errors(self.outside, self.table))

    def test_operators_are_known_by_their_rows(self):
        names, parameters = rules.operators((tree.ROOT / "docs/ops.md").read_text())
        self.assertGreater(len(names), 150)
        found = []
        for path, text in self.inside.items():
            if PurePath(path).parts[1] not in NAMED_FREELY:
                found += [f"{path}:{line}: {name}" for line, name in rules.name_literals(text, names, parameters)]
        self.assertLessEqual(len(found), MOST_NAMES, "ask the row, or lower the ceiling:\n" + "\n".join(found))

    def test_lowerings_do_not_ask_where_they_go(self):
        self.assertGreater(sum("src/onnx/lower_" in path for path in self.inside), 10)
        self.none(rules.question_errors(self.inside))

    def test_the_newcomers_path_is_counted(self):
        text = (tree.ROOT / "docs/architecture.md").read_text()
        lines, order = re.search(r"\n(\d+) lines, .*?:\n(.*?)\n\n", text, re.S).groups()
        files = re.findall(r"\]\(\.\./(src/[^)]+)\)", order)
        self.assertEqual(sum(len((tree.ROOT / f).read_text().splitlines()) for f in files), int(lines))
        self.assertLess(int(lines), 1200)

    def test_words_are_few(self):
        words = (tree.ROOT / "docs/architecture.md").read_text().split("## Words")[1].split("## ")[0]
        self.assertLessEqual(len(re.findall(r"^\| (?!word |---)", words, re.M)), 20)

    def test_tracked_files(self):
        errors, paths = [], tree.tracked()
        self.assertTrue(paths or not (tree.ROOT / ".git").exists(), "git does not list its files")
        for path in paths:
            name = str(path.relative_to(tree.ROOT))
            if path.stat().st_size > rules.MAX_FILE:
                errors.append(f"{name}: {path.stat().st_size} bytes; the limit is {rules.MAX_FILE}")
                continue
            data = path.read_bytes()
            if b"\0" not in data[:4096]:
                errors += rules.text_errors(name, data.decode(errors="replace"))
        self.none(errors)


class RulesCatch(unittest.TestCase):
    """Each rule finds what it forbids: a check that can't fail checks nothing."""

    TABLE = {"base": [], "ir": ["base"], "ops": ["ir"], "coreml": ["ops"], "api": ["coreml"]}

    def test_table_rows(self):
        text = "graft_folder(a)\ngraft_folder(b      ARROWS a c LIBS x::y PRIVATE z OPTIONS $<$<NOT:$<CONFIG:Debug>>:-O3>)\n"
        self.assertEqual(tree.folders(text), {"a": [], "b": ["a", "c"]})

    def test_arrows(self):
        def errors(path, line):
            return rules.arrow_errors({path: line}, self.TABLE)

        self.assertEqual(errors("src/ops/a.cc", '#include "base/diag.h"\n#include <vector>\n'), [])
        self.assertEqual(errors("src/api/a.cc", '#include "graft/graft.h"'), [])
        self.assertEqual(len(errors("src/ir/a.cc", '#include "ops/table.h"')), 1)
        self.assertEqual(len(errors("src/ir/a.cc", "#  include <ops/table.h>")), 1)
        self.assertEqual(len(errors("src/ir/a.cc", '#include "table.h"')), 1)
        self.assertEqual(len(errors("src/ir/a.cc", '#include "base/../ops/table.h"')), 1)
        self.assertEqual(len(errors("src/ir/a.cc", '#include "graft/graft.h"')), 1)
        self.assertEqual(len(errors("src/new/a.cc", "")), 1)

    def test_cycles(self):
        self.assertIsNone(rules.cycle_error({"a": ["b", "c"], "b": ["c"], "c": []}))
        self.assertEqual(rules.cycle_error({"a": ["b"], "b": ["c"], "c": ["b"]}), "b -> c -> b")
        self.assertEqual(rules.cycle_error({"a": ["a"]}), "a -> a")

    def test_boundary(self):
        files = {"cli/main.cc": '#include "graft/graft.hpp"\n#include "args.h"\n#include <CLI/CLI.hpp>\n', "cli/args.h": "",
                 "cli/files/npy.cc": '#include "files/npy.h"\n', "cli/files/npy.h": ""}
        self.assertEqual(rules.outside_errors(files, self.TABLE), [])
        self.assertEqual(len(rules.outside_errors({"cli/main.cc": '#include "ir/program.h"'}, self.TABLE)), 1)
        self.assertEqual(len(rules.outside_errors({"cli/main.cc": '#include "../src/ir/program.h"'}, self.TABLE)), 1)
        self.assertEqual(len(rules.outside_errors({"cli/main.cc": '#include "missing.h"'}, self.TABLE)), 1)
        self.assertEqual(len(rules.outside_errors({"cli/files/a.cc": '#include "b.h"', "cli/files/b.h": ""}, self.TABLE)), 1)
        self.assertEqual(len(rules.outside_errors({"cli/files/a.cc": '#include <ir/program.h>'}, self.TABLE)), 1)

    def test_names(self):
        names, parameters = rules.operators("\n## MIL\n| **conv**: d | iOS15 | `x:T; pad?:const int32` | `T={fp16}` |  |\n| **pad**: d |")
        self.assertEqual((names, parameters), ({"conv", "pad"}, {"x", "pad"}))

        def found(code):
            return rules.name_literals(code, names, parameters)

        self.assertEqual(found('b.emit("conv", {{"pad", p}});  // not "conv"\nb.unary(\n    "conv", x)'), [])
        self.assertEqual(found('f();\nif (op.type() == "conv") {}'), [(2, "conv")])
        self.assertEqual(found('constexpr Rule kRules[] = {{"conv", f}};'), [(1, "conv")])
        self.assertEqual(found('ints_of(op, "pad"); if (type == "pad") {}'), [(1, "pad")])

    def test_questions(self):
        files = {"src/onnx/lower_x.cc": "if (x->poison) return x;  // poison\nb.add(x, y);", "src/onnx/lowerer.cc": "v->poison"}
        self.assertEqual(len(rules.question_errors(files)), 1)

    def test_machine_paths(self):
        top = "/" + "work"
        self.assertEqual(len(rules.text_errors("a", f"see {top}/main/x\nfine\n")), 1)
        self.assertEqual(len(rules.text_errors("a", "'/" + "root/.cache'")), 1)
        self.assertEqual(rules.text_errors("a", "the network/" + "root/cause and ${X}" + top + "/y"), [])


if __name__ == "__main__":
    unittest.main()
