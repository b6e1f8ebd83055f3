// SPDX-License-Identifier: MIT

// The librabbitmq client of tst_interop_tls, which tries to connect as each line of standard input says, and answers
// with one line, "connects" or "refuses: REASON".
//
//   HOST PORT TIMEOUT VERIFIES CAFILE [CERTFILE KEYFILE]   TIMEOUT is in seconds, VERIFIES is 0 or 1

#if __has_include(<rabbitmq-c/amqp.h>)
#    include <rabbitmq-c/amqp.h>
#    include <rabbitmq-c/ssl_socket.h>
#else
#    include <amqp.h>
#    include <amqp_ssl_socket.h>
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

// Returns NULL, or the reason.
static const char *try_to_connect(amqp_connection_state_t connection, char **words, int count)
{
    const struct timeval timeout = {atoi(words[2]), 0};
    amqp_set_handshake_timeout(connection, &timeout);
    amqp_socket_t *socket = amqp_ssl_socket_new(connection);
    if (!socket)
        return "no socket";
    const int verifies = atoi(words[3]);
    amqp_ssl_socket_set_verify_peer(socket, verifies);
    amqp_ssl_socket_set_verify_hostname(socket, verifies);
    int status = amqp_ssl_socket_set_cacert(socket, words[4]);
    if (status == AMQP_STATUS_OK && count == 7)
        status = amqp_ssl_socket_set_key(socket, words[5], words[6]);
    if (status == AMQP_STATUS_OK)
        status = amqp_socket_open_noblock(socket, words[0], atoi(words[1]), &timeout);
    if (status != AMQP_STATUS_OK)
        return amqp_error_string2(status);
    // RabbitMQ ignores the response of EXTERNAL, but librabbitmq rejects an empty one.
    const amqp_rpc_reply_t reply =
        count == 7
            ? amqp_login(connection, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_EXTERNAL, "client")
            : amqp_login(connection, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        return amqp_error_string2(reply.library_error);
    return reply.reply_type == AMQP_RESPONSE_NORMAL ? NULL : "the broker has closed the connection";
}

int main(void)
{
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        char *words[7];
        int count = 0;
        for (char *word = strtok(line, " \n"); word && count < 7; word = strtok(NULL, " \n"))
            words[count++] = word;
        if (count != 5 && count != 7)
            return 1;
        const amqp_connection_state_t connection = amqp_new_connection();
        const char *reason = try_to_connect(connection, words, count);
        printf(reason ? "refuses: %s\n" : "connects\n", reason);
        fflush(stdout);
        amqp_destroy_connection(connection);
    }
    return 0;
}
