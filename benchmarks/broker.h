// SPDX-License-Identifier: MIT
#pragma once

// The types of the synthetic broker. Connection is in brokerconnection.cpp, Broker in broker.cpp.

#include "frames.h"
#include "stream.h"
#include "supply.h"

#include <ctime>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

inline constexpr std::size_t ReadSize = 512 * 1024;

inline time_t seconds()
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

inline std::uint64_t milliseconds()
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::uint64_t(now.tv_sec) * 1000 + std::uint64_t(now.tv_nsec) / 1'000'000;
}

struct Consumer;
struct Connection;

struct Queue {
    explicit Queue(const std::string &itsName)
        : name(itsName)
        , supply(itsName)
    {
    }

    const std::string name;
    Supply supply; // of each consumer
    std::vector<Consumer *> consumers;
    std::size_t turn = 0;
};

struct Channel {
    explicit Channel(std::uint16_t channelNumber)
        : number(channelNumber)
    {
    }

    const std::uint16_t number;
    std::uint16_t prefetch = 0;
    std::vector<std::unique_ptr<Consumer>> consumers; // until the channel closes
    std::uint64_t lastTag = 0;
    std::deque<Consumer *> unacked; // the consumers of the deliveries up to lastTag; nullptr if acknowledged
    bool confirms = false;
    std::uint64_t published = 0;
    std::uint64_t confirmed = 0;
    // The message that is being published.
    Queue *target = nullptr;
    std::uint64_t bodyLeft = 0;
    std::string properties;
    std::string body; // empty if the queue has no consumer
};

struct Consumer {
    Connection *connection = nullptr;
    Channel *channel = nullptr;
    Queue *queue = nullptr;
    std::string tag;
    std::string arguments; // of basic.deliver, with space for the delivery tag
    std::uint32_t prefetch = 0;
    std::uint32_t unacked = 0;
    bool noAck = false;
    bool listed = false;                // in Connection::ready
    std::uint64_t left = 0;             // messages still to be sent
    std::uint64_t due = 0;              // messages of a paced queue that have been due so far
    std::uint64_t since = 0;            // when it started, in milliseconds()
    std::string delivery;               // the frames of one delivery; without the body if it is large
    const std::string *large = nullptr; // the frames of a large body

    bool isReady() const { return left > 0 && !queue->supply.isHeld && (prefetch == 0 || unacked < prefetch); }
    std::size_t bodyOffset() const { return delivery.size() - 1 - queue->supply.size; } // unless the body is large
    std::size_t tagOffset() const { return Frames::HeadSize + 4 + 1 + tag.size(); } // of the delivery tag in the method
};

class Broker;

struct Connection {
    Connection(Broker &itsBroker, std::unique_ptr<Stream> itsStream)
        : broker(itsBroker)
        , stream(std::move(itsStream))
    {
    }
    ~Connection();
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;

    bool receive(); // returns false if the connection has ended
    bool send();
    bool wantsWrite() const
    {
        return sent < out.size() || large || (!closing && !ready.empty()) || stream->hasOutput();
    }
    void confirm(bool all);
    void beatIfIdle(time_t now);
    void enlist(Consumer *consumer);
    void deliver(Consumer &consumer, const Channel &message);

private:
    std::size_t parse(const char *begin, const char *end);
    void onMethod(std::uint16_t number, std::string_view payload);
    void onBody(Channel &channel, std::string_view part);
    void published(Channel &channel);
    void confirmBehind(const Channel &channel, std::uint64_t behind);
    void confirmTogether(Channel &channel, std::uint64_t count);
    void declare(Channel &channel, Frames::Reader &arguments);
    void consume(Channel &channel, Frames::Reader &arguments);
    void cancel(Channel &channel, Frames::Reader &arguments);
    void ack(Channel &channel, std::uint64_t tag, bool multiple);
    void publish(Channel &channel, Frames::Reader &arguments);
    void makeUp();
    std::uint64_t nextTag(Consumer &consumer);
    void endConsumers(Channel &channel);
    void closeWith(std::uint16_t code, std::string_view text);
    void reply(std::uint16_t channel, std::uint32_t method, std::string_view arguments = {})
    {
        Frames::appendMethod(large ? afterLarge : out, channel, method, arguments);
    }

    Broker &broker;
    std::string in = std::string(ReadSize, '\0');
    std::size_t inSize = 0;
    bool greeted = false;
    bool closing = false;
    std::size_t skip = 0; // bytes of a body without a consumer
    std::vector<std::unique_ptr<Channel>> channels;
    std::map<std::pair<std::uint16_t, std::size_t>, std::string> largeBodies; // their frames by channel and size
    std::vector<Consumer *> ready;
    std::size_t turn = 0;
    std::string out; // sent first, then large, then afterLarge
    std::size_t sent = 0;
    const std::string *large = nullptr;
    std::size_t largeSent = 0;
    std::string afterLarge;
    time_t lastSent = 0;
    std::uint16_t heartbeat = 0;

public:
    const std::unique_ptr<Stream> stream;
    std::vector<Channel *> unconfirmed;
};

class Broker
{
public:
    using StreamFactory = std::function<std::unique_ptr<Stream>(int socket)>;

    Broker(std::uint16_t port, StreamFactory makeStream);
    [[noreturn]] void run();

    Queue &queue(std::string name);

private:
    void accept();
    bool pace();

    const StreamFactory m_makeStream;
    int m_listener = -1;
    std::vector<std::unique_ptr<Connection>> m_connections;
    std::map<std::string, Queue, std::less<>> m_queues;
    std::vector<Queue *> m_paced;
    unsigned m_named = 0;
    time_t m_now = 0;
};
