// SPDX-License-Identifier: MIT
#pragma once

#include "support/brokersession.h"
#include "support/engineobserver.h"
#include "support/scriptbytes.h"

#include <QtCore/qset.h>

#include <deque>
#include <map>
#include <vector>

// The broker of a ConnectionEngine, the socket between them, and the clock, which follow a script of arbitrary bytes.
// With faults, the broker also sends anything else. Checks that the engine sends only whole frames that ClientRules
// permits, and that neither bytes nor time have any effect after the end of a connection.
class EnginePeer
{
public:
    EnginePeer(ScriptBytes &script, Engine::ConnectionEngine &engine, EngineObserver &observer,
               const Engine::Settings &settings, bool hasFaults);

    void act();                // one operation of the script
    void handshake(int steps); // starts a connection to a broker that follows the protocol for this many steps
    void write();              // what the engine has to write, unless the socket accepts nothing
    void flush();              // the same, also if the socket accepts nothing
    void passTime(std::chrono::milliseconds time);
    Engine::Time now() const { return m_now; }

private:
    struct Channel // the broker's view of a channel
    {
        quint64 deliveryTag = 0;
        std::deque<Frame> asked;     // methods that are to be answered
        QList<QByteArray> consumers; // their tags
        QSet<QByteArray> noAck;      // the consumers that need no acks
        bool confirms = false;
        quint64 published = 0; // since confirm mode
    };
    struct Operation {
        const char *name;
        int weight;
        void (EnginePeer::*run)();
    };
    static const std::vector<Operation> &operations();

    // the socket and the clock
    void start();
    void loseTransport();
    void tick();
    void writeSome();
    void stall();
    void releaseMemory();
    void write(qint64 limit);
    void onSent(const Frame &frame);

    // the broker
    quint16 anyNumber();
    void send(const QByteArray &bytes); // the bytes may be corrupted
    void feed(QByteArrayView bytes);
    void feedPart(QByteArrayView part);
    template <typename Method>
    QByteArray filled(quint16 channel);
    Content anyContent();
    void answer();
    void answerOn(quint16 number);
    void deliver();
    void returnMessage();
    void confirm();
    void cancelByBroker();
    void closeByBroker();
    void control();
    void sendAnyMethod();
    void sendAnyContent();
    void sendAnyBytes();
    void spoil();

    ScriptBytes &m_script;
    Engine::ConnectionEngine &m_engine;
    EngineObserver &m_observer;
    const Engine::Settings m_settings;
    const bool m_hasFaults;
    bool m_isSpoilt = false;  // the next bytes
    bool m_isStalled = false; // the socket accepts nothing
    bool m_startAsked = false;
    QByteArray m_mechanism = "PLAIN"; // that the broker offers
    Engine::Time m_now{std::chrono::hours(1)};
    BrokerSession m_session;
    std::map<quint16, Channel> m_channels;
};
