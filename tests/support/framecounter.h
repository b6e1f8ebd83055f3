// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearray.h>
#include <QtCore/qloggingcategory.h>
#include <QtCore/qstringlist.h>

#include <atomic>

// Counts a method in the log of frames, to learn what has reached the broker and what it has answered. There can be one
// at a time.
class FrameCounter
{
public:
    // `method` is for example "connection.update-secret-ok", and `direction` is "sent" or "received".
    FrameCounter(const QByteArray &direction, const QByteArray &method)
    {
        s_current = this;
        m_direction = QString::fromLatin1(direction);
        m_method = QString::fromLatin1(method);
        m_before = qInstallMessageHandler(take);
        QLoggingCategory::setFilterRules(QStringLiteral("amqpqt.frame.debug=true"));
    }
    ~FrameCounter()
    {
        QLoggingCategory::setFilterRules({});
        qInstallMessageHandler(m_before);
        s_current = nullptr;
    }
    FrameCounter(const FrameCounter &) = delete;
    FrameCounter &operator=(const FrameCounter &) = delete;

    int count() const { return m_count; }

private:
    static void take(QtMsgType type, const QMessageLogContext &context, const QString &message)
    {
        FrameCounter &counter = *s_current;
        if (qstrcmp(context.category, "amqpqt.frame") != 0)
            return counter.m_before(type, context, message);
        const QStringList words = message.split(u' '); // "received on channel 0 connection.tune …"
        if (words.value(0) == counter.m_direction && words.value(4) == counter.m_method)
            ++counter.m_count;
    }

    static inline FrameCounter *s_current = nullptr;
    QString m_direction;
    QString m_method;
    QtMessageHandler m_before;
    std::atomic<int> m_count = 0;
};
