"""kafka_confluent MODE BROKERS TOPIC N [TO] -- confluent-kafka: count the messages with ERROR, or copy.

MODE: poll, consume (1000 at a time), copy (consume, and produce each message to TO; a crash loses
what was under way), sure (the same, but each 1000 are committed when they have arrived). Prints
what bench/ceiling/kafka.c does: M messages/s, ns of this thread per message, ns of all threads,
the count, MB.
"""
import resource
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

mode, brokers, topic, n = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
BATCH = 1000


def clocks():
    return time.monotonic(), time.thread_time(), time.process_time()


def report(began, count):
    wall, thread, both = (b - a for a, b in zip(began, clocks()))
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("%.4f\t%.1f\t%.1f\t%d\t%.1f" % (n / wall / 1e6, thread / n * 1e9, both / n * 1e9, count, mb))


def open_consumer():
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": "bench-confluent", "enable.auto.commit": mode != "sure",
        "queued.min.messages": 10000000, "queued.max.messages.kbytes": 1048576,
    })
    partitions = consumer.list_topics(topic).topics[topic].partitions
    consumer.assign([TopicPartition(topic, i, OFFSET_BEGINNING) for i in partitions])
    return consumer


def poll(consumer):
    seen = found = 0
    while seen < n:
        message = consumer.poll(1)
        if message is None:
            continue
        if seen == 0:
            began = clocks()
        seen += 1
        if b"ERROR" in message.value():
            found += 1
    report(began, found)


def consume(consumer):
    seen = found = 0
    while seen < n:
        messages = consumer.consume(BATCH, 1)
        if messages and seen == 0:
            began = clocks()
        for message in messages:
            if b"ERROR" in message.value():
                found += 1
        seen += len(messages)
    report(began, found)


def copy(consumer, to):
    producer = Producer({
        "bootstrap.servers": brokers, "enable.idempotence": True, "queue.buffering.max.messages": 1000000,
    })
    seen = 0
    while seen < n:
        messages = consumer.consume(min(BATCH, n - seen), 1)
        if messages and seen == 0:
            began = clocks()
        for message in messages:
            while True:
                try:
                    producer.produce(to, message.value(), message.key())
                    break
                except BufferError:
                    producer.poll(0.01)
        if mode == "sure" and messages:
            producer.flush()
            consumer.commit()
        producer.poll(0)
        seen += len(messages)
    left = producer.flush()
    report(began, seen - left)


source = open_consumer()
if mode == "poll":
    poll(source)
elif mode == "consume":
    consume(source)
else:
    copy(source, sys.argv[5])
source.close()
