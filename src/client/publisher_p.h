// SPDX-License-Identifier: MIT
#pragma once

#include "client/channel_p.h"

#include <AmqpQt/publisher.h>

#include <deque>
#include <unordered_map>

namespace AmqpQt {

class PublisherPrivate
{
public:
    PublisherPrivate(Publisher *publisher, Connection *connection);
    ~PublisherPrivate();

    quint64 publish(const QString &exchangeName, const QString &key, const Message &message);
    Reply<void> publishWithReply(const QString &exchangeName, const QString &key, const Message &message);
    void flush();
    bool isWritable() const { return m_outbox.empty() && maySend(); }
    qreal pressure() const;
    int outstanding() const { return int(m_outbox.size()) + m_inFlightCount; }
    void noteChange();
    Error refuse(const Error &reason);

    Publisher *const q;
    Channel *channel;
    QString exchange;
    QString routingKey;
    bool mandatory = true;
    int window = 1000;
    qint64 outboxLimit = 16 * 1024 * 1024;
    Publisher::LossPolicy lossPolicy = Publisher::LossPolicy::Report;
    Error error;

private:
    struct Outgoing
    {
        quint64 id = 0;
        quint64 sequence = 0; // of the channel; 0: not sent
        QString exchange;
        QString routingKey;
        Message message;
        bool isSettled = false;
    };
    static qint64 size(const Outgoing &outgoing);
    static Error check(const Outgoing &outgoing); // what the channel would refuse
    bool maySend() const;
    bool send(Outgoing &outgoing);
    void onEnded(quint64 first, quint64 last, const Error &failure);
    void onClosed(const Error &reason);
    bool goesAgain(const Error &failure) const;
    void settle(const std::vector<quint64> &ids, const Error &failure);
    void tellChange();

    std::deque<Outgoing> m_inFlight; // by sequence; the first one is not settled
    std::deque<Outgoing> m_outbox;
    std::unordered_map<quint64, Promise<void>> m_replies; // by id
    qint64 m_outboxBytes = 0;
    quint64 m_lastId = 0;
    int m_inFlightCount = 0;
    bool m_changeNoted = false;
    bool m_toldWritable = false;
    qreal m_toldPressure = 0;
    int m_toldOutstanding = 0;
};

} // namespace AmqpQt
