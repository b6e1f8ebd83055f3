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
    bool noAck = false;        // there is nothing to settle: an error is reported
    quint64 channelSerial = 0; // of the Channel object, see ChannelPrivate::serialNumber

    friend bool operator==(const Settlement &, const Settlement &) = default;
};

class SettlementTarget
{
public:
    virtual void settleNow(const Settlement &settlement) = 0; // in the target's thread: at once
    virtual void wakeForSettlements() = 0; // in any thread, under the mailbox's mutex: post an event that calls take()

protected:
    ~SettlementTarget() = default;
};

// The way from a delivered message back to its connection. Shared by the connection and the envelopes of its
// deliveries, so a message can be settled in any thread, and after everything else is gone.
class Mailbox
{
public:
    explicit Mailbox(SettlementTarget *target); // the target's thread is the current one
    void setThread();                           // now it is this one: after QObject::moveToThread()
    void forgetThread() { m_thread.store(nullptr, std::memory_order_relaxed); } // before
    bool isOwnThread() const
    {
        return m_thread.load(std::memory_order_relaxed) == QThread::currentThreadId();
    } // false: maybe

    void settle(const Settlement &settlement); // in any thread

    // In the target's thread.
    std::vector<Settlement> take(); // what other threads have settled, in the order of their calls
    void detach();                  // the target is going away

private:
    std::atomic<Qt::HANDLE> m_thread;
    std::mutex m_mutex;
    SettlementTarget *m_target; // written in the target's thread under the mutex; there it is read without
    std::vector<Settlement> m_settled;
};

} // namespace AmqpQt
