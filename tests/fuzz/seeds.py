"""Makes what the fuzz harnesses start from: OUT/onnx, OUT/package and the words in OUT/words.dict.

    python tests/fuzz/seeds.py OUT GRAFT [--all]

One case of each operator of the operator sweep (--all: every case), the small models of the repository and what neither
has; and the packages that the tool GRAFT compiles them to, with some that coremltools makes. The bytes before each file
are those that onnx_fuzz.cc and package_fuzz.cc describe.
"""
import argparse
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))
from sweep import control_flow, operator_sweep  # noqa: E402

logging.disable(logging.ERROR)  # coremltools tells what it lacks outside macOS, and how far it is
os.environ["TQDM_DISABLE"] = "1"
import coremltools  # noqa: E402
from coremltools.converters.mil import Builder as mb  # noqa: E402
from coremltools.converters.mil.mil import types  # noqa: E402

LARGEST = 8192  # bytes: what is mutated should be small


def swept(every):
    """(name, model) of the operator sweep."""
    found = {}
    for _, case, opset in operator_sweep.turns():
        found.setdefault((case.name, opset) if every else (case.op, case.dynamic), (case, opset))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case, opset in found.values():
            yield f"{case.name}_op{opset}", operator_sweep.build(case, opset)[0]
    for name, model, _ in control_flow.CASES:
        yield name, model


def tensor(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes, inputs, outputs, initializers=(), functions=(), domains=()):
    constants = [numpy_helper.from_array(np.asarray(a), n) for n, a in initializers]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)


def composed():
    """What one operator alone has not: bodies, functions, partitions in turn with host nodes, shared and unused values."""
    node = helper.make_node
    then = helper.make_graph([node("Relu", ["a"], ["t"])], "then", [], [tensor("t", [2, 3])])
    other = helper.make_graph([node("Neg", ["a"], ["e"]), node("Add", ["e", "w"], ["f"])], "else", [],
                              [tensor("f", [2, 3])])
    yield "if", model_of([node("Abs", ["x"], ["a"]), node("If", ["c"], ["y"], then_branch=then, else_branch=other)],
                         [tensor("x", [2, 3]), tensor("c", [], TensorProto.BOOL)], [tensor("y", [2, 3])],
                         [("w", np.ones(3, np.float32))])
    body = helper.make_graph([node("Add", ["s", "x"], ["r"]), node("Identity", ["go"], ["on"])], "body",
                             [tensor("i", [], TensorProto.INT64), tensor("go", [], TensorProto.BOOL), tensor("s", [3])],
                             [tensor("on", [], TensorProto.BOOL), tensor("r", [3])])
    yield "loop", model_of([node("Loop", ["n", "", "x"], ["y"], body=body)], [tensor("x", [3])], [tensor("y", [3])],
                           [("n", np.int64(4))])
    function = helper.make_function("d", "F", ["a"], ["b"], [node("Relu", ["a"], ["t"]), node("Neg", ["t"], ["b"])],
                                    [helper.make_opsetid("", 17)])
    yield "function", model_of([node("F", ["x"], ["t"], domain="d"), node("F", ["t"], ["y"], domain="d")],
                               [tensor("x", ["n", 3])], [tensor("y", ["n", 3])], (), [function], ["d"])
    row = helper.make_graph([node("Identity", ["v"], ["t"])], "row", [], [tensor("t", [3])])
    both = helper.make_graph([node("Identity", ["x"], ["e"])], "both", [], [tensor("e", [2, 3])])
    ranks = [node("If", ["c"], ["a"], then_branch=row, else_branch=both), node("Neg", ["a"], ["b"]), node("Add", ["b", "w"], ["d"]),
             node("ReduceSum", ["d"], ["y"], keepdims=0), node("Softmax", ["d"], ["z"])]
    yield "ranks", model_of(ranks, [tensor("x", [2, 3]), tensor("v", [3]), tensor("c", [], TensorProto.BOOL)],
                            [tensor("y", None), tensor("z", None)], [("w", np.ones(3, np.float32))])
    turns = [node("Relu", ["x"], ["a"]), node("Unique", ["a"], ["b"], sorted=1), node("Tanh", ["b"], ["c"]),
             node("NonZero", ["c"], ["d"]), node("Cast", ["d"], ["y"], to=1)]
    yield "turns", model_of(turns, [tensor("x", [8])], [tensor("y", None), tensor("c", None)])
    shapes = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["g"]), node("Concat", ["g", "minus"], ["c"], axis=0),
              node("Reshape", ["x", "c"], ["r"]), node("Transpose", ["r"], ["t"], perm=[1, 0]), node("MatMul", ["t", "x"], ["y"])]
    yield "shapes", model_of(shapes, [tensor("x", ["n", 4])], [tensor("y", None)],
                             [("zero", np.array([0])), ("minus", np.array([-1]))])
    norm = [node("ReduceMean", ["x"], ["m"], axes=[-1]), node("Sub", ["x", "m"], ["d"]), node("Pow", ["d", "two"], ["q"]),
            node("ReduceMean", ["q"], ["v"], axes=[-1]), node("Add", ["v", "eps"], ["e"]), node("Sqrt", ["e"], ["s"]),
            node("Div", ["d", "s"], ["n"]), node("Mul", ["n", "gamma"], ["o"]), node("Softmax", ["o"], ["y"])]
    yield "norm", model_of(norm, [tensor("x", [2, 4])], [tensor("y", [2, 4])],
                           [("two", np.float32(2)), ("eps", np.float32(1e-5)), ("gamma", np.ones(4, np.float32))])


