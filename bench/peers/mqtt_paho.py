"""mqtt_paho MODE PORT N -- paho-mqtt: N messages of QoS 1 read, or written.

Prints what bench/ceiling/mqtt.c does: thousand messages/s, ns of CPU per message.
"""
import sys
import time

import paho.mqtt.client as mqtt

mode, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
count = 0
began = time.monotonic(), time.process_time()


def step():
    global count, began
    count += 1
    if count == 1 and mode == "read":
        began = time.monotonic(), time.process_time()
    if count == n:
        client.disconnect()


client = mqtt.Client("bench" if mode == "read" else "", clean_session=mode != "read")
client.max_inflight_messages_set(1000)
client.max_queued_messages_set(0)
client.on_message = lambda *_: step()
client.on_publish = lambda *_: step()
if mode == "read":
    client.on_connect = lambda *_: client.subscribe("bench", 1)
client.connect("127.0.0.1", port)
if mode == "write":
    for _ in range(n):
        client.publish("nobody", b"x" * 100, 1)
client.loop_forever()
wall, cpu = time.monotonic() - began[0], time.process_time() - began[1]
print("%.1f\t%.0f" % (n / wall / 1e3, cpu / n * 1e9))
