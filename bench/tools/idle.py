"""idle.py PORT N -- leave N connections open in the background, each after one request; returns
once they are."""
import os
import socket
import sys
import time

connections = []
for _ in range(int(sys.argv[2])):
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    connection.recv(1000)
    connections.append(connection)
if os.fork() == 0:
    time.sleep(2)
