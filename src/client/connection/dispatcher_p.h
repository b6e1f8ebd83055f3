// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/turnscheduler_p.h"
#include "client/promise_p.h"

#include <QtCore/qlist.h>
#include <QtCore/qpointer.h>

#include <functional>

namespace AmqpQt
{

class ChannelPrivate;
class ConsumerPrivate;

// Queues the notifications of the application and makes them one at a time, in order, even if a slot runs a nested
// event loop. Any of them may delete the connection, and the dispatcher with it.
class Dispatcher
{
public:
    using Delivery = Internal::ReplyStateBase::Delivery;

    // Checks whether the connection still exists after the application's code ran.
    class Guard
    {
    public:
        explicit Guard(Dispatcher &dispatcher)
            : m_dispatcher(&dispatcher)
            , m_outer(dispatcher.m_guard)
        {
            dispatcher.m_guard = this;
        }
        ~Guard()
        {
            if (m_dispatcher)
                m_dispatcher->m_guard = m_outer;
        }
        Guard(const Guard &) = delete;
        Guard &operator=(const Guard &) = delete;
        explicit operator bool() const noexcept { return m_dispatcher; }

    private:
        friend class Dispatcher;
        Dispatcher *m_dispatcher;
        Guard *m_outer;
    };

    explicit Dispatcher(TurnScheduler &scheduler);

    // Calls the function in the dispatch loop, before later events from the broker, unless context is gone by then.
    // This keeps the order of several notifications even if a slot runs an event loop or deletes the connection.
    void defer(QObject *context, std::function<void()> action);
    template <typename T>
    void finishLater(const Promise<T> &promise, const Result<T> &result) // keeps the same order
    {
        m_deferred.append({nullptr, {}, [promise, result](Delivery delivery) { promise.finish(result, delivery); }});
        m_scheduler.schedule();
    }
    bool hasDeferred() const noexcept { return !m_deferred.isEmpty(); }
    void runDeferred(const Guard &guard);

    // Notifications made once, at the end of a turn.
    void noteBatch(ConsumerPrivate *consumer) { m_consumersWithBatch.push_back(consumer); }
    void noteCountChange(ConsumerPrivate *consumer) { m_consumersWithCountChange.push_back(consumer); }
    void noteUnconfirmedChange(ChannelPrivate *channel) { m_channelsWithUnconfirmedChange.push_back(channel); }
    void reportNoted(const Guard &guard);
    void forget(ConsumerPrivate *consumer);
    void forget(ChannelPrivate *channel);

    bool hasWork() const noexcept
    {
        return !m_deferred.isEmpty() || !m_consumersWithBatch.isEmpty() || !m_consumersWithCountChange.isEmpty() ||
               !m_channelsWithUnconfirmedChange.isEmpty();
    }

    void releaseIdleMemory();

    // The connection is being deleted. endGuards() invalidates all guards; postDeferred() posts the deferred
    // notifications to the event loop, except those of `leaving`.
    void endGuards();
    void postDeferred(const QObject *leaving);

private:
    struct Deferred {
        QPointer<QObject> context;
        std::function<void()> action;
        std::function<void(Delivery)> finish; // replaces `context` and `action`; finishes a reply in any case
    };

    TurnScheduler &m_scheduler;
    Guard *m_guard = nullptr; // the innermost guard
    QList<Deferred> m_deferred;
    QList<ConsumerPrivate *> m_consumersWithBatch;
    QList<ConsumerPrivate *> m_consumersWithCountChange;
    QList<ChannelPrivate *> m_channelsWithUnconfirmedChange;
};

} // namespace AmqpQt
