// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qiodevice.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

// One of two devices in memory that are connected to each other. As with a socket, its signals come from the event
// loop.
class MemoryDevice : public QIODevice
{
    Q_OBJECT
public:
    enum class Writing {
        Buffers,               // takes everything, and counts in bytesToWrite() what the other end has no room for
        Partial,               // takes what the other end has room for, and does not signal when there is room again
        SmallSignallingAtOnce, // as Partial, but takes little at a time and emits bytesWritten() from within write()
    };

    static std::pair<std::unique_ptr<MemoryDevice>, std::unique_ptr<MemoryDevice>> pair(Writing writing, qint64 room)
    {
        std::pair<std::unique_ptr<MemoryDevice>, std::unique_ptr<MemoryDevice>> ends{new MemoryDevice,
                                                                                     new MemoryDevice};
        for (const auto &[end, other] :
             {std::pair(ends.first.get(), ends.second.get()), std::pair(ends.second.get(), ends.first.get())}) {
            end->m_other = other;
            end->m_writing = writing;
            end->m_room = room;
            end->open(ReadWrite);
        }
        return ends;
    }
    ~MemoryDevice() override { hangUp(); }

    bool isSequential() const override { return true; }
    qint64 bytesAvailable() const override { return m_input.size() + QIODevice::bytesAvailable(); }
    qint64 bytesToWrite() const override { return m_output.size(); }
    void close() override
    {
        QIODevice::close();
        hangUp();
    }
    void hangUp() // ends the stream for the other end, after the bytes that were sent
    {
        if (QPointer<MemoryDevice> other = std::exchange(m_other, nullptr)) {
            other->m_other = nullptr;
            QMetaObject::invokeMethod(
                other, [other] { Q_EMIT other->readChannelFinished(); }, Qt::QueuedConnection);
        }
    }
    void setReading(bool reading) // if false, gives the other end no more room
    {
        m_isReading = reading;
        if (reading && m_other)
            m_other->transfer();
    }
    void failWrites() { m_failsWrites = true; }
    void setError(const QString &text) { setErrorString(text); }
    qint64 mostHeld() const { return m_mostHeld; } // the highest value of bytesToWrite()

protected:
    qint64 readData(char *to, qint64 size) override
    {
        const qint64 taken = std::min<qint64>(size, m_input.size());
        std::memcpy(to, m_input.constData(), size_t(taken));
        m_input.remove(0, taken);
        if (taken > 0 && m_other)
            m_other->transfer();
        return taken == 0 && !m_other ? -1 : taken;
    }
    qint64 writeData(const char *from, qint64 size) override
    {
        if (!m_other || m_failsWrites) {
            setErrorString(QStringLiteral("broken pipe"));
            return -1;
        }
        if (m_writing != Writing::Buffers) {
            constexpr qint64 Small = 100;
            const qint64 most = m_writing == Writing::SmallSignallingAtOnce ? std::min(size, Small) : size;
            const qint64 taken = std::clamp<qint64>(m_other->free(m_room), 0, most);
            pass(QByteArray(from, taken));
            return taken;
        }
        m_output.append(from, size);
        m_mostHeld = std::max<qint64>(m_mostHeld, m_output.size());
        transfer();
        return size;
    }

private:
    qint64 free(qint64 room) const { return m_isReading ? room - m_input.size() : 0; }
    void transfer()
    {
        const qint64 taken = m_other ? std::clamp<qint64>(m_other->free(m_room), 0, m_output.size()) : 0;
        pass(m_output.first(taken));
        m_output.remove(0, taken);
    }
    void pass(const QByteArray &bytes)
    {
        if (bytes.isEmpty())
            return;
        m_other->m_input += bytes;
        QMetaObject::invokeMethod(m_other, &QIODevice::readyRead, Qt::QueuedConnection);
        if (m_writing == Writing::SmallSignallingAtOnce)
            Q_EMIT bytesWritten(bytes.size());
        else
            QMetaObject::invokeMethod(
                this, [this, size = bytes.size()] { Q_EMIT bytesWritten(size); }, Qt::QueuedConnection);
    }

    MemoryDevice *m_other = nullptr;
    Writing m_writing = Writing::Buffers;
    qint64 m_room = 0;
    bool m_isReading = true;
    bool m_failsWrites = false;
    QByteArray m_input;
    QByteArray m_output;
    qint64 m_mostHeld = 0;
};
