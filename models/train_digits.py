#!/usr/bin/env python3
"""Train and export the demo model: a small CNN that reads handwritten digits.

Plain numpy, no deep learning framework: every layer below has its forward and its backward pass spelled out. The data
is scikit-learn's bundled copy of the UCI handwritten digits (1,797 images of 8x8), enlarged to 32x32.

    python models/train_digits.py --out models      train, then write digits.onnx and three held-out images
    python models/train_digits.py --check           train again and compare byte for byte with the files in models/
    python models/train_digits.py --evaluate        accuracy of the shipped digits.onnx on the held-out images
    python models/train_digits.py --gradcheck       compare each backward pass with finite differences

Needs numpy, onnx and scikit-learn; --evaluate also needs onnxruntime. The project's tests need only the files.
The file is long because it holds the whole way, in order: data, layers, training, export.

The held-out images are the last 360 of the data set, unshuffled, because neighbours in it tend to be alike. Training
never looks at them: no early stopping, no best epoch. All randomness comes from one seed through numpy's frozen
`RandomState`.
"""

import os
import sys

# A float sum depends on its order, and OpenBLAS picks the order by CPU and by thread count. Training amplifies the last
# bit, so both are pinned, before numpy is loaded, to get the same file on every x86-64 machine with AVX2.
for _name, _value in (("OPENBLAS_NUM_THREADS", "1"), ("OPENBLAS_CORETYPE", "Haswell"), ("OMP_NUM_THREADS", "1")):
    os.environ[_name] = _value

import argparse
import binascii
import pathlib
import struct
import time
import zlib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20240817
HELD_OUT = 360
EPOCHS = 40
BATCH = 32
PEAK_RATE = 4e-3
WEIGHT_DECAY = 1e-4
MAX_SHIFT = 3  # pixels of the 32x32 image, each way
MAX_BEND = 10  # 64ths, in each entry of the matrix that bends the image
ACCURACY_BAR = 0.975
BN_EPSILON = 1e-5
SAMPLES = {3: "digit_three.png", 7: "digit_seven.png", 8: "digit_eight.png"}


# ---------------------------------------------------------------------------------------------------------------- data


