// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection_p.h"
#include "client/message_p.h"

#include <AmqpQt/channel.h>

#include <QtCore/qlist.h>
#include <QtCore/qmap.h>

namespace AmqpQt
{

class PublisherPrivate;

class ChannelPrivate
{
public:
    using State = Channel::State;

    ChannelPrivate(Channel *channel, ConnectionPrivate *connectionPrivate);
    ~ChannelPrivate();

    // With the engine's channel, or with the reason why there is none: then nothing but the end is to come.
    void start(std::shared_ptr<Engine::ChannelEngine> engineChannel);
    void startFailed(const Error &reason);
    void connectionGone(const Error &gone);
    void noteClosing(); // the connection is closing, and this channel with it
    void defer(QObject *context, std::function<void()> action);

    // What keeps every call from being made: no connection, a foreign thread.
    Error unusable(const char *function) const;
    bool isSurelyUsable() const
    {
        return connection && engine && connection->mailbox->isOwnThread();
    } // false: see unusable()
    // Keep an error and emit it from the dispatch loop: of a call that is refused without being sent, and the reason
    // why the channel closed.
    Error reportCallError(const Error &reason);
    void setError(const Error &reason);
    void reportFailedSettlement(quint64 deliveryTag, const Error &reason);

    // The reply to a call: `convert` makes its value of the broker's answer, `tell` tells everybody else.
    using Call = std::function<Result<Engine::CallId>()>;
    struct TellNobody {
        template <typename... Arguments>
        void operator()(Arguments &&...) const
        {
        }
    };
    template <typename T, typename Convert, typename Tell = TellNobody>
    Reply<T> reply(const char *function, const Call &call, Convert convert, Tell tell = {});
    template <typename Tell = TellNobody>
    Reply<void> reply(const char *function, const Call &call, Tell tell = {});

    quint64 publish(const char *function, const QString &exchange, const QString &routingKey, const Message &message,
                    Channel::PublishFlags flags);
    Reply<void> publishWithReply(const QString &exchange, const QString &routingKey, const Message &message,
                                 Channel::PublishFlags flags);
    Reply<void> whenConfirmed();
    Reply<void> select(const char *function, const Call &call); // a mode
    Consumer *consume(const QString &queue, ConsumeOptions options, QObject *parent);
    ConsumerPrivate *findConsumer(const QString &tag); // that has not ended
    void addConsumer(ConsumerPrivate *consumer);
    void removeConsumer(const ConsumerPrivate *consumer); // does nothing if it has ended
    Reply<void> reopen();
    Reply<void> close();
    bool settle(const char *function, const Message &message, Settlement::Kind kind, bool upTo);
    bool settle(const Settlement &settlement, bool upTo);
    static ChannelPrivate *of(const Channel *channel) { return channel->d.get(); }
    static void ackUnsettled(Channel *channel, const QList<Message> &messages);
    Message makeMessage(Engine::ReceivedMessage &received, const QString &consumerTag, bool noAck) const;

    // engine events
    void onOpened();
    void onClosed(const Error &reason);
    void tellBackpressure();
    void setFlow(bool active);
    void setConfirmWindowFull(bool full);
    void publishesEnded(quint64 first, quint64 last, const Error &failure); // before this is told
    void emitUnconfirmedCount();
    void countUnackedAgain();                // after the broker took deliveries back, or settlements
    BackpressureReasons backpressure() const // at the moment; the signals tell every change of it, one after the other
    {
        BackpressureReasons reasons;
        if (!connection || !engine)
            return reasons;
        reasons.setFlag(BackpressureReason::BrokerBlocked, connection->engine.isBlocked());
        reasons.setFlag(BackpressureReason::WriteBufferFull, !connection->engine.isWritable());
        reasons.setFlag(BackpressureReason::ChannelFlow, engine->isFlowed());
        reasons.setFlag(BackpressureReason::ConfirmWindowFull, engine->isConfirmWindowFull());
        return reasons;
    }

