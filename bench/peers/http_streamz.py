"""http_streamz PORT -- streamz' from_http_server, whose pipeline counts."""
import asyncio
import sys

from streamz import Stream

count = 0


def take(x):
    global count
    count += 1


async def main():
    source = Stream.from_http_server(int(sys.argv[1]), asynchronous=True)
    source.sink(take)
    source.start()
    await asyncio.sleep(60)


asyncio.run(main())
