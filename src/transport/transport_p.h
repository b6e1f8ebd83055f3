// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qbytearrayview.h>
#include <QtCore/qobject.h>

#include <span>

namespace AmqpQt
{

// A byte stream to a broker. Never blocks. Its signals are emitted from the stack of the socket's own: whoever receives
// them must not run the application's code there.
class Transport : public QObject
{
    Q_OBJECT
public:
    using QObject::QObject;

    virtual void connectTo(const QString &host, quint16 port) = 0;
    virtual bool isConnected() const = 0;

    // The number of bytes read; 0: there are none at the moment, readable() will tell; -1: the stream has ended, see
    // error().
    virtual qint64 read(char *to, qint64 size) = 0;
    // Takes all of it or fails with -1. What the kernel does not take yet is buffered here.
    virtual qint64 write(const char *from, qint64 size) = 0;
    // Takes of pieces that follow each other what the kernel takes at once, and a little more if that is not all: when
    // it has left, written() tells. Returns the number of bytes taken, or -1.
    virtual qint64 writeSome(std::span<const QByteArrayView> pieces) = 0;
    virtual qint64 bytesToWrite() const = 0;
    virtual Error error() const = 0;

    virtual void close() = 0; // after writing what it has; finished() tells
    virtual void abort() = 0;

Q_SIGNALS:
    void connected();
    void readable();
    void written();  // the buffer got shorter
    void failed();   // see error(); not for what read() and write() have told
    void finished(); // after close()
};

} // namespace AmqpQt