def enlarge(small):
    """[n, 8, 8] integers 0..16 to [n, 32, 32] uint8, bilinear with half-pixel centres.

    At a factor of 4 the bilinear weights are odd eighths, so the whole computation is exact in integers.
    """
    position = 2 * np.arange(32) + 1 - 4  # source coordinate in eighths
    low = position >> 3
    part = position & 7
    weights = np.zeros((32, 8), np.int64)
    for row, (index, fraction) in enumerate(zip(low, part)):
        weights[row, np.clip(index, 0, 7)] += 8 - fraction
        weights[row, np.clip(index + 1, 0, 7)] += fraction
    scaled = np.einsum("yi,nij,xj->nyx", weights, small.astype(np.int64), weights)  # 0 .. 16*64
    return ((scaled * 255 + 512) // 1024).astype(np.uint8)


def load_data():
    """((images, labels) for training, the same for test); images [n, 32, 32] uint8."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = enlarge(digits.images.astype(np.int64)), digits.target.astype(np.int64)
    return (images[:-HELD_OUT], labels[:-HELD_OUT]), (images[-HELD_OUT:], labels[-HELD_OUT:])


def to_input(images):
    """uint8 [n, 32, 32] to what the network takes: float32 0..1, [n, 32, 32, 1]."""
    return (images.astype(np.float32) / np.float32(255))[..., None]


def varied(images, rng):
    """Each image moved by its own few pixels and turned, stretched and sheared a little; outside is background (0).

    The matrix is drawn in 64ths and the move in 128ths of a pixel, so the bilinear sampling is exact in integers.
    """
    n, margin = len(images), 16
    matrix = 64 * np.eye(2, dtype=np.int64) + rng.randint(-MAX_BEND, MAX_BEND + 1, size=(n, 2, 2))
    move = rng.randint(-MAX_SHIFT * 128, MAX_SHIFT * 128 + 1, size=(n, 2))
    centred = 2 * np.arange(32) - 31  # from the middle, in half pixels
    y, x = centred[:, None], centred[None, :]
    middle = 31 * 64  # in 128ths of a pixel

    def entry(row, column):
        return matrix[:, row, column][:, None, None]

    from_y = entry(0, 0) * y + entry(0, 1) * x + middle + move[:, 0][:, None, None]
    from_x = entry(1, 0) * y + entry(1, 1) * x + middle + move[:, 1][:, None, None]
    padded = np.pad(images.astype(np.int64), ((0, 0), (margin, margin), (margin, margin)))
    top, part_y = np.clip((from_y >> 7) + margin, 0, 30 + 2 * margin), from_y & 127
    left, part_x = np.clip((from_x >> 7) + margin, 0, 30 + 2 * margin), from_x & 127
    which = np.arange(n)[:, None, None]

    def row(index):
        return padded[which, index, left] * (128 - part_x) + padded[which, index, left + 1] * part_x

    return ((row(top) * (128 - part_y) + row(top + 1) * part_y + 8192) >> 14).astype(np.uint8)


# -------------------------------------------------------------------------------------------------------------- layers
#
# Activations are [n, height, width, channels] while training, which makes a convolution one matrix product. Every layer
# has forward(x, training), backward(dy) -> dx, and `params`: name -> [value, gradient].


class Layer:
    def __init__(self):
        self.params = {}

    def __getitem__(self, name):
        return self.params[name][0]

    def add_param(self, name, value):
        self.params[name] = [value, np.zeros_like(value)]


def windows(x, size):
    """[n, h, w, c] to [n*h*w, size*size*c]: the zero-padded neighbourhood of every pixel, one a row."""
    n, h, w, c = x.shape
    edge = size // 2
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))  # n, h, w, c, size, size
    return np.ascontiguousarray(view.transpose(0, 1, 2, 4, 5, 3)).reshape(n * h * w, size * size * c)


class Conv(Layer):
    """Odd kernel, stride 1, zero padding that keeps the size; no bias: a BatchNorm follows. Weight: k, k, in, out."""

    def __init__(self, rng, channels_in, channels_out, size=3, first=False, dtype=np.float32):
        super().__init__()
        self.size, self.first = size, first
        scale = np.sqrt(2.0 / (size * size * channels_in))
        self.add_param("weight", (rng.randn(size, size, channels_in, channels_out) * scale).astype(dtype))

    def forward(self, x, training):
        weight = self["weight"]
        self.columns = windows(x, self.size)
        return (self.columns @ weight.reshape(-1, weight.shape[3])).reshape(x.shape[:3] + weight.shape[3:])

    def backward(self, dy):
        weight = self["weight"]
        flat = dy.reshape(-1, weight.shape[3])
        self.params["weight"][1] = (self.columns.T @ flat).reshape(weight.shape)
        if self.first:
            return None  # nobody needs the gradient of the image
        # The gradient of a same-size convolution is the same convolution with the kernel turned by 180 degrees.
        turned = weight[::-1, ::-1].transpose(0, 1, 3, 2).reshape(-1, weight.shape[2])
        return (windows(dy, self.size) @ turned).reshape(dy.shape[:3] + weight.shape[2:3])


class BatchNorm(Layer):
    """Per channel over n, h, w; running mean and variance are what inference uses."""

    def __init__(self, channels, dtype=np.float32):
        super().__init__()
        self.add_param("scale", np.ones(channels, dtype))
        self.add_param("bias", np.zeros(channels, dtype))
        self.mean, self.variance = np.zeros(channels, dtype), np.ones(channels, dtype)

    def forward(self, x, training):
        if training:
            mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
            self.mean += x.dtype.type(0.05) * (mean - self.mean)
            self.variance += x.dtype.type(0.05) * (variance - self.variance)
        else:
            mean, variance = self.mean, self.variance
        self.inverse = 1 / np.sqrt(variance + x.dtype.type(BN_EPSILON))
        self.normal = (x - mean) * self.inverse
        return self.normal * self["scale"] + self["bias"]

    def backward(self, dy):
        self.params["bias"][1] = dy.sum(axis=(0, 1, 2))
        self.params["scale"][1] = (dy * self.normal).sum(axis=(0, 1, 2))
        count = dy.dtype.type(dy.size // dy.shape[3])
        centred = dy - self.params["bias"][1] / count - self.normal * (self.params["scale"][1] / count)
        return centred * (self["scale"] * self.inverse)


class Relu(Layer):
    def forward(self, x, training):
        self.alive = x > 0
        return x * self.alive

    def backward(self, dy):
        return dy * self.alive


class MaxPool(Layer):
    """2x2, stride 2. Where several pixels of a window are largest, the gradient goes to the first."""

    def forward(self, x, training):
        n, h, w, c = x.shape
        tiles = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 5, 2, 4).reshape(n, h // 2, w // 2, c, 4)
        self.winner = tiles.argmax(axis=4)[..., None]
        return np.take_along_axis(tiles, self.winner, axis=4)[..., 0]

    def backward(self, dy):
        n, h, w, c = dy.shape
        tiles = np.zeros((n, h, w, c, 4), dy.dtype)
        np.put_along_axis(tiles, self.winner, dy[..., None], axis=4)
        return tiles.reshape(n, h, w, c, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(n, 2 * h, 2 * w, c)


class Flatten(Layer):
    """To [n, features], in ONNX's order (channel, row, column), so that the dense weight is exported as it is."""

    def forward(self, x, training):
        self.shape = x.shape
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)

    def backward(self, dy):
        n, h, w, c = self.shape
        return dy.reshape(n, c, h, w).transpose(0, 2, 3, 1)


