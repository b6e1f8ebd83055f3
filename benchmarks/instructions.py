#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Counts the instructions per message of 16 B and compares them with the recorded counts.

tools/instructions builds the programs and calls this script.
"""

import argparse
import contextlib
import glob
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile

import goals

RECORD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")
LIMIT = 0.03
# The messages of two runs; the difference of their counts excludes connecting and disconnecting. Both are multiples of the
# window, because the broker confirms a whole window at once.
FEW, MANY = 20480, 163840
QUEUES = {"publish": "bench", "publish-confirm": "confirmed-256"}
# Under callgrind time is meaningless, so the time limit for a turn of the event loop is practically disabled.
BUDGET = ("--dispatch-budget", "1000000")


class BrokerError(Exception):
    pass


@contextlib.contextmanager
def synthetic_broker(program, *options):
    """Runs the broker and yields its port."""
    # The broker exits when its standard input closes, at the latest when this process ends.
    with subprocess.Popen([program, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as broker:
        line = broker.stdout.readline()
        if not line.strip().isdigit():
            raise BrokerError(json.loads(line)["error"] if line else "it has printed nothing")
        yield int(line)
        broker.stdin.close()


def of_run(client, mode, port, count):
    """Returns the instructions of a whole run of the program, or None if the run failed."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", client, *goals.MODES[mode],
                   *BUDGET, "--port", str(port), "--count", str(count), "--queue", QUEUES.get(mode, f"bench-16-{count}")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    total = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode == 0 and total:
        return int(total[1])
    print(done.stdout + done.stderr, file=sys.stderr)
    return None


def per_message(client, mode, port):
    """Returns the instructions per message, or None if a run failed."""
    few, many = (of_run(client, mode, port, count) for count in (FEW, MANY))
    return (many - few) / (MANY - FEW) if few and many else None


def value_in(pattern, expression):
    """Returns the first match of the expression in the files, which CMake has written."""
    for name in glob.glob(pattern):
        with open(name, encoding="utf-8") as file:
            found = re.search(expression, file.read(), re.MULTILINE)
        if found:
            return found[1]
    return "unknown"


def made_with(build):
    """Returns the machine, the compiler and the Qt for which the figures are valid."""
    compiler = f"{build}/CMakeFiles/*/CMakeCXXCompiler.cmake"
    qt = value_in(f"{build}/CMakeCache.txt", r"^Qt6_DIR:PATH=(.*)$")
    return {
        "machine": platform.machine(),
        "compiler": " ".join(value_in(compiler, rf'set\(CMAKE_CXX_COMPILER_{key} "(.*)"\)') for key in ("ID", "VERSION")),
        "qt": "Qt " + value_in(f"{qt}/Qt6ConfigVersion*.cmake", r'set\(PACKAGE_VERSION "(.*)"\)'),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="the build directory")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    made = made_with(options.build)
    try:
        with open(RECORD, encoding="utf-8") as file:
            recorded = json.load(file)
    except (OSError, ValueError):
        if not options.record:
            raise
        recorded = {"made_with": {}, "instructions_per_message": {}}
    known = recorded["instructions_per_message"]

    print(f"Instructions per message of 16 B, callgrind; {', '.join(made.values())}")
    print(f"{'':<24}{'recorded':>10}{'now':>10}")
    now, failed, moved = {}, [], []
    with synthetic_broker(f"{options.build}/benchmarks/broker") as port:
        for mode in goals.MODES:
            def counted(times):
                return [per_message(f"{options.build}/benchmarks/client", mode, port) for _ in range(times)]

            def change_of(figure):
                return figure / known[mode] - 1 if mode in known else float("inf")

            # Counts vary by up to 2 %, because a read returns as much as the broker has sent by then.
            counts = counted(3 if options.record else 1)
            if None not in counts and not options.record and abs(change_of(counts[0])) > LIMIT:
                counts += counted(2)
            if None in counts:
                failed.append(mode)
                continue
            count = statistics.median(counts)
            now[mode] = round(count)
            change = change_of(count)
            if abs(change) > LIMIT:
                moved.append(mode)
            print(f"{mode:<24}{known.get(mode, 'none'):>10}{count:>10.0f}{change:>+9.1%}", flush=True)

    if failed:
        print(f"tools/instructions: FAILED: {', '.join(failed)} could not be counted")
        return 1
    if options.record:
        with open(RECORD, "w", encoding="utf-8") as file:
            json.dump({"made_with": made, "instructions_per_message": now}, file, indent=4)
            file.write("\n")
        print("tools/instructions: recorded")
        return 0
    if recorded["made_with"] != made:
        print("tools/instructions: not checked, because the counts were recorded with "
              + ", ".join(recorded["made_with"].values()))
        return 0
    if moved:
        print(f"tools/instructions: FAILED: {', '.join(moved)} changed by more than {LIMIT:.0%}. If the count "
              "is lower, or higher for a known reason, record it with --record; otherwise find the cause")
        return 1
    print(f"tools/instructions: passed: all counts are within {LIMIT:.0%} of the recorded ones")
    return 0


if __name__ == "__main__":
    sys.exit(main())
