// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/dialer_p.h"

#include <QtCore/qpointer.h>

#include <limits>
#include <memory>

// A transport without a socket, whose other end is a broker in the same thread. As with a socket, the client's signals
// are never emitted from within a call of either end, but by a later pass of the event loop.
class MemoryTransport final : public AmqpQt::Transport
{
public:
    // The broker. Both functions are called from within write() and the other calls of the client.
    class Peer
    {
    public:
        virtual void received(QByteArrayView bytes) = 0;
        virtual void clientClosed() = 0; // called after the last bytes

    protected:
        ~Peer() = default;
    };

    explicit MemoryTransport(QObject *parent = nullptr);
    ~MemoryTransport() override;

    // The client's end.
    void connectTo(const AmqpQt::PeerAddress &address) override;
    bool isReady() const override { return m_state == State::Ready; }
    qint64 read(char *to, qint64 size) override;
    qint64 write(const char *from, qint64 size) override;
    qint64 writeSome(std::span<const QByteArrayView> pieces) override;
    qint64 bytesToWrite() const override { return m_unsent.size(); }
    AmqpQt::Error error() const override { return m_error; }
    void close() override;
    void abort() override;

    // The broker's end.
    AmqpQt::PeerAddress address() const { return m_address; } // of connectTo()
    void setPeer(Peer *peer) { m_peer = peer; }
    bool isConnecting() const { return m_state == State::Connecting; }
    bool isOpen() const { return m_state == State::Ready && !m_isEnded; }
    void accept();
    void fail(const AmqpQt::Error &error); // refuses the connection or breaks it; unread bytes are lost
    void send(QByteArrayView bytes);
    void hangUp(); // ends the stream after the bytes sent so far
    // Sets how many bytes the broker accepts from now on. The client keeps the remaining bytes.
    void setRoom(qint64 bytes);

private:
    enum class State { Idle, Connecting, Ready, Closing, Closed };

    void post(void (AmqpQt::Transport::*signal)(), bool &isPosted);
    qint64 take(QByteArrayView bytes);
    void finish(); // completes the close that close() has begun
    void end();

    State m_state = State::Idle;
    Peer *m_peer = nullptr;
    AmqpQt::PeerAddress m_address;
    AmqpQt::Error m_error;
    QByteArray m_input; // not read yet
    QByteArray m_unsent;
    qint64 m_room = std::numeric_limits<qint64>::max();
    bool m_isEnded = false; // by hangUp()
    bool m_isReadablePosted = false;
    bool m_isWrittenPosted = false;
};
