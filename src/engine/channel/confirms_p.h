// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"

#include <QtCore/qlist.h>

#include <optional>
#include <vector>

namespace AmqpQt::Engine
{

// The unconfirmed messages of one channel in confirm mode. The broker numbers them by delivery tags, from 1 and without
// gaps, in the order in which they are sent; the library uses sequence numbers. Returns wait here for the ack that
// identifies their message.
class Confirms
{
public:
    // A closed range of sequence numbers with the same outcome. A returned message stands alone.
    struct Outcome {
        quint64 first = 0;
        quint64 last = 0;
        std::optional<ReturnedMessage> returned;
    };

    // Identifies a mandatory message when it is returned. The method is its whole basic.publish, which shares the bytes
    // of the previous message if it is the same.
    struct Mandatory {
        quint64 deliveryTag = 0;
        QByteArray method;
        QByteArray properties;
        QByteArray body;
    };

    void sent(quint64 sequence);
    void sentMandatory(quint64 sequence, QByteArrayView method, const QByteArray &properties, const QByteArray &body);
    qsizetype outstanding() const noexcept { return m_outstanding; }

    void returned(ReturnedMessage message) { m_returned.push_back(std::move(message)); }
    // Handles basic.ack and basic.nack; a tag of 0 with `multiple` means all messages. Returns false if no such
    // message was ever sent.
    bool settle(quint64 deliveryTag, bool multiple, std::vector<Outcome> &outcomes);
    // The returns of messages that were published before confirm mode.
    std::vector<ReturnedMessage> takeUnclaimed();
    // The channel ended. Returns all outstanding messages in order, with the outcome of those that were returned. The
    // next delivery tag is 1 again.
    void end(std::vector<Outcome> &outcomes);

private:
    struct Entry {
        quint64 sequence = 0;
        bool isMandatory = false;
        bool isSettled = false;
    };
    void settleEntry(qsizetype index, std::vector<Outcome> &outcomes);
    QList<Mandatory>::iterator mandatory(quint64 deliveryTag);
    std::optional<ReturnedMessage> claimReturn(quint64 deliveryTag);
    void dropSettled();
    quint64 firstTag() const noexcept { return m_lastTag - quint64(m_entries.size()) + 1; }

    QList<Entry> m_entries;       // by delivery tag; the first one is not settled
    QList<Mandatory> m_mandatory; // the mandatory entries, by delivery tag; a settled one is empty
    std::vector<ReturnedMessage> m_returned;
    QByteArray m_lastMethod;
    quint64 m_lastTag = 0;
    qsizetype m_outstanding = 0;
};

} // namespace AmqpQt::Engine
