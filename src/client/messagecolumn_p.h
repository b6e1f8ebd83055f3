// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

#include <QtCore/qjsonvalue.h>
#include <QtCore/qmetaobject.h>

#include <optional>

namespace AmqpQt
{

// What a column of a model shows of a message: "routingKey", "json.order.id", "headers.x-id" …
//
// `json` is the parsed body, for columns that follow on the same message: empty at first, and filled by the first that
// needs it.
class MessageColumn
{
public:
    explicit MessageColumn(const QString &name);

    bool isKnown() const { return m_kind != Kind::Unknown; }
    QString title() const;
    QVariant value(const Message &message, std::optional<QJsonValue> &json) const;   // invalid: nothing there
    QVariant display(const Message &message, std::optional<QJsonValue> &json) const; // what a view can print

private:
    enum class Kind : quint8 { Unknown, Property, Size, DeliveryTag, Expiration, Body, Text, Header, Json };

    Kind m_kind = Kind::Unknown;
    QString m_path;           // the name; of Header and Json, what follows the first dot
    QMetaProperty m_property; // of Property
};

// The JSON body of a message, parsed if it was not yet.
const QJsonValue &parsedJson(const Message &message, std::optional<QJsonValue> &json);

} // namespace AmqpQt
