// SPDX-License-Identifier: MIT
#pragma once

#include "wire/contentheader_p.h"

#include <AmqpQt/message.h>

#include <QtCore/qtimezone.h>
#include <QtTest/qtest.h>

// The properties of a message that are strings.
namespace AmqpQt::Test
{

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

struct StringProperty {
    const char *name;
    Wire::PropertyFlag flag;
    QString (Message::*get)() const;
    void (Message::*set)(const QString &);
};

inline constexpr StringProperty StringProperties[]{
    {"contentType", Wire::ContentTypeFlag, &Message::contentType, &Message::setContentType},
    {"contentEncoding", Wire::ContentEncodingFlag, &Message::contentEncoding, &Message::setContentEncoding},
    {"correlationId", Wire::CorrelationIdFlag, &Message::correlationId, &Message::setCorrelationId},
    {"replyTo", Wire::ReplyToFlag, &Message::replyTo, &Message::setReplyTo},
    {"messageId", Wire::MessageIdFlag, &Message::messageId, &Message::setMessageId},
    {"type", Wire::TypeFlag, &Message::type, &Message::setType},
    {"userId", Wire::UserIdFlag, &Message::userId, &Message::setUserId},
    {"clusterId", Wire::ClusterIdFlag, &Message::clusterId, &Message::setClusterId},
    {"appId", Wire::AppIdFlag, &Message::appId, &Message::setAppId},
};

inline void addStringProperties()
{
    QTest::addColumn<StringProperty>("property");
    for (const StringProperty &property : StringProperties)
        QTest::newRow(property.name) << property;
}

inline Message fullMessage()
{
    Message message("body"_ba);
    for (const StringProperty &property : StringProperties)
        (message.*property.set)(QString::fromLatin1(property.name));
    message.setHeaders({{u"a"_s, 1}, {u"b"_s, u"two"_s}});
    message.setDeliveryMode(DeliveryMode::Transient);
    message.setPriority(9);
    message.setExpiration(1500ms);
    message.setTimestamp(QDateTime(QDate(2024, 2, 29), QTime(12, 30, 45), QTimeZone::utc()));
    return message;
}

} // namespace AmqpQt::Test

Q_DECLARE_METATYPE(AmqpQt::Test::StringProperty)
