// SPDX-License-Identifier: MIT
#include "client/connection/dispatcher_p.h"

#include "client/channel/channel_p.h"
#include "client/consumer/consumer_p.h"

#include <QtCore/qmetaobject.h>

#include <utility>

namespace AmqpQt
{

Dispatcher::Dispatcher(TurnScheduler &scheduler)
    : m_scheduler(scheduler)
{
}

void Dispatcher::defer(QObject *context, std::function<void()> action)
{
    m_deferred.append({context, std::move(action), {}});
    m_scheduler.schedule();
}

void Dispatcher::runDeferred(const Guard &guard)
{
    while (guard && !m_deferred.isEmpty()) {
        const Deferred deferred = m_deferred.takeFirst();
        if (!deferred.finish && !deferred.context)
            continue;
        if (!m_deferred.isEmpty())
            m_scheduler.schedule(); // in case of a nested event loop
        if (deferred.finish)
            deferred.finish(Delivery::Direct);
        else
            deferred.action();
    }
}

void Dispatcher::reportNoted(const Guard &guard)
{
    while (guard && !m_consumersWithBatch.isEmpty())
        m_consumersWithBatch.takeFirst()->emitBatch();
    while (guard && !m_consumersWithCountChange.isEmpty())
        m_consumersWithCountChange.takeFirst()->emitCounts();
    while (guard && !m_channelsWithUnconfirmedChange.isEmpty())
        m_channelsWithUnconfirmedChange.takeFirst()->confirms.reportCount();
}

void Dispatcher::forget(ConsumerPrivate *consumer)
{
    m_consumersWithBatch.removeAll(consumer);
    m_consumersWithCountChange.removeAll(consumer);
}

void Dispatcher::forget(ChannelPrivate *channel)
{
    m_channelsWithUnconfirmedChange.removeAll(channel);
}

void Dispatcher::releaseIdleMemory()
{
    if (!hasWork()) {
        m_deferred = {};
        m_consumersWithBatch = {};
        m_consumersWithCountChange = {};
        m_channelsWithUnconfirmedChange = {};
    }
}

void Dispatcher::endGuards()
{
    for (Guard *guard = std::exchange(m_guard, nullptr); guard; guard = guard->m_outer)
        guard->m_dispatcher = nullptr;
}

void Dispatcher::postDeferred(const QObject *leaving)
{
    while (!m_deferred.isEmpty()) {
        Deferred deferred = m_deferred.takeFirst();
        if (deferred.finish)
            deferred.finish(Delivery::Posted);
        else if (deferred.context && deferred.context != leaving)
            QMetaObject::invokeMethod(deferred.context, std::move(deferred.action), Qt::QueuedConnection);
    }
}

} // namespace AmqpQt
