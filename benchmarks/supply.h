// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>

// The name of a queue of the synthetic broker determines which messages each consumer gets, within its prefetch:
//
//   bench-SIZE-COUNT   COUNT messages of SIZE bytes, at once
//   held-SIZE-COUNT    the same, as soon as the first message is published to the queue
//   paced-SIZE-RATE    RATE messages of SIZE bytes per second, evenly distributed, without end
//   unconfirmed-N      none; published messages are discarded, and their confirms stay N messages behind
//   confirmed-N        none; published messages are discarded, and each confirm covers N messages, never fewer
//
// The bodies of a paced queue, if they have at least 23 bytes and fewer than Supply::Large, contain JSON such as
// {"value":123,"unit":"xxx"} with varying values.
struct Supply {
    static constexpr std::size_t Large = 16 * 1024; // bodies of this size or more are not copied for each message

    std::size_t size = 0;
    std::uint64_t count = 0; // 0 means none
    std::uint64_t rate = 0;  // 0 means all at once
    bool isHeld = false;
    std::uint64_t unconfirmed = 0; // the number of messages that the confirms stay behind
    std::uint64_t together = 0;    // the number of messages that each confirm covers; 0 means those of a read

    explicit Supply(const std::string &name)
    {
        unsigned long bytes = 0;
        unsigned long number = 0;
        if (std::sscanf(name.c_str(), "unconfirmed-%lu", &number) == 1)
            unconfirmed = number;
        if (std::sscanf(name.c_str(), "confirmed-%lu", &number) == 1)
            together = number;
        isHeld = std::sscanf(name.c_str(), "held-%lu-%lu", &bytes, &number) == 2;
        const bool isPaced = !isHeld && std::sscanf(name.c_str(), "paced-%lu-%lu", &bytes, &number) == 2;
        if (!isHeld && !isPaced && std::sscanf(name.c_str(), "bench-%lu-%lu", &bytes, &number) != 2)
            return;
        size = bytes;
        count = isPaced ? std::numeric_limits<std::uint64_t>::max() : number;
        rate = isPaced ? number : 0;
    }

    bool isJson() const { return rate > 0 && size >= Start.size() + Finish.size() && size < Large; }
    std::string body() const
    {
        std::string text(size, 'x');
        if (isJson()) {
            text.replace(0, Start.size(), Start);
            text.replace(size - Finish.size(), Finish.size(), Finish);
        }
        return text;
    }
    // Sets the value in the body of the message with this delivery tag.
    static void setValue(char *body, std::uint64_t tag)
    {
        const std::string digits = std::to_string(100 + tag % 900);
        std::copy(digits.begin(), digits.end(), body + Start.find('1'));
    }
    // Returns how many messages are due after this time since the consumer started.
    std::uint64_t dueAfter(std::uint64_t milliseconds) const { return milliseconds * rate / 1000; }

private:
    static constexpr std::string_view Start = "{\"value\":123,\"unit\":\"";
    static constexpr std::string_view Finish = "\"}";
};
