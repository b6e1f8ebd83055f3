// SPDX-License-Identifier: MIT
#pragma once

#include "engine/assembler_p.h"
#include "engine/callqueue_p.h"
#include "engine/channelcontext_p.h"
#include "engine/confirms_p.h"
#include "engine/consumertable_p.h"
#include "engine/contentframes_p.h"
#include "engine/deliveries_p.h"
#include "engine/event_p.h"
#include "engine/time_p.h"
#include "engine/topologycalls_p.h"
#include "wire/methods_p.h"

#include <AmqpQt/fieldtable.h>
#include <AmqpQt/options.h>

#include <QtCore/qlist.h>

#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

namespace AmqpQt::Engine
{

// The protocol state of one channel. It outlives the channel on the broker: after an error has closed it, it can be
// opened again as a new incarnation. Operations are sent in the order of their calls: an operation that cannot be sent
// yet is held, and all later ones wait behind it.
class ChannelEngine final : public ChannelContext
{
public:
    ChannelEngine(ChannelHost &host, quint16 number, void *clientContext);

    void *context = nullptr; // the client's; null: released

    TopologyCalls &topology() noexcept { return m_topology; }
    Deliveries &deliveries() noexcept { return m_deliveries; }

    // Each returns the id of its reply, or an error if nothing was queued.
    Result<CallId> open();
    Result<CallId> close();
    Result<CallId> confirmSelect();
    Result<CallId> txSelect();
    Result<CallId> txCommit();
    Result<CallId> txRollback();
    Result<CallId> redeliverUnacked();                                               // basic.recover
    Result<CallId> requestAccess(const QString &realm, Wire::AccessRequest request); // the request's realm is not set
    Result<CallId> setPrefetch(quint16 count, bool perChannel);
    Result<CallId> get(const QString &queue, bool noAck);
    Result<std::shared_ptr<ConsumerEntry>> consume(const QString &queue, const ConsumeOptions &options,
                                                   void *consumerContext);
    CallId cancel(ConsumerEntry &consumer); // Starting or Active
    // As cancel(), but messages that the broker has sent before its cancel-ok are still delivered.
    CallId drain(ConsumerEntry &consumer);
    quint16 prefetch() const noexcept { return m_prefetch; } // default of consumers

    // Returns the message's number, from 1 and never repeated, or the error. `properties` as in Wire::ContentHeader.
    Result<quint64> publish(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                            const QByteArray &body, bool mandatory);
    // A fast path for a message like the last one that can be sent now, see repeatedpublish_p.h. 0: call publish().
    quint64 publishRepeated(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                            const QByteArray &body, bool mandatory);
    Error checkContent(const QByteArray &properties, const QByteArray &body) const; // its sizes

    // Publishes that wait for their confirms, including those not sent yet.
    qsizetype unconfirmed() const noexcept { return sentUnconfirmed() + m_calls.unconfirmed(); }
    // The maximum number of sent and unconfirmed messages; others wait. 0: no limit.
    void setConfirmWindow(int messages);
    int confirmWindow() const noexcept { return m_confirmWindow; }
    // True from when the window is full until half of its messages are confirmed.
    bool isConfirmWindowFull() const noexcept { return m_windowFull; }

    // Closes the channel on the wire without waiting for outstanding calls. Its creator must call this before dropping
    // the last pointer to it.
    void release();

    // Called by the connection.
    Wire::Visit receive(Wire::MethodId id, QByteArrayView arguments);
    void onHeader(const Wire::ContentHeader &header);
    // The current content exceeds `limit`; `what` describes its size for the error. Ends its consumer.
    void skipContent(quint64 bodySize, const QString &what, qint64 limit);
    // The content is complete. True: `delivered` must be reported; false: the content has been handled.
    bool completeContent(Delivered &delivered);
    Assembler::State contentState() const noexcept
    {
        return m_assembler ? m_assembler->state() : Assembler::State::Idle;
    }
    bool isReceivingContent() const noexcept { return contentState() != Assembler::State::Idle; }
    Assembler &content() const { return *m_assembler; } // must exist
    DeliveryPattern *makePattern();                     // of the current content's consumer; null: none
    // Returns the size of the frames if `input` begins with a delivery that differs only in the fields of
    // RepeatedDelivery from the last one, or from the last one of the consumer with this tag; otherwise 0.
    qsizetype matchLastDelivery(QByteArrayView input, RepeatedDelivery &delivery) const noexcept
    {
        ConsumerEntry *const consumer = m_consumers.lastReceiver();
        if (!consumer || !consumer->pattern)
            return 0;
        delivery.consumer = consumer;
        return consumer->pattern->match(input, delivery);
    }
    qsizetype matchDelivery(QByteArrayView consumerTag, QByteArrayView input, RepeatedDelivery &delivery);
    // A complete delivery has arrived. False: it has been handled and is not reported.
    bool takesDelivery(ConsumerEntry &consumer, quint64 deliveryTag, bool isSkipped = false);
    bool releaseOne(); // of the held operations; false: none can be sent now
    void releaseHeld() override;
    void callTimedOut(const char *method, Milliseconds timeout);
    // Ends all outstanding calls with `callError`.
    void end(const Error &callError, const Error &closeReason, bool awaitsCloseOk);

private:
    struct Published {
        QString exchange;
        QString routingKey;
        QByteArray properties;
        bool mandatory = false;
        ContentFrames frames; // with the channel's number and ticket
    };

