"""bench/peers/json_streamz.py FILE -- JSON lines through streamz: the sum of Alice's amounts.

Prints the sum and the CPU seconds without the import.
"""
import asyncio
import json
import sys
import time

from streamz import Stream


async def main(path):
    total = 0

    def keep_last(x):
        nonlocal total
        total = x
    source = Stream.from_textfile(path, asynchronous=True)
    keep = (source.map(json.loads).filter(lambda r: r["name"] == "Alice").pluck("amount")
            .accumulate(lambda a, b: a + b).sink(keep_last))
    before = time.process_time()
    await source._run()
    print("%.2f\t%.6f" % (total, time.process_time() - before))
    return keep

asyncio.run(main(sys.argv[1]))
