# SPDX-License-Identifier: MIT
"""What is measured and what it must come to.

Figures of different machines do not compare: the goals of cells are ratios to librabbitmq in the same run.
"""

SIZES = (16, 1024, 65536, 1048576)
WINDOW = ("--window", "256")

# name: mode and options of the measuring client
MODES = {
    "publish": ("publish",),
    "publish-confirm": ("publish-confirm", *WINDOW),
    "consume-autoack": ("consume-autoack",),
    "consume-ack": ("consume-ack", "--prefetch", "256"),
    "consume-ack-64": ("consume-ack", "--prefetch", "256", "--ack-every", "64"),
}

# CPU per message against the synthetic broker, ours ÷ librabbitmq, at most; one for each of SIZES
CPU = {
    "publish": (0.03, 0.08, 1.0, 1.0),
    "publish-confirm": (0.05, 0.1, 1.0, 1.0),
    "consume-autoack": (0.55, 0.8, 1.1, 1.15),
    "consume-ack": (0.07, 0.1, 1.1, 1.15),
    "consume-ack-64": (0.6, 0.9, 1.1, 1.15),
}

# The same, ours ÷ floor, at most; where the gain is batching of system calls
CPU_TO_FLOOR = {"publish": 4.0, "publish-confirm": 4.0, "consume-ack": 4.0}

# Messages per second with RabbitMQ, ours ÷ librabbitmq, at least; one for each of SIZES
RATE = {
    "publish": (0.95, 0.95, 0.95, 0.95),
    "publish-confirm": (1.3, 1.3, 1.3, 1.3),
    "consume-autoack": (0.95, 0.95, 0.95, 0.95),
    "consume-ack": (0.95, 0.95, 0.95, 0.95),
    "consume-ack-64": (0.95, 0.95, 0.95, 0.95),
}

# The floor is measured beside these, which shows the most that the broker can do
RATE_WITH_FLOOR = ("publish-confirm",)

# Round trips of 16 bytes with RabbitMQ, ours ÷ librabbitmq, at most
ROUND_TRIP = {"p50_us": 1.05, "p99_us": 1.1}

# The other programs: absolute, at most
STALL = {"longest_gap_ms": 8, "rss_growth_kb": 2048}
MEMORY = {"channels": 2560, "connections": 20480}  # bytes each, resident
GROWTH_NUMBERS = (1, 100, 10000)
# 50 000 messages per second into a visible table of QML: share of one core above receiving alone, and how late a 1 ms timer is
MODEL = {"cpu_share_above": 0.10, "p99_late_ms": 4}
# Making 10 000 of them on one connection, time each ÷ the same of 1 000: in linear time this is 1, and the rest is room for
# caches that are too small.
MAKING = {"consumers": 1.5}
