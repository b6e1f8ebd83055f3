#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""check_program.py BROKER PROGRAM [CERTIFICATES] checks the output of PROGRAM, one of benchmarks/, in each of its modes.

CERTIFICATES is tools/certificates; with it, PROGRAM is a client that connects over TLS.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../benchmarks"))
import recovery

KEYS = {"seconds", "msgs_per_s", "MB_per_s", "cpu_us_per_msg", "user_us", "sys_us", "rss_kb"}
MODES = ["publish", "publish-confirm", "consume-ack", "consume-autoack", "rtt"]


def run(command):
    """Returns the JSON that a program prints in its single line of output, and whether the program succeeded."""
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=False, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, f"{command}: not one line: {done.stdout!r}"
    assert done.returncode in (0, 1), f"{command}: exit code {done.returncode}"
    return json.loads(lines[0]), done.returncode == 0


def check_error(command, part=""):
    result, good = run(command)
    assert not good and list(result) == ["error"] and part in result["error"], f"{command}: {result}"


def check_measurement(command, keys, count, size):
    result, good = run(command)
    assert good and set(result) == keys, f"{command}: {result}"
    assert all(value >= 0 for value in result.values()), result
    assert abs(result["msgs_per_s"] * result["seconds"] / count - 1) < 0.01, result
    assert abs(result["MB_per_s"] * 1e6 * result["seconds"] - count * size) <= 0.01 * count * size + 1e3, result


def check_modes(program, port, *options):
    for mode in MODES:
        for size, count in (16, 1000), (0, 10), (65536, 30), (300000, 5):
            command = [program, mode, "--port", port, "--size", str(size), "--count", str(count), *options]
            keys = KEYS | ({"p50_us", "p99_us"} if mode == "rtt" else set())
            if mode.startswith("consume"):
                command += ["--queue", f"bench-{size}-{count}"]
            elif mode == "rtt":
                command += ["--queue", "echo"]
            check_measurement(command, keys, count, size)


def check_client(program, port):
    check_modes(program, port)
    many = ["--port", port, "--count", "1000", "--queue", "bench-16-1000"]
    check_measurement([program, "consume-ack", "--ack-every", "64", *many], KEYS, 1000, 16)
    check_measurement([program, "consume-ack", "--prefetch", "1", *many], KEYS, 1000, 16)
    confirmed = [program, "publish-confirm", "--port", port, "--count", "100", "--window", "7"]
    check_measurement(confirmed, KEYS, 100, 16)
    together = [program, "publish-confirm", "--port", port, "--count", "98", "--window", "7", "--queue", "confirmed-7"]
    check_measurement(together, KEYS, 98, 16)
    check_error([program, "nothing", "--port", port])
    check_error([program, "publish", "--port", "1"])
    check_error([program, "publish", "--count"])
    check_error([program, "publish", "--count", "some"])


def check_growth(program, port):
    for kind in "channels", "consumers", "unacked", "confirms", "publisher":
        result, good = run([program, kind, "--port", port, "--number", "150", "--count", "500"])
        assert good and set(result) == {"number", "make_us_each", "cpu_us_per_msg"}, result
    check_error([program, "nothing", "--port", port])
    check_error([program, "channels", "--port", "1"])


def check_memory(program, port):
    for kind in "channels", "connections":
        result, good = run([program, kind, "--port", port, "--number", "20"])
        assert good and set(result) == {"number", "heap_bytes_each", "rss_bytes_each"}, result
        assert 100 < result["heap_bytes_each"] < 1e6, result
    check_error([program, "nothing", "--port", port])
    check_error([program, "channels", "--port", "1"])


def check_recovery(program, port):
    for kind, number in ("queues", 20), ("shared", 200):
        seconds = asyncio.run(recovery.Proxy(int(port), number, 2).run([program, kind]))
        assert len(seconds) == 2 and all(0 < value < 60 for value in seconds), seconds
    check_error([program, "nothing", "--port", port])


def check_stall(program, port):
    result, good = run([program, "--port", port, "--seconds", "1"])
    assert good and result["msgs_per_s"] > 0 and result["longest_gap_ms"] > 0, result


def check_qmlmodel(program, port):
    keys = {"seconds", "msgs_per_s", "frames_per_s", "cpu_share", "p99_late_ms", "max_late_ms", "rss_early_kb", "rss_kb"}
    for options in [], ["--no-ack"], ["--no-view"]:
        result, good = run([program, "--port", port, "--queue", "paced-64-1000", "--seconds", "2", *options])
        assert good and set(result) == keys, result
        assert 500 < result["msgs_per_s"] < 1500 and result["cpu_share"] > 0, result
        assert (result["frames_per_s"] > 0) == ("--no-view" not in options), result
    check_error([program, "--port", port, "--seconds", "2", "--qml", "missing.qml"])
    check_error([program, "--port", port, "--seconds", "2", "--queue", "nothing"], "nothing was delivered")
    check_error([program, "--port", "1", "--no-view"])


def with_broker(command, check):
    """Calls check(port) while the broker runs."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as broker:
        check(str(int(broker.stdout.readline())))
        assert broker.poll() is None, "the broker has ended"
        broker.stdin.close()
        assert broker.wait(10) == 0, "the broker does not exit when its standard input closes"


def check_tls(broker_program, program, create_certificates):
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([create_certificates, directory], check=True)
        trusted, foreign = ["--ca-file", f"{directory}/ca.pem"], ["--ca-file", f"{directory}/foreign-ca.pem"]

        def check(port):
            check_modes(program, port, *trusted)
            check_error([program, "publish", "--port", port, *foreign])
            check_error([program, "publish", "--port", port])  # without TLS

        with_broker([broker_program, "--certificate", f"{directory}/server.pem", "--key", f"{directory}/server.key"], check)
        with_broker([broker_program], lambda port: check_error([program, "publish", "--port", port, *trusted]))


def main():
    broker_program, program, *create_certificates = sys.argv[1:]
    if create_certificates:
        check_tls(broker_program, program, create_certificates[0])
        return
    kind = os.path.basename(program).split("_")[0]
    checks = {"client": check_client, "growth": check_growth, "memory": check_memory, "qmlmodel": check_qmlmodel,
              "recovery": check_recovery, "stall": check_stall}
    with_broker([broker_program], lambda port: checks[kind](program, port))


if __name__ == "__main__":
    main()
