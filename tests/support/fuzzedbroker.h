// SPDX-License-Identifier: MIT
#pragma once

#include "support/brokersession.h"
#include "support/memorytransport.h"
#include "support/scriptbytes.h"

#include <QtCore/qset.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

// A broker on memory transports that follows a script of arbitrary bytes. It accepts and refuses connections, answers
// requests late, in any order of the channels or not at all, and sends, closes and hangs up at any time; with faults it
// also sends anything else. It records violations by the client, such as acks of deliveries that are not open.
class FuzzedBroker
{
public:
    FuzzedBroker(ScriptBytes &script, bool hasFaults);
    ~FuzzedBroker();

    std::unique_ptr<AmqpQt::Transport> connect(QObject *parent);
    void act();              // one action of the script
    bool answerEverything(); // accepts the connections and answers all requests; returns false if there were none
    void hangUp();           // ends all connections
    bool hasTransports() const;
    QStringList takeViolations() { return std::exchange(m_violations, {}); } // of the client

private:
    struct Channel {
        std::deque<Frame> requests;
        QByteArrayList consumerTags;
        QSet<QByteArray> noAck; // the consumers that need no acks
        std::set<quint64> openTags;
        quint64 lastTag = 0;
        quint64 published = 0; // in confirm mode
        bool confirms = false;
        bool knowsOpenTags = true; // not with transactions and basic.recover
    };
    struct Session;

    Session *anySession();
    quint16 anyChannel(const Session &session);
    void onRequest(Session &session, const Frame &frame);
    void checkAck(Session &session, quint16 number, quint64 tag, bool multiple);
    void send(Session &session, const QByteArray &bytes); // the bytes may be corrupted
    template <typename Method>
    QByteArray filled(quint16 channel);
    Content anyContent();

    void accept(Session &session);
    void answer(Session &session);
    void answerOn(Session &session, quint16 number);
    void deliver(Session &session);
    void returnMessage(Session &session);
    void confirm(Session &session);
    void cancelConsumer(Session &session);
    void closeChannel(Session &session);
    void closeConnection(Session &session);
    void control(Session &session);
    void setRoom(Session &session);
    void endTransport(Session &session);
    void sendFault(Session &session);

    struct Action {
        int weight;
        void (FuzzedBroker::*run)(Session &session);
    };
    static const std::vector<Action> &actions();

    ScriptBytes &m_script;
    const bool m_hasFaults;
    bool m_isWellBehaved = false; // in answerEverything()
    bool m_mutatesNext = false;
    std::vector<std::unique_ptr<Session>> m_sessions;
    QStringList m_violations;
};
