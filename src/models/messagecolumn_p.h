// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

#include <QtCore/qjsonvalue.h>
#include <QtCore/qmetaobject.h>

#include <optional>

namespace AmqpQt
{

// Extracts the value of a model's column from a message: "routingKey", "json.order.id", "headers.x-id" …
//
// `json` caches the parsed body for further columns of the same message; the first column that needs it fills it.
class MessageColumn
{
public:
    explicit MessageColumn(const QString &name);

    bool isKnown() const { return m_kind != Kind::Unknown; }
    QString title() const;
    QVariant value(const Message &message, std::optional<QJsonValue> &json) const;   // invalid if there is none
    QVariant display(const Message &message, std::optional<QJsonValue> &json) const; // printable

private:
    enum class Kind : quint8 { Unknown, Property, Size, DeliveryTag, Expiration, Body, Text, Header, Json };

    Kind m_kind = Kind::Unknown;
    QString m_path;           // the name; for Header and Json, the part after the first dot
    QMetaProperty m_property; // of Property
};

// Returns the warning about a property of a model with a name that is not a column.
QString unknownColumnWarning(QLatin1StringView property, const QString &name);

// Returns the JSON body of a message, parsing it on first use.
const QJsonValue &parsedJson(const Message &message, std::optional<QJsonValue> &json);

} // namespace AmqpQt
