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

class EventQueue;
class FrameWriter;

// The properties of the transport that EXTERNAL depends on.
struct TransportSecurity {
    bool isEncrypted = false;
    bool hasCertificate = false; // of this side
};

// Takes a connection from the protocol header to connection.open-ok, and has the negotiated limits. Each method of the
// broker is one step, which sends the answer; an error ends the attempt.
//
//   step                    method of the broker    answer
//   AwaitsStart             connection.start        start-ok, with the initial response of a SASL mechanism
//   AwaitsInitialResponse   -                       start-ok, if the application makes the response
//   AwaitsTune              connection.secure       secure-ok, if the application makes the response
//                           connection.tune         tune-ok, open
//   AwaitsResponse          -                       secure-ok
//   AwaitsOpenOk            connection.open-ok      nothing
//   Done
//
// In AwaitsInitialResponse and AwaitsResponse the client answers a ResponseRequested.
class Handshake
{
public:
    enum class Step : quint8 { AwaitsStart, AwaitsInitialResponse, AwaitsTune, AwaitsResponse, AwaitsOpenOk, Done };

    Handshake(FrameWriter &frames, EventQueue &events)
        : m_frames(frames)
        , m_events(events)
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
    // Names the step that the transport waits for before transportReady(), for the error of a timeout.
    void transportAwaits(const QString &what) { m_awaitedByTransport = what; }
    void transportReady(TransportSecurity security) noexcept { m_security = security; }
    // The client's answer to ResponseRequested; not set if its mechanism has none. Has no effect once the attempt has
    // ended.
    Error respond(std::optional<QByteArrayView> response);
    Error transportFailed(const Error &error) const; // returns the meaning of the error in the current step
    std::optional<Time> deadline() const noexcept { return m_deadline; }
    Error timedOut() const;

    Step step() const noexcept { return m_step; }
    bool isLoginSent() const noexcept { return m_step >= Step::AwaitsTune; }
    bool isLoginAccepted() const noexcept { return m_step >= Step::AwaitsOpenOk; }
    const QByteArray &mechanism() const noexcept { return m_mechanism; } // of SASL, chosen at connection.start
    struct Limits {
        quint32 frameMax = 0;   // 0 means no limit
        quint16 channelMax = 0; // 0 means no limit
        quint16 heartbeat = 0;  // seconds; 0 disables heartbeats
    };
    const Limits &agreed() const noexcept { return m_agreed; } // known from tune on
    FieldTable serverProperties() const;
    bool hasCapability(const QString &name) const;
    bool isRabbitMq(int major, int minor) const; // of this version or a later one

private:
    Error checkExternal() const;
    Error sendStartOk(QByteArrayView response);
    Error sendSecureOk(QByteArrayView response);
    QString responseText() const;        // names the response of the application, for errors
    qsizetype defaultFrameLimit() const; // of the broker, before tune
    qsizetype frameLimit() const;
    Error tooLarge(const QString &part, const char *method, qsizetype size) const;

    FrameWriter &m_frames;
    EventQueue &m_events;
    Step m_step = Step::AwaitsStart;
    std::optional<TransportSecurity> m_security; // not set before transportReady()
    QString m_awaitedByTransport;
    std::optional<Time> m_deadline;
    Milliseconds m_timeout{0};
    QString m_userName;
    Login m_login;          // forgotten once it is sent
    QByteArray m_mechanism; // the chosen one
    bool m_usesApplicationMechanism = false;
    QByteArray m_virtualHost;
    QByteArray m_clientProperties;   // forgotten once they are sent
    QByteArray m_serverProperties;   // decoded only on request, since that takes up to 40 times the memory
    qsizetype m_initialFrameMax = 0; // 0 means defaultFrameLimit()
    Limits m_proposed;
    Limits m_agreed;
};

} // namespace AmqpQt::Engine