def models(every):
    yield from composed()
    for path in sorted((ROOT / "models" / "small").glob("*.onnx")):
        yield path.stem, onnx.load(path)
    yield from swept(every)


NAMES = coremltools.ClassifierConfig(["cat", "dog", "eel"])


def programs():
    """ML Programs with what no ONNX model is compiled to: loops, compressed weights, states, lists, classifiers, boxes."""
    tensor = mb.TensorSpec

    @mb.program(input_specs=[tensor((3,)), tensor((1,))])
    def loop(x, n):
        return mb.while_loop(_cond=lambda i, s: mb.squeeze(x=mb.less(x=i, y=n)),
                             _body=lambda i, s: (mb.add(x=i, y=np.float32([1])), mb.mul(x=s, y=x)),
                             loop_vars=(np.float32([0]), x))

    @mb.program(input_specs=[tensor((2, 4))], opset_version=coremltools.target.iOS18)
    def compressed(x):
        indices = np.arange(8).reshape(2, 4) % 4
        palette = mb.constexpr_lut_to_dense(indices=indices.astype(types.np_uint2_dtype),
                                            lut=np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1))
        blocks = mb.constexpr_blockwise_shift_scale(data=np.ones((2, 4), np.int8), scale=np.ones((2, 2), np.float32),
                                                    offset=np.ones((2, 2), np.int8))
        sparse = mb.constexpr_sparse_to_dense(nonzero_data=np.float32([1, 2, 3, 4]),
                                              mask=(indices % 2).astype(types.np_uint1_dtype))
        terms = [mb.linear(x=x, weight=w) for w in (palette, blocks, sparse)]
        return mb.add(x=mb.add(x=terms[0], y=terms[1]), y=terms[2])

    @mb.program(input_specs=[tensor((2,), dtype=types.fp16), mb.StateTensorSpec((2,), dtype=types.fp16)],
                opset_version=coremltools.target.iOS18)
    def states(x, total):
        before = mb.read_state(input=total)
        after = mb.coreml_update_state(state=total, value=mb.add(x=before, y=x))
        return mb.mul(x=after, y=before)

    @mb.program(input_specs=[tensor((3, 2)), tensor((1,), dtype=types.int32)])
    def lists(x, n):
        kept = mb.make_list(init_length=3, elem_shape=(2,), dynamic_length=True)
        kept = mb.list_scatter(ls=kept, indices=np.int32([0, 1, 2]), value=x)
        kept = mb.list_write(ls=kept, index=1, value=np.float32([1, 2]))
        picked = mb.list_read(ls=kept, index=mb.squeeze(x=n))
        return picked, mb.list_length(ls=kept), mb.list_gather(ls=kept, indices=n)

    @mb.program(input_specs=[tensor((3,))])
    def classifier(x):
        return mb.softmax(x=x, axis=0)

    @mb.program(input_specs=[tensor((1, 2, 6, 6)), tensor((1, 4, 5)), tensor((1, 3, 5))], opset_version=coremltools.target.iOS17)
    def boxes(x, corners, scores):
        best, s, places = mb.non_maximum_suppression(boxes=corners, scores=scores, iou_threshold=0.5,
                                                            max_boxes=2)
        crops = mb.crop_resize(x=x, boxes=mb.reshape(x=best, shape=[2, 4]), box_indices=np.int32([0, 0]), target_height=2,
                               target_width=2, sampling_mode="ALIGN_CORNERS")
        return crops, s, places

    for name, program, target in (("while", loop, coremltools.target.iOS15),
                                  ("compressed", compressed, coremltools.target.iOS18),
                                  ("states", states, coremltools.target.iOS18),
                                  ("lists", lists, coremltools.target.iOS15),
                                  ("classifier", classifier, coremltools.target.iOS15),
                                  ("boxes", boxes, coremltools.target.iOS17)):
        yield name, coremltools.convert(program, convert_to="mlprogram", minimum_deployment_target=target,
                                        compute_precision=coremltools.precision.FLOAT32, skip_model_load=True,
                                        classifier_config=NAMES if name == "classifier" else None,
                                        pass_pipeline=coremltools.PassPipeline.EMPTY)


