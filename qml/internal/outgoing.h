// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

#include <QtQml/qjsvalue.h>

class QJSEngine;

namespace AmqpQt
{

// JSON.stringify() for bodies. It throws for values that would lose their contents; bytes, for example, would become an
// object of indexes.
class JsonFunction
{
public:
    QJSValue call(QJSEngine *engine, const QJSValue &value); // a string, undefined, or the exception

private:
    QJSValue m_function;
};

// A message built from the arguments that QML passes to a Publisher.
struct Outgoing {
    QString exchange;
    QString routingKey;
    Message message;
    bool mandatory = true;

    // Both return the problem, or an empty string.
    QString setBody(const QJSValue &body, QJSEngine *engine, JsonFunction &toJson);
    QString setOptions(const QJSValue &options);

    bool isForwarded = false; // the body was a message, which has its own properties

private:
    bool setOption(const QString &name, const QVariant &value);
};

} // namespace AmqpQt
