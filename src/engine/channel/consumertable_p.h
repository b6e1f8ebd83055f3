// SPDX-License-Identifier: MIT
#pragma once

#include "engine/buffers/deliverytemplate_p.h"
#include "engine/event_p.h"

#include <QtCore/qlist.h>

#include <memory>
#include <vector>

namespace AmqpQt::Engine
{

// A subscription. Its tag is taken until cancel-ok.
struct ConsumerEntry : std::enable_shared_from_this<ConsumerEntry> {
    enum class State : quint8 { Starting, Active, Cancelling, Gone };

    QByteArray tag;
    ConsumerClient *client = nullptr; // receives the deliveries; null once there is no receiver
    CallId startCall = 0;
    CallId cancelCall = 0;
    int unacked = 0;
    int returned = 0;
    int lost = 0;
    State state = State::Starting;
    bool isEndReported = false;  // whether ConsumerCancelled has reported it
    bool consumeOkIsDue = false; // the broker cancelled the consumer before it sent consume-ok
    // Bit-fields, since there may be many thousands of consumers.
    bool noAck : 1 = false;
    bool isForReplies : 1 = false; // whether it is a consumer of direct reply-to
    bool isSent : 1 = false;       // basic.consume has been sent
    bool cancelHeld : 1 = false;   // basic.cancel waits for consume-ok; sent earlier, it would end the connection
    bool waitsForTag : 1 = false;  // basic.consume waits for the cancel-ok of the consumer that has the tag
    bool isDraining : 1 = false;   // deliveries are taken until cancel-ok
    bool isRestored : 1 = false;   // was active when the connection was lost, and has not been started again
    quint16 prefetch = 0;          // with which it was started
    CallId queueDeclare = 0;       // the queue.declare of its queue, until the broker has named the queue
    std::unique_ptr<DeliveryTemplate> lastDelivery; // created with the first delivery
    QByteArray consume; // basic.consume, with the name of the queue, if the connection recovers or the broker names it

    bool isEnding() const noexcept { return state > State::Active || cancelHeld; }
    void queueNamed(QByteArrayView name);
};

// The consumers of a channel, by tag.
//
//   State       where the entry is           from                                     until
//   Starting    in the held call only        consume(), while an ending consumer      the other's cancel-ok
//               (waitsForTag)                has the same tag
//   Starting    entries()                    consume()                                consume-ok
//   Active      entries()                    consume-ok                               basic.cancel
//   Cancelling  entries()                    basic.cancel is sent                     cancel-ok
//   Gone        recently ended; unsettled,   cancel-ok, the broker's basic.cancel,    16 more have ended; its
//               too, if it has unsettled     or a rejected basic.consume              deliveries are settled or
//               deliveries                                                            requeued
//   Gone        nowhere                      the end of the channel
//
// When a channel is suspended, Active becomes Starting, and an entry that is ending becomes Gone.
//
// Acks and the assembler have plain pointers to entries. Those of unsettled deliveries stay valid since the entry is in
// one of the lists, and the content that is being received ends before 16 more consumers can end, since no method of
// the channel may come in between.
//
// An entry that has ended is only needed for deliveries that the broker sends after the end: RabbitMQ 4.3 does so for
// consumers that it has cancelled itself, until the library's answer has arrived, so within one round trip. Even if a
// channel loses more than 16 consumers in one round trip, nothing is lost: a delivery with an unknown tag is requeued,
// and the broker is asked to cancel the consumer once more. The channel is closed only for a
// delivery that needs no acknowledgement.
class ConsumerTable
{
public:
    using Entries = QList<std::shared_ptr<ConsumerEntry>>; // a QList, which is quick at both ends

    void insert(const std::shared_ptr<ConsumerEntry> &consumer);   // the tag must be free
    const Entries &entries() const noexcept { return m_entries; }  // shorter tags first
    std::shared_ptr<ConsumerEntry> find(QByteArrayView tag) const; // null if no consumer has this tag now
    bool hasDirectReplyTo() const;                                 // a consumer of direct reply-to, which is not ending
    // Returns the consumer of a delivery, which may have ended recently, or null if the tag is unknown.
    ConsumerEntry *receiver(QByteArrayView tag);
    ConsumerEntry *lastReceiver() const noexcept { return m_lastReceiver; } // null if there is none, or if it has ended

    std::shared_ptr<ConsumerEntry> take(QByteArrayView tag); // called when the consumer has ended; frees the tag
    ConsumerEntry *addEnded(QByteArrayView tag);             // adds an entry for deliveries with an unknown tag
    bool takeDueConsumeOk(QByteArrayView tag);               // called for a consumer that the broker has cancelled
    Entries takeAll(); // called when the channel has ended or is suspended; forgets the consumers that have ended

    // Deliveries, which keep entries that have ended.
    void settled(ConsumerEntry &consumer, int count)
    {
        consumer.unacked -= count;
        if (consumer.state == ConsumerEntry::State::Gone && consumer.unacked == 0)
            forget(consumer);
    }
    void reopened(const std::shared_ptr<ConsumerEntry> &consumer); // undoes one settlement; called by tx.rollback
    void requeued();                                               // called when the broker has requeued all deliveries

private:
    struct Ended {
        Entries unsettled;
        Entries recently;
    };

    Entries::const_iterator position(QByteArrayView tag) const; // the insertion point if the tag is not found
    void remember(const std::shared_ptr<ConsumerEntry> &ended);
    void forget(const ConsumerEntry &settled);

    // By tag, shorter ones first, so that the next tag generated by the client comes last. A list, since most channels
    // have one consumer, for which a map takes much more memory.
    Entries m_entries;
    ConsumerEntry *m_lastReceiver = nullptr; // among m_entries
    std::unique_ptr<Ended> m_ended;          // created with the first consumer that ends
};

} // namespace AmqpQt::Engine
