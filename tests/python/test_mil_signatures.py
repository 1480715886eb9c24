"""The operator table says of each MIL operator what Apple's own registry says: parameters, which of them are optional or
constant, and element types, at every deployment target."""
import json
import logging
import re
import subprocess

import pytest

from built import GRAFT

logging.disable(logging.WARNING)
registry = pytest.importorskip("coremltools.converters.mil.mil.ops.registry")
from coremltools.converters.mil.mil import types  # noqa: E402

# Targets, and what the registry calls them: the specification version less one less than the file's opset has.
TARGETS = {"iOS15": 6, "iOS16": 7, "iOS17": 8, "iOS18": 9}
KINDS = {"TupleInputType": "tuple", "ListInputType": "list", "PyFunctionInputType": "block", "StateInputType": "state",
         "InternalInputType": "internal", "ListOrTensorOrDictInputType": "list|tensor|dict"}
# An operator of files alone: what the builder makes it of, and that one's names of its parameters.
FILE_ONLY = {"write_state": ("coreml_update_state", {"state": "input", "value": "data"})}
# What "..." adds to a domain: whatever a tensor of a run can be.
RUN_TIME = {"fp16", "fp32", "int8", "uint8", "int16", "uint16", "int32", "bool"}


def domains(text):
    """{"T": {"fp16", "fp32"}} from "T={fp16,fp32}; U={…}"."""
    split = {name: set(found.split(",")) for name, found in re.findall(r"(\w+)=\{([^}]*)\}", text)}
    return {name: frozenset((found | RUN_TIME) - {"..."} if "..." in found else found) for name, found in split.items()}


def ours(variant):
    """Parameter -> (optional, constant, types)."""
    letters, found = domains(variant["types"]), {}
    for part in filter(None, variant["inputs"].split("; ")):
        name, optional, constant, kind = re.fullmatch(r"(\w+)(\??):(const )?([^=]*)(?:=.*)?", part).groups()
        kinds = frozenset().union(*(letters.get(k, frozenset({k})) for k in kind.split("|")))
        found[name] = (bool(optional), bool(constant), kinds)
    return found


def theirs(operator):
    found = {}
    for name, spec in operator.input_spec.input_types.items():
        kind = KINDS.get(type(spec).__name__)
        if kind == "internal" and name.startswith("_"):  # coremltools' own, in no file
            continue
        if kind is None:
            letter = spec.type_domain_id
            among = operator.type_domains[letter] if letter is not None else spec.type_domain
            found[name] = (spec.optional, spec.const, frozenset(types.builtin_to_string(t) for t in among))
        else:
            found[name] = (spec.optional, spec.const, frozenset(kind.split("|")))
    return found


def test_rows_are_those_of_apples_registry():
    rows = json.loads(subprocess.run([GRAFT, "ops", "--json"], capture_output=True, text=True, check=True).stdout)["mil"]
    apples, wrong, judged = dict(registry.SSAOpRegistry.core_ops), [], 0
    dialect = registry.SSAOpRegistry.dialect_ops
    apples |= {op: {max(TARGETS.values()): dialect[builder]} for op, (builder, _) in FILE_ONLY.items()}
    for row in rows:
        if row["host_only"]:
            continue
        for target, version in TARGETS.items():
            in_force = [v for v in row["variants"] if v["since"] <= target]
            operator = apples[row["op"]].get(version) if row["op"] in apples else None
            if operator is None or not in_force:
                if (operator is None) != (not in_force):
                    wrong.append(f"{row['op']} {target}: {'only ours' if in_force else 'only theirs'}")
                continue
            judged += 1
            names = FILE_ONLY.get(row["op"], ("", {}))[1]
            mine, their = ours(in_force[-1]), {names.get(name, name): found for name, found in theirs(operator).items()}
            for name in sorted(set(mine) | set(their)):
                if mine.get(name) != their.get(name):
                    wrong.append(f"{row['op']} {target} {name}: ours {mine.get(name)}, theirs {their.get(name)}")
    assert judged > 500
    assert not wrong, "\n".join(wrong)
