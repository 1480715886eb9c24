"""A random graph while it grows: its values, with what they hold, and how operators' descriptors (operators.py and its
kin) take values from it and add nodes to it. A node is computed by onnxruntime the moment it is added; one that
onnxruntime refuses, or whose results no two implementations need agree on, is taken back (`Rejected`)."""
import dataclasses

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graphs.dice import MOST_ELEMENTS, Dice, Rejected
from graphs.evaluate import Refused, Unstable, Value, is_float, run_values, wildness
from sweep.descriptors import BOOL, F16, F32, F64, I64

OPSETS = (7, 24)


@dataclasses.dataclass
class Scope:
    """A graph or the body of an If."""

    nodes: list = dataclasses.field(default_factory=list)
    initializers: list = dataclasses.field(default_factory=list)
    sparse: list = dataclasses.field(default_factory=list)
    values: list = dataclasses.field(default_factory=list)

    def mark(self):
        return [len(x) for x in (self.nodes, self.initializers, self.sparse, self.values)]

    def cut(self, mark):
        for x, length in zip((self.nodes, self.initializers, self.sparse, self.values), mark):
            del x[length:]


class Builder(Dice):
    def __init__(self, rng, opset=None):
        super().__init__(rng)
        self.opset = opset or self.between(*OPSETS)
        self.ir_version = 3 if self.chance(0.05) else int(rng.integers(4, 11))
        self.style = self.pick(["v{}", "v{}", "layer.{}/out:0", "{}", "/blk/Mul_{}_output_0"])
        self.imports = {"": self.opset}
        self.scopes = [Scope()]
        self.inputs = []  # Values that are fed
        self.overridable = []  # those of them that have an initializer too
        self.names = self.runs = 0

    # ---- operators at this opset ----

    def schema(self, op, domain=""):
        try:
            found = onnx.defs.get_schema(op, self.opset if domain == "" else 1, domain)
        except onnx.defs.SchemaError:
            raise Rejected(f"no {op} in opset {self.opset}") from None
        if found.deprecated:
            raise Rejected(f"{op} is no more in opset {self.opset}")
        return found

    def version(self, op):
        return self.schema(op).since_version

    def dtypes(self, op, index=0):
        """numpy's dtypes that input `index` may have."""
        schema = self.schema(op)
        wanted = schema.inputs[min(index, len(schema.inputs) - 1)].type_str
        names = next((c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == wanted), [wanted])
        short = {"float": F32, "double": F64, "float16": F16, "bool": BOOL}
        found = {name[7:-1] for name in names if name.startswith("tensor(")}
        return {short[n] if n in short else getattr(np, n) for n in found if n in short or n.startswith(("int", "uint")) and hasattr(np, n)}

    # ---- values ----

    def name(self):
        self.names += 1
        return self.style.format(self.names)

    def visible(self):
        return [v for s in self.scopes for v in s.values]

    def add(self, value):
        self.scopes[-1].values.append(value)
        return value

    def fresh(self, array):
        """A new value with this content: fed, or a constant."""
        return self.feed(array) if self.chance(0.7) else self.constant(array)

    def feed(self, array, **more):
        value = Value(self.name(), array, **more)
        self.inputs.append(value)
        self.scopes[0].values.append(value)
        return value

    def constant(self, array, **more):
        """A constant of one of the sorts that files have."""
        value = Value(self.name(), array := np.asarray(array), **more)
        sort = self.rng.random()
        inside = len(self.scopes) > 1
        if inside and self.ir_version == 3:  # where initializers must be inputs, which bodies do not have
            sort = 1
        if sort < 0.5 or array.dtype == F16 and not inside:
            self.scopes[-1].initializers.append(numpy_helper.from_array(array, value.name))
        elif sort < 0.65:  # the numbers as fields of their own, not as bytes
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            self.scopes[-1].initializers.append(helper.make_tensor(value.name, kind, array.shape, array.reshape(-1).tolist()))
        elif sort < 0.7 and not inside:  # an initializer that could be fed
            self.scopes[-1].initializers.append(numpy_helper.from_array(array, value.name))
            self.overridable.append(value)
        elif sort < 0.74 and array.ndim == 1 and array.size and array.dtype == F32 and self.opset >= 11 and self.ir_version >= 5:
            self.scopes[-1].nodes.append(helper.make_node("Constant", [], [value.name], sparse_value=self.sparse_of(array)))
        elif sort < 0.84 and self.opset >= 12 and array.ndim <= 1 and array.dtype in (F32, I64):
            key = ("value_float" if array.dtype == F32 else "value_int") + ("s" if array.ndim else "")
            self.scopes[-1].nodes.append(helper.make_node("Constant", [], [value.name], **{key: array.tolist()}) if array.size else
                                         helper.make_node("Constant", [], [value.name], value=numpy_helper.from_array(array)))
        else:
            self.scopes[-1].nodes.append(helper.make_node("Constant", [], [value.name], value=numpy_helper.from_array(array)))
        return self.add(value)

    @staticmethod
    def sparse_of(array):
        at = np.flatnonzero(array)
        return helper.make_sparse_tensor(helper.make_tensor("", TensorProto.FLOAT, [at.size], array[at].tolist()),
                                         helper.make_tensor("", TensorProto.INT64, [at.size], at.tolist()), list(array.shape))

    def parameter(self, numbers, dtype=I64, known=0.85):
        """Axes, bounds, sizes: mostly constant; else fed, or taken from the shapes of values."""
        array = np.asarray(numbers, dtype)
        if self.chance(known):
            return self.constant(array, parameter=True)
        if dtype is I64 and array.ndim == 1 and array.size and self.opset >= 13 and self.chance(0.7):
            return self.measured(array)
        return self.feed(array, parameter=True)

    def measured(self, array):
        """The list joined from pieces, those that some value has as a size read off its shape."""
        pieces = []
        for n in array.tolist():
            fits = [(v, d) for v in self.visible() for d, size in enumerate(v.array.shape) if size == n and not v.parameter]
            if fits and self.chance(0.8):
                v, d = self.pick(fits)
                shape = self.node("Shape", [v])
                pieces.append(self.node("Gather", [shape, self.constant(np.array([d if self.chance(0.5) else d - v.array.ndim]), parameter=True)]))
            else:
                pieces.append(self.constant(np.array([n]), parameter=True))
        joined = self.node("Concat", pieces, axis=0)
        joined.parameter = True
        return joined

    def take(self, dtypes, ranks=range(6), fits=None, lo=-3.0, hi=3.0, new=0.1):
        """A value that is there, the later the likelier, or a new one; `fits(array)` says which can be used."""
        there = [v for v in self.visible() if not v.parameter and v.array.dtype.type in dtypes and v.array.ndim in ranks]
        there = [v for v in there if fits is None or fits(v.array)]
        if self.chance(0.7):  # chains rather than bundles
            there = [v for v in there if v.computed] or there
        if there and not self.chance(new):
            return there[-1 - min(len(there) - 1, int(self.rng.geometric(0.35)) - 1)]
        if not there and self.chance(0.8):
            made = self.bridged(dtypes, ranks)
            if made is not None and (fits is None or fits(made.array)):
                return made
        for _ in range(20):
            array = self.data(self.dtype(dtypes), self.shape(self.rank(list(ranks))), lo, hi)
            if fits is None or fits(array):
                return self.fresh(array)
        raise Rejected("no value fits")

    def bridged(self, dtypes, ranks):
        """Some value in another dtype or rank, where that can be."""
        there = [v for v in self.visible() if not v.parameter and (is_float(v.array) or v.array.dtype.type in dtypes)]
        if not there:
            return None
        v = self.pick(there[-4:])
        if v.array.ndim not in ranks:
            v = self.reshaped(v, self.factors(v.array.size, self.rank(list(ranks))))
        if v.array.dtype.type not in dtypes:
            to = self.dtype(dtypes)
            if to is not BOOL and np.dtype(to).kind != "f" and v.array.size and not 0 <= v.array.min() <= v.array.max() < 120:
                return None
            v = self.node("Cast", [v], to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))
        return v

    def factors(self, count, rank):
        """`rank` sizes whose product is `count`."""
        if rank == 0 and count != 1:
            rank = 1
        made = [1] * rank
        for p in (2, 3, 5, 7, 11, 13):
            while count and count % p == 0:
                made[self.between(0, rank - 1)] *= p
                count //= p
        if rank:
            made[self.between(0, rank - 1)] *= count
        return tuple(made)

    def reshaped(self, v, shape):
        return self.node("Reshape", [v, self.constant(np.array(shape, I64), parameter=True)])

    # ---- nodes ----

    def node(self, op, inputs, outputs=1, domain="", **attributes):
        """The results of a new node: one Value, or a list when `outputs` is more. None among the inputs is left out."""
        names = ["" if v is None else v.name for v in inputs]
        while names and not names[-1]:
            names.pop()
        made = helper.make_node(op, names, [self.name() for _ in range(outputs)], domain=domain,
                                **{k: v for k, v in attributes.items() if v is not None})
        if self.chance(0.5):
            made.name = f"{op}_{self.names}"
        if domain:
            self.imports[domain] = 1
        values = self.computed(made)
        self.scopes[-1].nodes.append(made)
        for v in values:
            self.add(v)
        return values[0] if outputs == 1 else values

    def computed(self, node):
        try:
            self.runs += 1
            values = run_values(node, self.opsets(), {v.name: v for v in self.visible()})
        except (Refused, Unstable) as e:
            raise Rejected(f"{node.op_type}: {e}") from None
        for v in values:
            v.computed = True
            self.check(node.op_type, v)
        return values

    def check(self, op, value):
        array = value.array
        if array.size > 4 * MOST_ELEMENTS or array.ndim > 6:
            raise Rejected(f"{op}: too large")
        if is_float(array) and array.size:
            size = np.abs(array.astype(np.float64))
            most = 1e3 if array.dtype == F16 else 1e6
            if not (size.max() < most) or ((size > 0) & (size < (1e-3 if array.dtype == F16 else 1e-20))).any():
                raise Rejected(f"{op}: not finite, or very large or small")
            if wildness(value) > (0.05 if array.dtype == F16 else 1e-3):
                raise Rejected(f"{op}: ill-conditioned")
        elif array.dtype.kind in "iu" and array.size and not self.wide and np.abs(array.astype(np.float64)).max() > 2**30:
            raise Rejected(f"{op}: very large integers")

    def attempt(self, descriptor):
        """Lets a descriptor add what it wants; all of it or nothing. True when it did."""
        mark = [s.mark() for s in self.scopes]
        ends = len(self.inputs), len(self.overridable), len(self.scopes)
        try:
            descriptor(self)
            return True
        except Rejected:
            del self.scopes[ends[2]:]
            for s, m in zip(self.scopes, mark):
                s.cut(m)
            del self.inputs[ends[0]:], self.overridable[ends[1]:]
            return False

    def opsets(self):
        return [helper.make_opsetid(d, v) for d, v in self.imports.items()]