    Channel *const q;
    ConnectionPrivate *connection; // null once it is gone
    const quint64 serialNumber;    // of this object; unlike channel numbers, never used again in this connection
    std::shared_ptr<Engine::ChannelEngine> engine;
    bool isPrefetchSet = false;            // by Channel::setPrefetch(); before that there is a default
    bool isInternal = false;               // not the application's
    PublisherPrivate *publisher = nullptr; // the owner of the channel, if it is a publisher's
    State state = State::Closed;
    Error error;
    Error lastCallError;
    bool toldFlowStopped = false; // channel.flow
    bool toldWindowFull = false;
    int unconfirmedCount = 0; // what is published, in confirm mode, and not told to have ended
    std::vector<Promise<void>> whenOpen;
    std::optional<Reply<void>> closing;     // by close()
    std::optional<Promise<void>> reopening; // reopen() was called when the end was still to be told
    // Lists: maps and hashes take much memory, and there may be thousands of channels with one consumer each.
    QList<ConsumerPrivate *> consumers; // those that have not ended, by tag, shorter ones first: see consumerPosition()
    QList<ConsumerPrivate *> everyConsumer; // by serial number: in the order they were made
    quint64 lastConsumer = 0;               // serial number: tags of our own, and the order of consumers()

private:
    void setState(State newState);
    void openAgain(const Promise<void> &promise);
    const ConsumerPrivate *refusedConsumer(const Error &reason) const;
    QList<ConsumerPrivate *>::iterator consumerPosition(const QString &tag); // where it is, or would be
    quint64 publishAny(const char *function, const QString &exchange, const QString &routingKey, const Message &message,
                       bool mandatory); // 0: it was refused
    void noteUnconfirmed();
    void endConfirmWaits(const Error &reason);
    Error notConfirming(const char *function) const;

    struct ConfirmWait // whenConfirmed()
    {
        quint64 last = 0;    // sequence number
        int outstanding = 0; // up to and including it
        Error failure;       // the first one
        Promise<void> promise;
    };
    QMap<quint64, Promise<void>> m_confirmReplies; // of publishWithReply(), by sequence number
    std::vector<ConfirmWait> m_confirmWaits;
    quint64 m_firstConfirmed = 0; // the first sequence number in confirm mode
    quint64 m_lastSequence = 0;
    int m_toldUnconfirmedCount = 0;
    bool m_unconfirmedNoted = false;
    BackpressureReasons m_toldBackpressure;
    bool m_toldWritable = false;
    Result<Engine::CallId> submit(const char *function, const Call &call);
};

template <typename T, typename Convert, typename Tell>
Reply<T> ChannelPrivate::reply(const char *function, const Call &call, Convert convert, Tell tell)
{
    const Result<Engine::CallId> id = submit(function, call);
    if (!id)
        return Promise<T>::finished(id.error());
    Promise<T> promise;
    connection->addCall(*id, [promise, convert, tell, channel = QPointer(q)](Engine::ReplyValue &value,
                                                                             ConnectionPrivate::Delivery delivery) {
        if (const Error *failure = std::get_if<Error>(&value))
            return promise.finish(*failure, delivery);
        const T converted = convert(value);
        Q_UNUSED(tell) // of TellNobody
        if constexpr (!std::is_same_v<Tell, TellNobody>) {
            if (channel)
                channel->d->defer(channel, [tell, channel, converted] { tell(channel.data(), converted); });
        }
        promise.finish(converted, delivery);
    });
    return promise.reply();
}

template <typename Tell>
Reply<void> ChannelPrivate::reply(const char *function, const Call &call, Tell tell)
{
    const Result<Engine::CallId> id = submit(function, call);
    if (!id)
        return Promise<void>::finished(id.error());
    Promise<void> promise;
    connection->addCall(
        *id, [promise, tell, channel = QPointer(q)](Engine::ReplyValue &value, ConnectionPrivate::Delivery delivery) {
            if (const Error *failure = std::get_if<Error>(&value))
                return promise.finish(*failure, delivery);
            Q_UNUSED(tell) // of TellNobody
            if constexpr (!std::is_same_v<Tell, TellNobody>) {
                if (channel)
                    channel->d->defer(channel, [tell, channel] { tell(channel.data()); });
            }
            promise.finish({}, delivery);
        });
    return promise.reply();
}

} // namespace AmqpQt
