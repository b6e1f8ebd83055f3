// SPDX-License-Identifier: MIT
#include "client/connection/mailbox_p.h"

#include "base/logging_p.h"

#include <QtCore/qthread.h>

#include <utility>

namespace AmqpQt
{

namespace
{
void reportStale(const Settlement &settlement)
{
    qCWarning(lcChannel, "StaleDelivery: delivery %llu of channel %u was settled after its connection was deleted",
              settlement.deliveryTag, uint(settlement.channelNumber));
}
} // namespace

Mailbox::Mailbox(SettlementTarget *target)
    : m_thread(QThread::currentThreadId())
    , m_target(target)
{
}

void Mailbox::setThread()
{
    m_thread.store(QThread::currentThreadId(), std::memory_order_relaxed);
}

void Mailbox::settle(const Settlement &settlement)
{
    if (isOwnThread()) {
        if (m_target)
            m_target->settleNow(settlement); // may end in the destruction of this mailbox
        else
            reportStale(settlement);
        return;
    }

    {
        const std::scoped_lock lock(m_mutex);
        if (m_target) {
            m_settlements.push_back(settlement);
            if (m_settlements.size() == 1)
                m_target->wakeForSettlements();
            return;
        }
    }
    reportStale(settlement); // without the mutex, since a message handler is the application's code
}

bool Mailbox::canSettle(const Settlement &delivery) const
{
    if (isOwnThread())
        return m_target && m_target->isUnsettled(delivery);
    const std::scoped_lock lock(m_mutex);
    return m_target && delivery.incarnation > m_lostIncarnation.load();
}

std::vector<Settlement> Mailbox::take()
{
    const std::scoped_lock lock(m_mutex);
    return std::exchange(m_settlements, {});
}

void Mailbox::detach()
{
    std::vector<Settlement> remaining;
    {
        const std::scoped_lock lock(m_mutex);
        m_target = nullptr;
        remaining.swap(m_settlements);
    }
    for (const Settlement &settlement : remaining)
        reportStale(settlement);
}

} // namespace AmqpQt
