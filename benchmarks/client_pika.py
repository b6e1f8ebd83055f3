#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The benchmark client of pika, with its fastest adapter, SelectConnection.

measure.h describes the command line and the output.
"""

import argparse
import json
import resource
import ssl
import sys
import time

import pika

WRITE_SIZE = 128 * 1024  # the bytes to publish before control returns to the event loop, which writes and reads


class Client:
    def __init__(self, options):
        self.options = options
        self.done = 0
        self.published = 0
        self.error = None
        self.started = 0
        self.round_trips = []
        self.body = b"x" * options.size
        self.properties = pika.BasicProperties(content_type="application/octet-stream", delivery_mode=1)
        self.per_write = max(1, WRITE_SIZE // (options.size + 80))
        host = "127.0.0.1"
        tls = pika.SSLOptions(ssl.create_default_context(cafile=options.ca_file), host) if options.ca_file else None
        parameters = pika.ConnectionParameters(host, options.port, ssl_options=tls)
        self.connection = pika.SelectConnection(parameters, self.on_open, self.on_lost, self.on_closed)

    def run(self):
        self.connection.ioloop.start()
        if self.error:
            raise RuntimeError(self.error)

    def on_open(self, connection):
        connection.channel(on_open_callback=self.on_channel)

    def on_channel(self, channel):
        self.channel = channel
        channel.add_on_close_callback(self.on_channel_closed)
        channel.queue_declare(self.options.queue, callback=lambda _: self.start())

    def on_channel_closed(self, _channel, reason):
        if not self.connection.is_closing and not self.connection.is_closed:
            self.error = repr(reason)
            self.connection.close()

    def on_lost(self, _connection, error):
        self.error = repr(error)
        self.connection.ioloop.stop()

    def on_closed(self, _connection, reason):
        if not (isinstance(reason, pika.exceptions.ConnectionClosedByClient)):
            self.error = repr(reason)
        self.connection.ioloop.stop()

    def start(self):
        options = self.options
        self.usage = resource.getrusage(resource.RUSAGE_SELF)
        self.begin = time.perf_counter()
        if options.mode == "publish":
            self.publish_some()
        elif options.mode == "publish-confirm":
            self.channel.confirm_delivery(self.on_confirm, callback=lambda _: self.fill_window())
        elif options.mode == "rtt":
            self.channel.basic_consume(options.queue, self.on_echo, auto_ack=True, callback=lambda _: self.ping())
        elif options.mode == "consume-autoack":
            self.channel.basic_consume(options.queue, self.on_message, auto_ack=True)
        else:
            self.channel.basic_qos(prefetch_count=options.prefetch)
            self.channel.basic_consume(options.queue, self.on_message_to_ack)

    def publish(self):
        self.channel.basic_publish("", self.options.queue, self.body, self.properties)
        self.published += 1

    def publish_some(self):
        for _ in range(min(self.per_write, self.options.count - self.published)):
            self.publish()
        if self.published < self.options.count:
            self.connection.ioloop.add_callback_threadsafe(self.publish_some)
        else:  # the broker replies when it has read everything
            self.channel.queue_declare(self.options.queue, passive=True, callback=lambda _: self.finish())

    def fill_window(self):
        options = self.options
        while self.published < options.count and self.published - self.done < options.window:
            self.publish()

    def on_confirm(self, frame):
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self.error = "the broker rejected a message (basic.nack)"
            self.connection.close()
            return
        self.done = frame.method.delivery_tag if frame.method.multiple else self.done + 1
        if self.done == self.options.count:
            self.finish()
        else:
            self.fill_window()

    def on_message(self, _channel, _method, _properties, _body):
        self.done += 1
        if self.done == self.options.count:
            self.finish()

    def on_message_to_ack(self, channel, method, _properties, _body):
        options = self.options
        self.done += 1
        if self.done % options.ack_every == 0 or self.done == options.count:
            channel.basic_ack(method.delivery_tag, multiple=options.ack_every > 1)
        if self.done == options.count:
            self.finish()

    def ping(self):
        self.started = time.perf_counter()
        self.publish()

    def on_echo(self, _channel, _method, _properties, _body):
        self.round_trips.append(time.perf_counter() - self.started)
        self.done += 1
        if self.done == self.options.count:
            self.finish()
        else:
            self.ping()

    def finish(self):
        seconds = time.perf_counter() - self.begin
        usage = resource.getrusage(resource.RUSAGE_SELF)
        user = (usage.ru_utime - self.usage.ru_utime) * 1e6
        system = (usage.ru_stime - self.usage.ru_stime) * 1e6
        count = self.options.count
        result = {
            "seconds": seconds,
            "msgs_per_s": count / seconds,
            "MB_per_s": count * self.options.size / seconds / 1e6,
            "cpu_us_per_msg": (user + system) / count,
            "user_us": user,
            "sys_us": system,
            "rss_kb": usage.ru_maxrss,
        }
        if self.round_trips:
            self.round_trips.sort()
            for percent in 50, 99:
                result[f"p{percent}_us"] = self.round_trips[(len(self.round_trips) - 1) * percent // 100] * 1e6
        print(json.dumps(result), flush=True)
        self.connection.close()


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(message)


def main():
    parser = Parser()
    parser.add_argument("mode", choices=["publish", "publish-confirm", "consume-ack", "consume-autoack", "rtt"])
    for name, default in ("port", 5672), ("count", 100000), ("size", 16), ("prefetch", 256), ("ack-every", 1), ("window", 256):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--queue", default="bench")
    parser.add_argument("--ca-file")
    try:
        Client(parser.parse_args()).run()
    except Exception as error:  # every failure is reported as one line of JSON
        print(json.dumps({"error": str(error) or repr(error)}))
        sys.exit(1)


if __name__ == "__main__":
    main()
