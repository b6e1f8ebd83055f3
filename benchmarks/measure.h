// SPDX-License-Identifier: MIT
#pragma once

// The command line and the output of all benchmark clients:
//
//   client {publish|publish-confirm|consume-ack|consume-autoack|rtt} --port P --count N --size S
//          [--prefetch 256] [--ack-every K] [--window W] [--queue Q] [--ca-file FILE]
//
// --ca-file makes the client connect over TLS, and names the file of the authorities that it trusts.
// There is also --dispatch-budget MS, which the clients of libraries without such a limit ignore.
//
// The output is one line of JSON. On failure it is {"error": …}, and the exit code is 1.

#include "usage.h"

#include <getopt.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

[[noreturn]] inline void fail(std::string_view message)
{
    std::string text;
    for (const char c : message) {
        if (c == '"' || c == '\\')
            text += '\\';
        text += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    std::printf("{\"error\":\"%s\"}\n", text.c_str());
    std::exit(1);
}

inline std::int64_t toNumber(const char *text, std::int64_t least, std::int64_t greatest)
{
    char *end = nullptr;
    const long long number = std::strtoll(text, &end, 10);
    if (end == text || *end || number < least || number > greatest)
        fail(std::string(text) + " is not a number from " + std::to_string(least) + " to " + std::to_string(greatest));
    return number;
}

enum class Mode { Publish, PublishConfirm, ConsumeAck, ConsumeAutoack, RoundTrip };

struct Options {
    Mode mode = Mode::Publish;
    std::string queue = "bench";
    std::uint16_t port = 5672;
    std::int64_t count = 100000;
    std::int64_t size = 16;
    std::uint16_t prefetch = 256;
    std::int64_t ackEvery = 1;
    std::int64_t window = 256;
    std::int64_t dispatchBudget = 0; // in ms; 0 means the library's default
    std::string caFile;              // empty without TLS

    bool isConsuming() const { return mode == Mode::ConsumeAck || mode == Mode::ConsumeAutoack; }
    // Returns whether this message is to be acknowledged, with all messages before it. The last message always is.
    bool isAckDue(std::int64_t received) const { return received % ackEvery == 0 || received == count; }

    static Options read(int argc, char *argv[])
    {
        static constexpr std::pair<std::string_view, Mode> modes[] = {
            {"publish", Mode::Publish},        {"publish-confirm", Mode::PublishConfirm},
            {"consume-ack", Mode::ConsumeAck}, {"consume-autoack", Mode::ConsumeAutoack},
            {"rtt", Mode::RoundTrip},
        };
        static constexpr option names[] = {
            {"port", required_argument, nullptr, 'p'},      {"count", required_argument, nullptr, 'n'},
            {"size", required_argument, nullptr, 's'},      {"prefetch", required_argument, nullptr, 'f'},
            {"ack-every", required_argument, nullptr, 'k'}, {"window", required_argument, nullptr, 'w'},
            {"queue", required_argument, nullptr, 'q'},     {"dispatch-budget", required_argument, nullptr, 'b'},
            {"ca-file", required_argument, nullptr, 'c'},   {},
        };
        constexpr std::int64_t most = 1'000'000'000;
        Options options;
        opterr = 0;
        for (int name; (name = getopt_long(argc, argv, "", names, nullptr)) != -1;) {
            switch (name) {
            case 'p':
                options.port = std::uint16_t(toNumber(optarg, 1, 65535));
                break;
            case 'n':
                options.count = toNumber(optarg, 1, most);
                break;
            case 's':
                options.size = toNumber(optarg, 0, most);
                break;
            case 'f':
                options.prefetch = std::uint16_t(toNumber(optarg, 0, 65535));
                break;
            case 'k':
                options.ackEvery = toNumber(optarg, 1, most);
                break;
            case 'w':
                options.window = toNumber(optarg, 1, most);
                break;
            case 'b':
                options.dispatchBudget = toNumber(optarg, 1, 1'000'000);
                break;
            case 'q':
                options.queue = optarg;
                break;
            case 'c':
                options.caFile = optarg;
                break;
            default:
                fail(std::string(argv[optind - 1]) + " is not an option, or its value is missing");
            }
        }
        const auto mode = std::find_if(std::begin(modes), std::end(modes), [&](const auto &known) {
            return optind == argc - 1 && known.first == argv[optind];
        });
        if (mode == std::end(modes))
            fail("the mode must be one of publish, publish-confirm, consume-ack, consume-autoack, rtt");
        options.mode = mode->second;
        if (options.queue.size() > 255)
            fail("the name of the queue is too long");
        if (options.prefetch > 0 && options.ackEvery > options.prefetch)
            fail("ack-every must not exceed prefetch");
        return options;
    }
};

// Measures from start() to finish(), which excludes connecting and disconnecting.
class Measurement
{
public:
    explicit Measurement(const Options &options)
        : m_options(options)
    {
        if (options.mode == Mode::RoundTrip)
            m_roundTrips.reserve(std::size_t(options.count));
    }

    void start()
    {
        m_before = Usage::now();
        m_start = Clock::now();
    }
    void beginRoundTrip() { m_roundTripStart = Clock::now(); }
    void endRoundTrip() { m_roundTrips.push_back(Clock::now() - m_roundTripStart); }

    void finish()
    {
        const double seconds = std::chrono::duration<double>(Clock::now() - m_start).count();
        const Usage after = Usage::now();
        const double user = after.userMicroseconds - m_before.userMicroseconds;
        const double system = after.systemMicroseconds - m_before.systemMicroseconds;
        const double count = double(m_options.count);
        std::printf("{\"seconds\":%.9f,\"msgs_per_s\":%.1f,\"MB_per_s\":%.3f,\"cpu_us_per_msg\":%.5f,"
                    "\"user_us\":%.0f,\"sys_us\":%.0f,\"rss_kb\":%ld",
                    seconds, count / seconds, count * double(m_options.size) / seconds / 1e6, (user + system) / count,
                    user, system, after.peakResidentKilobytes);
        if (!m_roundTrips.empty()) {
            std::sort(m_roundTrips.begin(), m_roundTrips.end());
            std::printf(",\"p50_us\":%.1f,\"p99_us\":%.1f", percentile(50), percentile(99));
        }
        std::printf("}\n");
        std::fflush(stdout);
    }

private:
    using Clock = std::chrono::steady_clock;

    double percentile(std::size_t percent) const
    {
        const Clock::duration time = m_roundTrips[(m_roundTrips.size() - 1) * percent / 100];
        return std::chrono::duration<double, std::micro>(time).count();
    }

    const Options &m_options;
    Usage m_before;
    Clock::time_point m_start;
    Clock::time_point m_roundTripStart;
    std::vector<Clock::duration> m_roundTrips;
};
