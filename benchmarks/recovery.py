#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures how long clients need to recover their queues and consumers, from TCP connect to the last basic.consume-ok.

A client connects through a proxy, which cuts the connection as soon as the client has all its consumers, and takes the
times. So they are taken in the same way for each client, without the delay before an attempt.
"""

import asyncio
import json
import os
import shutil
import struct
import subprocess
import time

import pika

HERE = os.path.dirname(os.path.abspath(__file__))
JARS = "/usr/share/java/amqp-client.jar", "/usr/share/java/slf4j-api.jar", "/usr/share/java/slf4j-nop.jar"
CONSUME_OK = struct.pack(">HH", 60, 21)
PAUSE = 0.3  # seconds before a cut, in which the client and the broker come to rest
TIMEOUT = 300  # seconds for all losses of a client


class Failure(Exception):
    pass


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy, client_writer):
        self.proxy = proxy
        self.client_writer = client_writer
        self.begin = time.monotonic()
        self.unread = b""
        self.consumers = 0

    def received(self, data):
        """Counts the consumers that the broker confirms."""
        self.unread += data
        at = 0
        while len(self.unread) >= at + 7:
            kind, _, size = struct.unpack_from(">BHI", self.unread, at)
            if len(self.unread) < at + size + 8:
                break
            if kind == 1 and self.unread[at + 7:at + 11] == CONSUME_OK:
                self.consumers += 1
                if self.consumers == self.proxy.number:
                    self.proxy.recovered(self, time.monotonic() - self.begin)
            at += size + 8
        self.unread = self.unread[at:]


class Proxy:
    """Cuts the first `losses` connections, each when it has all its consumers."""

    def __init__(self, broker_port, number, losses):
        self.broker_port = broker_port
        self.number = number
        self.losses = losses
        self.seconds = []  # of each connection

    def recovered(self, link, seconds):
        self.seconds.append(seconds)
        if len(self.seconds) <= self.losses:
            asyncio.get_running_loop().call_later(PAUSE, link.client_writer.transport.abort)

    async def serve(self, reader, writer):
        link = Link(self, writer)
        broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self.broker_port)

        async def forward(source, target, received=None):
            try:
                while data := await source.read(65536):
                    if received:
                        received(data)
                    target.write(data)
                    await target.drain()
            except OSError:
                pass
            target.transport.abort()

        await asyncio.gather(forward(reader, broker_writer), forward(broker_reader, writer, link.received))

    async def run(self, command):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(*command, "--port", str(port), "--number", str(self.number), "--count",
                                                       str(self.losses), stdout=subprocess.PIPE)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
        except asyncio.TimeoutError as error:
            process.kill()
            raise Failure(f"has recovered {max(len(self.seconds) - 1, 0)} times only") from error
        finally:
            server.close()
        result = json.loads(output or '{"error": "has printed nothing"}')
        if "error" in result:
            raise Failure(result["error"])
        return self.seconds[1:]


def delete_queues(broker_port, number):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker_port, heartbeat=0))
    channel = connection.channel()
    for i in range(number):
        channel.queue_delete(f"recovery-{i}")
    connection.close()


def seconds_of(command, broker_port, number, losses):
    """Returns the duration of each recovery of the program."""
    try:
        return asyncio.run(Proxy(broker_port, number, losses).run(command))
    finally:
        delete_queues(broker_port, number)


def java_client(directory):
    """Compiles the Java client; returns its command, or None if Java or the client library is missing."""
    if not shutil.which("javac") or not all(map(os.path.exists, JARS)):
        return None
    path = ":".join((*JARS, directory))
    subprocess.run(["javac", "-cp", path, "-d", directory, os.path.join(HERE, "RecoveryClient.java")], check=True)
    return ["java", "-cp", path, "RecoveryClient"]
