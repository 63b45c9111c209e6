"""scatter_dask.py threads|processes COUNT -- `inc` between streamz' scatter and gather, with a buffer of 8 and
`emit`, on a local cluster of Dask: two threads in this process, or two processes. Prints messages a second,
from the tenth part of them on."""
import logging
import sys
import tempfile
import time

from dask.distributed import Client, LocalCluster
from streamz import Stream


def inc(x):
    return x + 1


def cluster(where, directory):
    if where == "threads":
        return LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None,
                            local_directory=directory)
    return LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None,
                        local_directory=directory)


def main():
    where, count = sys.argv[1], int(sys.argv[2])
    logging.disable(logging.WARNING)
    results = []
    with tempfile.TemporaryDirectory() as directory, cluster(where, directory) as there, Client(there):
        source = Stream()
        source.scatter().map(inc).buffer(8).gather().sink(results.append)
        for i in range(count):
            if i == count // 10:
                began = time.monotonic()
            source.emit(i)
        while len(results) < count:
            time.sleep(0.001)
        rate = (count - count // 10) / (time.monotonic() - began)
    assert results == list(range(1, count + 1))
    print("%.1f" % rate)


if __name__ == "__main__":  # the processes import this file
    main()
