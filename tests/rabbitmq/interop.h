// SPDX-License-Identifier: MIT
#pragma once

#include "rabbitmq/brokerclient.h"

#include <QtCore/qprocess.h>

#include <bit>

// Shared by the tests with other client libraries: the process with the other client, and the conversion of values to
// text that includes their types.
namespace AmqpQt::Test
{

// A program that answers each line with a line.
class Peer
{
public:
    explicit Peer(std::unique_ptr<QProcess> process)
        : m_process(std::move(process))
    {
    }
    ~Peer()
    {
        m_process->closeWriteChannel();
        m_process->waitForFinished();
    }

    // Returns the answer, or the reason why there is none.
    QByteArray ask(const QByteArray &line)
    {
        m_process->write(line + '\n');
        if (!waitFor([this] { return m_process->canReadLine() || m_process->state() == QProcess::NotRunning; }))
            return "no answer";
        if (m_process->canReadLine())
            return m_process->readLine().chopped(1);
        return m_process->errorString().toUtf8() + ": " + m_process->readAllStandardError();
    }

private:
    const std::unique_ptr<QProcess> m_process;
};

// Unlike the comparison of QVariants, this distinguishes numbers of different types, +0 and -0, and times of different
// zones.
inline QString describe(const QVariant &value)
{
    const QString type = QLatin1StringView(value.typeName());
    const auto typed = [&](const QString &text) { return type + u' ' + text; };
    switch (value.typeId()) {
    case QMetaType::QVariantMap: {
        QStringList entries;
        const QVariantMap map = value.toMap();
        for (auto it = map.cbegin(); it != map.cend(); ++it)
            entries += it.key() + u'=' + describe(it.value());
        return u'{' + entries.join(u", "_s) + u'}';
    }
    case QMetaType::QVariantList: {
        QStringList elements;
        for (const QVariant &element : value.toList())
            elements += describe(element);
        return u'[' + elements.join(u", "_s) + u']';
    }
    case QMetaType::Float:
        return typed(QString::number(std::bit_cast<quint32>(value.toFloat()), 16));
    case QMetaType::Double:
        return typed(QString::number(std::bit_cast<quint64>(value.toDouble()), 16));
    case QMetaType::QDateTime: {
        const QDateTime time = value.toDateTime();
        return typed(time.isValid() ? QString::number(time.toSecsSinceEpoch()) + time.timeZoneAbbreviation()
                                    : u"invalid"_s);
    }
    case QMetaType::QString:
        return typed(QString::fromLatin1(value.toString().toUtf8().toPercentEncoding()));
    case QMetaType::QByteArray:
        return typed(QString::fromLatin1(value.toByteArray().toPercentEncoding()));
    case QMetaType::ULongLong:
        return typed(QString::number(value.toULongLong()));
    case QMetaType::Nullptr:
        return type;
    default:
        if (value.metaType() == QMetaType::fromType<Decimal>()) {
            const auto decimal = value.value<Decimal>();
            return typed(u"%1/%2"_s.arg(decimal.scale).arg(decimal.value));
        }
        return typed(QString::number(value.toLongLong()));
    }
}

// Returns body and properties, each on a line.
inline QString describe(const Message &message)
{
    const auto ttl = message.expiration();
    const std::pair<const char *, QVariant> parts[] = {
        {"body", message.body()},
        {"contentType", message.contentType()},
        {"contentEncoding", message.contentEncoding()},
        {"headers", message.headers()},
        {"deliveryMode", int(message.deliveryMode())},
        {"priority", message.priority()},
        {"correlationId", message.correlationId()},
        {"replyTo", message.replyTo()},
        {"expiration", ttl ? QVariant(qint64(ttl->count())) : QVariant::fromValue(nullptr)},
        {"messageId", message.messageId()},
        {"timestamp", message.timestamp()},
        {"type", message.type()},
        {"userId", message.userId()},
        {"appId", message.appId()},
        {"clusterId", message.clusterId()},
    };
    QString text;
    for (const auto &[name, value] : parts)
        text += QLatin1StringView(name) + u": "_s + describe(value) + u'\n';
    return text;
}

inline QByteArray allBytes()
{
    QByteArray bytes;
    for (int byte = 0; byte < 256; ++byte)
        bytes += char(byte);
    return bytes;
}

inline QDateTime utc(qint64 seconds)
{
    return QDateTime::fromSecsSinceEpoch(seconds).toUTC();
}

// All 14 properties, in several scripts.
inline Message fullMessage()
{
    Message message(allBytes());
    message.setContentType(u"application/octet-stream"_s);
    message.setContentEncoding(u"x-тест"_s);
    message.setHeaders({{u"имя"_s, u"значение"_s}});
    message.setDeliveryMode(DeliveryMode::Transient);
    message.setPriority(255);
    message.setCorrelationId(u"相関"_s);
    message.setReplyTo(u"απάντηση"_s);
    message.setExpiration(std::chrono::milliseconds(4'294'967'295)); // the maximum that RabbitMQ accepts
    message.setMessageId(u"😀"_s);
    message.setTimestamp(utc(1'700'000'000));
    message.setType(u"סוג"_s);
    message.setUserId(u"guest"_s); // RabbitMQ rejects any other user
    message.setAppId(u"تطبيق"_s);
    message.setClusterId(QString(85, u'猫')); // 255 bytes, the maximum
    return message;
}

} // namespace AmqpQt::Test
