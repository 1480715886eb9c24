"""The operators' descriptors by name: each adds one use of its operator to a Builder, or raises Rejected."""
import functools

OPERATORS = {}


def operator(*names):
    def put(descriptor):
        for name in names:
            assert name not in OPERATORS, name
            OPERATORS[name] = functools.partial(descriptor, op=name)
        return descriptor

    return put
