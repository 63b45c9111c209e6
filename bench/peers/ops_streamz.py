"""bench/peers/ops_streamz.py -- the rows of bench/ops.lua in python3-streamz.

Reads "time ROW<tab>N" or "check ROW<tab>N" lines from standard input until it ends and
answers each with one line: "ns per element<tab>elements", or the checksum of all that
reached the sink, or "-" for a row that it does not have. One process for all rows: Python
has nothing that one row could spoil for the next. partition needs an event loop and is
awaited in a running one (from a plain script every emit would cost 140 us). Time is the
process's CPU time.
"""
import asyncio
import gc
import sys
import time

from streamz import Stream

rows = {}


def row(name, per=1, asynchronous=False, sink="value"):
    def register(build):
        rows[name] = (build, per, asynchronous, sink)
        return build
    return register


TIMED = {
    "value": lambda x: None,
    "ends": lambda w: w[0] + w[-1],
    "pair": lambda t: t[0] + t[1],
    "first": lambda d: d.get(5),
    "length": len,
}


class Checker:
    def __init__(self, kind):
        self.kind, self.sum, self.count = kind, 0, 0

    def fold(self, v):
        if isinstance(v, dict):
            return self.fold(v.get(5, 0))
        if isinstance(v, (tuple, list)):
            for part in v:
                self.fold(part)
            v = 7
        elif isinstance(v, str):
            v = len(v)
        self.sum = (self.sum * 31 + v) % 2147483647

    def __call__(self, x):
        self.count += 1
        self.fold(x)

    def result(self):
        return "%d:%d" % (self.count, self.sum)


