"""websocket_python.py take|send COUNT [PORT] -- what bench/websocket.lua does, with Python's websockets."""
import asyncio
import sys
import time

import websockets

what, count = sys.argv[1], int(sys.argv[2])
began = None


def begin():
    global began
    if began is None:
        began = (time.monotonic(), time.process_time())


async def take():
    done = asyncio.get_running_loop().create_future()

    async def serve(ws, path=None):
        n = 0
        async for _ in ws:
            begin()
            n += 1
            if n == count:
                break
        done.set_result(None)

    async with websockets.serve(serve, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await done


async def send():
    text = "x" * 100
    async with websockets.connect("ws://127.0.0.1:" + sys.argv[3], compression=None) as ws:
        begin()
        for _ in range(count):
            await ws.send(text)


asyncio.run(take() if what == "take" else send())
print("%.0f %.0f" % (count / (time.monotonic() - began[0]), (time.process_time() - began[1]) / count * 1e9))
