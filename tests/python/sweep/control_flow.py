"""Loop, Scan, If with unlike branches, sequences and optionals: small graphs, which one node cannot make, against
onnxruntime.

    python -m sweep.control_flow [SUBSTRING]    from tests/python
"""
import pathlib
import re
import sys
import tempfile

import numpy as np
from onnx import TensorProto as T
from onnx import helper as h

from sweep import driver

CASES = []  # (name, model, inputs)


def vi(name, dtype, shape):
    return h.make_tensor_value_info(name, dtype, shape)


def case(name, nodes, ins, outs, feeds, opset=16, init=()):
    graph = h.make_graph(nodes, "g", ins, outs, list(init))
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8)
    CASES.append((re.sub(r"\W", "_", name), model, feeds))


one=h.make_tensor("one",T.FLOAT,[],[1.]); lim=h.make_tensor("lim",T.FLOAT,[],[3.])
x=np.arange(4,dtype=np.float32); f0=np.array(0,np.float32)
def body(es):
    return h.make_graph([h.make_node("Add",["v","one"],["v2"]),h.make_node("Less",["v2","lim"],["c2"]),h.make_node("Mul",["v2","x"],["s"])],"b",
      [vi("i",T.INT64,[]),vi("c",T.BOOL,[]),vi("v",T.FLOAT,[])],[vi("c2",T.BOOL,[]),vi("v2",T.FLOAT,[]),vi("s",T.FLOAT,es)])
for M in (10,2,0,-3):
  for es in (["n"],[4]):
    ins=[vi("M",T.INT64,[]),vi("v0",T.FLOAT,[]),vi("x",T.FLOAT,["n" if es==["n"] else 4])]
    case(f"loop_{M}_{es}",[h.make_node("Loop",["M","","v0"],["y","ys"],body=body(es))],ins,[vi("y",T.FLOAT,[]),vi("ys",T.FLOAT,None)],[np.array(M),f0,x],init=(one,lim))
