// SPDX-License-Identifier: MIT
#pragma once

#include "client/mailbox_p.h"
#include "client/promise_p.h"
#include "engine/connectionengine_p.h"
#include "transport/transport_p.h"

#include <AmqpQt/connection.h>
#include <AmqpQt/message.h>

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qbasictimer.h>
#include <QtCore/qpointer.h>
#include <QtCore/qset.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace AmqpQt
{

class ChannelPrivate;
class ConsumerPrivate;
class HelperChannel;

// Joins transport and engine, and runs the dispatch loop, the only place that calls the application's code.
class ConnectionPrivate final : public QObject, public SettlementTarget
{
    Q_OBJECT
public:
    using Delivery = Internal::ReplyStateBase::Delivery;
    using CallHandler = std::function<void(Engine::ReplyValue &value, Delivery delivery)>;

    explicit ConnectionPrivate(Connection *connection);
    ~ConnectionPrivate() override;

    // Returns false, with a warning that names the function, outside the connection's thread.
    bool isOwnThread(const char *function) const { return mailbox->isOwnThread() || !isForeignThread(function); }
    bool isLost() const; // not reported to the application yet

    void setParameters(const ConnectionParameters &newParameters); // for the next open()
    void setUrl(const QUrl &url);
    Reply<void> open();
    Reply<void> close();
    void abort();

    void addCall(Engine::CallId id, CallHandler handler);
    void finishCallsOf(const Engine::ChannelEngine *channel); // for an ended channel; bypasses the dispatch loop
    // Calls the function in the dispatch loop, before later events from the broker, unless context is gone by then.
    // This keeps the order of several notifications even if a slot runs an event loop or deletes the connection.
    void defer(QObject *context, std::function<void()> action);
    template <typename T>
    void finishLater(const Promise<T> &promise, const Result<T> &result) // in the same order
    {
        m_deferred.push_back({nullptr, {}, [promise, result](Delivery delivery) { promise.finish(result, delivery); }});
        scheduleTurn();
    }
    void takeSettlements(); // settlements of other threads
    void scheduleTurn();
    void outputAdded() // by a publish; writes now if there is much output, else at the end of the turn
    {
        ++statistics.messagesOut;
        if (engine.wantsWrite())
            writeOutputNow();
        if (!m_turnPosted && !m_isTurnDue)
            scheduleTurn();
    }
    quint32 dispatchSlice() const noexcept { return m_slice; }
    void noteBatch(ConsumerPrivate *consumer) { m_consumersWithBatch.push_back(consumer); }
    void noteCountChange(ConsumerPrivate *consumer) { m_consumersWithCountChange.push_back(consumer); }
    void noteUnconfirmedChange(ChannelPrivate *channel) { m_channelsWithUnconfirmedChange.push_back(channel); }
    void forget(ConsumerPrivate *consumer);
    void forget(ChannelPrivate *channel);
    quint64 nextChannelSerial() noexcept { return ++m_lastChannelSerial; }
    void setError(const Error &newError);      // why the connection ended or failed to open; emits it
    void reportCallError(const Error &reason); // for a refused call; emits it
    HelperChannel &helperChannel();

    // SettlementTarget
    void settleNow(const Settlement &settlement) override;
    void wakeForSettlements() override;

    Connection *const q;
    ConnectionParameters parameters;           // for the next open()
    ConnectionParameters attempt = parameters; // of the current attempt or connection, else of the next one
    Connection::State state = Connection::State::Closed;
    Error error;
    Error lastCallError;
    QString blockedReason;
    bool toldBlocked = false;
    bool toldBufferFull = false;
    Endpoint currentEndpoint;
    Engine::ConnectionEngine engine;
    std::unique_ptr<Transport> transport;
    std::shared_ptr<Mailbox> mailbox;
    QSet<ChannelPrivate *> channels;
    std::vector<Promise<void>> whenOpen;
    Connection::Statistics statistics;

    // Checks whether the connection still exists after the application's code ran.
    class Guard
    {
    public:
        explicit Guard(ConnectionPrivate *connection)
            : m_connection(connection)
            , m_outer(connection->m_guard)
        {
            connection->m_guard = this;
        }
        ~Guard()
        {
            if (m_connection)
                m_connection->m_guard = m_outer;
        }
        Guard(const Guard &) = delete;
        Guard &operator=(const Guard &) = delete;
        explicit operator bool() const noexcept { return m_connection; }

    private:
        friend class ConnectionPrivate;
        ConnectionPrivate *m_connection;
        Guard *m_outer;
    };

protected:
    bool event(QEvent *event) override;
    void timerEvent(QTimerEvent *event) override;

private:
    bool isForeignThread(const char *function) const;
    void setState(Connection::State newState);
    void prepareAttempt();
    Engine::Settings settings() const;
    void connectToNextEndpoint();
    bool triesNextEndpoint(const Error &reason) const;
    void cancelWaiting();
    void onTransportFailed();

    void prepareTurn();
    void watchLoop();
    void stopWatchingLoop();
    void turn();
    bool dispatchEvents(Engine::Time deadline, const Guard &guard); // false if out of time or gone
    bool readTransport(Engine::Time &time);                         // sets the time of reading
    void writeOutput(Engine::Time time);
    void writeOutputNow(); // not only at the end of the turn
    void endTurn(const Guard &guard);
    bool hasWork() const; // for another turn
    void runDeferred(const Guard &guard);
    void checkTime(Engine::Time time);
    void armTimer(Engine::Time time);
    quint64 bytesSoFar() const { return statistics.bytesIn + statistics.bytesOut; }
    void tellBytesToWrite();
    void tellLater(Engine::Event &event);

    void dispatch(Engine::Event &event);
    void tell(const Engine::RepeatedDelivery &delivery, Message &spare);
    void on(Engine::Delivered &event);
    void on(Engine::ReplyArrived &event);
    void on(Engine::Opened &event);
    void on(Engine::ConnectionClosed &event);
    void on(Engine::BlockedChanged &event);
    void on(Engine::WritableChanged &event);
    void on(Engine::ChannelOpened &event);
    void on(Engine::ChannelClosed &event);
    void on(Engine::FlowChanged &event);
    void on(Engine::Returned &event);
    void on(Engine::PublishConfirmed &event);
    void on(Engine::PublishFailed &event);
    void on(Engine::ConfirmWindowChanged &event);
    void on(Engine::BackpressureDetected &event);
    void on(Engine::ConsumerCancelled &event);
    void tellBackpressure();
    ChannelPrivate *channelOf(const Settlement &settlement) const; // null if it is gone
    void releaseTransport(bool graceful);
    bool writeAll(Transport *to);
    void leaveTransport();

    struct Deferred {
        QPointer<QObject> context;
        std::function<void()> action;
        std::function<void(Delivery)> finish; // instead of both: the end of a reply, which comes in any case
    };

    Guard *m_guard = nullptr;
    QHash<Engine::CallId, CallHandler> m_calls;
    std::deque<Deferred> m_deferred;
    std::vector<ConsumerPrivate *> m_consumersWithBatch;
    std::vector<ConsumerPrivate *> m_consumersWithCountChange;
    std::vector<ChannelPrivate *> m_channelsWithUnconfirmedChange;
    std::optional<Promise<void>> m_opening;
    std::optional<Promise<void>> m_closing;
    QList<Endpoint> m_endpointsLeft;
    QBasicTimer m_timer;
    std::optional<Engine::Time> m_timerAt;
    quint64 m_bytesWhenArmed = 0;
    // Continues when a turn ran out of time. It is a timer because GLib's event dispatcher lets other timers run only
    // every second time between events that are posted again and again.
    QBasicTimer m_continuation;
    quint32 m_slice = 0;   // counts the spans without a return to the event loop
    int m_dispatching = 0; // turns on the stack: more than one with nested event loops
    double m_toldBytesToWrite = 0;
    HelperChannel *m_helperChannel = nullptr; // a child, created on demand
    quint64 m_lastChannelSerial = 0;
    QPointer<QAbstractEventDispatcher> m_watchedLoop; // while there is traffic
    bool m_isTurnDue = false;                         // on the next signal of the watched loop
    bool m_turnPosted = false;
    bool m_readable = false; // the transport may have bytes
    Error m_transportError;  // passed to the engine once all input is dispatched
};

} // namespace AmqpQt
