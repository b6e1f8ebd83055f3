// SPDX-License-Identifier: MIT
#pragma once

// The part of the wire format that the synthetic broker and the floor client need.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace Frames
{

enum Type : std::uint8_t { Method = 1, Header = 2, Body = 3, Heartbeat = 8 };
inline constexpr char End = char(0xCE);
inline constexpr std::size_t HeadSize = 7;           // type, channel, size of the payload
inline constexpr std::uint32_t MaximumSize = 131072; // of a frame; RabbitMQ's default
inline constexpr std::size_t MaximumBody = MaximumSize - HeadSize - 1;
inline constexpr std::string_view ProtocolHeader{"AMQP\0\0\x09\x01", 8};
// content-type application/octet-stream, delivery-mode 1
inline constexpr std::string_view Properties{"\x90\x00\x18"
                                             "application/octet-stream"
                                             "\x01",
                                             28};

constexpr std::uint32_t id(std::uint16_t classId, std::uint16_t methodId)
{
    return std::uint32_t(classId) << 16 | methodId;
}

inline constexpr std::uint32_t ConnectionStart = id(10, 10), ConnectionStartOk = id(10, 11),
                               ConnectionTune = id(10, 30), ConnectionTuneOk = id(10, 31), ConnectionOpen = id(10, 40),
                               ConnectionOpenOk = id(10, 41), ConnectionClose = id(10, 50),
                               ConnectionCloseOk = id(10, 51);
inline constexpr std::uint32_t ChannelOpen = id(20, 10), ChannelOpenOk = id(20, 11), ChannelClose = id(20, 40),
                               ChannelCloseOk = id(20, 41);
inline constexpr std::uint32_t QueueDeclare = id(50, 10), QueueDeclareOk = id(50, 11);
inline constexpr std::uint32_t BasicQos = id(60, 10), BasicQosOk = id(60, 11), BasicConsume = id(60, 20),
                               BasicConsumeOk = id(60, 21), BasicCancel = id(60, 30), BasicCancelOk = id(60, 31),
                               BasicPublish = id(60, 40), BasicDeliver = id(60, 60), BasicAck = id(60, 80);
inline constexpr std::uint32_t ConfirmSelect = id(85, 10), ConfirmSelectOk = id(85, 11);

template <typename T>
void put(char *at, T value)
{
    for (std::size_t i = 0; i < sizeof(T); ++i)
        at[i] = char(value >> 8 * (sizeof(T) - 1 - i));
}

template <typename T>
T get(const char *at)
{
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
        value = T(std::uint64_t(value) << 8 | static_cast<unsigned char>(at[i]));
    return value;
}

template <typename T>
void append(std::string &out, T value)
{
    char bytes[sizeof(T)];
    put(bytes, value);
    out.append(bytes, sizeof(T));
}

inline void appendShort(std::string &out, std::string_view text)
{
    out += char(text.size());
    out += text;
}

inline void appendLong(std::string &out, std::string_view text)
{
    append(out, std::uint32_t(text.size()));
    out += text;
}

inline void appendFrame(std::string &out, Type type, std::uint16_t channel, std::string_view payload)
{
    out += char(type);
    append(out, channel);
    appendLong(out, payload);
    out += End;
}

inline void appendMethod(std::string &out, std::uint16_t channel, std::uint32_t method, std::string_view arguments = {})
{
    std::string payload;
    append(payload, method);
    payload += arguments;
    appendFrame(out, Method, channel, payload);
}

inline void appendHeader(std::string &out, std::uint16_t channel, std::uint64_t bodySize, std::string_view properties)
{
    std::string payload;
    append(payload, std::uint32_t(60 << 16)); // class, weight
    append(payload, bodySize);
    payload += properties;
    appendFrame(out, Header, channel, payload);
}

inline void appendBody(std::string &out, std::uint16_t channel, std::string_view body)
{
    for (; !body.empty(); body.remove_prefix(std::min(body.size(), MaximumBody)))
        appendFrame(out, Body, channel, body.substr(0, MaximumBody));
}

inline void appendPublish(std::string &out, std::uint16_t channel, std::string_view routingKey, std::string_view body)
{
    std::string arguments(3, '\0'); // ticket, exchange
    appendShort(arguments, routingKey);
    arguments += '\0';
    appendMethod(out, channel, BasicPublish, arguments);
    appendHeader(out, channel, body.size(), Properties);
    appendBody(out, channel, body);
}

inline void appendAck(std::string &out, std::uint16_t channel, std::uint64_t tag, bool multiple)
{
    std::string arguments;
    append(arguments, tag);
    arguments += char(multiple);
    appendMethod(out, channel, BasicAck, arguments);
}

// Reads the fields of a method within bounds; fields beyond the end are zero or empty.
class Reader
{
public:
    explicit Reader(std::string_view bytes)
        : m_bytes(bytes)
    {
    }

    template <typename T>
    T number()
    {
        const std::string_view bytes = take(sizeof(T));
        return bytes.size() == sizeof(T) ? get<T>(bytes.data()) : T(0);
    }
    std::string_view shortString() { return take(number<std::uint8_t>()); }
    std::string_view longString() { return take(number<std::uint32_t>()); }

private:
    std::string_view take(std::size_t size)
    {
        const std::string_view bytes = m_bytes.substr(0, size);
        m_bytes.remove_prefix(bytes.size());
        return bytes;
    }

    std::string_view m_bytes;
};

} // namespace Frames
