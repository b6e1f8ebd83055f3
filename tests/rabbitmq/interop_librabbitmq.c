// SPDX-License-Identifier: MIT

// The librabbitmq client of tst_interop_librabbitmq, which executes each line of standard input and answers with one
// line.
//
//   publish QUEUE BODY [PROPERTY=VALUE]...   answer: published
//   get QUEUE                                answer: BODY [PROPERTY=VALUE]...   of the message, which leaves the queue
//
// A BODY, a text property and a name in a table are bytes; all except letters, digits, '-', '.', '_' and '~' appear as
// %XX. A field value is its AMQP type letter, ':' and the value: t:1 b:-128 D:scale/value S:text x:bytes T:seconds; f
// and d have the hexadecimal bits of the number, so that nothing is rounded. V has no value. F{name=value,...}
// A[value,...]

#if __has_include(<rabbitmq-c/amqp.h>)
#    include <rabbitmq-c/amqp.h>
#    include <rabbitmq-c/framing.h>
#    include <rabbitmq-c/tcp_socket.h>
#else
#    include <amqp.h>
#    include <amqp_framing.h>
#    include <amqp_tcp_socket.h>
#endif

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const amqp_channel_t channel = 1;

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        fprintf(stderr, "%s\n", amqp_error_string2(reply.library_error));
    else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_bytes_t text = ((amqp_channel_close_t *)reply.reply.decoded)->reply_text;
        fprintf(stderr, "%.*s\n", (int)text.len, (const char *)text.bytes);
    } else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_bytes_t text = ((amqp_connection_close_t *)reply.reply.decoded)->reply_text;
        fprintf(stderr, "%.*s\n", (int)text.len, (const char *)text.bytes);
    }
    fail(what);
}

static void write_bytes(amqp_bytes_t bytes)
{
    for (size_t i = 0; i < bytes.len; ++i) {
        const unsigned char byte = ((const unsigned char *)bytes.bytes)[i];
        const int plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                          (byte >= '0' && byte <= '9') || (byte && strchr("-._~", byte));
        printf(plain ? "%c" : "%%%02X", byte);
    }
}

static void write_table(amqp_table_t table);

static void write_value(const amqp_field_value_t *field)
{
    uint32_t bits32;
    uint64_t bits64;
    putchar(field->kind);
    if (!strchr("AFV", field->kind))
        putchar(':');
    switch (field->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        printf("%d", field->value.boolean);
        break;
    case AMQP_FIELD_KIND_I8:
        printf("%" PRId8, field->value.i8);
        break;
    case AMQP_FIELD_KIND_U8:
        printf("%" PRIu8, field->value.u8);
        break;
    case AMQP_FIELD_KIND_I16:
        printf("%" PRId16, field->value.i16);
        break;
    case AMQP_FIELD_KIND_U16:
        printf("%" PRIu16, field->value.u16);
        break;
    case AMQP_FIELD_KIND_I32:
        printf("%" PRId32, field->value.i32);
        break;
    case AMQP_FIELD_KIND_U32:
        printf("%" PRIu32, field->value.u32);
        break;
    case AMQP_FIELD_KIND_I64:
        printf("%" PRId64, field->value.i64);
        break;
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        printf("%" PRIu64, field->value.u64);
        break;
    case AMQP_FIELD_KIND_F32:
        memcpy(&bits32, &field->value.f32, sizeof bits32);
        printf("%08" PRIx32, bits32);
        break;
    case AMQP_FIELD_KIND_F64:
        memcpy(&bits64, &field->value.f64, sizeof bits64);
        printf("%016" PRIx64, bits64);
        break;
    case AMQP_FIELD_KIND_DECIMAL:
        printf("%" PRIu8 "/%" PRIu32, field->value.decimal.decimals, field->value.decimal.value);
        break;
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        write_bytes(field->value.bytes);
        break;
    case AMQP_FIELD_KIND_TABLE:
        write_table(field->value.table);
        break;
    case AMQP_FIELD_KIND_ARRAY:
        putchar('[');
        for (int i = 0; i < field->value.array.num_entries; ++i) {
            if (i)
                putchar(',');
            write_value(&field->value.array.entries[i]);
        }
        putchar(']');
        break;
    case AMQP_FIELD_KIND_VOID:
        break;
    default:
        fail("unknown field type");
    }
}

static void write_table(amqp_table_t table)
{
    putchar('{');
    for (int i = 0; i < table.num_entries; ++i) {
        if (i)
            putchar(',');
        write_bytes(table.entries[i].key);
        putchar('=');
        write_value(&table.entries[i].value);
    }
    putchar('}');
}

static amqp_pool_t memory; // memory of the values of the current line
static char *at;           // the rest of the line

static void expect(char wanted)
{
    if (*at != wanted) {
        fprintf(stderr, "'%c' expected, not \"%s\"\n", wanted, at);
        exit(1);
    }
    ++at;
}

