// SPDX-License-Identifier: MIT
#pragma once

#include "transport/transport_p.h"

#include <QtCore/qiodevice.h>
#include <QtCore/qpointer.h>
#include <QtCore/qtimer.h>

#include <memory>

namespace AmqpQt
{

// Returns why a device of `thread` cannot carry a connection, or an empty string.
QString deviceProblem(const QIODevice *device, const QThread *thread);
void deleteDevice(std::unique_ptr<QIODevice> device); // later, since the device may be emitting a signal

// A device of the application that is connected to a broker, such as a QLocalSocket.
class DeviceTransport final : public Transport
{
    Q_OBJECT
public:
    explicit DeviceTransport(std::unique_ptr<QIODevice> device, QObject *parent = nullptr);
    ~DeviceTransport() override;

    void connectTo(const PeerAddress &address) override; // the address has no effect
    bool isReady() const override { return m_state == State::Ready; }
    qint64 read(char *to, qint64 size) override;
    qint64 write(const char *from, qint64 size) override;
    qint64 writeSome(std::span<const QByteArrayView> pieces) override;
    qint64 bytesToWrite() const override;
    Error error() const override { return m_error; }
    void close() override;
    void abort() override;

private:
    enum class State { Idle, Ready, Closing, Closed };

    qint64 writeToDevice(const char *from, qint64 size);
    void flush();
    void deviceWritten();
    void writeAgain();
    void reportWritten();
    void deviceEnded(const QString &reason);
    void setError(const QString &reason);
    void closeWhenWritten();
    QString deviceError() const;
    QString withDeviceError(const QString &reason) const;

    QPointer<QIODevice> m_device; // null if the application has deleted it
    const QString m_name;         // for error texts
    const QString m_earlierError; // of the device; has nothing to do with the connection
    State m_state = State::Idle;
    bool m_isEnded = false;   // the device has nothing more to read than it has now
    bool m_isWriting = false; // the device may emit its signals from within write()
    Error m_error;
    QByteArray m_input;  // read from a device that is being closed
    QByteArray m_output; // not taken by the device yet
    QTimer m_retry;      // for devices that take nothing and do not signal when they do
};

} // namespace AmqpQt
