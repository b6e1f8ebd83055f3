// SPDX-License-Identifier: MIT
#pragma once

#include "support/script.h"
#include "support/scriptbytes.h"
#include "support/wiresupport.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <vector>

// Drives a ConnectionEngine with arbitrary bytes, read as a script of calls of the application, answers and faults of
// the broker, and time, in any order. After each step it checks these invariants:
//   - each call ends exactly once, each publish fails at most once, and in confirm mode ends exactly once
//   - each start leads to one Opened and one ConnectionClosed at most; afterwards neither peer nor time has any effect
//   - the engine sends only whole frames that ClientRules permits
//   - deliveries come to consumers that still want them, with growing tags, and are settled once each
class EngineExerciser
{
public:
    enum class Begin { Unstarted, Open };

    EngineExerciser(QByteArrayView script, Begin begin);
    ~EngineExerciser();
    QString run();                     // describes the failure and its place; empty if there is none
    static QStringList channelCalls(); // the functions of ChannelEngine and its parts that it calls

private:
    struct Channel;
    struct Consumer : Engine::ConsumerClient {
        std::shared_ptr<Engine::ConsumerEntry> entry;
        Channel *channel = nullptr;
        bool isCancelled = false; // by the application
        bool isEnded = false;
        int unacked = 0;
    };
    struct Channel : Engine::ChannelClient {
        std::shared_ptr<Engine::ChannelEngine> engine;
        std::vector<std::unique_ptr<Consumer>> consumers;
        std::set<quint64> tags; // the delivery tags of this incarnation
        std::set<quint64> openTags;
        int unsure =
            0; // a rollback or a recover is unanswered, and only the broker knows which deliveries are unsettled
        quint64 lastTag = 0;
        quint64 lastPublished = 0;
        std::map<quint64, bool> published; // publishes whose outcome is not reported yet; true in confirm mode
        bool isWindowFull = false;
        quint64 incarnation = 0;
        size_t unconfirmed() const
        {
            return size_t(
                std::count_if(published.begin(), published.end(), [](const auto &one) { return one.second; }));
        }
    };
    struct PeerChannel // the broker's view of a channel
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
        void (EngineExerciser::*run)();
    };
    static const std::vector<Operation> &applicationOperations();
    static const std::vector<Operation> &otherOperations();
    struct TopologyCall {
        const char *name;
        int weight;
        AmqpQt::Result<Engine::CallId> (*make)(EngineExerciser &exerciser, Engine::TopologyCalls &calls);
    };
    static const std::vector<TopologyCall> &topologyCalls();

    void step();
    template <typename Weighted>
    const Weighted &anyOf(const std::vector<Weighted> &choices); // one of them, by weight
    void runOne(const std::vector<Operation> &operations);
    void finish();
    void fail(const QString &what);

    // the application
    Channel *anyChannel();
    Consumer *anyConsumer(); // one that can be cancelled
    QString anyName();
    AmqpQt::FieldTable anyTable();
    void note(const AmqpQt::Result<Engine::CallId> &call);
    void noteDelivered(Channel &channel, quint64 tag);
    void noteSettled(Channel &channel, quint64 tag, Engine::Deliveries::Settled settled);
    quint64 anyTag(const Channel &channel);
    void updateSecret();
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
    void noteSettledUpTo(Channel &channel, quint64 tag, bool wasOpen,
                         const std::vector<Engine::Deliveries::Settled> &all);
    void confirmSelect();
    void txSelect();
    void txCommit();
    void txRollback();
    void redeliverUnacked();
    void requestAccess();
    void noteUnsure(Channel &channel, const AmqpQt::Result<Engine::CallId> &call);
    void setConfirmWindow();
    void close();
    void abort();

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
    void handshake();
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

    // the events of the engine
    void drain();
    void check();
    bool isOver() const { return m_isEndReported && engineState() == Engine::ConnectionEngine::State::Closed; }
    Engine::ConnectionEngine::State engineState() const { return m_engine.state(); }
    void publishesEnded(Channel &channel, quint64 first, quint64 last, bool confirmed);
    Channel *channelOf(const std::shared_ptr<Engine::ChannelEngine> &engine);
    void on(const Engine::RepeatedDelivery &event);
    void on(const Engine::Delivered &event);
    void on(const Engine::ReplyArrived &event);
    void on(const Engine::Opened &event);
    void on(const Engine::ConnectionClosed &event);
    void on(const Engine::ResponseRequested &event);
    void on(const Engine::BlockedChanged &event);
    void on(const Engine::WritableChanged &event);
    void on(const Engine::ChannelOpened &event);
    void on(const Engine::ChannelClosed &event);
    void on(const Engine::FlowChanged &event);
    void on(const Engine::Returned &event);
    void on(const Engine::PublishConfirmed &event);
    void on(const Engine::PublishFailed &event);
    void on(const Engine::ConfirmWindowChanged &event);
    void on(const Engine::BackpressureDetected &) {}
    void on(const Engine::ConsumerCancelled &event);

    ScriptBytes m_script;
    Begin m_begin;
    bool m_hasFaults = false;
    bool m_interrupts = false; // the application acts while events are being reported
    bool m_isSpoilt = false;   // the broker's next bytes
    bool m_isStalled = false;  // the socket accepts nothing
    int m_steps = 0;
    const char *m_operation = "";
    QString m_failure;

    Engine::Settings m_settings;
    Engine::ConnectionEngine m_engine;
    EngineEvents m_engineEvents;
    Engine::Time m_now{std::chrono::hours(1)};
    std::vector<std::unique_ptr<Channel>> m_channels; // released channels stay, without an engine
    std::set<Engine::CallId> m_openCalls;
    std::set<Engine::CallId> m_endedCalls;
    std::map<Engine::CallId, Channel *> m_gets;   // with AckMode::Manual
    std::map<Engine::CallId, Channel *> m_unsure; // rollbacks and recovers
    int m_eventCount = 0;
    bool m_isStarted = false;
    bool m_isOpened = false;
    bool m_isEndReported = false; // ConnectionClosed
    bool m_isBlocked = false;
    bool m_isWritable = true;
    int m_tags = 0;

    bool m_startAsked = false;
    BrokerSession m_session;
    std::map<quint16, PeerChannel> m_peer;
};
