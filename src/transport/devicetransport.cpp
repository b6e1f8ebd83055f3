// SPDX-License-Identifier: MIT
#include "transport/devicetransport_p.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qmetaobject.h>

#include <algorithm>
#include <cstring>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

constexpr qint64 Window = 64 * 1024; // the most that the device is given at once; it may buffer all of it
constexpr std::chrono::milliseconds RetryInterval(10);

QString deviceProblem(const QIODevice *device, const QThread *thread)
{
    if (!device)
        return u"it is null"_s;
    if (device->thread() != thread)
        return u"it lives in another thread than the connection"_s;
    if (!device->isOpen())
        return u"it is not open"_s;
    if (!device->isReadable() || !device->isWritable())
        return u"it must be open for reading and writing"_s;
    if (!device->isSequential())
        return u"it has random access; a connection needs a stream, such as a socket"_s;
    if (device->isTextModeEnabled())
        return u"it is open in text mode, which changes bytes"_s;
    return {};
}

void deleteDevice(std::unique_ptr<QIODevice> device)
{
    if (device && QAbstractEventDispatcher::instance(device->thread()))
        device.release()->deleteLater();
}

static QString nameOf(const QIODevice &device)
{
    const QString className = QString::fromLatin1(device.metaObject()->className());
    return device.objectName().isEmpty() ? className : u"%1 \"%2\""_s.arg(className, device.objectName());
}

DeviceTransport::DeviceTransport(std::unique_ptr<QIODevice> device, QObject *parent)
    : Transport(parent)
    , m_device(device.get())
    , m_name(nameOf(*device))
    , m_earlierError(device->errorString())
    , m_retry(this) // a child, so that it moves to another thread as well
{
    device.release()->setParent(this);
    m_retry.setSingleShot(true);
    connect(&m_retry, &QTimer::timeout, this, &DeviceTransport::writeAgain);
    connect(m_device, &QIODevice::readyRead, this, &Transport::readable);
    connect(m_device, &QIODevice::bytesWritten, this, &DeviceTransport::deviceWritten);
    connect(m_device, &QIODevice::readChannelFinished, this,
            [this] { deviceEnded(withDeviceError(u"the stream has ended"_s)); });
    connect(m_device, &QIODevice::aboutToClose, this, [this] {
        if (m_state != State::Closed)
            m_input += m_device->readAll();
        deviceEnded(withDeviceError(u"the device was closed"_s));
    });
    connect(m_device, &QObject::destroyed, this, [this] { deviceEnded(u"the device was deleted"_s); });
}

DeviceTransport::~DeviceTransport()
{
    if (!m_device)
        return;
    disconnect(m_device, nullptr, this, nullptr);
    m_device->setParent(nullptr);
    deleteDevice(std::unique_ptr<QIODevice>(m_device.data()));
}

void DeviceTransport::connectTo(const PeerAddress &)
{
    QMetaObject::invokeMethod(
        this,
        [this] {
            if (m_state != State::Idle)
                return;
            m_state = State::Ready;
            Q_EMIT ready();
            Q_EMIT readable(); // the device may have bytes already, or may have ended
        },
        Qt::QueuedConnection);
}

qint64 DeviceTransport::read(char *to, qint64 size)
{
    if (!m_input.isEmpty()) {
        const qint64 taken = std::min<qint64>(size, m_input.size());
        std::memcpy(to, m_input.constData(), size_t(taken));
        m_input.remove(0, taken);
        return taken;
    }
    const qint64 taken = m_device && m_device->isOpen() ? m_device->read(to, size) : -1;
    if (taken > 0 || (taken == 0 && !m_isEnded))
        return taken;
    setError(deviceError());
    return -1;
}

qint64 DeviceTransport::writeToDevice(const char *from, qint64 size)
{
    if (!m_device || !m_device->isOpen()) {
        setError(u"the device is not open"_s);
        return -1;
    }
    m_isWriting = true;
    const qint64 taken = m_device->write(from, size);
    m_isWriting = false;
    if (taken < 0)
        setError(deviceError());
    return taken;
}

qint64 DeviceTransport::write(const char *from, qint64 size)
{
    const qint64 taken = m_output.isEmpty() ? writeToDevice(from, size) : 0;
    if (taken < 0)
        return -1;
    m_output.append(from + taken, size - taken);
    if (!m_output.isEmpty())
        m_retry.start(RetryInterval);
    return size;
}

qint64 DeviceTransport::writeSome(std::span<const QByteArrayView> pieces)
{
    qint64 written = 0;
    for (const QByteArrayView piece : pieces) {
        const qint64 size = std::min<qint64>(piece.size(), Window - written);
        if (size > 0 && write(piece.data(), size) < 0)
            return -1;
        written += size;
        if (!m_output.isEmpty() || written == Window)
            break;
    }
    return written;
}

qint64 DeviceTransport::bytesToWrite() const
{
    return (m_device ? m_device->bytesToWrite() : 0) + m_output.size();
}

void DeviceTransport::flush()
{
    while (!m_output.isEmpty()) {
        const qint64 taken = writeToDevice(m_output.constData(), m_output.size());
        if (taken < 0)
            return m_output.clear();
        if (taken == 0)
            return m_retry.start(RetryInterval);
        m_output.remove(0, taken);
    }
}

void DeviceTransport::deviceWritten()
{
    if (m_isWriting || (m_state != State::Ready && m_state != State::Closing))
        return;
    flush();
    reportWritten();
}

void DeviceTransport::writeAgain()
{
    const qsizetype before = m_output.size();
    flush();
    if (m_output.size() < before)
        reportWritten();
}

void DeviceTransport::reportWritten()
{
    if (m_error.isError() && m_state == State::Ready)
        Q_EMIT failed(m_error);
    else
        Q_EMIT written();
    if (m_state == State::Closing)
        closeWhenWritten();
}

// The bytes that the device still has are dispatched before the error.
void DeviceTransport::deviceEnded(const QString &reason)
{
    m_isEnded = true;
    setError(reason);
    if (m_state == State::Ready)
        Q_EMIT readable();
    else if (m_state == State::Closing)
        closeWhenWritten();
}

void DeviceTransport::setError(const QString &reason)
{
    if (!m_error.isError()) // the first one is the cause
        m_error = Error(ErrorKind::Network, u"%1: %2"_s.arg(m_name, reason));
}

QString DeviceTransport::deviceError() const
{
    return m_device ? m_device->errorString() : u"the device was deleted"_s;
}

// Adds the error of the device, if it has reported one since it was passed to the transport.
QString DeviceTransport::withDeviceError(const QString &reason) const
{
    const QString error = m_device->errorString();
    return error == m_earlierError ? reason : u"%1: %2"_s.arg(reason, error);
}

void DeviceTransport::close()
{
    if (m_state == State::Closed)
        return;
    m_state = State::Closing;
    closeWhenWritten();
}

void DeviceTransport::closeWhenWritten()
{
    const bool isOpen = m_device && m_device->isOpen() && !m_error.isError();
    if (isOpen && bytesToWrite() > 0)
        return;
    abort();
    QMetaObject::invokeMethod(this, &Transport::finished, Qt::QueuedConnection);
}

void DeviceTransport::abort()
{
    if (m_state == State::Closed)
        return;
    m_state = State::Closed;
    m_retry.stop();
    m_input.clear();
    m_output.clear();
    if (m_device)
        m_device->close();
}

} // namespace AmqpQt
