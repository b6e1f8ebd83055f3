// SPDX-License-Identifier: MIT
#pragma once

#include "support/enginepeer.h"

// Drives a ConnectionEngine with arbitrary bytes, read as a script of calls of the application, answers and faults of
// the broker, and time, in any order. EngineObserver and EnginePeer check the engine after each step.
class EngineExerciser
{
public:
    enum class Begin { Unstarted, Open };

    EngineExerciser(QByteArrayView script, Begin begin);
    ~EngineExerciser();
    QString run();                     // describes the failure and its place; empty if there is none
    static QStringList channelCalls(); // the functions of ChannelEngine and its parts that it calls

private:
    using Channel = EngineObserver::Channel;
    using Consumer = EngineObserver::Consumer;
    struct Operation {
        const char *name;
        int weight;
        void (EngineExerciser::*run)();
    };
    static const std::vector<Operation> &operations(); // of the application
    struct TopologyCall {
        const char *name;
        int weight;
        AmqpQt::Result<Engine::CallId> (*make)(EngineExerciser &exerciser, Engine::TopologyCalls &calls);
    };
    static const std::vector<TopologyCall> &topologyCalls();

    void step();
    void act();     // one operation of the application
    void respond(); // to the challenge of a SASL mechanism
    void finish();
    static Engine::Settings settings(quint8 flags);

    Channel *anyChannel();
    Consumer *anyConsumer(); // one that can be cancelled
    QString anyName();
    AmqpQt::FieldTable anyTable();
    quint64 anyTag(const Channel &channel);
    void updateSecret();
    void releaseChannels();
    void createChannel();
    void openChannel();
    void closeChannel();
    void releaseChannel();
    void callTopology();
    void setPrefetch();
    void get();
    void consume();
    void cancel();
    void deleteConsumer();
    void publish();
    void ack();
    void nack();
    void ackUpTo();
    void nackUpTo();
    void confirmSelect();
    void txSelect();
    void txCommit();
    void txRollback();
    void redeliverUnacked();
    void requestAccess();
    void setConfirmWindow();
    void close();
    void abort();

    ScriptBytes m_script;
    const Begin m_begin;
    const quint8 m_flags = m_script.byte();
    const Engine::Settings m_settings = settings(m_flags);
    int m_tags = 0; // of the consumers
    Engine::ConnectionEngine m_engine;
    EngineObserver m_observer{m_engine, m_settings.maximumMessageSize};
    EnginePeer m_peer{m_script, m_engine, m_observer, m_settings, (m_flags & 3) != 0};
};
