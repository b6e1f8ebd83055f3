// SPDX-License-Identifier: MIT
#include "qmlmessage.h"

#include "jsvalues.h"
#include "qmlerror.h"

#include <QtCore/qdebug.h>

namespace AmqpQt
{

namespace
{

// Compiled QML finds the classes by their names, which QML_EXTENDED does not register.
[[maybe_unused]] const int messageType = qRegisterMetaType<QmlMessage>();
[[maybe_unused]] const int errorType = qRegisterMetaType<QmlError>();

} // namespace

QVariant QmlMessage::body() const
{
    return toScript(QVariant(m_message.body()));
}

void QmlMessage::setBody(const QVariant &body)
{
    if (const std::optional<QByteArray> bytes = bytesFromScript(body))
        m_message.setBody(*bytes);
    else if (body.typeId() == QMetaType::QString)
        m_message.setBody(body.toString().toUtf8());
    else
        qWarning("The body of a message must be a string, an ArrayBuffer or a view of one; the body is not changed");
}

QVariant QmlMessage::headers() const
{
    return toScript(m_message.headers());
}

void QmlMessage::setHeaders(const QVariant &headers)
{
    if (const std::optional<FieldTable> table = tableFromScript(headers))
        m_message.setHeaders(*table);
    else
        qWarning("The headers of a message must be an object with names and values; the headers are not changed");
}

QVariant QmlMessage::json(const QVariant &path) const
{
    return toScript(m_message.json(path.toString()));
}

QVariant QmlMessage::header(const QString &name, const QVariant &fallback) const
{
    const QVariant header = m_message.header(name);
    return header.isValid() || m_message.headers().contains(name) ? toScript(header) : fallback;
}

void QmlMessage::nack(const QVariant &requeue) const
{
    m_message.nack(!requeue.isValid() || requeue.toBool() ? Requeue::Yes : Requeue::No);
}

} // namespace AmqpQt
