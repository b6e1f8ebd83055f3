// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qbytearrayview.h>
#include <QtCore/qobject.h>
#include <QtNetwork/qsslerror.h>

#include <span>

namespace AmqpQt
{

struct PeerAddress {
    QString host; // a name or an IP address
    quint16 port = 0;
    QString name; // the name in the certificate of the peer
};

// A byte stream to a broker. Never blocks. Its signals are emitted from within the socket's signals, so their receivers
// must not run the application's code.
class Transport : public QObject
{
    Q_OBJECT
public:
    using QObject::QObject;

    virtual void connectTo(const PeerAddress &address) = 0;
    virtual bool isReady() const = 0;

    // Returns the number of bytes read; 0 if there are none at the moment, before readable(); -1 if the stream has
    // ended, see error().
    virtual qint64 read(char *to, qint64 size) = 0;
    // Accepts all bytes or fails with -1. Buffers the bytes that the kernel does not accept yet.
    virtual qint64 write(const char *from, qint64 size) = 0;
    // Writes as much of the consecutive pieces as the kernel accepts at once. If that is not all, buffers a little more
    // and emits written() once that has left. Returns the number of bytes accepted, which is 0 if the peer no longer
    // accepts any but may have sent some that are to be read first, or -1.
    virtual qint64 writeSome(std::span<const QByteArrayView> pieces) = 0;
    virtual qint64 bytesToWrite() const = 0;
    virtual Error error() const = 0; // its kind determines whether another endpoint is tried

    virtual void close() = 0; // writes the buffer first; emits finished()
    virtual void abort() = 0;

Q_SIGNALS:
    void awaiting(const QString &what); // emitted once the TCP connection exists; `what` is the next step
    void sslErrors(const QList<QSslError> &errors);
    void ready(); // read() and write() may be called; all negotiation of the transport is done
    void readable();
    void written();                          // the buffer has shrunk
    void failed(const AmqpQt::Error &error); // not emitted for errors that read() and write() have returned
    void finished();                         // after close()
};

} // namespace AmqpQt
