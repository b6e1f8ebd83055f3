// SPDX-License-Identifier: MIT

// A benchmark client without a library, as a baseline. It uses a blocking socket, frames that are encoded once, writes
// of up to 128 KiB, and one ack for all messages of a read. No client can spend less on a message.

#include "frames.h"
#include "measure.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace
{

constexpr std::size_t BufferSize = 128 * 1024;

class Floor
{
public:
    explicit Floor(const Options &options)
        : m_options(options)
        , m_measurement(options)
    {
    }

    void run()
    {
        open();
        switch (m_options.mode) {
        case Mode::Publish:
            publish();
            break;
        case Mode::PublishConfirm:
            publishConfirm();
            break;
        case Mode::ConsumeAck:
        case Mode::ConsumeAutoack:
            consume();
            break;
        case Mode::RoundTrip:
            roundTrips();
            break;
        }
        m_measurement.finish();
        call(0, Frames::ConnectionClose, std::string(7, '\0'), Frames::ConnectionCloseOk);
    }

private:
    void open()
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(m_options.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int on = 1;
        m_socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(m_socket, reinterpret_cast<sockaddr *>(&address), sizeof address) < 0)
            fail("cannot connect to the broker");
        setsockopt(m_socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        send(Frames::ProtocolHeader);
        waitFor(Frames::ConnectionStart);
        std::string startOk(4, '\0'); // no client properties
        Frames::appendShort(startOk, "PLAIN");
        Frames::appendLong(startOk, std::string_view("\0guest\0guest", 12));
        Frames::appendShort(startOk, "en_US");
        call(0, Frames::ConnectionStartOk, startOk, Frames::ConnectionTune);
        std::string tuneOk;
        Frames::append(tuneOk, std::uint16_t(1));
        Frames::append(tuneOk, Frames::MaximumSize);
        Frames::append(tuneOk, std::uint16_t(0));
        Frames::appendMethod(m_out, 0, Frames::ConnectionTuneOk, tuneOk);
        call(0, Frames::ConnectionOpen, std::string_view("\x01/\0\0", 4), Frames::ConnectionOpenOk);
        call(1, Frames::ChannelOpen, std::string_view("\0", 1), Frames::ChannelOpenOk);
        declare(false);
    }

    void declare(bool passive)
    {
        std::string arguments(2, '\0');
        Frames::appendShort(arguments, m_options.queue);
        arguments += char(passive);
        Frames::append(arguments, std::uint32_t(0));
        call(1, Frames::QueueDeclare, arguments, Frames::QueueDeclareOk);
    }

    // Encodes as many messages as fit into one write.
    void encodeMessages(std::int64_t most)
    {
        const std::string body(std::size_t(m_options.size), 'x');
        Frames::appendPublish(m_messages, 1, m_options.queue, body);
        m_messageSize = m_messages.size();
        m_perWrite = std::clamp(std::int64_t(BufferSize / m_messageSize), std::int64_t(1), most);
        m_messages.reserve(m_messageSize * std::size_t(m_perWrite));
        for (std::int64_t i = 1; i < m_perWrite; ++i)
            m_messages.append(m_messages, 0, m_messageSize);
    }

    void sendMessages(std::int64_t count)
    {
        for (; count > 0; count -= m_perWrite)
            send({m_messages.data(), m_messageSize * std::size_t(std::min(count, m_perWrite))});
    }

    void publish()
    {
        encodeMessages(m_options.count);
        m_measurement.start();
        sendMessages(m_options.count);
        declare(true); // when it returns, the broker has read everything
    }

    void publishConfirm()
    {
        encodeMessages(std::min(m_options.count, m_options.window));
        call(1, Frames::ConfirmSelect, std::string_view("\0", 1), Frames::ConfirmSelectOk);
        m_measurement.start();
        for (std::int64_t sent = 0; m_acked < m_options.count; read()) {
            const std::int64_t now = std::min(m_options.window - (sent - m_acked), m_options.count - sent);
            sendMessages(now);
            sent += now;
        }
    }

    void subscribe(bool noAck)
    {
        std::string arguments(2, '\0');
        Frames::appendShort(arguments, m_options.queue);
        Frames::appendShort(arguments, "floor");
        arguments += char(noAck ? 2 : 0);
        Frames::append(arguments, std::uint32_t(0));
        call(1, Frames::BasicConsume, arguments, Frames::BasicConsumeOk);
    }

    void consume()
    {
        const bool noAck = m_options.mode == Mode::ConsumeAutoack;
        m_measurement.start();
        if (!noAck) {
            std::string arguments(4, '\0');
            Frames::append(arguments, m_options.prefetch);
            arguments += '\0';
            call(1, Frames::BasicQos, arguments, Frames::BasicQosOk);
        }
        subscribe(noAck);
        for (std::int64_t acked = 0;; read()) {
            std::int64_t due = m_received - m_received % m_options.ackEvery;
            if (m_received == m_options.count)
                due = m_received;
            if (!noAck && due > acked) {
                Frames::appendAck(m_out, 1, std::uint64_t(due), true);
                send(m_out);
                m_out.clear();
                acked = due;
            }
            if (m_received == m_options.count)
                break;
        }
    }

    void roundTrips()
    {
        encodeMessages(1);
        m_measurement.start();
        subscribe(true);
        while (m_received < m_options.count) {
            const std::int64_t before = m_received;
            m_measurement.beginRoundTrip();
            sendMessages(1);
            while (m_received == before)
                read();
            m_measurement.endRoundTrip();
        }
    }

    void call(std::uint16_t channel, std::uint32_t method, std::string_view arguments, std::uint32_t answer)
    {
        Frames::appendMethod(m_out, channel, method, arguments);
        send(m_out);
        m_out.clear();
        waitFor(answer);
    }

    void waitFor(std::uint32_t method)
    {
        while (m_answer != method)
            read();
        m_answer = 0;
    }

    void send(std::string_view bytes)
    {
        while (!bytes.empty()) {
            const ssize_t size = ::send(m_socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (size < 0)
                fail("the connection was lost");
            bytes.remove_prefix(std::size_t(size));
        }
    }

    void read()
    {
        const ssize_t size = recv(m_socket, m_in.data() + m_inSize, m_in.size() - m_inSize, 0);
        if (size <= 0)
            fail("the connection was lost");
        m_inSize += std::size_t(size);
        const char *at = m_in.data();
        const char *const end = at + m_inSize;
        while (std::size_t(end - at) > Frames::HeadSize || m_skip) {
            if (m_skip) {
                const std::size_t skipped = std::min(m_skip, std::size_t(end - at));
                at += skipped;
                m_skip -= skipped;
                if (m_skip)
                    break;
                continue;
            }
            const std::size_t payload = Frames::get<std::uint32_t>(at + 3);
            if (*at == Frames::Body) {
                at += Frames::HeadSize;
                m_skip = payload + 1;
                m_bodyLeft -= payload;
                if (m_bodyLeft == 0)
                    ++m_received;
                continue;
            }
            if (std::size_t(end - at) < Frames::HeadSize + payload + 1)
                break;
            if (*at == Frames::Method)
                onMethod(at + Frames::HeadSize, payload);
            else if (*at == Frames::Header && (m_bodyLeft = Frames::get<std::uint64_t>(at + Frames::HeadSize + 4)) == 0)
                ++m_received;
            at += Frames::HeadSize + payload + 1;
        }
        m_inSize = std::size_t(end - at);
        std::copy(at, end, m_in.data());
    }

    void onMethod(const char *payload, std::size_t size)
    {
        const auto method = Frames::get<std::uint32_t>(payload);
        if (method == Frames::BasicAck)
            m_acked = payload[12] ? Frames::get<std::int64_t>(payload + 4) : m_acked + 1;
        else if (method == Frames::ConnectionClose || method == Frames::ChannelClose)
            fail({payload + 7, std::min(size - 7, std::size_t(static_cast<unsigned char>(payload[6])))});
        else if (method != Frames::BasicDeliver)
            m_answer = method;
    }

    const Options &m_options;
    Measurement m_measurement;
    int m_socket = -1;
    std::string m_out;
    std::string m_messages;
    std::size_t m_messageSize = 0;
    std::int64_t m_perWrite = 1;
    std::string m_in = std::string(BufferSize, '\0');
    std::size_t m_inSize = 0;
    std::size_t m_skip = 0; // bytes of a body frame that are still to be skipped
    std::uint64_t m_bodyLeft = 0;
    std::uint32_t m_answer = 0;
    std::int64_t m_received = 0;
    std::int64_t m_acked = 0;
};

} // namespace

int main(int argc, char *argv[])
{
    const Options options = Options::read(argc, argv);
    if (!options.caFile.empty())
        fail("this client has no TLS");
    Floor(options).run();
    return 0;
}