    // sending
    void submit(ChannelCall call) override;
    bool mustHold(bool publish) const;
    bool mustHold(const ChannelCall &call) const; // at the head of the line
    bool mayPublish() const;
    void sendCall(const ChannelCall &call);
    void rejectCall(const ChannelCall &call, const Error &error);
    void sendCancel(const std::shared_ptr<ConsumerEntry> &consumer);
    void endWaitingConsumes(const ConsumerEntry *only = nullptr);
    bool headerFits(const QByteArray &properties) const;
    bool fits(const QByteArray &properties, const QByteArray &body) const;
    bool hasRoom(const QByteArray &properties, const QByteArray &body) const;
    quint64 notePublished();
    void sendPublish(quint64 sequence, const ContentFrames &frames, const QByteArray &properties,
                     const QByteArray &body, bool mandatory, bool confirm);
    void expectConfirm(quint64 sequence, const ContentFrames &frames, const QByteArray &properties,
                       const QByteArray &body, bool mandatory);
    bool isLikeLastPublish(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                           bool mandatory) const;
    Error checkProperties(const QByteArray &properties) const;
    bool hasConsumerForReplies() const;
    Error encodePublish(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                        bool mandatory);
    Error wrongMode(const char *method, const QString &need) const;
    void noteConfirmWindow();
    void changeWindowFull(bool full);

    // receiving
    void on(const Wire::ChannelOpenOk &);
    void on(const Wire::ChannelFlow &);
    void on(const Wire::ChannelClose &);
    void on(const Wire::ChannelCloseOk &);
    void on(const Wire::ExchangeDeclareOk &method) { finishSimple(method); }
    void on(const Wire::ExchangeDeleteOk &method) { finishSimple(method); }
    void on(const Wire::QueueDeclareOk &);
    void on(const Wire::QueueBindOk &method) { finishSimple(method); }
    void on(const Wire::QueueUnbindOk &method) { finishSimple(method); }
    void on(const Wire::QueuePurgeOk &method) { finishSimple(method, method.messageCount); }
    void on(const Wire::QueueDeleteOk &method) { finishSimple(method, method.messageCount); }
    void on(const Wire::BasicQosOk &method) { finishSimple(method); }
    void on(const Wire::BasicConsumeOk &);
    void on(const Wire::BasicCancelOk &);
    void on(const Wire::BasicCancel &);
    void on(const Wire::BasicGetOk &);
    void on(const Wire::BasicGetEmpty &);
    void on(const Wire::BasicDeliver &);
    void on(const Wire::BasicReturn &);
    void on(const Wire::BasicAck &method) { onConfirm(method.deliveryTag, method.multiple, {}); }
    void on(const Wire::BasicNack &method);
    void on(const Wire::BasicRecoverOk &);
    void on(const Wire::ExchangeBindOk &method) { finishSimple(method); }
    void on(const Wire::ExchangeUnbindOk &method) { finishSimple(method); }
    void on(const Wire::ConfirmSelectOk &method) { finishSimple(method); }
    void on(const Wire::TxSelectOk &method) { finishSimple(method); }
    void on(const Wire::TxCommitOk &);
    void on(const Wire::TxRollbackOk &);
    void on(const Wire::AccessRequestOk &);
    qsizetype sentUnconfirmed() const noexcept { return m_confirms ? m_confirms->outstanding() : 0; }
    void onConfirm(quint64 deliveryTag, bool multiple, const Error &failure);
    void tellOutcomes(std::vector<Confirms::Outcome> &outcomes, const Error &failure);
    template <typename Method>
    void on(const Method &);

    template <typename Method>
    void finishSimple(const Method &, ReplyValue value = {});

    bool completeDelivery(Delivered &delivered);
    Assembler &assembler();
    void dropContent() noexcept; // the current one
    void completeGet();
    void rejectTag(quint64 deliveryTag);
    void stopDeliveries(QByteArrayView consumerTag);
    ConsumerEntry *rejectConsumer(QByteArrayView tag);
    void endConsumer(const std::shared_ptr<ConsumerEntry> &consumer);
    void completeReturn();
    ReceivedMessage takeMessage();

    // ending
    void startCloseTime();
    void closeByUs(quint16 replyCode, const Error &reason);

    bool m_windowFull = false;
    bool m_getNoAck = false;    // of m_getCall
    quint16 m_prefetch = 0;     // default of consumers
    quint16 m_sentPrefetch = 0; // set on the broker for the next consumer
    quint16 m_channelPrefetch = 0;
    int m_confirmWindow = 0;
    quint64 m_sequence = 0;
    std::unique_ptr<Published> m_published; // the last message, or a refused one
    std::unique_ptr<Confirms> m_confirms;   // in confirm mode
    CallId m_closeCall = 0;                 // close() was called
    CallId m_closeWait = 0;                 // close() waits for confirms; timed like a call
    CallId m_getCall = 0;                   // answered by the get-ok of the current content
    TopologyCalls m_topology{*this};
    CallQueue m_calls{*this};
    ConsumerTable m_consumers;
    Deliveries m_deliveries{*this, m_consumers};
    std::unique_ptr<Assembler> m_assembler; // made with the first content
};

} // namespace AmqpQt::Engine
