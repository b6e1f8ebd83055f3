// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qobjectdefs.h>

namespace AmqpQt
{

// The QML view of an Error, as QmlMessage is of a Message. Code compiled by qmlcachegen of Qt 6.4 cannot read an enum
// of a value type and throws a TypeError.
class QmlError
{
    Q_GADGET
    Q_PROPERTY(int kind READ kind CONSTANT)
    Q_PROPERTY(int replyCode READ replyCode CONSTANT)
    Q_PROPERTY(QString text READ text CONSTANT)
    Q_PROPERTY(QString method READ method CONSTANT)
public:
    int kind() const { return int(m_error.kind()); }
    int replyCode() const { return m_error.replyCode(); }
    QString text() const { return m_error.text(); }
    QString method() const { return m_error.method(); }
    Q_INVOKABLE QString toString() const { return m_error.toString(); }

private:
    Error m_error;
};

static_assert(sizeof(QmlError) == sizeof(Error));

} // namespace AmqpQt