def random_numbers(count, limit):
    seed, out = 42, []
    for _ in range(count):
        seed = seed * 16807 % 2147483647
        out.append(seed // 128 % limit)
    return out


def looked_up(values, n):
    """element i is values[i & mask], as the looked-up sources of bench/ops.lua"""
    mask = len(values) - 1
    return [values[i & mask] for i in range(1, n + 1)]


def emitter(source, elements):
    def go():
        emit = source.emit
        for x in elements:
            emit(x)
    return go


def numbers(build):
    """a row below the numbers 1 .. n"""
    def start(n, sink):
        source = Stream()
        keep = build(source).sink(sink)
        return emitter(source, range(1, n + 1)), keep
    return start


def elements(make, build):
    def start(n, sink):
        source = Stream()
        keep = build(source).sink(sink)
        return emitter(source, make(n)), keep
    return start


def two(build):
    def start(n, sink):
        a, b = Stream(), Stream()
        keep = build(a, b).sink(sink)

        def go():
            emit_a, emit_b = a.emit, b.emit
            for i in range(1, n + 1):
                emit_a(i)
                emit_b(i)
        return go, keep
    return start


def plus(a, b):
    return a + b


def chain(count):
    def build(s):
        for k in range(1, count + 1):
            s = s.map(lambda x, k=k: x + k)
        return s
    return build


row("source.sink")(numbers(lambda s: s))
row("map")(numbers(lambda s: s.map(lambda x: x + 1)))
row("filter 50%")(numbers(lambda s: s.filter(lambda x: x % 2 == 0)))
row("accumulate(+)")(numbers(lambda s: s.accumulate(plus)))
row("map.filter.accumulate")(numbers(
    lambda s: s.map(lambda x: x + 1).filter(lambda x: x % 2 == 0).accumulate(plus)))
row("map.filter.map.accumulate")(numbers(
    lambda s: s.map(lambda x: x + 1).filter(lambda x: x % 2 == 0).map(lambda x: x * 2)
    .accumulate(plus)))
for count in 10, 20, 100:
    row("chain of %d maps" % count, per=count)(numbers(chain(count)))

tuples = [(i, i + 1) for i in range(1024)]
records = [{"x": i, "y": "no"} for i in range(1024)]
row("starmap")(elements(lambda n: looked_up(tuples, n), lambda s: s.starmap(plus)))
row("pluck")(elements(lambda n: looked_up(records, n), lambda s: s.pluck("x")))
hundred = list(range(1, 101))
row("flatten, lists of 100")(elements(
    lambda n: [hundred] * (n // 100), lambda s: s.flatten()))


@row("partition(100).map(sum)", asynchronous=True)
def partition(n, sink):
    source = Stream(asynchronous=True)
    keep = source.partition(100).map(sum).sink(sink)

    async def go():
        for i in range(1, n + 1):
            await source.emit(i)
    return go, keep


for size in 10, 1000:
    per = 1 if size == 10 else 8
    row("sliding_window(%d)" % size, sink="ends", per=per)(numbers(
        lambda s, size=size: s.sliding_window(size)))
    row("sliding_window(%d).map(sum)" % size, per=per)(numbers(
        lambda s, size=size: s.sliding_window(size).map(sum)))
    row("sliding_window(%d).map(max)" % size, per=per)(elements(
        lambda n: looked_up(random_numbers(65536, 1000000), n),
        lambda s, size=size: s.sliding_window(size).map(max)))

keys = {}


def keyed(n):
    if 2000 not in keys:
        keys[2000] = random_numbers(65536, 2000)
    return looked_up(keys[2000], n)


row("unique(1000), U(2000)")(elements(keyed, lambda s: s.unique(maxsize=1000)))
row("unique(1000), all new")(numbers(lambda s: s.unique(maxsize=1000)))
row("unique(1000), strings")(elements(
    lambda n: ["key-%d" % k for k in keyed(n)], lambda s: s.unique(maxsize=1000)))
row("unique(), U(2000)")(elements(keyed, lambda s: s.unique()))
row("unique(), 10^6 distinct")(elements(
    lambda n: [i * 611953 % 1000003 for i in range(1, n + 1)], lambda s: s.unique()))

row("union, per pair")(two(lambda a, b: a.union(b)))
row("zip, per pair", sink="pair")(two(lambda a, b: a.zip(b)))
row("branch: 2 map.zip.map(sum)")(numbers(
    lambda s: s.map(lambda x: x + 1).zip(s.map(lambda x: x * 2)).starmap(plus)))
row("combine_latest, per pair", sink="pair")(two(lambda a, b: a.combine_latest(b)))
row("zip_latest, per pair", sink="pair")(two(lambda a, b: a.zip_latest(b)))


@row("collect, flush per 100", sink="length")
def collect(n, sink):
    source = Stream()
    held = source.collect()
    keep = held.sink(sink)

    def go():
        for i in range(1, n + 1):
            source.emit(i)
            if i % 100 == 0:
                held.flush()
    return go, keep


row("frequencies, 2000 keys", sink="first")(elements(keyed, lambda s: s.frequencies()))


@row("20 random filter branches", per=20)
def branches(n, sink):
    source = Stream()
    keep = [source.filter(lambda x, m=1 << k: x & m).map(lambda x, k=k: x + k + 1).sink(sink)
            for k in range(20)]
    return emitter(source, looked_up(random_numbers(65536, 1 << 20), n)), keep


@row("graph of 100 nodes", per=20)
def graph100(n, sink):
    """bench/graph100.lua, node by node"""
    source = Stream()
    outs = []
    for k in range(1, 11):
        outs.append(
            source.map(lambda x, k=k: x + k).filter(lambda x, k=k: x >> k & 1)
            .map(lambda x, k=k: x * 2 + k).map(lambda x, k=k: x % (1000000 + k))
            .map(lambda x, k=k: x - k if x > k else x)
            .accumulate(lambda a, b, k=k: a - k if a > b else b))
    joined = []
    for k in range(1, 6):
        joined.append(
            outs[2 * k - 2].union(outs[2 * k - 1]).map(lambda x, k=k: x % (5000 + k))
            .filter(lambda x, k=k: x >> k + 2 & 1).map(lambda x, k=k: x + 3 * k))
    one = joined[0].combine_latest(joined[1]).starmap(plus)
    two = joined[2].combine_latest(joined[3]).starmap(plus)
    keep = [
        one.union(two, joined[4]).map(lambda x: x + 1)
        .accumulate(lambda a, b: a - 1 if a > b else b).sink(sink),
        source.map(lambda x: x + 2).zip(source.map(lambda x: x + 3)).starmap(plus)
        .map(lambda x: x - 1 if x > 1 else x).sink(sink),
        source.sliding_window(50).map(sum).sink(sink),
        source.map(lambda x: x + 4).sink(sink),
    ]
    return emitter(source, looked_up(random_numbers(65536, 1 << 20), n)), keep


def failing(name, fails):
    """streamz has no error policy: what a user writes is a try around emit"""
    def negative(x):
        if fails(x):
            raise ValueError(x)
        return x + 1

    @row(name)
    def start(n, sink):
        source = Stream()
        keep = source.map(negative).sink(sink)

        def go():
            for i in range(1, n + 1):
                try:
                    source.emit(i)
                except ValueError:
                    pass
        return go, keep


failing("on_error(skip).map, none fails", lambda x: x < 0)
failing("on_error(skip).map, 1 in 1000 fails", lambda x: x % 1000 == 0)


def awaited(name, build, per=1, sink="value"):
    """emits awaited in a running loop; what is still on its way has its time at the end"""
    @row(name, per=per, asynchronous=True, sink=sink)
    def start(n, sink):
        source = Stream(asynchronous=True)
        keep = build(source).sink(sink)

        async def go():
            for i in range(1, n + 1):
                await source.emit(i)
            await asyncio.sleep(0.02)
        return go, keep


awaited("map.buffer(100).map",
        lambda s: s.map(lambda x: x + 1).buffer(100).map(lambda x: x * 2))
awaited("rate_limit(0)", lambda s: s.rate_limit(0))
awaited("timed_window, push", lambda s: s.timed_window(60), sink="length")


def silence():
    """streamz logs a traceback for every failure: not what is measured here"""
    import logging
    logging.getLogger("streamz").disabled = True
    logging.getLogger("streamz.core").disabled = True


async def run_async(go):
    await go()


def serve():
    silence()
    for line in sys.stdin:
        command, rest = line.rstrip("\n").split(" ", 1)
        name, n = rest.split("\t")
        if name not in rows:
            print("-", flush=True)
            continue
        build, per, asynchronous, kind = rows[name]
        n = int(n)
        if command == "check":
            sink = Checker(kind)
        else:
            n = max(1000, n // per)
            sink = TIMED[kind]
        loop = asyncio.new_event_loop() if asynchronous else None

        async def start_async():
            return build(n, sink)
        go, keep = loop.run_until_complete(start_async()) if loop else build(n, sink)
        gc.collect()
        before = time.process_time()
        if loop:
            loop.run_until_complete(run_async(go))
        else:
            go()
        took = time.process_time() - before
        print(sink.result() if command == "check" else "%.1f\t%d" % (took * 1e9 / n, n), flush=True)
        del go, keep
        if loop:
            loop.close()


serve()
