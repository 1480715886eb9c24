"""A failing graph made small: outputs, nodes, sizes and attributes go, one after the other, as long as what is
left still fails in the same way."""
import numpy as np
import onnx

from graphs.evaluate import Refused, Unstable, Value, evaluate, info_of
from graphs.generate import Made, nodes_of


class Lost(Exception):
    """The step leaves nothing that could be judged."""


def remade(model, feed):
    """The model with the outputs that it lists, judged anew for this feed."""
    try:
        known = evaluate(model.graph, model.opset_import, {n: Value(n, x) for n, x in feed.items()})
        return Made(model, [feed], [[known[o.name] for o in model.graph.output]])
    except (Refused, Unstable, KeyError, ValueError, IndexError, StopIteration) as e:  # what a step leaves may be anything
        raise Lost(str(e)) from None


def shrink(made, fails, budget=600):
    """`fails(made)`: whether it is still the same fault. Returns the smallest that was found."""
    for feed, want in zip(made.feeds, made.expected):
        one = Made(made.model, [feed], [want])
        if fails(one):
            made = one
            break
    tries = [budget]

    def better(candidate):
        if tries[0] <= 0:
            return None
        tries[0] -= 1
        try:
            candidate = candidate()
            return candidate if fails(candidate) else None
        except Lost:
            return None

    progress = len(made.feeds) == 1
    while progress and tries[0] > 0:
        progress = False
        for steps in (fewer_outputs, fewer_nodes, inlined_bodies, bypassed_nodes, fixed_dims, plain_attributes, small_dims, plain_numbers):
            again = True
            while again:  # a step that worked changes what the others may do
                again = False
                for candidate in steps(made):
                    smaller = better(candidate)
                    if smaller is not None:
                        made, progress, again = smaller, True, True
                        break
    return made


def copy_of(made):
    model = onnx.ModelProto()
    model.CopyFrom(made.model)
    return model, dict(made.feeds[0])


