"""bench/peers/frames_pandas.py -- the rows of bench/frames.lua in python3-streamz and in pandas.

Reads "time WHO<tab>ROW<tab>BATCH<tab>SECONDS" or "check WHO<tab>ROW<tab>BATCH<tab>BATCHES" lines,
WHO being streamz or pandas, from standard input until it ends, and answers each with one line:
us per batch, or the checksum of all that reached the sink, or "-" for a row that it does not have.
pandas is what one would write without streamz: a function of a batch that keeps what it needs.
Its rolling rows go over all rows at once. Time is the process's CPU time.
"""
import gc
import math
import sys
import time
import warnings

import numpy as np
import pandas as pd
from streamz import Stream
from streamz.dataframe import DataFrame

warnings.simplefilter("ignore")
NAMES = ["Alice", "Bob", "Carl", "Dora", "Emil", "Fred", "Gerd", "Hans", "Ida", "Jana"]
POOL = {1: 500, 100: 200, 10000: 10}


def random_numbers(count, limit, seed):
    out = []
    for _ in range(count):
        seed = seed * 16807 % 2147483647
        out.append(seed // 128 % limit)
    return out


made = {}


def batches(size, count):
    if (size, count) not in made:
        n = size * count
        names = random_numbers(n, 10, 7)
        everything = pd.DataFrame({
            "name": [NAMES[k] for k in names], "x": np.array(random_numbers(n, 100000, 42), float),
            "amount": np.array(random_numbers(n, 1000, 99), float),
        }, index=pd.to_datetime(np.arange(n) * 10 ** 6))
        made[size, count] = [everything.iloc[k * size:(k + 1) * size].copy() for k in range(count)]
    return list(made[size, count])


def half(d):
    return d[d.x > 50000]


STREAMZ = {
    "filter": half,
    "query": lambda d: d.query("x > 50000 and name == 'Bob'"),
    "cumsum": lambda d: d.amount.cumsum(),
    "sum": lambda d: d.amount.sum(),
    "arithmetic": lambda d: d.amount * 2 + d.x,
    "groupby": lambda d: d.groupby("name").amount.mean(),
    "window groupby": lambda d: d.window(n=1000).groupby("name").amount.mean(),
    "value window groupby": lambda d: d.window(value="2s").groupby("name").amount.mean(),
    "value window sum": lambda d: d.window(value="2s").amount.sum(),
    "rolling": lambda d: d.rolling(1000).amount.mean(),
    "filter groupby": lambda d: half(d).groupby("name").amount.mean(),
}
for op in ("sum", "mean", "std", "max", "median"):
    STREAMZ["rolling %s 1000" % op] = lambda d, op=op: getattr(d.rolling(1000).amount, op)()


# pandas alone: a function that makes a function of a batch

def stateless(fn):
    return lambda: fn


def cumsum():
    total = 0.0

    def step(d):
        nonlocal total
        y = d.amount.cumsum() + total
        total = y.iloc[-1]
        return y
    return step


def total():
    held = 0.0

    def step(d):
        nonlocal held
        held += d.amount.sum()
        return held
    return step


def groups(pick=lambda d: d):
    held = None

    def step(d):
        nonlocal held
        g = pick(d).groupby("name").amount.agg(["sum", "count"])
        held = g if held is None else held.add(g, fill_value=0)
        return held["sum"] / held["count"]
    return step


def over(cut, fn):
    def make():
        held = None

        def step(d):
            nonlocal held
            held = cut(d if held is None else pd.concat([held, d]))
            return fn(held)
        return step
    return make


def newest(w):
    return w.iloc[-1000:]


def seconds(w):
    return w[w.index > w.index[-1] - pd.Timedelta("2s")]


def rolling():
    held = None

    def step(d):
        nonlocal held
        w = d.amount if held is None else pd.concat([held, d.amount])
        held = w.iloc[-999:]
        return w.rolling(1000).mean().iloc[-len(d):]
    return step


def means(w):
    return w.groupby("name").amount.mean()


PANDAS = {
    "filter": stateless(half),
    "query": stateless(STREAMZ["query"]),
    "cumsum": cumsum,
    "sum": total,
    "arithmetic": stateless(STREAMZ["arithmetic"]),
    "groupby": groups,
    "window groupby": over(newest, means),
    "value window groupby": over(seconds, means),
    "value window sum": over(seconds, lambda w: w.amount.sum()),
    "rolling": rolling,
    "filter groupby": lambda: groups(half),
}


class Checker:
    def __init__(self):
        self.cells, self.sum = 0, 0.0

    def fold(self, v):
        if not math.isnan(v):
            self.sum += v * (1 + self.cells % 7)
        self.cells += 1

    def __call__(self, x):
        if isinstance(x, pd.DataFrame):
            for c in x.columns:
                if c != "name":
                    for v in x[c].tolist():
                        self.fold(v)
        elif isinstance(x, pd.Series):
            for v in x.tolist():
                self.fold(v)
        else:
            self.fold(x)

    def result(self):
        return "%d:%.17g" % (self.cells, self.sum)


def ignore(x):
    pass


def advance(frames, size):
    step = pd.Timedelta(size * len(frames), "ms")
    for f in frames:
        f.index = f.index + step


def bulk(name, size, amount, check):
    """A rolling row in pandas: over all rows at once. us per batch of size."""
    _, op, n = name.split(" ")
    count = int(amount) if check else 20
    column = pd.concat(batches(size, count)).amount
    gc.collect()
    before = time.process_time()
    y = getattr(column.rolling(int(n)), op)()
    took = time.process_time() - before
    if check:
        sink = Checker()
        sink(y)
        return sink.result()
    return "%.4f" % (took * 1e6 / count)


def memory(name, size, amount, check):
    """Groups of one large frame, its names as pandas' categories. us per frame."""
    groups = int(name.split(" ")[1])
    if ("memory", size) not in made:
        made["memory", size] = pd.DataFrame({
            "name": pd.Categorical.from_codes(
                random_numbers(size, groups, 7), ["k%06d" % k for k in range(groups)], ordered=True),
            "amount": np.array(random_numbers(size, 1000, 99), float),
        })
    frame = made["memory", size]
    took, count = 0.0, 0
    while took < amount:
        before = time.process_time()
        y = frame.groupby("name", observed=True).amount.mean()
        took += time.process_time() - before
        count += 1
        if check:
            sink = Checker()
            sink(y)
            return sink.result()
    return "%.4f" % (took * 1e6 / count)


def answer(command, who, name, size, amount):
    check = command == "check"
    if who == "pandas" and name.startswith("memory "):
        return memory(name, size, amount, check)
    if who == "pandas" and name.startswith("rolling "):
        return bulk(name, size, amount, check)
    if name not in (STREAMZ if who == "streamz" else PANDAS):
        return "-"
    sink = Checker() if check else ignore
    frames = [f.copy() for f in batches(size, int(amount) if check else POOL[size])]
    if who == "streamz":
        source = Stream()
        keep = STREAMZ[name](DataFrame(source, example=frames[0]))
        keep.stream.sink(sink)
        emit = source.emit
    else:
        fn = PANDAS[name]()

        def emit(f):
            sink(fn(f))
    if check:
        for f in frames:
            emit(f)
        return sink.result()
    for f in frames[:max(1, min(len(frames), 2000 // size))]:  # fill the windows
        emit(f)
    advance(frames, size)
    gc.collect()
    took, count = 0.0, 0
    while took < amount:
        for f in frames:
            before = time.process_time()
            emit(f)
            took += time.process_time() - before
            count += 1
            if took >= amount:
                break
        advance(frames, size)
    return "%.4f" % (took * 1e6 / count)


def serve():
    for line in sys.stdin:
        command, rest = line.rstrip("\n").split(" ", 1)
        who, name, size, amount = rest.split("\t")
        try:
            print(answer(command, who, name, int(size), float(amount)), flush=True)
        except Exception as failure:
            print("failed: %r" % (failure,), file=sys.stderr)
            print("-", flush=True)


serve()
