// SPDX-License-Identifier: MIT

// The benchmark client of librabbitmq, used in its fastest way: without heartbeats, which would cost a system call per
// publish, and reading frames in place instead of copying them with amqp_consume_message().

#include "measure.h"

#if __has_include(<rabbitmq-c/amqp.h>)
#    include <rabbitmq-c/amqp.h>
#    include <rabbitmq-c/framing.h>
#    include <rabbitmq-c/ssl_socket.h>
#    include <rabbitmq-c/tcp_socket.h>
#else
#    include <amqp.h>
#    include <amqp_framing.h>
#    include <amqp_ssl_socket.h>
#    include <amqp_tcp_socket.h>
#endif

#include <sys/time.h>

namespace
{

constexpr amqp_channel_t channel = 1;

void check(const amqp_rpc_reply_t &reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return;
    std::string message = what;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        message += std::string(": ") + amqp_error_string2(reply.library_error);
    else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        message += std::string(": the broker replied with ") + amqp_method_name(reply.reply.id);
    fail(message);
}

void check(int status, const char *what)
{
    if (status != AMQP_STATUS_OK)
        fail(std::string(what) + ": " + amqp_error_string2(status));
}

class Client
{
public:
    explicit Client(const Options &options)
        : m_options(options)
        , m_measurement(options)
    {
    }

    void run()
    {
        openSocket();
        check(amqp_login(m_connection, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"),
              "login");
        amqp_channel_open(m_connection, channel);
        check(amqp_get_rpc_reply(m_connection), "channel.open");
        declare(false);
        switch (m_options.mode) {
        case Mode::Publish:
            publishAll();
            break;
        case Mode::PublishConfirm:
            publishConfirm();
            break;
        case Mode::ConsumeAck:
            consumeAck();
            break;
        case Mode::ConsumeAutoack:
            consumeAutoack();
            break;
        case Mode::RoundTrip:
            roundTrips();
            break;
        }
        m_measurement.finish();
        amqp_connection_close(m_connection, AMQP_REPLY_SUCCESS);
        amqp_destroy_connection(m_connection);
    }

private:
    void openSocket()
    {
        if (m_options.caFile.empty()) {
            check(amqp_socket_open(amqp_tcp_socket_new(m_connection), "127.0.0.1", m_options.port), "connecting");
            return;
        }
        amqp_socket_t *socket = amqp_ssl_socket_new(m_connection);
        check(amqp_ssl_socket_set_cacert(socket, m_options.caFile.c_str()), "reading the CA file");
        // It finds names in certificates, but no addresses.
        check(amqp_socket_open(socket, "localhost", m_options.port), "connecting");
    }

    void declare(bool passive)
    {
        amqp_queue_declare(m_connection, channel, m_queue, passive, 0, 0, 0, amqp_empty_table);
        check(amqp_get_rpc_reply(m_connection), "queue.declare");
    }

    void publish()
    {
        check(amqp_basic_publish(m_connection, channel, amqp_empty_bytes, m_queue, 0, 0, &m_properties, m_body),
              "publishing");
    }

    void publishAll()
    {
        m_measurement.start();
        for (std::int64_t i = 0; i < m_options.count; ++i)
            publish();
        declare(true); // when it returns, the broker has read everything
    }

    void publishConfirm()
    {
        amqp_confirm_select(m_connection, channel);
        check(amqp_get_rpc_reply(m_connection), "confirm.select");
        m_measurement.start();
        std::int64_t acked = 0;
        for (std::int64_t sent = 0; acked < m_options.count;) {
            for (; sent < m_options.count && sent - acked < m_options.window; ++sent)
                publish();
            const amqp_frame_t frame = readFrame();
            if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
                const auto *ack = static_cast<const amqp_basic_ack_t *>(frame.payload.method.decoded);
                acked = ack->multiple ? std::int64_t(ack->delivery_tag) : acked + 1;
            }
            amqp_maybe_release_buffers(m_connection);
        }
    }

    void subscribe(bool noAck)
    {
        amqp_basic_consume(m_connection, channel, m_queue, amqp_empty_bytes, 0, noAck, 0, amqp_empty_table);
        check(amqp_get_rpc_reply(m_connection), "basic.consume");
    }

    void consumeAutoack()
    {
        m_measurement.start();
        subscribe(true);
        for (std::int64_t i = 0; i < m_options.count; ++i)
            receive();
    }

    void consumeAck()
    {
        m_measurement.start();
        amqp_basic_qos(m_connection, channel, 0, m_options.prefetch, 0);
        check(amqp_get_rpc_reply(m_connection), "basic.qos");
        subscribe(false);
        for (std::int64_t i = 1; i <= m_options.count; ++i) {
            const std::uint64_t tag = receive();
            if (m_options.isAckDue(i))
                check(amqp_basic_ack(m_connection, channel, tag, m_options.ackEvery > 1), "basic.ack");
        }
    }

    void roundTrips()
    {
        m_measurement.start();
        subscribe(true);
        for (std::int64_t i = 0; i < m_options.count; ++i) {
            m_measurement.beginRoundTrip();
            publish();
            receive();
            m_measurement.endRoundTrip();
        }
    }

    // Reads one message and returns its delivery tag. The parts of the body are not joined, which is less work than in
    // any client that delivers the body in one piece.
    std::uint64_t receive()
    {
        amqp_frame_t frame = readFrame();
        while (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_DELIVER_METHOD)
            frame = readFrame();
        const std::uint64_t tag = static_cast<const amqp_basic_deliver_t *>(frame.payload.method.decoded)->delivery_tag;
        frame = readFrame();
        if (frame.frame_type != AMQP_FRAME_HEADER ||
            frame.payload.properties.body_size != std::uint64_t(m_options.size))
            fail("the message is not the expected one");
        const std::size_t size = frame.payload.properties.body_size;
        std::size_t received = 0;
        while (received < size) {
            frame = readFrame();
            if (frame.frame_type != AMQP_FRAME_BODY)
                fail("expected a body frame");
            received += frame.payload.body_fragment.len;
        }
        amqp_maybe_release_buffers_on_channel(m_connection, channel);
        return tag;
    }

    amqp_frame_t readFrame()
    {
        amqp_frame_t frame;
        check(amqp_simple_wait_frame(m_connection, &frame), "reading");
        if (frame.frame_type == AMQP_FRAME_METHOD && (frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD ||
                                                      frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD))
            fail(std::string("the broker sent ") + amqp_method_name(frame.payload.method.id));
        return frame;
    }

    static amqp_bytes_t bytes(const std::string &text) { return {text.size(), const_cast<char *>(text.data())}; }

    static amqp_basic_properties_t properties()
    {
        amqp_basic_properties_t properties{};
        properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
        properties.content_type = amqp_cstring_bytes("application/octet-stream");
        properties.delivery_mode = 1;
        return properties;
    }

    const Options &m_options;
    Measurement m_measurement;
    const amqp_connection_state_t m_connection = amqp_new_connection();
    const amqp_bytes_t m_queue = bytes(m_options.queue);
    const std::string m_content = std::string(std::size_t(m_options.size), 'x');
    const amqp_bytes_t m_body = bytes(m_content);
    const amqp_basic_properties_t m_properties = properties();
};

} // namespace

int main(int argc, char *argv[])
{
    const Options options = Options::read(argc, argv);
    Client(options).run();
    return 0;
}
