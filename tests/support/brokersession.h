// SPDX-License-Identifier: MIT
#pragma once

#include "support/clientrules.h"

#include <QtCore/qstringlist.h>
#include <QtCore/qvariant.h>

#include <type_traits>

// The limits that tune offers.
struct Offer {
    quint16 channelMax = 2047;
    quint32 frameMax = 131072;
    quint16 heartbeat = 60;

    AmqpQt::Wire::ConnectionTune tune() const
    {
        return {.channelMax = channelMax, .frameMax = frameMax, .heartbeat = heartbeat};
    }
};

// The broker's side of one connection, without a socket. Splits the bytes of both sides into frames and checks that the
// client follows the rules.
class BrokerSession
{
public:
    // Removes bytes of the client from the front of `bytes`, up to the end of a frame, and returns that frame if it is
    // complete. The first eight bytes are the protocol header.
    std::optional<Frame> nextReceived(QByteArrayView &bytes);
    // The same for the bytes of the broker, except that only methods keep their payload. The rules do not apply yet.
    std::optional<Frame> nextSent(QByteArrayView &bytes);
    // All bytes that the broker sends pass through here, before the client reads them.
    void send(QByteArrayView bytes);
    void apply(const Frame &sent) { m_rules.brokerSent(sent); }

    bool hasProtocolHeader() const { return m_protocolHeader.size() == AmqpQt::Wire::ProtocolHeader.size(); }
    QByteArray protocolHeader() const { return m_protocolHeader; }
    bool isMalformed() const { return m_received.isMalformed(); } // no more frames of the client can be found
    bool awaitsCloseOk(quint16 channel) const { return m_rules.awaitsCloseOk(channel); }
    QStringList takeViolations() { return std::exchange(m_violations, {}); } // of the client

private:
    QByteArray m_protocolHeader;
    FrameParser m_received;
    FrameParser m_sent{FrameParser::Keeps::Methods};
    ClientRules m_rules;
    QStringList m_violations;
};

// The properties and capabilities of a RabbitMQ, encoded.
QByteArray encodedServerProperties();
QVariantMap rabbitMqProperties();
AmqpQt::Wire::ConnectionStart connectionStart(const QByteArray &encodedProperties, const QByteArray &mechanisms,
                                              const QByteArray &locales);

// Returns the answer of a broker that has carried out the client's request. Its views refer to the request.
template <typename Method>
typename Method::Reply replyTo(const Method &method)
{
    typename Method::Reply reply;
    if constexpr (std::is_same_v<Method, AmqpQt::Wire::BasicConsume> ||
                  std::is_same_v<Method, AmqpQt::Wire::BasicCancel>)
        reply.consumerTag = method.consumerTag;
    else if constexpr (std::is_same_v<Method, AmqpQt::Wire::ChannelFlow>)
        reply.active = method.active;
    return reply;
}