def words(found):
    known = set()

    def look(graph):
        for n in graph.node:
            known.update([n.op_type, *(a.name for a in n.attribute)])
            for a in n.attribute:
                known.update([a.s.decode(errors="replace")] * a.HasField("s"))
                for g in [a.g] * a.HasField("g"):
                    look(g)

    for m in found:
        look(m.graph)
    return sorted(w for w in known if w.isidentifier())


def write_package(out, how, package):
    """The files of a package as one."""
    inside = package / "Data" / "com.apple.CoreML"
    blobs = inside / "weights" / "weight.bin"
    model, weights = (inside / "model.mlmodel").read_bytes(), blobs.read_bytes() if blobs.exists() else b""
    if len(model) + len(weights) <= LARGEST:
        out.write_bytes(bytes([how]) + len(model).to_bytes(4, "little") + model + weights)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("graft")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    for kind in ("onnx", "package"):
        (args.out / kind).mkdir(parents=True, exist_ok=True)
    found = [(name, m) for name, m in models(args.all) if m.ByteSize() <= LARGEST]
    with tempfile.TemporaryDirectory() as scratch:
        file, package = pathlib.Path(scratch) / "m.onnx", pathlib.Path(scratch) / "m.mlpackage"
        for i, (name, m) in enumerate(found):
            data = m.SerializeToString()
            (args.out / "onnx" / name).write_bytes(bytes([i * 37 % 128]) + data)
            file.write_bytes(data)
            precision = ("float16", "float32")[i % 2]
            command = [args.graft, "compile", file, "-o", package, "--precision", precision]
            if subprocess.run(command, capture_output=True).returncode == 0:
                write_package(args.out / "package" / name, i % 32, package)
        for name, program in programs():
            program.save(str(package))
            write_package(args.out / "package" / name, 0, package)
    (args.out / "words.dict").write_text("".join(f'"{w}"\n' for w in words(m for _, m in found)))


if __name__ == "__main__":
    main()
