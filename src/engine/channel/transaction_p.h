// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/consumertable_p.h"

#include <memory>
#include <vector>

namespace AmqpQt::Engine
{

// The settlements of a channel in transaction mode since the last tx.commit or tx.rollback, because a rollback undoes
// them. After either method nothing may be sent on the channel until the reply, so nacks wait here.
class Transaction
{
public:
    struct Settlement {
        quint64 deliveryTag = 0;
        std::shared_ptr<ConsumerEntry> consumer; // null for basic.get
        bool isReturned = false;                 // whether the library has returned an unwanted message
    };
    struct Nack {
        quint64 deliveryTag = 0;
        bool requeue = false;
    };

    void settled(Settlement settlement) { m_settled.push_back(std::move(settlement)); }
    bool isEnding() const noexcept { return m_isEnding; } // whether tx.commit or tx.rollback awaits its reply
    void hold(const Nack &nack) { m_nacks.push_back(nack); }

    // `lastPublish` is the number of the last message that was sent.
    void commitSent(quint64 lastPublish)
    {
        m_isEnding = true;
        m_settled.clear();
        m_lastPublish = lastPublish;
    }
    void rollbackSent(quint64 lastPublish)
    {
        m_isEnding = true;
        m_rolledBack = std::exchange(m_settled, {});
        m_lastPublish = lastPublish;
    }
    bool isEmpty(quint64 lastPublish) const { return m_settled.empty() && lastPublish == m_lastPublish; }
    void restart(quint64 lastPublish) // on a new channel of the broker
    {
        *this = {};
        m_lastPublish = lastPublish;
    }
    std::vector<Settlement> takeRolledBack() { return std::exchange(m_rolledBack, {}); }
    std::vector<Nack> ended() // called when the reply has arrived; returns the nacks that can be sent now
    {
        m_isEnding = false;
        return std::exchange(m_nacks, {});
    }

private:
    std::vector<Settlement> m_settled;
    std::vector<Settlement> m_rolledBack; // the settlements of a tx.rollback that awaits its reply
    std::vector<Nack> m_nacks;
    quint64 m_lastPublish = 0; // before the current transaction
    bool m_isEnding = false;
};

} // namespace AmqpQt::Engine
