// SPDX-License-Identifier: MIT

// The same measurement as memory.cpp, with librabbitmq.

#include "memory.h"

#if __has_include(<rabbitmq-c/amqp.h>)
#    include <rabbitmq-c/amqp.h>
#    include <rabbitmq-c/tcp_socket.h>
#else
#    include <amqp.h>
#    include <amqp_tcp_socket.h>
#endif

namespace
{

void check(amqp_connection_state_t connection)
{
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL)
        fail("the broker rejected a call");
}

amqp_connection_state_t newConnection(std::uint16_t port)
{
    const amqp_connection_state_t connection = amqp_new_connection();
    if (amqp_socket_open(amqp_tcp_socket_new(connection), "127.0.0.1", port) != AMQP_STATUS_OK)
        fail("cannot connect to the broker");
    const amqp_rpc_reply_t reply =
        amqp_login(connection, "/", 65535, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail("the broker rejected the login");
    return connection;
}

void newChannel(amqp_connection_state_t connection, amqp_channel_t number)
{
    const amqp_bytes_t queue = amqp_cstring_bytes("memory");
    amqp_channel_open(connection, number);
    check(connection);
    amqp_queue_declare(connection, number, queue, 0, 0, 0, 0, amqp_empty_table);
    check(connection);
    amqp_basic_consume(connection, number, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check(connection);
    amqp_maybe_release_buffers_on_channel(connection, number);
}

} // namespace

int main(int argc, char *argv[])
{
    const Program program = Program::read(argc, argv, {"channels", "connections"});
    const bool hasChannels = program.kind == "channels";
    std::vector<amqp_connection_state_t> connections{newConnection(program.port)};
    connections.reserve(std::size_t(program.number) + 1);
    if (hasChannels)
        newChannel(connections.front(), 1);
    const MemoryGrowth growth;
    for (std::int64_t i = 0; i < program.number; ++i) {
        if (hasChannels)
            newChannel(connections.front(), amqp_channel_t(i + 2));
        else
            connections.push_back(newConnection(program.port));
    }
    growth.print(program.number);
    for (const amqp_connection_state_t connection : connections)
        amqp_destroy_connection(connection);
    return 0;
}
