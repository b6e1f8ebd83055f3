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
    m_deferred.push_back({context, std::move(action), {}});
    m_scheduler.schedule();
}

void Dispatcher::runDeferred(const Guard &guard)
{
    while (guard && !m_deferred.empty()) {
        const Deferred deferred = std::move(m_deferred.front());
        m_deferred.pop_front();
        if (!deferred.finish && !deferred.context)
            continue;
        if (!m_deferred.empty())
            m_scheduler.schedule(); // in case of a nested event loop
        if (deferred.finish)
            deferred.finish(Delivery::Direct);
        else
            deferred.action();
    }
}

template <typename T>
static T *takeLast(std::vector<T *> &noted)
{
    T *const last = noted.back();
    noted.pop_back();
    return last;
}

void Dispatcher::reportNoted(const Guard &guard)
{
    while (guard && !m_consumersWithBatch.empty())
        takeLast(m_consumersWithBatch)->emitBatch();
    while (guard && !m_consumersWithCountChange.empty())
        takeLast(m_consumersWithCountChange)->emitCounts();
    while (guard && !m_channelsWithUnconfirmedChange.empty())
        takeLast(m_channelsWithUnconfirmedChange)->emitUnconfirmedCount();
}

void Dispatcher::forget(ConsumerPrivate *consumer)
{
    std::erase(m_consumersWithBatch, consumer);
    std::erase(m_consumersWithCountChange, consumer);
}

void Dispatcher::forget(ChannelPrivate *channel)
{
    std::erase(m_channelsWithUnconfirmedChange, channel);
}

void Dispatcher::endGuards()
{
    for (Guard *guard = std::exchange(m_guard, nullptr); guard; guard = guard->m_outer)
        guard->m_dispatcher = nullptr;
}

void Dispatcher::postDeferred(const QObject *leaving)
{
    while (!m_deferred.empty()) {
        Deferred deferred = std::move(m_deferred.front());
        m_deferred.pop_front();
        if (deferred.finish)
            deferred.finish(Delivery::Posted);
        else if (deferred.context && deferred.context != leaving)
            QMetaObject::invokeMethod(deferred.context, std::move(deferred.action), Qt::QueuedConnection);
    }
}

} // namespace AmqpQt