def swept(model, feed):
    """Without what no output needs any more."""
    needed, kept = {o.name for o in model.graph.output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            for n in nodes_of([node]):
                needed |= set(n.input)
                for a in n.attribute:
                    needed |= {o.name for o in a.g.output}
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    for field in ("input", "initializer"):
        left = [v for v in getattr(model.graph, field) if v.name in needed]
        del getattr(model.graph, field)[:]
        getattr(model.graph, field).extend(left)
    sparse = [t for t in model.graph.sparse_initializer if t.values.name in needed]
    del model.graph.sparse_initializer[:], model.graph.value_info[:]
    model.graph.sparse_initializer.extend(sparse)
    return remade(model, {i.name: feed[i.name] for i in model.graph.input if i.name in feed})


def fewer_outputs(made):
    if len(made.model.graph.output) == 1:
        return
    for i in range(len(made.model.graph.output)):
        def step(i=i):
            model, feed = copy_of(made)
            only = model.graph.output[i]
            del model.graph.output[:]
            model.graph.output.append(only)
            return swept(model, feed)
        yield step


def values_of(made):
    try:
        return evaluate(made.model.graph, made.model.opset_import, {n: Value(n, x) for n, x in made.feeds[0].items()})
    except (Refused, Unstable):
        return {}


def fewer_nodes(made):
    """The graph from some value on, which is fed then; or up to some value."""
    known = values_of(made)
    outputs = [o.name for o in made.model.graph.output]
    made_here = [n for node in made.model.graph.node for n in node.output if n and n in known]
    for name in made_here:
        if name in outputs:
            continue
        def upto(name=name):
            model, feed = copy_of(made)
            del model.graph.output[:]
            model.graph.output.append(info_of(name, known[name].array, []))
            model.graph.output[0].type.tensor_type.ClearField("shape")
            return swept(model, feed)
        yield upto
    read = {n for node in nodes_of(made.model.graph.node) for n in node.input}
    for name in reversed([n for n in made_here if n in read]):
        def behind(name=name):
            model, feed = copy_of(made)
            for node in model.graph.node:
                for i, n in enumerate(node.output):
                    if n == name:
                        node.output[i] = f"unused_{name}"
            feed[name] = known[name].array
            model.graph.input.append(info_of(name, feed[name]))
            return swept(model, feed)
        if name not in outputs:
            yield behind


def inlined_bodies(made):
    """In place of an If the nodes of the branch that it takes; else the branch without nodes that it does not need."""
    known = values_of(made)
    for at, node in enumerate(made.model.graph.node):
        if node.op_type != "If" or node.input[0] not in known:
            continue
        taken = "then_branch" if known[node.input[0]].array.reshape(-1)[0] else "else_branch"

        def inlined(at=at, taken=taken):
            model, feed = copy_of(made)
            nodes = list(model.graph.node)
            body = next(a.g for a in nodes[at].attribute if a.name == taken)
            model.graph.initializer.extend(body.initializer)
            model.graph.sparse_initializer.extend(body.sparse_initializer)
            ends = [onnx.helper.make_node("Identity", [o.name], [name]) for o, name in zip(body.output, nodes[at].output)]
            del model.graph.node[:]
            model.graph.node.extend([*nodes[:at], *body.node, *ends, *nodes[at + 1:]])
            return swept(model, feed)
        yield inlined
        for which, a in enumerate(node.attribute):
            for drop in range(len(a.g.node)):
                def without(at=at, which=which, drop=drop):
                    model, feed = copy_of(made)
                    del model.graph.node[at].attribute[which].g.node[drop]
                    return swept(model, feed)
                yield without


def bypassed_nodes(made):
    """Readers of a node's result read one of its inputs instead."""
    known = values_of(made)
    for at, node in enumerate(made.model.graph.node):
        for source in dict.fromkeys(node.input):
            if not source or node.output[0] not in known or source not in known:
                continue
            a, b = known[source].array, known[node.output[0]].array
            if a.dtype != b.dtype or a.ndim != b.ndim:
                continue
            def step(at=at, source=source):
                model, feed = copy_of(made)
                target = model.graph.node[at].output[0]
                for other in nodes_of(model.graph.node):
                    for i, n in enumerate(other.input):
                        if n == target:
                            other.input[i] = source
                return swept(model, feed)
            yield step


def fixed_dims(made):
    for at, value in enumerate(made.model.graph.input):
        if any(d.HasField("dim_param") for d in value.type.tensor_type.shape.dim) and value.name in made.feeds[0]:
            def step(at=at, name=value.name):
                model, feed = copy_of(made)
                model.graph.input[at].CopyFrom(info_of(name, feed[name]))
                return swept(model, feed)
            yield step


def plain_attributes(made):
    for at, node in enumerate(made.model.graph.node):
        for i in range(len(node.attribute)):
            def step(at=at, i=i):
                model, feed = copy_of(made)
                del model.graph.node[at].attribute[i]
                return swept(model, feed)
            yield step
        for i in reversed(range(len(node.input))):
            if node.input[i]:
                def without(at=at, i=i):
                    model, feed = copy_of(made)
                    model.graph.node[at].input[i] = ""
                    while model.graph.node[at].input and not model.graph.node[at].input[-1]:
                        model.graph.node[at].input.pop()
                    return swept(model, feed)
                yield without


def small_dims(made):
    """One dim of what is fed cut to its first elements."""
    for at, value in enumerate(made.model.graph.input):
        x = made.feeds[0].get(value.name)
        for d, n in enumerate(x.shape if x is not None else ()):
            for less in (1, n // 2, n - 1):
                if 0 < less < n:
                    def step(at=at, name=value.name, d=d, less=less):
                        model, feed = copy_of(made)
                        feed[name] = np.ascontiguousarray(np.take(feed[name], np.arange(less), axis=d))
                        dim = model.graph.input[at].type.tensor_type.shape.dim[d]
                        if dim.HasField("dim_value"):
                            dim.dim_value = less
                        return swept(model, feed)
                    yield step


def plain_numbers(made):
    """Numbers with few digits."""
    for name, x in made.feeds[0].items():
        if x.dtype.kind != "f" or not x.size:
            continue
        for plain in (np.zeros_like(x), np.round(x), np.round(x * 4) / 4):
            if plain.tobytes() != x.tobytes():
                def step(name=name, plain=plain):
                    model, feed = copy_of(made)
                    feed[name] = plain.astype(x.dtype)
                    return remade(model, feed)
                yield step