class Dense(Layer):
    """Weight: out, in (as Gemm with transB takes it)."""

    def __init__(self, rng, features_in, features_out, dtype=np.float32):
        super().__init__()
        scale = np.sqrt(1.0 / features_in)
        self.add_param("weight", (rng.randn(features_out, features_in) * scale).astype(dtype))
        self.add_param("bias", np.zeros(features_out, dtype))

    def forward(self, x, training):
        self.x = x
        return x @ self["weight"].T + self["bias"]

    def backward(self, dy):
        self.params["weight"][1] = dy.T @ self.x
        self.params["bias"][1] = dy.sum(axis=0)
        return dy @ self["weight"]


def softmax_loss(logits, labels):
    """(mean cross entropy, gradient by the logits). In double: a float's exp differs between numpy's SIMD paths."""
    wide = logits.astype(np.float64)
    exp = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities = exp / exp.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels]).mean()
    probabilities[rows, labels] -= 1
    return loss, (probabilities / len(labels)).astype(logits.dtype)


class Network:
    """Three times convolution, normalisation, ReLU, pooling (32x32 to 4x4), then one dense layer: 10 logits."""

    def __init__(self, rng, widths=(16, 32, 64), size=32, dtype=np.float32):
        self.layers = []
        channels = 1
        for width in widths:
            conv = Conv(rng, channels, width, first=not self.layers, dtype=dtype)
            self.layers += [conv, BatchNorm(width, dtype), Relu(), MaxPool()]
            channels, size = width, size // 2
        self.layers += [Flatten(), Dense(rng, channels * size * size, 10, dtype)]

    def forward(self, x, training=False):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)

    def params(self):
        return [(layer, name) for layer in self.layers for name in sorted(layer.params)]

    def accuracy(self, images, labels):
        """Share of images whose largest logit is the label's; in batches, to keep the window matrices small."""
        right = 0
        for start in range(0, len(images), 64):
            logits = self.forward(to_input(images[start : start + 64]))
            right += int((logits.argmax(axis=1) == labels[start : start + 64]).sum())
        return right / len(images)


# ------------------------------------------------------------------------------------------------------------ training


