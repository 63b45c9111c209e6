"""The rows of bench/tasks.lua in Python's asyncio: python3 tasks_asyncio.py ROW prints a number."""
import asyncio
import random
import sys
import time

rows = {}


def row(name):
    def add(fn):
        rows[name] = fn
        return fn
    return add


def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1])


def cpu(n, main):
    before = time.process_time()
    asyncio.run(main())
    return (time.process_time() - before) / n * 1e9


def turns(tasks):
    def go():
        n = 200000

        async def one():
            for _ in range(n // tasks):
                await asyncio.sleep(0)

        async def main():
            await asyncio.gather(*(one() for _ in range(tasks)))
        return cpu(n, main)
    return go


rows["switch: sleep(0), 2 tasks"] = turns(2)
rows["switch: sleep(0), 1000 tasks"] = turns(1000)


@row("switch: two channels, a put and a get each")
def two_channels():
    n = 100000

    async def main():
        there, back = asyncio.Queue(1), asyncio.Queue(1)

        async def first():
            for i in range(n // 2):
                await there.put(i)
                await back.get()

        async def second():
            for _ in range(n // 2):
                await back.put(await there.get())
        await asyncio.gather(first(), second())
    return cpu(n, main)


@row("channel(100), per element")
def channel():
    n = 200000

    async def main():
        queue = asyncio.Queue(100)

        async def put():
            for i in range(n):
                await queue.put(i)

        async def get():
            for _ in range(n):
                await queue.get()
        await asyncio.gather(put(), get())
    return cpu(n, main)


async def number(i):
    return i


@row("spawn and end")
def spawn():
    n = 100000

    async def main():
        for _ in range(n // 100):
            tasks = [asyncio.create_task(number(i)) for i in range(100)]
            await asyncio.sleep(0)
            del tasks
    return cpu(n, main)


@row("spawn and wait")
def wait():
    n = 100000

    async def main():
        for i in range(n):
            await asyncio.create_task(number(i))
    return cpu(n, main)


@row("100,000 sleeping tasks")
def sleepers():
    async def sleeper():
        await asyncio.sleep(3600)

    async def main():
        before = status("VmRSS")
        tasks = [asyncio.create_task(sleeper()) for _ in range(100000)]
        await asyncio.sleep(0)
        print((status("VmRSS") - before) / 1024, len(tasks) - 100000)
        sys.stdout.flush()
        __import__("os")._exit(0)
    asyncio.run(main())


@row("a timer, 10,000 pending: later than due")
def lateness():
    late = []

    async def sleeper(after):
        due = time.monotonic() + after
        await asyncio.sleep(after)
        late.append((time.monotonic() - due) * 1000)

    async def main():
        await asyncio.gather(*(sleeper(0.2 + random.random() * 2) for _ in range(10000)))
    asyncio.run(main())
    late.sort()
    return "%f\t%f" % (late[9899], late[9999])


@row("idle for 2 s, a timer an hour away")
def idle():
    async def main():
        timer = asyncio.get_running_loop().call_later(3600, print)
        before = status("voluntary_ctxt_switches")
        await asyncio.sleep(2)
        print(status("voluntary_ctxt_switches") - before)
        timer.cancel()
    asyncio.run(main())
    return None


result = rows[sys.argv[1]]()
if result is not None:
    print(result)
