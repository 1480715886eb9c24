"""What the operator sweep runs on strings, and of ai.onnx.ml. Added to the cases of sweep.descriptors: constant strings are
computed where models are made, and then again given by the run."""
import numpy as np
from onnx import TensorProto, helper

from sweep.descriptors import BOOL, F16, F32, F64, I32, I64, Const, case, data, ints

ML = "ai.onnx.ml"


def array(*values):
    return np.array(values, dtype=object)


def text(*values):
    return Const(array(*values))


WORDS = text("a b  c", "", "  d ", "x,y,,z", ",")
case("StringConcat", [text("a", "b", ""), text("x")], 20, coreml="any")
case("StringConcat", [text(["a", "b"], ["c", "d"]), text("x", "y")], 20, coreml="any")
case("StringConcat", [Const(np.zeros((0, 2), object)), text("x", "y")], 20, coreml="any")
for attrs in ({}, {"delimiter": ","}, {"maxsplit": 1}, {"delimiter": ",", "maxsplit": 2}, {"delimiter": ",,"}, {"delimiter": ""}):
    case("StringSplit", [WORDS], 20, attrs, outputs=2, coreml="any")

# ---- moved ---------------------------------------------------------------------------------------------------------

PAIR = text(["a", "b"], ["c", "a longer one of many letters"])
case("Identity", [PAIR], 13, coreml="any")
case("Reshape", [PAIR, ints(4)], 13, coreml="any")
case("Gather", [PAIR, ints(1, 0)], 13, {"axis": 1}, coreml="any")
case("GatherElements", [PAIR, Const([[0, 1], [-1, 0]], I64)], 13, {"axis": 1}, coreml="any")
case("GatherND", [PAIR, Const([[0, 1], [1, 0]], I64)], 13, coreml="any")
case("Concat", [PAIR, PAIR], 13, {"axis": 0}, coreml="any")
case("Slice", [PAIR, ints(1), ints(-3), ints(1), ints(-1)], 13, coreml="any")
case("Split", [PAIR, ints(1, 1)], 13, {"axis": 0}, outputs=2, coreml="any")
case("Tile", [PAIR, ints(2, 1)], 13, coreml="any")
case("Expand", [PAIR, ints(2, 2, 2)], 13, coreml="any")
case("Unsqueeze", [PAIR, ints(0)], 13, coreml="any")
case("Squeeze", [text(["a"]), ints(0)], 13, coreml="any")
case("Flatten", [PAIR], 13, {"axis": 0}, coreml="any")
case("Transpose", [PAIR], 13, {"perm": [1, 0]}, coreml="any")
case("Where", [Const([[True, False], [False, True]], BOOL), PAIR, text("x")], 16, coreml="any")
case("ScatterND", [PAIR, Const([[0, 1]], I64), text("z")], 18, coreml="any")
case("ScatterElements", [PAIR, Const([[1, 0]], I64), text(["z", "w"])], 18, {"axis": 1}, coreml="any")
case("Compress", [PAIR, Const([True, False], BOOL)], 11, {"axis": 1}, coreml="any")
case("Unique", [text("b", "a", "b")], 11, outputs=4, coreml="any")

# ---- compared and converted ----------------------------------------------------------------------------------------

case("Equal", [PAIR, text("a", "b")], 19, coreml="any")
case("Equal", [text("a", "", "b"), text("")], 19, coreml="any")
NUMBERS = [0, -0.0, 1, -1.5, 0.1, 1e20, 1e-7, 123456789, np.nan, np.inf, -np.inf, 3.4e38, 1 / 3]
for dtype in (F32, F64):
    case("Cast", [Const(NUMBERS, dtype)], (13, 19), {"to": TensorProto.STRING}, coreml="any")
case("Cast", [Const([0, 1.5, 0.1, 65504], F16)], 13, {"to": TensorProto.STRING}, coreml="any")
for dtype in (np.int8, np.uint8, I32, I64):
    case("Cast", [Const([0, 1, 100], dtype)], 13, {"to": TensorProto.STRING}, coreml="any")
case("Cast", [Const([True, False], BOOL)], 13, {"to": TensorProto.STRING}, coreml="any")
for to in ("FLOAT", "DOUBLE", "FLOAT16"):
    spelled = text("1.5", "-3", " 7", "7 ", "0x10", "1e3", "INF", "-inf", "nan", "+INF", "infinity", "1.5abc")
    case("Cast", [spelled], 13, {"to": getattr(TensorProto, to)}, coreml="any")