class Adam:
    """Adam with decoupled weight decay on the weight matrices (not on scales and biases)."""

    def __init__(self, network):
        self.slots = [
            (layer, name, np.zeros_like(layer[name]), np.zeros_like(layer[name])) for layer, name in network.params()
        ]
        self.steps = 0

    def step(self, rate):
        self.steps += 1
        f = np.float32
        fix1, fix2 = f(1 - 0.9**self.steps), f(1 - 0.999**self.steps)
        for layer, name, mean, square in self.slots:
            value, gradient = layer.params[name]
            mean += f(0.1) * (gradient - mean)
            square += f(0.001) * (gradient * gradient - square)
            if name == "weight":
                value *= f(1 - rate * WEIGHT_DECAY)
            value -= f(rate) * (mean / fix1) / (np.sqrt(square / fix2) + f(1e-8))


def learning_rate(progress):
    """Linear warm-up over the first tenth, then a cosine down to zero."""
    if progress < 0.1:
        return PEAK_RATE * progress / 0.1
    return PEAK_RATE * 0.5 * (1 + np.cos(np.pi * (progress - 0.1) / 0.9))


def train(images, labels, quiet=False):
    rng = np.random.RandomState(SEED)
    network = Network(rng)
    optimiser = Adam(network)
    steps = len(images) // BATCH
    began = time.monotonic()
    for epoch in range(EPOCHS):
        order = rng.permutation(len(images))
        total = 0.0
        for step in range(steps):
            pick = order[step * BATCH : (step + 1) * BATCH]
            logits = network.forward(to_input(varied(images[pick], rng)), training=True)
            loss, gradient = softmax_loss(logits, labels[pick])
            network.backward(gradient)
            optimiser.step(learning_rate((epoch + step / steps) / EPOCHS))
            total += loss
        if not quiet:
            print(
                f"epoch {epoch + 1:2}/{EPOCHS}  loss {total / steps:.4f}  {time.monotonic() - began:.0f} s",
                file=sys.stderr,
            )
    return network


def gradcheck():
    """Largest relative error of any backward pass against central differences, in double."""
    rng = np.random.RandomState(1)
    network = Network(rng, widths=(3, 4, 5), size=8, dtype=np.float64)
    x, labels = rng.rand(4, 8, 8, 1), np.array([1, 4, 7, 9])

    def loss():
        return softmax_loss(network.forward(x, training=True), labels)

    network.backward(loss()[1])
    worst = 0.0
    for layer, name in network.params():
        value, gradient = layer.params[name]
        for index in rng.choice(value.size, size=min(value.size, 12), replace=False):
            kept, h = value.flat[index], 1e-6
            value.flat[index] = kept + h
            above = loss()[0]
            value.flat[index] = kept - h
            below = loss()[0]
            value.flat[index] = kept
            numeric, analytic = (above - below) / (2 * h), gradient.flat[index]
            worst = max(worst, abs(numeric - analytic) / max(1e-4, abs(numeric) + abs(analytic)))
    return worst


# -------------------------------------------------------------------------------------------------------------- export