case("loop_const",[h.make_node("Loop",["m3","","v0"],["y","ys"],body=body([4]))],[vi("v0",T.FLOAT,[]),vi("x",T.FLOAT,[4])],[vi("y",T.FLOAT,[]),vi("ys",T.FLOAT,None)],[f0,x],init=(one,lim,h.make_tensor("m3",T.INT64,[],[2])))
b=h.make_graph([h.make_node("Mul",["v","x"],["v2"]),h.make_node("Identity",["c"],["c2"]),h.make_node("ReduceSum",["v2"],["s"],keepdims=0)],"b",[vi("i",T.INT64,[]),vi("c",T.BOOL,[]),vi("v",T.FLOAT,[4])],[vi("c2",T.BOOL,[]),vi("v2",T.FLOAT,[4]),vi("s",T.FLOAT,[])])
case("loop_fixed",[h.make_node("Loop",["m3","t","x"],["y","ys"],body=b)],[vi("x",T.FLOAT,[4])],[vi("y",T.FLOAT,[4]),vi("ys",T.FLOAT,[3])],[x],init=(h.make_tensor("m3",T.INT64,[],[3]),h.make_tensor("t",T.BOOL,[],[True])))
b=h.make_graph([h.make_node("Concat",["v","v"],["v2"],axis=0),h.make_node("Identity",["c"],["c2"])],"b",[vi("i",T.INT64,[]),vi("c",T.BOOL,[]),vi("v",T.FLOAT,[None])],[vi("c2",T.BOOL,[]),vi("v2",T.FLOAT,[None])])
case("loop_grow",[h.make_node("Loop",["M","","v0"],["y"],body=b)],[vi("M",T.INT64,[]),vi("v0",T.FLOAT,[2])],[vi("y",T.FLOAT,[None])],[np.array(3),np.arange(2,dtype=np.float32)])
b=h.make_graph([h.make_node("Unsqueeze",["v","ax"],["v2"]),h.make_node("Identity",["c"],["c2"])],"b",[vi("i",T.INT64,[]),vi("c",T.BOOL,[]),vi("v",T.FLOAT,None)],[vi("c2",T.BOOL,[]),vi("v2",T.FLOAT,None)])
case("loop_rank",[h.make_node("Loop",["M","","v0"],["y"],body=b)],[vi("M",T.INT64,[]),vi("v0",T.FLOAT,[2])],[vi("y",T.FLOAT,None)],[np.array(3),np.arange(2,dtype=np.float32)],init=(h.make_tensor("ax",T.INT64,[1],[0]),))
# nested with captures
inner=h.make_graph([h.make_node("Add",["w","v"],["w2"]),h.make_node("Identity",["c_"],["c3"]),h.make_node("Mul",["w2","x"],["q"])],"inner",[vi("j",T.INT64,[]),vi("c_",T.BOOL,[]),vi("w",T.FLOAT,[])],[vi("c3",T.BOOL,[]),vi("w2",T.FLOAT,[]),vi("q",T.FLOAT,[4])])
b=h.make_graph([h.make_node("Add",["v","one"],["v2"]),h.make_node("Loop",["two","","v"],["w9","qs"],body=inner),h.make_node("Identity",["c"],["c2"])],"b",[vi("i",T.INT64,[]),vi("c",T.BOOL,[]),vi("v",T.FLOAT,[])],[vi("c2",T.BOOL,[]),vi("v2",T.FLOAT,[]),vi("qs",T.FLOAT,[2,4])])
case("loop_nested",[h.make_node("Loop",["M","","v0"],["y","qss"],body=b)],[vi("M",T.INT64,[]),vi("v0",T.FLOAT,[]),vi("x",T.FLOAT,[4])],[vi("y",T.FLOAT,[]),vi("qss",T.FLOAT,None)],[np.array(3),f0,x],init=(one,h.make_tensor("two",T.INT64,[],[2])))
# scan
def sbody(): return h.make_graph([h.make_node("Add",["s","a"],["s2"]),h.make_node("Mul",["s2","b"],["o"]),h.make_node("Identity",["s2"],["o2"])],"b",[vi("s",T.FLOAT,[3]),vi("a",T.FLOAT,[3]),vi("b",T.FLOAT,[3])],[vi("s2",T.FLOAT,[3]),vi("o",T.FLOAT,[3]),vi("o2",T.FLOAT,[3])])
A=np.random.RandomState(0).randn(5,3).astype(np.float32); B=np.random.RandomState(1).randn(3,5).astype(np.float32); S=np.ones(3,np.float32)
for ib,(da,db,oa,ob,axb,ox) in enumerate([(0,0,0,0,1,[0,0]),(1,0,0,1,-1,[0,-1]),(0,1,1,0,1,[1,-2]),(1,1,1,1,1,[1,1])]):
  for dims in ("fix","dyn","dyn2"):
    la,lb={"fix":(5,5),"dyn":("L","L"),"dyn2":("L","K")}[dims]
    case(f"scan_{ib}_{dims}",[h.make_node("Scan",["S","A","B"],["y","o","o2"],num_scan_inputs=2,body=sbody(),scan_input_axes=[0,axb],scan_input_directions=[da,db],scan_output_axes=ox,scan_output_directions=[oa,ob])],[vi("S",T.FLOAT,[3]),vi("A",T.FLOAT,[la,3]),vi("B",T.FLOAT,[3,lb])],[vi("y",T.FLOAT,[3]),vi("o",T.FLOAT,None),vi("o2",T.FLOAT,None)],[S,A,B])
# scan 8
for lens in (None,[2,5]):
    ins=[vi("S",T.FLOAT,[2,3]),vi("A",T.FLOAT,[2,5,3]),vi("B",T.FLOAT,[2,5,3])]
    fe=[np.ones((2,3),np.float32),np.random.RandomState(0).randn(2,5,3).astype(np.float32),np.random.RandomState(1).randn(2,5,3).astype(np.float32)]
    if lens: ins.append(vi("ln",T.INT64,[2])); fe.append(np.array(lens))
    case(f"scan8_{lens}",[h.make_node("Scan",["ln" if lens else "","S","A","B"],["y","o","o2"],num_scan_inputs=2,body=sbody(),directions=[0,1])],ins,[vi("y",T.FLOAT,[2,3]),vi("o",T.FLOAT,[2,5,3]),vi("o2",T.FLOAT,[2,5,3])],fe,opset=8)
