"""kafka_streamz MODE BROKERS TOPIC N [TO] -- streamz: count the messages with ERROR, or copy.

MODE: kafka (from_kafka), batched (from_kafka_batched, 10000 at a time), copy (from_kafka to
to_kafka). Prints what bench/ceiling/kafka.c does: M messages/s, ns of the loop's thread per
message, ns of all threads, the count, MB.
"""
import asyncio
import os
import resource
import sys
import time

from streamz import Stream

mode, brokers, topic, n = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
SETTINGS = {
    "bootstrap.servers": brokers, "group.id": "bench-streamz-%d" % os.getpid(),
    "auto.offset.reset": "earliest",
    "queued.min.messages": 10000000, "queued.max.messages.kbytes": 1048576,
}
seen = found = 0
began = None


def clocks():
    return time.monotonic(), time.thread_time(), time.process_time()


def report(count):
    wall, thread, both = (b - a for a, b in zip(began, clocks()))
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("%.4f\t%.1f\t%.1f\t%d\t%.1f" % (
        seen / wall / 1e6, thread / seen * 1e9, both / seen * 1e9, count, mb), flush=True)
    os._exit(0)


def note(count):
    global seen, began
    if began is None:
        began = clocks()
    seen += count
    return seen


def one(message):
    global found
    total = note(1)
    if b"ERROR" in message:
        found += 1
    if total >= n:
        report(found)


def many(messages):
    global found
    total = note(len(messages))
    for message in messages:
        if b"ERROR" in message:
            found += 1
    if total >= n:
        report(found)


delivered = 0


def arrived(_):
    global delivered
    delivered += 1
    note(1)
    if delivered >= n:
        report(delivered)


async def main():
    if mode == "batched":
        source = Stream.from_kafka_batched(
            topic, SETTINGS, poll_interval="10ms", max_batch_size=10000, asynchronous=True)
        source.sink(many)
        source.upstreams[0].start()
    else:
        source = Stream.from_kafka([topic], SETTINGS, poll_interval=0.01, asynchronous=True)
        if mode == "copy":
            out = source.to_kafka(sys.argv[5], {
                "bootstrap.servers": brokers, "enable.idempotence": True,
                "queue.buffering.max.messages": 1000000})
            out.polltime = 0.01
            out.sink(arrived)
        else:
            source.sink(one)
        source.start()
    await asyncio.sleep(60)


asyncio.run(main())
