// SPDX-License-Identifier: MIT
#pragma once

#include "engine/settings_p.h"
#include "wire/methods_p.h"

#include <AmqpQt/error.h>
#include <AmqpQt/fieldtable.h>

#include <QtCore/qbytearray.h>

#include <optional>

namespace AmqpQt::Engine
{

class FrameWriter;

// Takes a connection from the protocol header to connection.open-ok, and has the negotiated limits. Each method of the
// broker is one step, which sends the answer; an error ends the attempt.
//
//   step          method of the broker    answer
//   AwaitsStart   connection.start        start-ok, with the login
//   AwaitsTune    connection.secure       (a challenge, which PLAIN does not have)
//                 connection.tune         tune-ok, open
//   AwaitsOpenOk  connection.open-ok      nothing
//   Done
class Handshake
{
public:
    enum class Step : quint8 { AwaitsStart, AwaitsTune, AwaitsOpenOk, Done };

    explicit Handshake(FrameWriter &frames)
        : m_frames(frames)
    {
    }

    // Starts an attempt; the caller sends the protocol header. If a setting cannot be sent, returns an error and
    // changes nothing.
    Error start(const Settings &settings, Time now);
    void stop(); // forgets the login

    Error on(const Wire::ConnectionStart &);
    Error on(const Wire::ConnectionSecure &);
    Error on(const Wire::ConnectionTune &);
    Error on(const Wire::ConnectionOpenOk &);
    void transportAwaits(const QString &what) { m_awaitedByTransport = what; }
    void transportReady(bool isEncrypted) noexcept
    {
        m_isTransportReady = true;
        m_isEncrypted = isEncrypted;
    }
    Error transportFailed(const Error &error) const; // returns the meaning of the error in the current step
    std::optional<Time> deadline() const noexcept { return m_deadline; }
    Error timedOut() const;

    Step step() const noexcept { return m_step; }
    struct Limits {
        quint32 frameMax = 0;   // 0 means no limit
        quint16 channelMax = 0; // 0 means no limit
        quint16 heartbeat = 0;  // seconds; 0 disables heartbeats
    };
    const Limits &agreed() const noexcept { return m_agreed; } // known from tune on
    FieldTable serverProperties() const;
    bool hasCapability(const QString &name) const;

private:
    FrameWriter &m_frames;
    Step m_step = Step::AwaitsStart;
    bool m_isTransportReady = false;
    bool m_isEncrypted = false;
    QString m_awaitedByTransport;
    std::optional<Time> m_deadline;
    Milliseconds m_timeout{0};
    QString m_userName;
    QByteArray m_saslResponse; // wiped as soon as it is sent
    QByteArray m_virtualHost;
    QByteArray m_clientProperties;
    QByteArray m_serverProperties; // decoded only on request, since that takes up to 40 times the memory
    Limits m_proposed;
    Limits m_agreed;
};

} // namespace AmqpQt::Engine
