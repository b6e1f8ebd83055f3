// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>
#include <QtCore/qdebug.h>
#include <QtCore/qstring.h>

#include <utility>

namespace AmqpQt
{

// A password in UTF-8. It wipes its bytes before it frees them, prints as ***, and never shares them: every copy has
// its own bytes, so that none outlive their owner.
class Secret
{
public:
    Secret() = default;
    explicit Secret(const QString &text)
        : m_bytes(text.toUtf8())
    {
    }
    static Secret fromBytes(QByteArray &&unshared) // takes over the only copy
    {
        Q_ASSERT(unshared.isDetached() || unshared.isEmpty());
        Secret secret;
        secret.m_bytes = std::exchange(unshared, {});
        return secret;
    }
    Secret(const Secret &other)
        : m_bytes(other.m_bytes.constData(), other.m_bytes.size())
    {
    }
    Secret(Secret &&other) noexcept
        : m_bytes(std::exchange(other.m_bytes, {}))
    {
    }
    Secret &operator=(Secret other) noexcept
    {
        m_bytes.swap(other.m_bytes);
        return *this;
    }
    ~Secret() { wipe(const_cast<char *>(m_bytes.constData()), m_bytes.size()); } // data() might copy them

    QByteArrayView bytes() const noexcept { return m_bytes; }
    bool isEmpty() const noexcept { return m_bytes.isEmpty(); }
    QString toString() const { return QString::fromUtf8(m_bytes); }

    friend bool operator==(const Secret &a, const Secret &b) noexcept { return a.m_bytes == b.m_bytes; }
    friend QDebug operator<<(QDebug debug, const Secret &)
    {
        const QDebugStateSaver saver(debug);
        debug.noquote() << "***";
        return debug;
    }

    // Uses a volatile pointer, since a compiler may drop writes to memory that is never read again.
    static void wipe(char *data, qsizetype size) noexcept
    {
        for (volatile char *at = data; size > 0; --size)
            *at++ = '\0';
    }
    // For temporary copies of a secret in a type of Qt. Text that is shared with another string is left alone, since it
    // belongs to the owner of that string.
    static void wipe(QString &text) noexcept
    {
        if (text.isDetached())
            wipe(reinterpret_cast<char *>(text.data()), text.size() * qsizetype(sizeof(QChar)));
        text.clear();
    }
    static void wipe(QByteArray &bytes) noexcept
    {
        if (bytes.isDetached())
            wipe(bytes.data(), bytes.size());
        bytes.clear();
    }

private:
    QByteArray m_bytes;
};

} // namespace AmqpQt
