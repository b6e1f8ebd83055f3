// SPDX-License-Identifier: MIT
#pragma once

#include "wire/codec_p.h"

#include <QtCore/qstring.h>

// Methods and content headers as one line of text for the log category amqpqt.frame. The peer's data is quoted, escaped
// and truncated to a readable length; secrets are shown as ***.
namespace AmqpQt::Wire
{

// The visitor that collects the text.
class FieldDescriber
{
public:
    explicit FieldDescriber(const char *methodName)
        : m_text(QLatin1StringView(methodName))
    {
    }

    QString text() const { return m_text; }

    void operator()(const char *name, bool value);
    template <std::unsigned_integral T>
    void operator()(const char *name, T value)
    {
        number(name, value);
    }
    void operator()(const char *name, ShortString value);
    void operator()(const char *name, LongString value);
    void operator()(const char *name, Table value);

private:
    void number(const char *name, quint64 value);
    void add(const char *name, const QString &value);

    QString m_text;
};

// queue.declare ticket=0 queue="orders" passive=false durable=true … arguments={x-max-length: 1000}
template <typename Method>
QString describe(const Method &method)
{
    FieldDescriber describer(Method::name);
    Method::fields(method, describer);
    return describer.text();
}

// Describe the payload of a method frame and of a header frame, well-formed or not.
QString describeMethod(QByteArrayView payload);
QString describeContentHeader(QByteArrayView payload);

} // namespace AmqpQt::Wire
