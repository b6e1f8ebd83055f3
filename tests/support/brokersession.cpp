// SPDX-License-Identifier: MIT
#include "support/brokersession.h"

#include "wire/fieldtable_p.h"

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

std::optional<Frame> BrokerSession::nextReceived(QByteArrayView &bytes)
{
    if (!hasProtocolHeader()) {
        const qsizetype missing = Wire::ProtocolHeader.size() - m_protocolHeader.size();
        const QByteArrayView part = bytes.first(std::min(missing, bytes.size()));
        m_protocolHeader.append(part);
        bytes = bytes.sliced(part.size());
        if (hasProtocolHeader() && m_protocolHeader != Wire::ProtocolHeader)
            m_violations += u"protocol header "_s + QString::fromLatin1(m_protocolHeader.toHex(' '));
    }
    const bool wasMalformed = m_received.isMalformed();
    std::optional<Frame> frame = m_received.next(bytes);
    if (m_received.isMalformed() && !wasMalformed)
        m_violations += u"a malformed frame"_s;
    if (!frame)
        return std::nullopt;
    if (const QString violation = m_rules.check(*frame); !violation.isEmpty())
        m_violations += violation + u": "_s + frame->describe();
    return frame;
}

std::optional<Frame> BrokerSession::nextSent(QByteArrayView &bytes)
{
    return m_sent.next(bytes);
}

void BrokerSession::send(QByteArrayView bytes)
{
    while (!bytes.isEmpty()) {
        if (const std::optional<Frame> frame = nextSent(bytes))
            apply(*frame);
    }
}

QVariantMap rabbitMqProperties()
{
    return {{u"product"_s, u"RabbitMQ"_s},
            {u"version"_s, u"3.10.8"_s},
            {u"capabilities"_s, QVariantMap{{u"publisher_confirms"_s, true},
                                            {u"exchange_exchange_bindings"_s, true},
                                            {u"basic.nack"_s, true},
                                            {u"consumer_cancel_notify"_s, true},
                                            {u"connection.blocked"_s, true},
                                            {u"consumer_priorities"_s, true},
                                            {u"authentication_failure_close"_s, true},
                                            {u"per_consumer_qos"_s, true},
                                            {u"direct_reply_to"_s, true}}}};
}

QByteArray encodedServerProperties()
{
    return Wire::encodeTable(rabbitMqProperties(), u"server properties").value();
}

Wire::ConnectionStart connectionStart(const QByteArray &encodedProperties, const QByteArray &mechanisms,
                                      const QByteArray &locales)
{
    return {.versionMajor = 0,
            .versionMinor = 9,
            .serverProperties = {encodedProperties},
            .mechanisms = QByteArrayView(mechanisms),
            .locales = QByteArrayView(locales)};
}