def onnx_bytes(network):
    """The network as ONNX, opset 17, fp32. BatchNormalization stays a node: folding it is the compiler's job."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, initializers, counts = [], [], {}
    value = "image"

    def constant(name, array):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name))
        return name

    def add(op, inputs, output=None, **attributes):
        nonlocal value
        counts[op] = counts.get(op, 0) + 1
        name = f"{op.lower()}{counts[op]}"
        value = output or name
        nodes.append(helper.make_node(op, inputs, [value], name=name, **attributes))

    for layer in network.layers:
        if isinstance(layer, Conv):
            number = counts.get("Conv", 0) + 1
            weight = constant(f"conv{number}.weight", layer["weight"].transpose(3, 2, 0, 1))
            edge = layer.size // 2
            add("Conv", [value, weight], kernel_shape=[layer.size] * 2, pads=[edge] * 4, strides=[1, 1])
        elif isinstance(layer, BatchNorm):
            prefix = f"bn{counts.get('BatchNormalization', 0) + 1}"
            parts = (("scale", layer["scale"]), ("bias", layer["bias"]), ("mean", layer.mean), ("var", layer.variance))
            inputs = [value] + [constant(f"{prefix}.{part}", array) for part, array in parts]
            add("BatchNormalization", inputs, epsilon=BN_EPSILON)
        elif isinstance(layer, Relu):
            add("Relu", [value])
        elif isinstance(layer, MaxPool):
            add("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])
        elif isinstance(layer, Flatten):
            add("Flatten", [value], axis=1)
        elif isinstance(layer, Dense):
            weight, bias = constant("fc.weight", layer["weight"]), constant("fc.bias", layer["bias"])
            add("Gemm", [value, weight, bias], transB=1)
        else:
            raise TypeError(f"no ONNX form for {type(layer).__name__}")
    add("Softmax", [value], output="probabilities", axis=1)

    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 32, 32])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 10])],
        initializers,
        doc_string="Handwritten digit, white on black, 0..1, to the probability of each of the ten digits.",
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="graft models/train_digits.py"
    )
    helper.set_model_props(model, {"labels": ",".join("0123456789")})
    checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def png_bytes(image):
    """An 8-bit grey PNG. Stored, not compressed: a compressor's bytes differ between zlib versions."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", binascii.crc32(kind + body))

    height, width = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image)  # 0: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def make_files():
    """File name -> bytes. Raises SystemExit if the network is not good enough to ship."""
    (images, labels), (test_images, test_labels) = load_data()
    network = train(images, labels)
    accuracy = network.accuracy(test_images, test_labels)
    print(
        f"train {network.accuracy(images, labels):.2%} of {len(labels)}, held out {accuracy:.2%} of {len(test_labels)}"
    )
    if accuracy < ACCURACY_BAR:
        raise SystemExit(f"held-out accuracy {accuracy:.2%} is under {ACCURACY_BAR:.1%}: nothing written")
    files = {"digits.onnx": onnx_bytes(network)}
    for digit, name in SAMPLES.items():
        first = int(np.flatnonzero(test_labels == digit)[0])  # the first one held out, not the prettiest
        files[name] = png_bytes(test_images[first])
    return files


def evaluate(model_path):
    """Accuracy of an exported model on the held-out images, through onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
    _, (images, labels) = load_data()
    confusion = np.zeros((10, 10), np.int64)
    for image, label in zip(to_input(images), labels):
        probabilities = session.run(["probabilities"], {"image": image.transpose(2, 0, 1)[None]})[0]
        confusion[label, probabilities.argmax()] += 1
    right = int(np.trace(confusion))
    print(f"{model_path}: {right} of {len(labels)} held-out images right ({right / len(labels):.2%})")
    print("rows: true digit, columns: answer")
    print(confusion)
    return right / len(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=pathlib.Path, default=HERE, metavar="DIR", help="where to write (default: beside the script)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file in DIR differs from a new training run"
    )
    parser.add_argument("--evaluate", action="store_true", help="only measure DIR/digits.onnx")
    parser.add_argument("--gradcheck", action="store_true", help="only check the backward passes")
    options = parser.parse_args()

    if options.gradcheck:
        worst = gradcheck()
        print(f"largest relative gradient error {worst:.1e}")
        return 0 if worst < 1e-5 else 1
    if options.evaluate:
        return 0 if evaluate(options.out / "digits.onnx") >= ACCURACY_BAR else 1
    files = make_files()
    if options.check:
        wrong = [n for n, b in files.items() if not (options.out / n).is_file() or (options.out / n).read_bytes() != b]
        for name in wrong:
            print(f"differs or missing: {options.out / name}", file=sys.stderr)
        print(f"{len(files) - len(wrong)} of {len(files)} files equal")
        return 1 if wrong else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (options.out / name).write_bytes(content)
        print(f"{options.out / name}: {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
