// SPDX-License-Identifier: MIT
#pragma once

#include "support/script.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

// Knows the calls that were made on a ConnectionEngine, and checks its events against them:
//   - each call ends exactly once, each publish fails at most once, and in confirm mode ends exactly once
//   - each start leads to one Opened and one ConnectionClosed at most
//   - a suspended channel has no deliveries, and none is suspended when ChannelsRestored reports the end of a recovery
//   - deliveries come to consumers that still want them, with growing tags, and are settled once each
class EngineObserver
{
public:
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
        int unsure = 0; // the rollbacks and recovers without a reply; only the broker knows what is unsettled
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

    EngineObserver(Engine::ConnectionEngine &engine, qint64 maximumMessageSize);

    std::vector<std::unique_ptr<Channel>> channels; // released channels stay, without an engine
    std::function<void()> afterEvent;               // a slot of the application; may make calls
    std::function<void()> responseRequested;        // called for the event of this name; answers it

    // Later failures name this step and operation.
    void nextStep() { ++m_steps; }
    void setOperation(const char *operation) { m_operation = operation; }
    void fail(const QString &what);
    QString failure() const { return m_failure; } // the first one, with its place; empty if there is none
    bool hasFailed() const { return !m_failure.isEmpty(); }

    // Called before an attempt to connect starts.
    void noteStart();
    // Called with the results of calls.
    void note(const AmqpQt::Result<Engine::CallId> &call);
    void noteGet(Channel &channel, const AmqpQt::Result<Engine::CallId> &call); // with AckMode::Manual
    void noteUnsure(Channel &channel, const AmqpQt::Result<Engine::CallId> &call);
    void noteCancels(Channel &channel); // of the consumers that the engine has cancelled by itself
    void notePublished(Channel &channel, Engine::Published sequence, bool confirms);
    void noteSettled(Channel &channel, quint64 tag, Engine::Deliveries::Settled settled);
    void noteSettledUpTo(Channel &channel, quint64 tag, bool wasOpen,
                         const std::vector<Engine::Deliveries::Settled> &all);

    void drain();          // takes the events of the engine
    void check();          // compares the engine with its events
    void checkAllEnded();  // after the end of the connection
    bool awaitsEnd() const // whether ConnectionClosed is still to come
    {
        return m_isStarted && !m_isEndReported;
    }
    bool isOver() const;
    int eventCount() const { return m_eventCount; }

private:
    void noteDelivered(Channel &channel, quint64 tag);
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
    void on(const Engine::ChannelSuspended &event);
    void on(const Engine::ChannelsRestored &event);
    void on(const Engine::FlowChanged &event);
    void on(const Engine::Returned &event);
    void on(const Engine::PublishConfirmed &event);
    void on(const Engine::PublishFailed &event);
    void on(const Engine::ConfirmWindowChanged &event);
    void on(const Engine::BackpressureDetected &) {}
    void on(const Engine::ConsumerCancelled &event);

    Engine::ConnectionEngine &m_engine;
    const qint64 m_maximumMessageSize;
    EngineEvents m_engineEvents;
    int m_steps = 0;
    const char *m_operation = "";
    QString m_failure;
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
};
