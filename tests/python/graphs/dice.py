"""What is left to chance when a graph is made: choices, sizes, dtypes, numbers."""
import numpy as np

from sweep.descriptors import BOOL, F16, F32, F64, I32, I64

# How often a dtype is taken where an operator allows all of them.
WEIGHTS = {F32: 60, I64: 9, I32: 8, BOOL: 6, F16: 5, F64: 4, np.uint8: 3, np.int8: 2, np.int16: 1, np.uint16: 1, np.uint32: 1, np.uint64: 1}
DIMS = (1, 2, 3, 4, 5, 7, 8, 16)
DIM_WEIGHTS = (0.18, 0.24, 0.2, 0.13, 0.1, 0.05, 0.06, 0.04)
MOST_ELEMENTS = 4000


class Rejected(Exception):
    """What was about to be made does not fit here."""


class Dice:
    def __init__(self, rng):
        self.rng = rng
        self.empties = self.chance(0.1)  # sizes may be 0
        self.wide = self.chance(0.05)  # int64 values may be beyond int32

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    def between(self, lo, hi):
        return int(self.rng.integers(lo, hi + 1))

    def some(self, options, least=1):
        """A few of the options in random order."""
        count = self.between(min(least, len(options)), len(options))
        return [options[i] for i in self.rng.permutation(len(options))[:count]]

    def dim(self):
        return 0 if self.empties and self.chance(0.12) else int(self.rng.choice(DIMS, p=DIM_WEIGHTS))

    def shape(self, rank):
        made = []
        for _ in range(rank):
            d = self.dim()
            made.append(d if np.prod(made, dtype=int) * d <= MOST_ELEMENTS else 1)
        return tuple(made)

    def picture(self):
        """[batch, channels, sizes]"""
        sizes = {1: (4, 12), 2: (3, 8), 3: (2, 4)}[spatial := self.pick([1, 2, 2, 2, 3])]
        return (self.pick([1, 1, 2]), self.pick([1, 3, 4, 8, 8, 16]), *(self.between(*sizes) for _ in range(spatial)))

    def rank(self, ranks):
        """Ranks in the middle are more common."""
        weights = np.array([(0.3, 0.8, 2, 2, 2, 0.8, 0.4)[min(r, 6)] for r in ranks])
        return int(self.rng.choice(ranks, p=weights / weights.sum()))

    def dtype(self, dtypes):
        dtypes = [d for d in WEIGHTS if d in dtypes]
        if not dtypes:
            raise Rejected("no dtype of numpy's")
        weights = np.array([WEIGHTS[d] for d in dtypes], float)
        return dtypes[int(self.rng.choice(len(dtypes), p=weights / weights.sum()))]

    def data(self, dtype, shape, lo=-3.0, hi=3.0):
        if dtype is BOOL:
            return self.rng.integers(0, 2, shape).astype(bool)
        if np.dtype(dtype).kind in "iu":
            if np.dtype(dtype).kind == "u":
                lo = max(0, lo)
            made = self.rng.integers(int(np.ceil(lo)), max(int(np.ceil(lo)), int(hi)) + 1, shape)
            if self.wide and dtype is I64 and self.chance(0.3):
                made = made * (2**31 + self.between(-2, 2))
            return made.astype(dtype)
        made = self.rng.uniform(lo, hi, shape)
        if self.chance(0.15):  # ties, zeros, halves
            made = np.clip(np.round(made * 2) / 2, lo, hi)
        return np.asarray(made).astype(dtype)
