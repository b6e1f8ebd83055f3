// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qnamespace.h>
#include <QtCore/qthread.h>

#include <atomic>
#include <mutex>
#include <vector>

namespace AmqpQt
{

struct Settlement {
    enum class Kind : quint8 { Ack, NackRequeue, NackDiscard };

    quint64 incarnation = 0; // of the channel
    quint64 deliveryTag = 0;
    quint16 channelNumber = 0;
    Kind kind = Kind::Ack;
    bool noAck = false;        // the delivery needs no settlement; reports an error
    quint64 channelSerial = 0; // of the Channel object, see ChannelPrivate::serialNumber

    friend bool operator==(const Settlement &, const Settlement &) = default;
};

class SettlementTarget
{
public:
    virtual void settleNow(const Settlement &settlement) = 0;       // called in the target's thread; settles at once
    virtual bool isUnsettled(const Settlement &delivery) const = 0; // called in the target's thread
    // Called in any thread, under the mailbox's mutex. Posts an event that calls take().
    virtual void wakeForSettlements() = 0;

protected:
    ~SettlementTarget() = default;
};

// Passes settlements from a delivered message to its connection. The connection and the envelopes of its deliveries
// share it, so a message can be settled in any thread, even after all other objects have been destroyed.
class Mailbox
{
public:
    explicit Mailbox(SettlementTarget *target); // the current thread is the target's
    void setThread();                           // called after QObject::moveToThread(); sets the current thread
    void forgetThread() { m_thread.store(nullptr, std::memory_order_relaxed); } // called before moveToThread()
    bool isOwnThread() const
    {
        return m_thread.load(std::memory_order_relaxed) == QThread::currentThreadId();
    } // false means unknown

    void settle(const Settlement &settlement); // may be called in any thread
    // The same. In other threads than the target's, a delivery may have been settled although this returns true.
    bool canSettle(const Settlement &delivery) const;

    // Called in the target's thread.
    void setLost(quint64 incarnation) { m_lostIncarnation.store(incarnation); } // and all earlier ones
    std::vector<Settlement> take(); // the settlements of other threads, in call order
    void detach();                  // called before the target is destroyed

private:
    std::atomic<Qt::HANDLE> m_thread;
    std::atomic<quint64> m_lostIncarnation = 0;
    mutable std::mutex m_mutex;
    SettlementTarget *m_target; // written in the target's thread under the mutex; read there without it
    std::vector<Settlement> m_settlements;
};

} // namespace AmqpQt
