// SPDX-License-Identifier: MIT
#include "models/messagecolumn_p.h"

#include "client/message/messagebody_p.h"

#include <AmqpQt/messagemodel.h>

#include <QtCore/qjsonarray.h>
#include <QtCore/qjsonobject.h>

#include <limits>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

constexpr qsizetype MaximumCharacters = 1000; // in a cell; longer text would only slow down the view
constexpr qsizetype MaximumHexBytes = 32;

constexpr struct {
    QLatin1String column;
    const char *title;
} Titles[] = {
    {"appId"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Application")},
    {"body"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Body")},
    {"clusterId"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Cluster ID")},
    {"consumerTag"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Consumer tag")},
    {"contentEncoding"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Encoding")},
    {"contentType"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Content type")},
    {"correlationId"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Correlation ID")},
    {"deliveryTag"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Delivery tag")},
    {"exchange"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Exchange")},
    {"expiration"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Expiration")},
    {"headers"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Headers")},
    {"messageId"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Message ID")},
    {"persistent"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Persistent")},
    {"priority"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Priority")},
    {"redelivered"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Redelivered")},
    {"replyTo"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Reply to")},
    {"routingKey"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Routing key")},
    {"size"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Size")},
    {"text"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Text")},
    {"timestamp"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Time")},
    {"type"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "Type")},
    {"userId"_L1, QT_TRANSLATE_NOOP("AmqpQt::MessageModel", "User")},
};

// A header by its name, which may contain dots, or otherwise a part of a table or array in a header, as in
// "x-death.0.queue".
QVariant headerAt(const FieldTable &headers, const QString &path)
{
    if (const auto header = headers.constFind(path); header != headers.cend())
        return *header;
    QVariant value = headers;
    const auto keys = QStringView(path).split(u'.');
    for (const QStringView key : keys) {
        if (value.typeId() == QMetaType::QVariantMap) {
            value = value.toMap().value(key.toString());
        } else if (value.typeId() == QMetaType::QVariantList) {
            bool isNumber = false;
            const qsizetype index = key.toLongLong(&isNumber);
            value = isNumber ? value.toList().value(index) : QVariant();
        } else {
            return {};
        }
    }
    return value;
}

QString shortened(QString text)
{
    if (text.size() <= MaximumCharacters)
        return text;
    text.truncate(text.at(MaximumCharacters - 1).isHighSurrogate() ? MaximumCharacters - 1 : MaximumCharacters);
    return text + u'…';
}

// Returns the body as text, or as hexadecimal digits if the bytes are not text.
QString printable(const Message &message)
{
    if (std::optional<QString> text = textStart(message, MaximumCharacters))
        return shortened(*std::move(text));
    const QByteArray body = message.body();
    const QString hex = QString::fromLatin1(body.first(qMin(body.size(), MaximumHexBytes)).toHex(' '));
    return body.size() <= MaximumHexBytes ? hex : MessageModel::tr("%1 … (%2 bytes)").arg(hex).arg(body.size());
}

QString printable(const QJsonDocument &document)
{
    return shortened(QString::fromUtf8(document.toJson(QJsonDocument::Compact)));
}

// Numbers in QML are doubles, so integers that a double cannot represent become text.
template <typename Integer>
QVariant printableInteger(Integer number)
{
    constexpr Integer largest = Integer(1) << 53;
    bool isExact = number <= largest;
    if constexpr (std::numeric_limits<Integer>::is_signed)
        isExact = isExact && number >= -largest;
    return isExact ? QVariant::fromValue(number) : QVariant(QString::number(number));
}

// Restricted to the types of JSON.
QVariant forJson(const QVariant &value)
{
    switch (value.typeId()) {
    case QMetaType::ULongLong:
        return printableInteger(value.toULongLong());
    case QMetaType::QByteArray:
        return printable(Message(value.toByteArray()));
    case QMetaType::QVariantMap: {
        QVariantMap map = value.toMap();
        for (QVariant &member : map)
            member = forJson(member);
        return map;
    }
    case QMetaType::QVariantList: {
        QVariantList list = value.toList();
        for (QVariant &element : list)
            element = forJson(element);
        return list;
    }
    default:
        return value.metaType() == QMetaType::fromType<Decimal>() ? QVariant(value.value<Decimal>().toDouble()) : value;
    }
}

QVariant printable(const QVariant &value)
{
    switch (value.typeId()) {
    case QMetaType::QString:
        return shortened(value.toString());
    case QMetaType::QByteArray:
        return printable(Message(value.toByteArray()));
    case QMetaType::QDateTime:
        return value.toDateTime().toLocalTime();
    case QMetaType::LongLong:
        return printableInteger(value.toLongLong());
    case QMetaType::ULongLong:
        return printableInteger(value.toULongLong());
    case QMetaType::QVariantMap:
    case QMetaType::QVariantList:
        return printable(QJsonDocument::fromVariant(forJson(value)));
    default:
        return value.metaType() == QMetaType::fromType<Decimal>() ? QVariant(value.value<Decimal>().toString()) : value;
    }
}

} // namespace

QString unknownColumnWarning(QLatin1StringView property, const QString &name)
{
    return u"%1: \"%2\" is not a column of a message and stays empty"_s.arg(property, name);
}

const QJsonValue &parsedJson(const Message &message, std::optional<QJsonValue> &json)
{
    if (!json)
        json = parseJson(message);
    return *json;
}

MessageColumn::MessageColumn(const QString &name)
    : m_path(name)
{
    if (name == "size"_L1) {
        m_kind = Kind::Size;
    } else if (name == "deliveryTag"_L1) {
        m_kind = Kind::DeliveryTag;
    } else if (name == "expiration"_L1) {
        m_kind = Kind::Expiration;
    } else if (name == "body"_L1) {
        m_kind = Kind::Body;
    } else if (name == "text"_L1) {
        m_kind = Kind::Text;
    } else if (name.startsWith("headers."_L1)) {
        m_kind = Kind::Header;
        m_path = name.sliced(8);
    } else if (name == "json"_L1 || name.startsWith("json."_L1)) {
        m_kind = Kind::Json;
        m_path = name.sliced(qMin(name.size(), 5));
    } else {
        const QMetaObject &properties = Message::staticMetaObject;
        m_property = properties.property(properties.indexOfProperty(name.toUtf8().constData()));
        m_kind = m_property.isValid() ? Kind::Property : Kind::Unknown;
    }
}

QString MessageColumn::title() const
{
    if (m_kind == Kind::Json && m_path.isEmpty())
        return MessageModel::tr("JSON");
    if (m_kind == Kind::Header || m_kind == Kind::Json)
        return m_path;
    for (const auto &entry : Titles) {
        if (entry.column == m_path)
            return MessageModel::tr(entry.title);
    }
    return m_path;
}

QVariant MessageColumn::value(const Message &message, std::optional<QJsonValue> &json) const
{
    switch (m_kind) {
    case Kind::Unknown:
        return {};
    case Kind::Size:
        return QVariant::fromValue(message.body().size());
    case Kind::DeliveryTag:
        return message.isDelivered() ? QVariant(message.deliveryTag()) : QVariant();
    case Kind::Expiration: {
        const auto ttl = message.expiration();
        return ttl ? QVariant(qint64(ttl->count())) : QVariant();
    }
    case Kind::Body:
        return message.body();
    case Kind::Text:
        return message.text();
    case Kind::Header:
        return headerAt(message.headers(), m_path);
    case Kind::Json:
        return jsonAt(parsedJson(message, json), m_path).toVariant();
    case Kind::Property:
        break;
    }
    const QVariant value = m_property.readOnGadget(&message);
    const bool isAbsent = (value.typeId() == QMetaType::QDateTime && !value.toDateTime().isValid()) ||
                          (value.typeId() == QMetaType::Int && value.toInt() < 0); // priority
    return isAbsent ? QVariant() : value;
}

QVariant MessageColumn::display(const Message &message, std::optional<QJsonValue> &json) const
{
    if (m_kind == Kind::Body || m_kind == Kind::Text)
        return printable(message);
    if (m_kind == Kind::Json) {
        const QJsonValue value = jsonAt(parsedJson(message, json), m_path);
        if (value.isObject())
            return printable(QJsonDocument(value.toObject()));
        if (value.isArray())
            return printable(QJsonDocument(value.toArray()));
        return printable(value.toVariant());
    }
    return printable(value(message, json));
}

} // namespace AmqpQt
