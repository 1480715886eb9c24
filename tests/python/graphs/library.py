"""libgraft through its C interface (include/graft/graft.h): sessions, runs and packages, for numpy arrays."""
import ctypes

import numpy as np
from onnx import helper

import built

Size, Int32, Int64, Text, Pointer = ctypes.c_size_t, ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p, ctypes.c_void_p
LOG = ctypes.CFUNCTYPE(None, Pointer, ctypes.c_int, Text)


class Sized(ctypes.Structure):
    """A struct that begins with its own size."""

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(type(self)), **fields)


class EnvOptions(Sized):
    _fields_ = [("struct_size", Size), ("threads", Int32), ("log", LOG), ("log_user", Pointer), ("progress", Pointer),
                ("progress_user", Pointer)]


class PortInfo(Sized):
    _fields_ = [("struct_size", Size), ("name", Text), ("dtype", ctypes.c_int), ("rank", Int32), ("shape", ctypes.POINTER(Int64)),
                ("symbols", ctypes.POINTER(Text)), ("min", ctypes.POINTER(Int64)), ("max", ctypes.POINTER(Int64)), ("type", Text),
                ("image", Int32), ("coreml_dtype", ctypes.c_int), ("element_dtype", ctypes.c_int)]


class OpenOptions(Sized):
    _fields_ = [("struct_size", Size), ("path", Text), ("data", Pointer), ("bytes", Size), ("folder", Text), ("names", ctypes.POINTER(Text)),
                ("values", ctypes.POINTER(Text)), ("count", Size), ("cancel", Pointer), ("partitioning", Pointer)]


class Input(Sized):
    _fields_ = [("struct_size", Size), ("name", Text), ("dtype", Int32), ("rank", Int32), ("shape", ctypes.POINTER(Int64)),
                ("data", Pointer), ("bytes", Size), ("elements", Pointer), ("element_count", Size)]


class Output(Sized):
    _fields_ = [*Input._fields_[:-2], ("tensor", Pointer)]


class TensorInfo(Sized):
    _fields_ = [("struct_size", Size), ("dtype", ctypes.c_int), ("rank", Int32), ("shape", ctypes.POINTER(Int64)), ("data", Pointer),
                ("bytes", Size), ("elements", Pointer), ("element_count", Size), ("keys", Pointer)]


class GraftError(Exception):
    """inner: the codes of all reasons behind it."""

    def __init__(self, code, text, inner=()):
        super().__init__(f"{text} [{code}]")
        self.code, self.text, self.inner = code, text, set(inner)


