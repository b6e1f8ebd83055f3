// SPDX-License-Identifier: MIT

// A synthetic broker that is never the bottleneck, for measuring the cost of a client.
//
//   broker [--port P] [--certificate FILE --key FILE]
//
// The broker prints its port as soon as it listens; by default, or if P is 0, the system chooses the port. With a
// certificate, all connections use TLS.
//
// It exits on SIGTERM, and when its standard input closes if that is a pipe. It implements the part of AMQP 0-9-1 that
// the programs here need, on loopback, and accepts any user. The name of a queue determines the messages of its
// consumers, see supply.h; with any other name, consumers get the published messages in turn, and a queue without
// consumers discards them.
//
// The broker sends a multiple ack after a read if 64 or more messages are unconfirmed, and after 0.1 ms without input,
// however small the client's writes are; a busy broker does the same. With unconfirmed-N, each message after the first
// N causes at most one ack; the acks are single, out of order or multiple. With confirmed-N, a multiple ack follows
// each N messages, regardless of reads and time.

#include "broker.h"

#include "measure.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>

#include <csignal>

Broker::Broker(std::uint16_t port, StreamFactory makeStream)
    : m_makeStream(std::move(makeStream))
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int on = 1;
    m_listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(m_listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(m_listener, reinterpret_cast<sockaddr *>(&address), size) < 0 || listen(m_listener, 128) < 0 ||
        getsockname(m_listener, reinterpret_cast<sockaddr *>(&address), &size) < 0) {
        std::perror("broker");
        std::exit(1);
    }
    std::printf("%u\n", ntohs(address.sin_port));
    std::fflush(stdout);
}

Queue &Broker::queue(std::string name)
{
    if (const auto known = m_queues.find(name); known != m_queues.end())
        return known->second;
    if (name.empty())
        name = "queue-" + std::to_string(++m_named);
    Queue &queue = m_queues.try_emplace(name, name).first->second;
    if (queue.supply.rate > 0)
        m_paced.push_back(&queue);
    return queue;
}

void Broker::accept()
{
    const int socket = accept4(m_listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0)
        return;
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    m_connections.push_back(std::make_unique<Connection>(*this, m_makeStream(socket)));
}

// Makes the due messages ready for sending. Returns whether there are paced consumers, so that more messages will
// follow.
bool Broker::pace()
{
    const std::uint64_t now = milliseconds();
    bool isPacing = false;
    for (Queue *queue : m_paced) {
        for (Consumer *consumer : queue->consumers) {
            const std::uint64_t due = queue->supply.dueAfter(now - consumer->since);
            consumer->left += due - std::exchange(consumer->due, due);
            consumer->connection->enlist(consumer);
            isPacing = true;
        }
    }
    return isPacing;
}

void Broker::run()
{
    struct stat input {
    };
    const bool hasPipe = fstat(STDIN_FILENO, &input) == 0 && S_ISFIFO(input.st_mode);
    std::vector<pollfd> polled;
    for (;;) {
        polled = {{m_listener, POLLIN, 0},
                  {hasPipe ? STDIN_FILENO : -1, 0, 0}}; // poll() always reports the end of a pipe
        const bool isPacing = pace();
        bool isConfirming = false;
        bool hasInput = false;
        for (const auto &connection : m_connections) {
            polled.push_back({connection->stream->socket, short(POLLIN | (connection->wantsWrite() ? POLLOUT : 0)), 0});
            isConfirming |= !connection->unconfirmed.empty();
            hasInput |= connection->stream->hasInput();
        }
        const timespec timeout = hasInput       ? timespec{0, 0}
                                 : isConfirming ? timespec{0, 100'000}
                                 : isPacing     ? timespec{0, 1'000'000}
                                                : timespec{1, 0};
        const bool isIdle = ppoll(polled.data(), polled.size(), &timeout, nullptr) == 0 && !hasInput;
        if (polled[1].revents)
            std::exit(0);
        const bool isNextSecond = std::exchange(m_now, seconds()) != m_now;
        for (std::size_t i = m_connections.size(); i-- > 0;) {
            Connection &connection = *m_connections[i];
            const bool isReadable = (polled[i + 2].revents & ~POLLOUT) || connection.stream->hasInput();
            bool lives = !isReadable || connection.receive();
            if (isIdle)
                connection.confirm(true);
            if (isNextSecond)
                connection.beatIfIdle(m_now);
            lives = lives && (!connection.wantsWrite() || connection.send());
            if (!lives)
                m_connections.erase(m_connections.begin() + std::ptrdiff_t(i));
        }
        if (polled[0].revents)
            accept();
    }
}

int main(int argc, char *argv[])
{
    std::uint16_t port = 0;
    std::string certificate;
    std::string key;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view name = argv[i];
        if (i + 1 < argc && name == "--port")
            port = std::uint16_t(toNumber(argv[i + 1], 0, 65535));
        else if (i + 1 < argc && name == "--certificate")
            certificate = argv[i + 1];
        else if (i + 1 < argc && name == "--key")
            key = argv[i + 1];
        else
            fail("usage: broker [--port P] [--certificate FILE --key FILE]");
    }
    std::signal(SIGPIPE, SIG_IGN);
    if (certificate.empty()) {
        Broker(port, [](int socket) { return std::make_unique<Stream>(socket); }).run();
    } else {
#ifdef AMQPQT_BENCHMARKS_TLS
        const TlsServer server(certificate, key);
        Broker(port, [&](int socket) { return server.accept(socket); }).run();
#else
        fail("the broker was built without OpenSSL");
#endif
    }
}
