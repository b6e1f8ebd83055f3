// SPDX-License-Identifier: MIT
#include "wire/trace_p.h"

#include "wire/contentheader_p.h"
#include "wire/fieldtable_p.h"
#include "wire/methods_p.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qdebug.h>
#include <QtCore/qstringlist.h>

#include <algorithm>
#include <string_view>

using namespace Qt::StringLiterals;

namespace AmqpQt::Wire
{

namespace
{

constexpr qsizetype ShownBytes = 256;  // the longest part of a string that is shown
constexpr qsizetype ShownEntries = 32; // the largest number of entries of a table or array that is shown

// The credentials and the SASL exchange.
bool isSecret(std::string_view fieldName)
{
    return fieldName == "response" || fieldName == "challenge" || fieldName == "new-secret";
}

QString quoted(QByteArrayView bytes)
{
    QString text;
    // QDebug quotes, and escapes unprintable characters.
    QDebug(&text).nospace() << QString::fromUtf8(bytes.first(std::min(bytes.size(), ShownBytes)));
    if (bytes.size() > ShownBytes)
        text += u"… (%1 bytes)"_s.arg(bytes.size());
    return text;
}

QString quotedText(const QString &text)
{
    return quoted(encodeText(text).value_or(text.toUtf8()));
}

QString describeValue(const QVariant &value);

QString describeEntries(const FieldTable &table)
{
    QStringList entries;
    for (auto it = table.cbegin(); it != table.cend() && entries.size() < ShownEntries; ++it)
        entries.append(quotedText(it.key()) + ": "_L1 + describeValue(it.value()));
    if (table.size() > ShownEntries)
        entries.append(u"… (%1 entries)"_s.arg(table.size()));
    return u'{' + entries.join(", "_L1) + u'}';
}

QString describeElements(const QVariantList &list)
{
    QStringList elements;
    for (auto it = list.cbegin(); it != list.cend() && elements.size() < ShownEntries; ++it)
        elements.append(describeValue(*it));
    if (list.size() > ShownEntries)
        elements.append(u"… (%1 elements)"_s.arg(list.size()));
    return u'[' + elements.join(", "_L1) + u']';
}

QString describeValue(const QVariant &value)
{
    switch (value.typeId()) {
    case QMetaType::Nullptr:
        return u"void"_s;
    case QMetaType::QString:
        return quotedText(value.toString());
    case QMetaType::QByteArray:
        return u"(%1 bytes)"_s.arg(value.toByteArray().size());
    case QMetaType::QDateTime:
        return value.toDateTime().toString(Qt::ISODate);
    case QMetaType::QVariantMap:
        return describeEntries(value.toMap());
    case QMetaType::QVariantList:
        return describeElements(value.toList());
    case QMetaType::SChar: // toString() would treat it as a character
        return QString::number(value.toInt());
    default:
        if (value.metaType() == QMetaType::fromType<Decimal>())
            return value.value<Decimal>().toString();
        return value.toString();
    }
}

} // namespace

void FieldDescriber::add(const char *name, const QString &value)
{
    m_text += u' ' + QLatin1StringView(name) + u'=' + value;
}

void FieldDescriber::number(const char *name, quint64 value)
{
    add(name, QString::number(value));
}

void FieldDescriber::operator()(const char *name, bool value)
{
    add(name, value ? u"true"_s : u"false"_s);
}

void FieldDescriber::operator()(const char *name, ShortString value)
{
    add(name, quoted(value));
}

void FieldDescriber::operator()(const char *name, LongString value)
{
    add(name, isSecret(name) ? u"***"_s : quoted(value));
}

void FieldDescriber::operator()(const char *name, Table value)
{
    if (const char *wrong = checkTable(value.contents)) // possible in the headers of a message
        add(name, u"(%1 bytes, %2)"_s.arg(value.contents.size()).arg(QLatin1StringView(wrong)));
    else
        add(name, describeEntries(decodeTable(value.contents)));
}

QString describeMethod(QByteArrayView payload)
{
    Reader reader(payload);
    const MethodId id{reader.number<quint16>(), reader.number<quint16>()};
    if (reader.failed())
        return u"truncated method"_s;
    QString text;
    switch (visitMethod(id, reader.bytes(reader.remaining()), [&](const auto &method) { text = describe(method); })) {
    case Visit::Done:
        break;
    case Visit::UnknownMethod:
        text = u"unknown method %1.%2"_s.arg(id.classId).arg(id.methodId);
        break;
    case Visit::Malformed:
        text = "malformed "_L1 + QLatin1StringView(methodName(id));
        break;
    }
    return text;
}

QString describeContentHeader(QByteArrayView payload)
{
    ContentHeader header;
    if (!decodeContentHeader(payload, header))
        return u"malformed content header"_s;
    BasicProperties properties;
    const char *wrong = decodeProperties(header.properties, properties);
    FieldDescriber describer("content header");
    describer("class-id", header.classId);
    describer("body-size", header.bodySize);
    BasicProperties::fields(properties, describer);
    return wrong ? u"%1 … (%2)"_s.arg(describer.text(), QLatin1StringView(wrong)) : describer.text();
}

} // namespace AmqpQt::Wire
