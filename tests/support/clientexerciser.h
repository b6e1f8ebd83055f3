// SPDX-License-Identifier: MIT
#pragma once

#include "support/channelcalls.h"
#include "support/clientobserver.h"
#include "support/fuzzedbroker.h"

// Drives connections with arbitrary bytes, read as a script of actions of the application, the broker and the event
// loop. The application also acts inside its slots: it makes calls, deletes any object, or runs an event loop.
// ClientObserver and FuzzedBroker check both sides. At the end all connections close, and nothing is left once all
// objects are deleted.
class ClientExerciser
{
public:
    explicit ClientExerciser(QByteArrayView script);
    ~ClientExerciser();

    QString run(); // describes the failure and its place; empty if there is none

private:
    struct Action {
        int weight;
        const char *name;
        void (ClientExerciser::*run)();
    };
    static const std::vector<Action> &actions();
    using ChannelCall =
        std::function<void(ClientExerciser &, AmqpQt::Channel *, const AmqpQt::Test::ChannelArguments &)>;
    struct ChannelCalls {
        std::vector<ChannelCall> settling; // a message
        std::vector<ChannelCall> others;   // that are not actions of their own
    };
    static const ChannelCalls &channelCalls();

    void beginRecovery();
    void step();
    void runEvents();
    void actInSlot(const QByteArray &signal);
    void actOnce();
    void finish();
    void closeAll();
    void deleteAll();
    void takeViolations();
    void fail(const QString &what);
    template <typename Call>
    void make(Call call, const char *name); // a call that returns a reply

    // the application
    template <typename Record>
    Record *anyOf(std::deque<Record> &records);
    AmqpQt::Connection *anyConnection();
    AmqpQt::Channel *anyChannel();
    AmqpQt::Consumer *anyConsumer();
    AmqpQt::Publisher *anyPublisher();
    AmqpQt::Message anyBody();
    QString anyName();
    void createConnection();
    void open();
    void reconnectNow();
    void close();
    void abort();
    void updateSecret();
    void setCredentials();
    void setParameters();
    void deleteConnection();
    void createChannel();
    void reopenChannel();
    void closeChannel();
    void deleteChannel();
    void callChannel();
    void selectMode();
    void get();
    void publish();
    void publishMany();
    void consume();
    void cancelConsumer();
    void deleteConsumer();
    void reconnectSlots();
    void settle();
    void settleByChannel();
    void forgetMessages();
    void createPublisher();
    void publishByPublisher();
    void changePublisher();
    void deletePublisher();
    void runNestedLoop();

    ScriptBytes m_script;
    const quint8 m_flags;
    FuzzedBroker m_broker;
    ClientObserver m_observer;
    QObject m_parent; // of some channels and consumers
    QString m_failure;
    const char *m_action = "";
    QByteArray m_signal; // whose slot acts
    int m_steps = 0;
    int m_depth = 0; // the number of slots on the stack that act
    bool m_actsInSlots = true;
    int m_tags = 0;
};
