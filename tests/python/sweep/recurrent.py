"""The recurrent operators of the sweep: LSTM, GRU, RNN of ai.onnx, and ONNX Runtime's quantized LSTM."""
import numpy as np

from sweep.descriptors import F16, F32, F64, I32, Const, case, data, weights
from sweep.microsoft import case as microsoft

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
VERSIONS = (7, 14, 22)
EVERY = ("Affine", "Relu", "LeakyRelu", "ThresholdedRelu", "Tanh", "ScaledTanh", "Sigmoid", "HardSigmoid", "Elu", "Softsign", "Softplus")


def inputs(op, *, s=4, b=2, i=3, h=5, d=1, bias=True, lens=None, states=False, p=False, dtype=F32, weights=Const):
    """The inputs in their order. Small weights: sums stay where activations bend."""
    g = GATES[op]
    w = lambda *shape, seed: weights(data(*shape, dtype=dtype, lo=-0.6, hi=0.6, seed=seed))
    made = [data(s, b, i, dtype=dtype, lo=-1, hi=1), w(d, g * h, i, seed=1), w(d, g * h, h, seed=2)]
    made.append(w(d, 2 * g * h, seed=3) if bias else None)
    made.append(None if lens is None else np.array(lens, I32))
    made += [data(d, b, h, dtype=dtype, lo=-1, hi=1, seed=4 + k) if states else None for k in range(STATES[op])]
    made += [w(d, 3 * h, seed=8) if p else None] * (op == "LSTM")
    while made[-1] is None:
        made.pop()
    return made


def both(op, attrs):
    """One attribute set for the sweep: activations of all directions."""
    return {"hidden_size": 5, **attrs}


def run_time(x):
    return x


for op in GATES:
    all_outputs = "YYY"[:STATES[op] + 1]
    per = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
    for direction, d in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        attrs = both(op, {"direction": direction})
        case(op, inputs(op, d=d), VERSIONS, attrs, outputs=all_outputs)
        case(op, inputs(op, d=d, bias=False, states=True), (14,), attrs, outputs=all_outputs)
        case(op, inputs(op, d=d, states=True), (14,), attrs, outputs=all_outputs, dynamic=True)
        case(op, inputs(op, d=d, lens=[2, 4]), (7, 22), attrs, outputs=all_outputs, coreml="refused")
        case(op, inputs(op, d=d, lens=[3, 0], states=True), (14,), attrs, outputs=all_outputs, coreml="refused")
        case(op, inputs(op, d=d, weights=run_time, states=True), (14,), attrs, outputs=all_outputs, coreml="refused")
        case(op, inputs(op, d=d, weights=run_time), (14,), attrs, outputs=all_outputs, coreml="refused", dynamic=True)
    case(op, inputs(op), 14, both(op, {}), outputs="Y")
    case(op, inputs(op), 14, both(op, {}), outputs="-Y")
    if op == "LSTM":
        case(op, inputs(op), 14, both(op, {}), outputs="--Y")
        for direction, d in (("forward", 1), ("bidirectional", 2)):
            case(op, inputs(op, d=d, p=True, states=True), VERSIONS, both(op, {"direction": direction}), outputs="YYY")
            case(op, inputs(op, d=d, p=True), 14, both(op, {"direction": direction, "input_forget": 1}), outputs="YYY", coreml="refused")
            case(op, inputs(op, d=d, p=True), 14, both(op, {"direction": direction, "clip": 0.2}), outputs="YYY", coreml="refused")
    if op == "GRU":
        for direction, d in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
            for lens in (None, [4, 1]):
                case(op, inputs(op, d=d, states=True, lens=lens), VERSIONS, both(op, {"direction": direction, "linear_before_reset": 1}),
                     outputs="YY", **({"coreml": "refused"} if lens else {}))
        case(op, inputs(op, bias=False), 14, both(op, {"linear_before_reset": 1}), outputs="YY")
        case(op, inputs(op), 14, both(op, {"linear_before_reset": 1, "clip": 0.3}), outputs="YY")
    case(op, inputs(op), (7, 22), both(op, {"clip": 0.3}), outputs=all_outputs, coreml="refused")
    case(op, inputs(op, bias=False), 14, both(op, {"clip": 0.3}), outputs=all_outputs, coreml="refused")
    for f in EVERY:
        known = f in ("Relu", "Tanh", "Sigmoid", "HardSigmoid")
        attrs = {"activation_alpha": [0.3] * per, "activation_beta": [0.4] * per} if f in ("Affine", "ScaledTanh", "ThresholdedRelu") else {}
        case(op, inputs(op), 14, both(op, {"activations": [f] * per, **attrs}), outputs=all_outputs, coreml="ok" if known else "refused")
    names = [["Sigmoid", "HardSigmoid"], ["LeakyRelu", "Elu", "ScaledTanh", "Affine"], ["HardSigmoid", "LeakyRelu", "Affine"] * 2]
    names = names[{"RNN": 0, "GRU": 1, "LSTM": 2}[op]]
    case(op, inputs(op, d=2), 14, both(op, {"direction": "bidirectional", "activations": names, "activation_alpha": [0.3, 0.2, 0.9, 0.4, 0.1, 0.8][:2 * per],
                                            "activation_beta": [0.1, 0.3, 0.2, 0.5]}), outputs=all_outputs, coreml="refused")
    # More steps, rows and units than the fast kernel takes at once.
    case(op, inputs(op, s=9, b=7, i=19, h=21, d=2, states=True), 14, {"hidden_size": 21, "direction": "bidirectional"}, outputs=all_outputs, half=False)
    case(op, inputs(op, s=9, b=13, i=40, h=37, lens=list(range(10)) + [9, 1, 4]), 14, {"hidden_size": 37}, outputs=all_outputs, coreml="refused")
    case(op, inputs(op, s=3, b=1, i=1, h=1, states=True), 14, {"hidden_size": 1}, outputs=all_outputs)
    for dtype, coreml in ((F16, "ok"), (F64, "refused")):
        case(op, inputs(op, dtype=dtype, states=True), 14, both(op, {}), outputs=all_outputs, coreml=coreml)
        case(op, inputs(op, dtype=dtype, d=2, states=True), 14, both(op, {"direction": "bidirectional"}), outputs=all_outputs, coreml="any")
    # ONNX's own evaluator is the judge of layout 1: onnxruntime has none.
    turned = [np.swapaxes(x, 0, 1).copy() if isinstance(x, np.ndarray) and x.ndim == 3 else x for x in inputs(op, states=True, b=1)]
    case(op, turned, (14, 22), both(op, {"layout": 1}), outputs=all_outputs)

for signed in (np.int8, np.uint8):
    for d, columns in ((1, False), (2, False), (1, True)):
        h, i = 6, 4
        q = lambda *shape, seed: Const(weights(*shape, dtype=signed, seed=seed))
        each = (d, 4 * h) if columns else (d,)
        scale = Const(data(*each, lo=0.004, hi=0.006))
        zero = Const(np.full(each, 0 if signed is np.int8 else 128, signed))
        made = [data(5, 1, i, lo=-1, hi=1), q(d, i, 4 * h, seed=1), q(d, h, 4 * h, seed=2), Const(data(d, 8 * h, lo=-0.3, hi=0.3)),
                None, None, None, None, scale, zero, scale, zero]
        microsoft("DynamicQuantizeLSTM", made, {"hidden_size": h, "direction": "bidirectional" if d == 2 else "forward"}, coreml="refused", outputs=3)
