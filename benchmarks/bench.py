#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs all benchmarks in turn and reports which goals are met. tools/bench builds the programs and calls this script."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.parse

import pika

import goals
import instructions
import recovery

HERE = os.path.dirname(os.path.abspath(__file__))
# Invisible windows, rendered by the CPU
os.environ.update(QT_QPA_PLATFORM="offscreen", QT_QUICK_BACKEND="software")
TIMEOUT = 300  # seconds for one program
REPEATS = 2  # how often a cell is measured again if it misses its goal in some rounds only
# The messages of a first run, which determines how many messages fill the time of a run
FIRST_COUNT = {16: 20000, 1024: 10000, 65536: 300, 1048576: 30}
RABBIT_COUNT = {16: 100000, 1024: 100000, 65536: 5000, 1048576: 300}
TLS_CLIENTS = ["amqpqt", "librabbitmq"]


class Failure(Exception):
    pass


def certificate(name):
    """Returns the path of a file of the broker's certificates."""
    return os.path.join(os.environ["AMQPQT_TEST_CERTIFICATES"], name)


def run(command):
    """Runs a program and returns the result that it prints."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=TIMEOUT, check=False, text=True)
        result = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise Failure("took too long") from error
    except ValueError as error:
        raise Failure(f"printed no JSON, exit code {done.returncode}") from error
    if "error" in result:
        raise Failure(result["error"])
    return result


def quotient(one, other):
    return one / other if one is not None and other else None


def spread(values):
    return (max(values) - min(values)) / statistics.median(values)


class Cell:
    """The results of several clients for one broker, mode and size of message."""

    def __init__(self, target, mode, size, clients):
        self.target = target
        self.mode = mode
        self.size = size
        self.clients = clients
        self.results = {client: [] for client in clients}
        self.errors = {}

    def measure(self, runs, work):
        """Calls work(client) for each run of each client."""
        self.results = {client: [] for client in self.clients}
        for i in range(runs):
            order = self.clients[i % len(self.clients):] + self.clients[:i % len(self.clients)]
            for client in order:
                if client in self.errors:
                    continue
                try:
                    self.results[client].append(work(client))
                except Failure as error:
                    self.errors[client] = str(error)

    def median(self, client, key):
        values = [result[key] for result in self.results[client]]
        return None if client in self.errors or not values else statistics.median(values)

    def ratio(self, key, other, ours="amqpqt"):
        mine, its = self.median(ours, key), self.median(other, key)
        return None if mine is None or not its else mine / its

    def ratios(self, key, other):
        """Returns the ratio of each round."""
        pairs = zip(self.results["amqpqt"], self.results[other])
        return [mine[key] / its[key] for mine, its in pairs if its[key]]


class Goal:
    """An upper (or lower) limit of one figure of AmqpQt ÷ that of another client."""

    def __init__(self, key, other, limit, at_least=False):
        self.key = key
        self.other = other
        self.limit = limit
        self.at_least = at_least

    def holds_for(self, ratio):
        return ratio is not None and (ratio >= self.limit if self.at_least else ratio <= self.limit)

    def met(self, cell):
        return self.holds_for(cell.ratio(self.key, self.other))

    def undecided(self, cell):
        """Returns whether the goal is missed, but not in every round."""
        return not self.met(cell) and any(self.holds_for(ratio) for ratio in cell.ratios(self.key, self.other))

    def text(self):
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} × {self.other}"


class Bench:
    def __init__(self, options):
        self.options = options
        self.runs = 3 if options.quick else 5
        self.seconds = 0.1 if options.quick else 0.5  # of each run with the synthetic broker
        self.cells = []
        self.checks = []
        self.instructions = {}
        self.missed = []
        self.clients = {
            "amqpqt": self.program("client"),
            "librabbitmq": self.program("client_librabbitmq"),
            "pika": os.path.join(HERE, "client_pika.py"),
            "floor": self.program("client_floor"),
        }

    def program(self, name):
        return os.path.join(self.options.build, "benchmarks", name)

    def measure(self, cell, work, cell_goals):
        cell.measure(self.runs, work)
        for _ in range(REPEATS):
            if not any(goal.undecided(cell) for goal in cell_goals):
                break
            cell.measure(self.runs, work)
        met = all(goal.met(cell) for goal in cell_goals)
        name = f"{cell.target} {cell.mode} {cell.size} B"
        if not met:
            self.missed.append(name)
        for client in cell.clients:
            self.cells.append(self.describe(cell, client, cell_goals if client == "amqpqt" else [], met))
        self.print_row(cell, cell_goals, met)

    def describe(self, cell, client, cell_goals, met):
        known = {"target": cell.target, "mode": cell.mode, "size": cell.size, "client": client}
        for key in "cpu_us_per_msg", "msgs_per_s", "p50_us", "p99_us":
            values = [result[key] for result in cell.results[client] if key in result]
            if values and client not in cell.errors:
                known[key] = statistics.median(values)
                known[key.split("_", maxsplit=1)[0] + "_spread"] = spread(values) if known[key] else 0
        first = cell_goals[0] if cell_goals else None
        key = first.key if first else "msgs_per_s" if cell.target == "rabbit" else "cpu_us_per_msg"
        known["ratio_to_librabbitmq"] = cell.ratio(key, "librabbitmq", client)
        known["goal"] = first.limit if first else None
        known["met"] = met if first else None
        for goal in cell_goals[1:]:
            name = goal.key.split("_", maxsplit=1)[0]
            known[f"{name}_ratio_to_{goal.other}"] = cell.ratio(goal.key, goal.other)
            known[f"{name}_goal_to_{goal.other}"] = goal.limit
        if client in cell.errors:
            known["error"] = cell.errors[client]
        return known

    def print_row(self, cell, cell_goals, met):
        key = cell_goals[0].key
        columns = []
        for client in cell.clients:
            median = cell.median(client, key)
            if median is None:
                columns.append(f"{'error':>14}")
            else:
                values = [result[key] for result in cell.results[client]]
                columns.append(f"{median:>9.{3 if median < 100 else 0}f} ±{spread(values) * 50 if median else 0:>2.0f}%")
        ratios = []
        for goal in cell_goals:
            ratio = cell.ratio(goal.key, goal.other)
            ratios.append(f"{'-' if ratio is None else format(ratio, '.3f')} ({goal.text()})")
        print(f"{cell.mode:<16}{cell.size:>8}  {'  '.join(columns)}  {'ok  ' if met else 'MISS'} {', '.join(ratios)}")
        for client, error in cell.errors.items():
            print(f"{'':24}  {client}: {error}")
        sys.stdout.flush()

    def print_head(self, title, clients):
        print(f"\n{title}\n{'work':<16}{'bytes':>8}  {'  '.join(f'{client:>14}' for client in clients)}")

    def client(self, name, mode, port, count, size, queue, tls=False):
        return run([self.clients[name], *goals.MODES.get(mode, (mode,)), "--port", str(port), "--count", str(count),
                    "--size", str(size), "--queue", queue, *(["--ca-file", certificate("ca.pem")] if tls else [])])

    def synthetic_cell(self, port, mode, size, clients, cell_goals, tls=False):
        counts = {}

        def once(name, count):
            queue = f"bench-{size}-{count}" if mode.startswith("consume") else "bench"
            return self.client(name, mode, port, count, size, queue, tls)

        def work(name):
            if name not in counts:
                first = FIRST_COUNT[size] // (5 if name == "pika" else 1)
                counts[name] = max(10, int(first * self.seconds / once(name, first)["seconds"]))
            return once(name, counts[name])

        self.measure(Cell("blaster-tls" if tls else "blaster", mode, size, clients), work, cell_goals)

    def synthetic(self, port):
        clients = list(self.clients)
        self.print_head("Synthetic broker: CPU µs per message, median ± half the spread", clients)
        for mode, limits in goals.CPU.items():
            for size, limit in zip(goals.SIZES, limits):
                cell_goals = [Goal("cpu_us_per_msg", "librabbitmq", limit)]
                if mode in goals.CPU_TO_FLOOR:
                    cell_goals.append(Goal("cpu_us_per_msg", "floor", goals.CPU_TO_FLOOR[mode]))
                self.synthetic_cell(port, mode, size, clients, cell_goals)

    def synthetic_tls(self, port):
        self.print_head("Synthetic broker over TLS: CPU µs per message, median ± half the spread", TLS_CLIENTS)
        for mode in goals.MODES:
            for size, limit in goals.CPU_TLS.items():
                self.synthetic_cell(port, mode, size, TLS_CLIENTS, [Goal("cpu_us_per_msg", "librabbitmq", limit)], tls=True)

    def rabbit_cell(self, channel, ports, mode, size, clients, cell_goals, tls=False):
        queue = "bench"

        def work(name):
            count = RABBIT_COUNT[size] // (5 if self.options.quick else 1) // (5 if name == "pika" else 1)
            channel.queue_declare(queue)
            try:
                if mode.startswith("consume"):
                    self.client("librabbitmq", "publish-confirm", ports[False], count, size, queue)
                return self.client(name, mode, ports[tls], count, size, queue, tls)
            finally:
                channel.queue_delete(queue)

        self.measure(Cell("rabbit-tls" if tls else "rabbit", mode, size, clients), work, cell_goals)

    def rabbit(self, ports):
        """Measures with RabbitMQ, whose ports are ports[tls]."""
        clients = ["amqpqt", "librabbitmq", "pika"]
        with_floor = [*clients, "floor"]
        self.print_head("RabbitMQ: messages per second, median ± half the spread", with_floor)
        port = ports[False]
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=0))
        channel = connection.channel()
        for mode, limits in goals.RATE.items():
            for size, limit in zip(goals.SIZES, limits):
                self.rabbit_cell(channel, ports, mode, size, with_floor if mode in goals.RATE_WITH_FLOOR else clients,
                                 [Goal("msgs_per_s", "librabbitmq", limit, at_least=True)])
        round_trip = [Goal(key, "librabbitmq", limit) for key, limit in goals.ROUND_TRIP.items()]
        count = 1000 if self.options.quick else 5000
        self.print_head("RabbitMQ: round trip µs, median ± half the spread of the runs' medians", with_floor)
        self.measure(Cell("rabbit", "rtt", 16, with_floor),
                     lambda name: self.client(name, "rtt", port, count, 16, "bench"), round_trip)
        self.print_head("RabbitMQ over TLS: CPU µs per message, median ± half the spread", TLS_CLIENTS)
        for mode in goals.MODES:
            for size, limit in goals.CPU_TLS.items():
                self.rabbit_cell(channel, ports, mode, size, TLS_CLIENTS, [Goal("cpu_us_per_msg", "librabbitmq", limit)],
                                 tls=True)
        self.print_head("RabbitMQ over TLS: round trip µs, median ± half the spread of the runs' medians", TLS_CLIENTS)
        self.measure(Cell("rabbit-tls", "rtt", 16, TLS_CLIENTS),
                     lambda name: self.client(name, "rtt", ports[True], count, 16, "bench", tls=True), round_trip)
        connection.close()

    def check(self, name, value, unit, goal=None):
        met = None if goal is None else value is not None and value <= goal
        self.checks.append({"name": name, "value": value, "unit": unit, "goal": goal, "met": met})
        if met is False:
            self.missed.append(name)
        verdict = "" if goal is None else f"  {'ok  ' if met else 'MISS'} (≤ {goal:g})"
        print(f"{name:<56}{'error' if value is None else format(value, '.3f'):>14} {unit}{verdict}", flush=True)

    def try_run(self, command):
        try:
            return run(command)
        except Failure as error:
            print(f"{os.path.basename(command[0])}: {error}")
            return {}

    def stall(self, port):
        print("\nFlood of 16 B messages; the slot takes 50 µs")
        # The synthetic broker's queue, because RabbitMQ and a flooding process would compete for the processors.
        command = [self.program("stall"), "--port", str(port), "--queue", "bench-16-1000000000", "--seconds",
                   "3" if self.options.quick else "10"]
        results = [self.try_run(command)]
        if any(results[0].get(key, limit + 1) > limit for key, limit in goals.STALL.items()):
            results += [self.try_run(command) for _ in range(2)]
        for key, limit in goals.STALL.items():
            values = [result[key] for result in results if key in result]
            self.check(key, statistics.median(values) if values else None, key.rsplit("_", maxsplit=1)[1], limit)

    def model(self, port):
        if not os.path.exists(self.program("qmlmodel")):
            print("\nThe QML module was not built")
            return
        print("\n50 000 messages per second in a QML table")
        command = [self.program("qmlmodel"), "--port", str(port), "--queue", "paced-64-50000", "--seconds",
                   "5" if self.options.quick else "10"]
        alone, shown = [], []
        for _ in range(self.runs):
            for results, options in (alone, ["--no-view"]), (shown, []):
                results.append(self.try_run(command + options))
        if not all(alone + shown):
            above = late = None
        else:
            above = statistics.median(it["cpu_share"] - base["cpu_share"] for it, base in zip(shown, alone))
            late = statistics.median(it["p99_late_ms"] for it in shown)
        self.check("CPU time added to receiving, share of one core", above, "", goals.MODEL["cpu_share_above"])
        self.check("lateness of a 1 ms timer in the same thread, p99", late, "ms", goals.MODEL["p99_late_ms"])

    def memory(self, port):
        print("\nGrowth of resident memory")
        for kind, limit in goals.MEMORY.items():
            number = "1000" if kind == "channels" else "100"
            for name, goal in ("memory", limit), ("memory_librabbitmq", None):
                result = self.try_run([self.program(name), kind, "--port", str(port), "--number", number])
                what = f"{name}: each of {number} {kind}" + (" with a consumer" if kind == "channels" else "")
                self.check(what, result.get("rss_bytes_each"), "bytes", goal)

    def growth(self, port):
        print("\nCosts as the number of channels, consumers, unacknowledged and unconfirmed messages grows")
        command = [self.program("growth")]

        def once(kind, number):
            return self.try_run(command + [kind, "--port", str(port), "--number", str(number),
                                           "--count", "50000" if self.options.quick else "300000"])

        for kind in "channels", "consumers", "unacked":
            for number in goals.GROWTH_NUMBERS:
                self.check(f"a delivery with {number} {kind}", once(kind, number).get("cpu_us_per_msg"), "µs CPU")
        for kind, name in ("confirms", "channel"), ("publisher", "Publisher"):
            for number in goals.GROWTH_NUMBERS:
                self.check(f"a publish with {number} confirms held back, {name}", once(kind, number).get("cpu_us_per_msg"),
                           "µs CPU")
        for kind in "channels", "consumers":
            rounds = [(once(kind, 1000), once(kind, 10000)) for _ in range(self.runs)]
            ratios = [many["make_us_each"] / few["make_us_each"] for few, many in rounds if few and many]
            self.check(f"creating each of 10 000 {kind} ÷ each of 1 000", statistics.median(ratios) if ratios else None, "×",
                       goals.MAKING.get(kind))

    def recovery(self, port):
        print("\nRecovery with RabbitMQ, from TCP connect to the last consume-ok, median")
        ours = [self.program("recovery"), "queues"]
        with tempfile.TemporaryDirectory(prefix="amqpqt-java-") as directory:
            java = recovery.java_client(directory)
            clients = {"AmqpQt": ours, "Java client": java + ["queues"]} if java else {"AmqpQt": ours}
            if not java:
                print("Java or librabbitmq-client-java is missing, so nothing is compared")
            medians = {}
            for number in goals.RECOVERY_NUMBERS:
                times = self.recovery_times(clients, port, number)
                for name, values in times.items():
                    medians[name, number] = statistics.median(values) if values else None
                    self.check(f"{number} queues with a consumer each, {name}", medians[name, number], "ms")
                if java:
                    self.check(f"{number} queues with a consumer each, AmqpQt ÷ Java client",
                               quotient(medians["AmqpQt", number], medians["Java client", number]), "×", goals.RECOVERY_TO_JAVA)
        fewest, most = goals.RECOVERY_NUMBERS[0], goals.RECOVERY_NUMBERS[-1]
        growth = quotient(medians["AmqpQt", most], medians["AmqpQt", fewest])
        self.check(f"each of {most} ÷ each of {fewest}, AmqpQt", growth and growth * fewest / most, "×", goals.RECOVERY_GROWTH)
        shared = self.recovery_times({"AmqpQt": [ours[0], "shared"]}, port, goals.RECOVERY_SHARED)["AmqpQt"]
        self.check(f"{goals.RECOVERY_SHARED} consumers of 100 queues", statistics.median(shared) if shared else None, "ms",
                   goals.RECOVERY_SHARED_MS)

    def recovery_times(self, clients, port, number):
        """Returns the milliseconds of each client, which take turns; none if a run has failed."""
        times = {name: [] for name in clients}
        failed = set()
        for _ in range(self.runs):
            for name in clients.keys() - failed:
                try:
                    times[name] += [1000 * value for value in recovery.seconds_of(clients[name], port, number, losses=3)]
                except recovery.Failure as error:
                    print(f"{name}: {error}")
                    failed.add(name)
                    times[name] = []
        return times

    def count_instructions(self, port):
        print("\nInstructions per message of 16 B, callgrind")
        for mode in goals.MODES:
            count = instructions.per_message(self.clients["amqpqt"], mode, port)
            print(f"{mode:<24}{'error' if count is None else format(count, '.0f'):>10}", flush=True)
            if count is not None:
                self.instructions[mode] = count

    def run_all(self, rabbit_ports):
        with instructions.synthetic_broker(self.program("broker")) as port:
            self.synthetic(port)
            self.memory(port)
            self.growth(port)
            self.stall(port)
            self.model(port)
            self.count_instructions(port)
        tls = ["--certificate", certificate("server.pem"), "--key", certificate("server.key")]
        try:
            with instructions.synthetic_broker(self.program("broker"), *tls) as port:
                self.synthetic_tls(port)
        except instructions.BrokerError as error:
            print(f"broker: {error}")
            self.missed.append("synthetic broker over TLS")
        self.recovery(rabbit_ports[False])
        self.rabbit(rabbit_ports)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="the build directory")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--only", choices=["recovery"])
    bench = Bench(parser.parse_args())
    urls = {False: "AMQPQT_TEST_URL", True: "AMQPQT_TEST_TLS_URL"}
    ports = {tls: urllib.parse.urlsplit(os.environ[name]).port for tls, name in urls.items()}
    if bench.options.only:
        bench.recovery(ports[False])
    else:
        bench.run_all(ports)
    if bench.options.json:
        with open(bench.options.json, "w", encoding="utf-8") as file:
            json.dump({"cells": bench.cells, "checks": bench.checks, "instructions_per_message": bench.instructions},
                      file, indent=1)
            file.write("\n")
    total = sum(cell["met"] is not None for cell in bench.cells + bench.checks)
    print(f"\n{total - len(bench.missed)} of {total} goals are met")
    for name in bench.missed:
        print(f"missed: {name}")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
