# SPDX-License-Identifier: MIT
"""The measurements and their goals.

Figures from different machines cannot be compared, so the goals of cells are ratios to librabbitmq in the same run.
"""

SIZES = (16, 1024, 65536, 1048576)
WINDOW = ("--window", "256")

# name: mode and options of the benchmark client
MODES = {
    "publish": ("publish",),
    "publish-confirm": ("publish-confirm", *WINDOW),
    "consume-autoack": ("consume-autoack",),
    "consume-ack": ("consume-ack", "--prefetch", "256"),
    "consume-ack-64": ("consume-ack", "--prefetch", "256", "--ack-every", "64"),
}

# Upper limits of the CPU time per message with the synthetic broker, AmqpQt ÷ librabbitmq, for each of SIZES
CPU = {
    "publish": (0.03, 0.08, 1.0, 1.0),
    "publish-confirm": (0.05, 0.1, 1.0, 1.0),
    "consume-autoack": (0.55, 0.8, 1.1, 1.15),
    "consume-ack": (0.07, 0.1, 1.1, 1.15),
    "consume-ack-64": (0.6, 0.9, 1.1, 1.15),
}

# Upper limits of the same time, AmqpQt ÷ floor, in the modes where batching system calls saves most
CPU_TO_FLOOR = {"publish": 4.0, "publish-confirm": 4.0, "consume-ack": 4.0}

# Lower limits of the messages per second with RabbitMQ, AmqpQt ÷ librabbitmq, for each of SIZES
RATE = {
    "publish": (0.95, 0.95, 0.95, 0.95),
    "publish-confirm": (1.3, 1.3, 1.3, 1.3),
    "consume-autoack": (0.95, 0.95, 0.95, 0.95),
    "consume-ack": (0.95, 0.95, 0.95, 0.95),
    "consume-ack-64": (0.95, 0.95, 0.95, 0.95),
}

# Upper limits of the CPU time per message over TLS, AmqpQt ÷ librabbitmq, in each mode and with both brokers, by size
CPU_TLS = {16: 0.6, 65536: 1.1}

# The modes in which the floor is measured too, to show the highest rate that the broker can reach
RATE_WITH_FLOOR = ("publish-confirm",)

# Upper limits of round trips of 16 bytes with RabbitMQ, with and without TLS, AmqpQt ÷ librabbitmq
ROUND_TRIP = {"p50_us": 1.05, "p99_us": 1.1}

# Absolute upper limits for the other programs
STALL = {"longest_gap_ms": 8, "rss_growth_kb": 2048}
MEMORY = {"channels": 2560, "connections": 20480}  # bytes each, resident
GROWTH_NUMBERS = (1, 100, 10000)
# 50 000 messages per second in a visible QML table: the CPU time that it adds to receiving, as a share of one core, and the
# lateness of a 1 ms timer
MODEL = {"cpu_share_above": 0.10, "p99_late_ms": 4}
# The time to create each of 10 000 objects on one connection ÷ the time to create each of 1 000. It is 1 if the total time is
# linear; the rest allows for cache misses.
MAKING = {"consumers": 1.5}
# Recovery from a loss with RabbitMQ, from TCP connect to the last consume-ok: AmqpQt ÷ Java client with so many queues, each
# with a consumer
RECOVERY_NUMBERS = (40, 80, 160, 320)
RECOVERY_TO_JAVA = 1.0
# The time for each queue among the most ÷ for each among the fewest. It is at most 1 if the total time is linear; the rest
# allows for the scheduling of a busy broker.
RECOVERY_GROWTH = 1.5
RECOVERY_SHARED = 10000  # consumers of 100 queues
RECOVERY_SHARED_MS = 30000
