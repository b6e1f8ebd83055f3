// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qiodevice.h>
#include <QtCore/qtimer.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtNetwork/qtcpsocket.h>

// Connects a device to a TCP port, on loopback by default, and passes everything on, both ways. The device becomes its
// child.
class DeviceRelay : public QObject
{
public:
    DeviceRelay(QIODevice *device, quint16 port, const QString &host = QStringLiteral("127.0.0.1"))
        : m_device(device)
    {
        m_device->setParent(this);
        m_socket.setProxy(QNetworkProxy::NoProxy);
        connect(m_device, &QIODevice::readyRead, this, &DeviceRelay::pass);
        connect(m_device, &QIODevice::bytesWritten, this, &DeviceRelay::pass);
        connect(m_device, &QIODevice::readChannelFinished, &m_socket, &QTcpSocket::disconnectFromHost);
        connect(&m_socket, &QTcpSocket::connected, this, &DeviceRelay::pass);
        connect(&m_socket, &QTcpSocket::readyRead, this, &DeviceRelay::pass);
        connect(&m_socket, &QTcpSocket::bytesWritten, this, &DeviceRelay::pass);
        connect(&m_socket, &QTcpSocket::disconnected, m_device, [this] {
            pass();
            m_device->close();
        });
        m_socket.connectToHost(host, port);
    }
    ~DeviceRelay() override
    {
        m_socket.disconnect();
        m_device->disconnect(this);
    }
    void setReading(bool reading) // of the device
    {
        m_isReading = reading;
        pass();
    }

private:
    void pass()
    {
        constexpr qint64 Window = 64 * 1024;
        if (m_isReading && m_socket.state() == QAbstractSocket::ConnectedState && m_socket.bytesToWrite() < Window)
            m_socket.write(m_device->read(Window));
        const QByteArray bytes = m_rest + (m_socket.isOpen() ? m_socket.read(Window - m_rest.size()) : QByteArray());
        const qint64 taken = bytes.isEmpty() || !m_device->isOpen() ? 0 : m_device->write(bytes);
        m_rest = bytes.sliced(std::max<qint64>(taken, 0));
        if (!m_rest.isEmpty()) // not every device signals when it has room again
            QTimer::singleShot(1, this, &DeviceRelay::pass);
        else if (taken > 0 && m_socket.bytesAvailable() > 0)
            QMetaObject::invokeMethod(this, &DeviceRelay::pass, Qt::QueuedConnection);
    }

    QIODevice *m_device;
    QTcpSocket m_socket;
    QByteArray m_rest; // not taken by the device yet
    bool m_isReading = true;
};