# If ranks
def iff(a,b,extra):
    return [h.make_node("If",["c"],["y"],then_branch=h.make_graph([h.make_node(*a)],"a",[],[vi(a[2][0],T.FLOAT,None)]),else_branch=h.make_graph([h.make_node(*b)],"b",[],[vi(b[2][0],T.FLOAT,None)]))]+extra
for c in (True,False):
    for nm,extra in (("neg",[h.make_node("Neg",["y"],["z"])]),("soft",[h.make_node("Softmax",["y"],["z"],axis=-1)]),("chain",[h.make_node("Shape",["y"],["sh"]),h.make_node("Exp",["y"],["e"]),h.make_node("Reshape",["e","m1"],["r"]),h.make_node("Cast",["sh"],["shf"],to=1),h.make_node("ReduceSum",["shf"],["shs"],keepdims=0),h.make_node("Mul",["r","shs"],["z"])]),("unused",[h.make_node("Identity",["y"],["z"])])):
        case(f"if_{c}_{nm}",iff(("Squeeze",["x","s0"],["a"]),("Identity",["x"],["b"]),extra),[vi("c",T.BOOL,[]),vi("x",T.FLOAT,[1,"k"])],[vi("z",T.FLOAT,None)],[np.array(c),np.arange(3,dtype=np.float32).reshape(1,3)],init=(h.make_tensor("m1",T.INT64,[1],[-1]),h.make_tensor("s0",T.INT64,[1],[0])))
# sequences inside
case("seq_known",[h.make_node("SequenceConstruct",["x","x2"],["s"]),h.make_node("SequenceInsert",["s","x","p0"],["s2"]),h.make_node("SequenceErase",["s2","p1"],["s3"]),h.make_node("SequenceAt",["s3","m1"],["a"]),h.make_node("ConcatFromSequence",["s3"],["z"],axis=-1,new_axis=1),h.make_node("SequenceLength",["s3"],["n"]),h.make_node("Neg",["a"],["na"])],[vi("x",T.FLOAT,[2,3]),vi("x2",T.FLOAT,[2,3])],[vi("z",T.FLOAT,None),vi("n",T.INT64,[]),vi("na",T.FLOAT,None)],[np.ones((2,3),np.float32),np.zeros((2,3),np.float32)],init=(h.make_tensor("p0",T.INT64,[],[0]),h.make_tensor("p1",T.INT64,[],[-2]),h.make_tensor("m1",T.INT64,[],[-1])))
case("seq_run",[h.make_node("SequenceConstruct",["x","x2","x"],["s"]),h.make_node("SequenceErase",["s","p"],["s3"]),h.make_node("SequenceInsert",["s3","x2","p"],["s4"]),h.make_node("SequenceAt",["s4","p"],["a"]),h.make_node("ConcatFromSequence",["s4"],["z"],axis=0),h.make_node("SequenceLength",["s3"],["n"]),h.make_node("Neg",["a"],["na"])],[vi("x",T.FLOAT,[2,3]),vi("x2",T.FLOAT,[1,3]),vi("p",T.INT64,[])],[vi("z",T.FLOAT,None),vi("n",T.INT64,[]),vi("na",T.FLOAT,None)],[np.ones((2,3),np.float32),np.zeros((1,3),np.float32),np.array(1)])
case("seq_ranks",[h.make_node("SequenceConstruct",["x","x2"],["s"]),h.make_node("SequenceAt",["s","p"],["a"]),h.make_node("Neg",["a"],["na"])],[vi("x",T.FLOAT,[2,3]),vi("x2",T.FLOAT,[3]),vi("p",T.INT64,[])],[vi("na",T.FLOAT,None)],[np.ones((2,3),np.float32),np.zeros((3),np.float32),np.array(1)])
for kd in (0,1):
  for sp in (None,2,[1,3]):
    if kd == 0 and sp == 2: continue
    ins=[vi("x",T.FLOAT,["n",3]),vi("p",T.INT64,[])]; init=[]
    if sp is not None: init=[h.make_tensor("sp",T.INT64,[] if sp==2 else [2],[sp] if sp==2 else sp)]
    case(f"split_{kd}_{sp}",[h.make_node("SplitToSequence",["x"]+(["sp"] if init else []),["s"],axis=0,keepdims=kd),h.make_node("SequenceAt",["s","p"],["a"]),h.make_node("Neg",["a"],["na"]),h.make_node("SequenceLength",["s"],["n"])],ins,[vi("na",T.FLOAT,None),vi("n",T.INT64,[])],[np.arange(12,dtype=np.float32).reshape(4,3),np.array(1)],init=init)

