// SPDX-License-Identifier: MIT
#pragma once

#include "client/channel/channel_p.h"

#include <AmqpQt/publisher.h>

#include <QtCore/qpointer.h>
#include <QtCore/qtimer.h>

#include <chrono>
#include <deque>
#include <unordered_map>
#include <vector>

namespace AmqpQt
{

class PublisherPrivate
{
public:
    PublisherPrivate(Publisher *publisher, Connection *connection);
    ~PublisherPrivate();

    quint64 publish(const QString &exchangeName, const QString &key, const Message &message);
    Reply<void> publishWithReply(const QString &exchangeName, const QString &key, const Message &message);
    void flushLater();
    bool isWritable() const { return m_outbox.empty() && canSend(); }
    qreal pressure() const;
    int outstandingCount() const
    {
        return int(m_outbox.size()) + m_inFlightCount - m_timedOutCount + m_unreportedCount;
    }
    void noteChange();
    void reportError(const Error &reason);
    // Reports the outcome of these messages of the channel while the connection is being destroyed; replies do not wait
    // for the event loop.
    void finishReplies(quint64 first, quint64 last, const Error &failure);

    Publisher *const q;
    QPointer<Channel> channel;
    QString exchange;
    QString routingKey;
    bool mandatory = true;
    bool paused = false;
    int confirmWindow = 1000;
    qint64 outboxLimit = 16 * 1024 * 1024;
    Publisher::LossPolicy lossPolicy = Publisher::LossPolicy::Report;
    std::chrono::milliseconds confirmTimeout{0}; // 0 means none
    Error error;

private:
    using Clock = std::chrono::steady_clock;
    struct Outgoing {
        quint64 id = 0;
        quint64 sequence = 0; // of the channel; 0 if not sent
        QString exchange;
        QString routingKey;
        Message message;
        bool isMandatory = true;
        qint64 bytes = 0; // its size while it is in the outbox
        Clock::time_point deadline = Clock::time_point::max();
        bool isSettled = false;
        bool isTimedOut = false; // reported to the application, but unconfirmed
    };
    static qint64 size(const Outgoing &outgoing);
    Result<quint64> submit(const QString &exchangeName, const QString &key, const Message &message); // returns the id
    bool isForeignThread(const char *function) const;
    Error checkUsable() const;                           // returns the reason why publishing is no longer possible
    Error checkOutgoing(const Outgoing &outgoing) const; // the channel's error for this message
    bool canSend() const;
    bool hasRoom(qint64 bytes) const; // whether the connection's write buffer has room
    bool send(Outgoing &outgoing);
    Error outboxFull(qint64 bytes) const; // returns the reason why `bytes` more do not fit
    void flush();
    void onEnded(quint64 first, quint64 last, const Error &failure);
    Error reopen();
    void reopenOrEnd();
    void end(const Error &reason);
    void finishReplies(); // called after the channel or connection was destroyed
    static Error unconfirmed(const Error &reason) { return Error(ErrorKind::Unconfirmed, reason.text()); }
    bool returnsToOutbox(const Error &failure) const;
    void watchDeadline(Clock::time_point deadline);
    void reportTimeouts();
    bool reportOutcomes(const std::vector<quint64> &ids, const Error &failure);
    void emitChanges();

    Error m_creationError;           // the reason why no channel was created
    std::deque<Outgoing> m_inFlight; // sorted by sequence number; the first message is not settled
    std::deque<Outgoing> m_outbox;
    QTimer *m_deadlineTimer = nullptr; // a child of q, created with the first message that has a deadline
    Clock::time_point m_watchedDeadline = Clock::time_point::max();
    std::unordered_map<quint64, Promise<void>> m_replies; // by id
    qint64 m_outboxBytes = 0;
    quint64 m_lastId = 0;
    int m_inFlightCount = 0;   // sent and unconfirmed
    int m_timedOutCount = 0;   // among those
    int m_unreportedCount = 0; // settled by the broker, settled() not emitted yet
    bool m_isDrained = true;
    bool m_changeNoted = false;
    bool m_reportedWritable = false;
    bool m_wasUnwritable = false; // at some time since the last change signal
    qreal m_reportedPressure = 0;
    int m_reportedOutstandingCount = 0;
};

} // namespace AmqpQt