static void *allocate(size_t size)
{
    void *space = amqp_pool_alloc(&memory, size ? size : 1);
    if (!space)
        fail("out of memory");
    return space;
}

static amqp_bytes_t read_bytes(void)
{
    const size_t length = strcspn(at, " ,=]}");
    amqp_bytes_t bytes = {0, allocate(length)};
    for (const char *end = at + length; at < end;) {
        if (*at == '%') {
            const char digits[] = {at[1], at[2], '\0'};
            ((char *)bytes.bytes)[bytes.len++] = (char)strtol(digits, NULL, 16);
            at += 3;
        } else {
            ((char *)bytes.bytes)[bytes.len++] = *at++;
        }
    }
    return bytes;
}

// A list has at most one element more than the line has commas.
static size_t greatest_count(void)
{
    size_t count = 1;
    for (const char *c = at; *c; ++c)
        count += *c == ',';
    return count;
}

static amqp_table_t read_table(void);

static amqp_field_value_t read_value(void)
{
    amqp_field_value_t field;
    uint32_t bits32;
    uint64_t bits64;
    memset(&field, 0, sizeof field);
    field.kind = (uint8_t)*at++;
    if (!strchr("AFV", field.kind))
        expect(':');
    switch (field.kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        field.value.boolean = (amqp_boolean_t)strtol(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_I8:
        field.value.i8 = (int8_t)strtol(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_U8:
        field.value.u8 = (uint8_t)strtoul(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_I16:
        field.value.i16 = (int16_t)strtol(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_U16:
        field.value.u16 = (uint16_t)strtoul(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_I32:
        field.value.i32 = (int32_t)strtoll(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_U32:
        field.value.u32 = (uint32_t)strtoull(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_I64:
        field.value.i64 = strtoll(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        field.value.u64 = strtoull(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_F32:
        bits32 = (uint32_t)strtoull(at, &at, 16);
        memcpy(&field.value.f32, &bits32, sizeof bits32);
        break;
    case AMQP_FIELD_KIND_F64:
        bits64 = strtoull(at, &at, 16);
        memcpy(&field.value.f64, &bits64, sizeof bits64);
        break;
    case AMQP_FIELD_KIND_DECIMAL:
        field.value.decimal.decimals = (uint8_t)strtoul(at, &at, 10);
        expect('/');
        field.value.decimal.value = (uint32_t)strtoull(at, &at, 10);
        break;
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        field.value.bytes = read_bytes();
        break;
    case AMQP_FIELD_KIND_TABLE:
        field.value.table = read_table();
        break;
    case AMQP_FIELD_KIND_ARRAY:
        expect('[');
        field.value.array.entries = allocate(greatest_count() * sizeof *field.value.array.entries);
        while (*at != ']') {
            if (field.value.array.num_entries)
                expect(',');
            field.value.array.entries[field.value.array.num_entries++] = read_value();
        }
        expect(']');
        break;
    case AMQP_FIELD_KIND_VOID:
        break;
    default:
        fail("unknown field type");
    }
    return field;
}

static amqp_table_t read_table(void)
{
    expect('{');
    amqp_table_t table = {0, allocate(greatest_count() * sizeof *table.entries)};
    while (*at != '}') {
        if (table.num_entries)
            expect(',');
        amqp_table_entry_t *entry = &table.entries[table.num_entries++];
        entry->key = read_bytes();
        expect('=');
        entry->value = read_value();
    }
    expect('}');
    return table;
}

typedef enum { Text, Headers, Octet, Seconds } property_type;

static const struct property {
    const char *name;
    amqp_flags_t flag;
    property_type type;
    size_t offset;
} properties[] = {
    {"content-type", AMQP_BASIC_CONTENT_TYPE_FLAG, Text, offsetof(amqp_basic_properties_t, content_type)},
    {"content-encoding", AMQP_BASIC_CONTENT_ENCODING_FLAG, Text, offsetof(amqp_basic_properties_t, content_encoding)},
    {"headers", AMQP_BASIC_HEADERS_FLAG, Headers, offsetof(amqp_basic_properties_t, headers)},
    {"delivery-mode", AMQP_BASIC_DELIVERY_MODE_FLAG, Octet, offsetof(amqp_basic_properties_t, delivery_mode)},
    {"priority", AMQP_BASIC_PRIORITY_FLAG, Octet, offsetof(amqp_basic_properties_t, priority)},
    {"correlation-id", AMQP_BASIC_CORRELATION_ID_FLAG, Text, offsetof(amqp_basic_properties_t, correlation_id)},
    {"reply-to", AMQP_BASIC_REPLY_TO_FLAG, Text, offsetof(amqp_basic_properties_t, reply_to)},
    {"expiration", AMQP_BASIC_EXPIRATION_FLAG, Text, offsetof(amqp_basic_properties_t, expiration)},
    {"message-id", AMQP_BASIC_MESSAGE_ID_FLAG, Text, offsetof(amqp_basic_properties_t, message_id)},
    {"timestamp", AMQP_BASIC_TIMESTAMP_FLAG, Seconds, offsetof(amqp_basic_properties_t, timestamp)},
    {"type", AMQP_BASIC_TYPE_FLAG, Text, offsetof(amqp_basic_properties_t, type)},
    {"user-id", AMQP_BASIC_USER_ID_FLAG, Text, offsetof(amqp_basic_properties_t, user_id)},
    {"app-id", AMQP_BASIC_APP_ID_FLAG, Text, offsetof(amqp_basic_properties_t, app_id)},
    {"cluster-id", AMQP_BASIC_CLUSTER_ID_FLAG, Text, offsetof(amqp_basic_properties_t, cluster_id)},
};
static const size_t property_count = sizeof properties / sizeof *properties;

static void write_properties(const amqp_basic_properties_t *values)
{
    for (const struct property *p = properties; p < properties + property_count; ++p) {
        if (!(values->_flags & p->flag))
            continue;
        const void *value = (const char *)values + p->offset;
        printf(" %s=", p->name);
        switch (p->type) {
        case Text:
            write_bytes(*(const amqp_bytes_t *)value);
            break;
        case Headers:
            write_table(*(const amqp_table_t *)value);
            break;
        case Octet:
            printf("%" PRIu8, *(const uint8_t *)value);
            break;
        case Seconds:
            printf("%" PRIu64, *(const uint64_t *)value);
            break;
        }
    }
}

static amqp_basic_properties_t read_properties(void)
{
    amqp_basic_properties_t values;
    memset(&values, 0, sizeof values);
    while (*at) {
        expect(' ');
        const amqp_bytes_t name = read_bytes();
        expect('=');
        const struct property *p = properties;
        while (p < properties + property_count &&
               (strlen(p->name) != name.len || memcmp(p->name, name.bytes, name.len) != 0))
            ++p;
        if (p == properties + property_count)
            fail("unknown property");
        values._flags |= p->flag;
        void *value = (char *)&values + p->offset;
        switch (p->type) {
        case Text:
            *(amqp_bytes_t *)value = read_bytes();
            break;
        case Headers:
            *(amqp_table_t *)value = read_table();
            break;
        case Octet:
            *(uint8_t *)value = (uint8_t)strtoul(at, &at, 10);
            break;
        case Seconds:
            *(uint64_t *)value = strtoull(at, &at, 10);
            break;
        }
    }
    return values;
}

static void publish(amqp_connection_state_t connection)
{
    const amqp_bytes_t queue = read_bytes();
    expect(' ');
    const amqp_bytes_t body = read_bytes();
    const amqp_basic_properties_t values = read_properties();
    amqp_frame_t frame;
    const int status = amqp_basic_publish(connection, channel, amqp_empty_bytes, queue, 1, 0, &values, body);
    if (status != AMQP_STATUS_OK || amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK ||
        frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        fail("the message was not confirmed");
    puts("published");
}

static void get(amqp_connection_state_t connection)
{
    const amqp_rpc_reply_t reply = amqp_basic_get(connection, channel, read_bytes(), 1);
    check(reply, "basic.get");
    if (reply.reply.id != AMQP_BASIC_GET_OK_METHOD)
        fail("the queue is empty");
    amqp_message_t message;
    check(amqp_read_message(connection, channel, &message, 0), "reading a message");
    write_bytes(message.body);
    write_properties(&message.properties);
    putchar('\n');
    amqp_destroy_message(&message);
}

int main(void)
{
    char *url = getenv("AMQPQT_TEST_URL");
    struct amqp_connection_info broker;
    if (!url || amqp_parse_url(url, &broker) != AMQP_STATUS_OK)
        fail("AMQPQT_TEST_URL is no URL of a broker");
    const amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket || amqp_socket_open(socket, broker.host, broker.port) != AMQP_STATUS_OK)
        fail("no connection");
    check(amqp_login(connection, broker.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, broker.user,
                     broker.password),
          "login");
    amqp_channel_open(connection, channel);
    check(amqp_get_rpc_reply(connection), "channel.open");
    amqp_confirm_select(connection, channel);
    check(amqp_get_rpc_reply(connection), "confirm.select");

    char *line = NULL;
    size_t size = 0;
    for (ssize_t length; (length = getline(&line, &size, stdin)) > 0;) {
        line[length - 1] = '\0';
        at = line;
        init_amqp_pool(&memory, 4096);
        const amqp_bytes_t command = read_bytes();
        expect(' ');
        if (command.len == 7 && !memcmp(command.bytes, "publish", 7))
            publish(connection);
        else if (command.len == 3 && !memcmp(command.bytes, "get", 3))
            get(connection);
        else
            fail("unknown command");
        fflush(stdout);
        empty_amqp_pool(&memory);
        amqp_maybe_release_buffers(connection);
    }
    free(line);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
    return 0;
}