case("loop_nocount",[h.make_node("Loop",["","c0","v0"],["y","ys"],body=body([4]))],[vi("c0",T.BOOL,[]),vi("v0",T.FLOAT,[]),vi("x",T.FLOAT,[4])],[vi("y",T.FLOAT,[]),vi("ys",T.FLOAT,None)],[np.array(True),f0,x],init=(one,lim))
mapped=h.make_graph([h.make_node("Exp",["e"],["q"]),h.make_node("Shape",["e"],["r"])],"b",[vi("e",T.FLOAT,None)],[vi("q",T.FLOAT,None),vi("r",T.INT64,None)])
case("map",[h.make_node("SequenceConstruct",["x","x2"],["s"]),h.make_node("SequenceMap",["s"],["m","k"],body=mapped),h.make_node("ConcatFromSequence",["m"],["z"],axis=0),h.make_node("ConcatFromSequence",["k"],["w"],axis=0,new_axis=1)],[vi("x",T.FLOAT,[2,3]),vi("x2",T.FLOAT,[1,3])],[vi("z",T.FLOAT,None),vi("w",T.INT64,None)],[np.ones((2,3),np.float32),np.zeros((1,3),np.float32)],opset=17)
seq_type=h.make_sequence_type_proto(h.make_tensor_type_proto(T.FLOAT,None))
grown=h.make_graph([h.make_node("SequenceInsert",["q","x"],["q2"]),h.make_node("Identity",["c"],["c2"])],"b",[vi("i",T.INT64,[]),vi("c",T.BOOL,[]),h.make_value_info("q",seq_type)],[vi("c2",T.BOOL,[]),h.make_value_info("q2",seq_type)])
case("loop_appends",[h.make_node("SequenceEmpty",[],["e"]),h.make_node("Loop",["M","","e"],["l"],body=grown),h.make_node("SequenceLength",["l"],["n"]),h.make_node("ConcatFromSequence",["l"],["z"],axis=0,new_axis=1)],[vi("M",T.INT64,[]),vi("x",T.FLOAT,[4])],[vi("n",T.INT64,[]),vi("z",T.FLOAT,None)],[np.array(300),x])
def holds(value): return h.make_graph([h.make_node("Optional",[value],["o"])],"b",[],[h.make_value_info("o",h.make_optional_type_proto(h.make_tensor_type_proto(T.FLOAT,[4])))])
case("optional",[h.make_node("If",["c"],["o"],then_branch=holds("x"),else_branch=holds("x2")),h.make_node("OptionalHasElement",["o"],["has"]),h.make_node("OptionalGetElement",["o"],["g"]),h.make_node("Neg",["g"],["z"])],[vi("c",T.BOOL,[]),vi("x",T.FLOAT,[4]),vi("x2",T.FLOAT,[4])],[vi("has",T.BOOL,[]),vi("z",T.FLOAT,[4])],[np.array(False),x,x+1])


def operators():
    """Of all cases, bodies included."""
    found = set()

    def walk(graph):
        for node in graph.node:
            found.add(node.op_type)
            for a in node.attribute:
                if a.HasField("g"):
                    walk(a.g)

    for _, model, _ in CASES:
        walk(model.graph)
    return found


def run(scratch, pattern=""):
    """(name, {column: verdict}) of every case."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    todo, want = {}, {}
    for name, model, feeds in CASES:
        if pattern not in name:
            continue
        folder = pathlib.Path(scratch) / name
        driver.write_case(folder, model, feeds)
        todo[str(folder)] = driver.columns(len(todo), False)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        want[str(folder)] = session.run(None, dict(zip([i.name for i in model.graph.input], feeds)))
    answers = driver.run_all({folder: columns.values() for folder, columns in todo.items()}, scratch)
    return [(pathlib.Path(f).name, {c: driver.verdict(f, answers[f], c, want[f], lambda column, w: (1e-4, 1e-5)) for c in columns})
            for f, columns in todo.items()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for row in run(folder, sys.argv[1] if len(sys.argv) > 1 else ""):
            print(*row)