def number_of(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def dims(shape):
    return (Int64 * max(1, len(shape)))(*shape)


class Library:
    def __init__(self, path=None):
        self.c = ctypes.CDLL(path or built.LIBRARY)
        for name in ("error_code_name", "error_text"):
            getattr(self.c, "graft_" + name).restype = Text
        for name in ("env_create", "session_create", "session_create_from_memory", "session_input", "session_output", "session_run",
                     "tensor_get", "model_open", "partitioning_create", "compile", "error_inner"):
            getattr(self.c, "graft_" + name).restype = Pointer
        for name in ("session_input_count", "session_output_count", "error_inner_count"):
            getattr(self.c, "graft_" + name).restype = Size
        self.warnings = []
        self.keep = LOG(self._log)
        self.env = Pointer()
        self.check(self.c.graft_env_create(ctypes.byref(EnvOptions(threads=1, log=self.keep)), ctypes.byref(self.env)))

    def _log(self, user, level, text):
        if level >= 2:
            self.warnings.append(text.decode(errors="replace"))

    def check(self, error):
        if not error:
            return
        error = Pointer(error)
        code, text = self.c.graft_error_code_name(error).decode(), self.c.graft_error_text(error).decode(errors="replace")
        inner = list(self._codes(error))
        self.c.graft_error_free(error)
        raise GraftError(code, text, inner)

    def _codes(self, error):
        for i in range(self.c.graft_error_inner_count(error)):
            reason = Pointer(self.c.graft_error_inner(error, Size(i)))
            yield self.c.graft_error_code_name(reason).decode()
            yield from self._codes(reason)

    def open(self, model, **options):
        """A session of a path or of a serialised model."""
        return Session(self, model, options)

    def compile(self, model, package, **options):
        """Writes the whole graph as a package, in place of one that is there."""
        names, values, count = self.named({"weights": "mapped", **options})
        how = OpenOptions(path=str(model).encode(), names=names, values=values, count=count)
        opened, partitioning, compilation = Pointer(), Pointer(), Pointer()
        try:
            self.check(self.c.graft_model_open(self.env, ctypes.byref(how), ctypes.byref(opened)))
            self.check(self.c.graft_partitioning_create(opened, None, ctypes.byref(partitioning)))
            self.check(self.c.graft_compile(partitioning, str(package).encode(), None, ctypes.byref(compilation)))
        finally:
            self.c.graft_compilation_free(compilation)
            self.c.graft_partitioning_free(partitioning)
            self.c.graft_model_free(opened)

    @staticmethod
    def named(options):
        texts = Text * max(1, len(options))
        return texts(*(n.encode() for n in options)), texts(*(str(v).encode() for v in options.values())), len(options)


class Session:
    def __init__(self, library, model, options):
        self.lib, self.c, self.handle, self.model = library, library.c, Pointer(), model
        names, values, count = library.named(options)
        if isinstance(model, bytes):  # borrowed by the session: self.model keeps it
            made = self.c.graft_session_create_from_memory(library.env, model, Size(len(model)), None, names, values, Size(count),
                                                           ctypes.byref(self.handle))
        else:
            made = self.c.graft_session_create(library.env, str(model).encode(), names, values, Size(count), ctypes.byref(self.handle))
        library.check(made)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.graft_session_free(self.handle)
        self.handle = Pointer()

    def _ports(self, count, get):
        ports = []
        for i in range(count(self.handle)):
            p = PortInfo()
            self.lib.check(get(self.handle, Size(i), ctypes.byref(p)))
            dims = {"shape": p.shape, "min": p.min, "max": p.max}
            ports.append({"name": p.name.decode(), "dtype": p.dtype} | {k: v[: p.rank] if p.rank >= 0 else None for k, v in dims.items()})
        return ports

    def inputs(self):
        return self._ports(self.c.graft_session_input_count, self.c.graft_session_input)

    def outputs(self):
        return self._ports(self.c.graft_session_output_count, self.c.graft_session_output)

    def run(self, feeds, names, into=None):
        """The outputs `names` as arrays; `into`: arrays like them, which receive the results instead."""
        given, keep = (Input * max(1, len(feeds)))(), []
        for slot, (name, x) in zip(given, feeds.items()):
            x = np.require(x, requirements="C")
            keep.append((x, shape := dims(x.shape)))
            slot.__init__(name=name.encode(), dtype=number_of(x.dtype), rank=x.ndim, shape=shape, data=x.ctypes.data, bytes=x.nbytes)
        wanted = (Output * len(names))()
        for i, (slot, name) in enumerate(zip(wanted, names)):
            slot.__init__(name=name.encode())
            if into is not None and into[i].nbytes:
                y = into[i]
                keep.append(shape := dims(y.shape))
                slot.dtype, slot.rank, slot.shape, slot.data, slot.bytes = number_of(y.dtype), y.ndim, shape, y.ctypes.data, y.nbytes
        self.lib.check(self.c.graft_session_run(self.handle, given, Size(len(feeds)), wanted, Size(len(names)), None))
        return [self._array(slot) if slot.tensor else into[i] for i, slot in enumerate(wanted)]

    def _array(self, slot):
        tensor, info = Pointer(slot.tensor), TensorInfo()
        self.lib.check(self.c.graft_tensor_get(tensor, ctypes.byref(info)))
        dtype = helper.tensor_dtype_to_np_dtype(info.dtype)
        y = np.frombuffer(ctypes.string_at(info.data, info.bytes) if info.bytes else b"", dtype).reshape(info.shape[: info.rank]).copy()
        self.c.graft_tensor_free(tensor)
        return y
