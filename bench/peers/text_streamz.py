"""bench/peers/text_streamz.py COUNT|FILTER FILE -- lines of a file through streamz.

Prints the result and the CPU seconds without the import. The source's own coroutine is
awaited once: it reads the whole file and emits every line.
"""
import asyncio
import sys
import time

from streamz import Stream


async def main(way, path):
    found = 0

    def add(_):
        nonlocal found
        found += 1
    source = Stream.from_textfile(path, asynchronous=True)
    stream = source if way == "count" else source.filter(lambda line: "ERROR" in line)
    keep = stream.sink(add)
    before = time.process_time()
    await source._run()
    print("%d\t%.6f" % (found, time.process_time() - before))
    return keep

asyncio.run(main(sys.argv[1], sys.argv[2]))