for to in ("INT32", "INT64", "INT8", "UINT8", "UINT64", "BOOL"):
    case("Cast", [text("7", "-3", " 12 ", "0x10", "1e3", "300", "1.5")], 13, {"to": getattr(TensorProto, to)}, coreml="any")
case("CastLike", [text("1.5", "2"), Const([0], F32)], 15, coreml="any")

# ---- text models' first steps --------------------------------------------------------------------------------------

# A locale that every system has; the default of onnxruntime is not everywhere.
DAYS = text("Monday", "tuesday", "WEDNESDAY", "monday")
for attrs in ({}, {"case_change_action": "LOWER"}, {"case_change_action": "UPPER", "is_case_sensitive": 1, "stopwords": ["monday"]},
              {"case_change_action": "UPPER", "stopwords": ["MONDAY"]}, {"is_case_sensitive": 1, "stopwords": ["Monday", "monday"]},
              {"stopwords": ["monday", "tuesday", "wednesday"]}):
    case("StringNormalizer", [DAYS], 10, {"locale": "C.UTF-8", **attrs}, coreml="any")
case("StringNormalizer", [text("Äpfel", "ÉTÉ")], 10, {"locale": "C.UTF-8", "case_change_action": "LOWER"}, coreml="any")

GRAMS = {"ngram_counts": [0, 4], "ngram_indexes": [0, 1, 2, 3, 4, 5, 6], "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7]}
TOKENS = [[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8]]
for mode in ("TF", "IDF", "TFIDF"):
    for shortest, longest, skips in ((1, 1, 0), (1, 2, 0), (2, 2, 5), (1, 2, 5)):
        attrs = {**GRAMS, "mode": mode, "min_gram_length": shortest, "max_gram_length": longest, "max_skip_count": skips}
        case("TfIdfVectorizer", [np.array(TOKENS, I32)], 9, attrs, coreml="any")
case("TfIdfVectorizer", [np.array(TOKENS[1], I64)], 9,
     {**GRAMS, "mode": "TFIDF", "min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 1, "weights": [.5, 1, 2, 3, 4, 5, 6]}, coreml="any")
case("TfIdfVectorizer", [text("the", "cat", "the", "hat")], 9,
     {"mode": "TF", "min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 0, "ngram_counts": [0, 2], "ngram_indexes": [1, 0, 2],
      "pool_strings": ["the", "hat", "the", "cat"]}, coreml="any")

# ---- ai.onnx.ml ----------------------------------------------------------------------------------------------------

for dtype in (F32, F64, I64, I32):
    case("Binarizer", [data(2, 3, dtype=dtype)], 13, {"threshold": 0.5}, domain=ML, coreml="any")
case("Binarizer", [data(2, 3)], 13, domain=ML, coreml="any")
case("ArrayFeatureExtractor", [data(3, 4), ints(0, 2, 3, 3)], 13, domain=ML, coreml="any")
case("ArrayFeatureExtractor", [data(5), Const([[1, 4]], I64)], 13, domain=ML, coreml="any")
case("ArrayFeatureExtractor", [text(["a", "b"], ["c", "d"]), ints(1)], 13, domain=ML, coreml="any")
case("LabelEncoder", [text(["cat", "dog"], ["mouse", ""])], 13, {"keys_strings": ["cat", "dog"], "values_int64s": [3, 4]}, domain=ML, coreml="any")
case("LabelEncoder", [text("cat", "dog", "x")], 13,
     {"keys_strings": ["cat", "dog"], "values_floats": [3.5, 4], "default_float": -7.0}, domain=ML, coreml="any")
case("LabelEncoder", [np.array([1, 2, 3, 9], I64)], 13,
     {"keys_int64s": [1, 2, 3], "values_strings": ["a", "b", "c"], "default_string": "other"}, domain=ML, coreml="any")
case("LabelEncoder", [np.array([1, np.nan, 3], F32)], 13, {"keys_floats": [1.0, np.nan], "values_int64s": [5, 6]}, domain=ML, coreml="any")
case("LabelEncoder", [np.array([7, 8], I32)], 13,
     {"keys_tensor": helper.make_tensor("k", TensorProto.INT32, [2], [8, 9]), "values_tensor": helper.make_tensor("v", TensorProto.INT16, [2], [1, 2]),
      "default_tensor": helper.make_tensor("d", TensorProto.INT16, [1], [-5])}, domain=ML, coreml="any")
