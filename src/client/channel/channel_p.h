// SPDX-License-Identifier: MIT
#pragma once

#include "client/channel/channelconfirms_p.h"
#include "client/channel/channelconsumers_p.h"
#include "client/channel/channelflowreports_p.h"
#include "client/connection/connection_p.h"
#include "client/message/message_p.h"

#include <AmqpQt/channel.h>

#include <QtCore/qlist.h>

#include <memory>
#include <vector>

namespace AmqpQt
{

class PublisherPrivate;

class ChannelPrivate : public Engine::ChannelClient
{
public:
    using State = Channel::State;

    ChannelPrivate(Channel *channel, ConnectionPrivate *connectionPrivate);
    ~ChannelPrivate();

    // Starts with the engine's channel, or fails with the reason why there is none; the channel then only reports its
    // end.
    void start(std::shared_ptr<Engine::ChannelEngine> engineChannel);
    void startFailed(const Error &reason);
    void connectionDestroyed(const Error &gone);
    void noteClosing(); // the connection is closing, and this channel with it
    void defer(QObject *context, std::function<void()> action);

    // Returns the reason why no call can be made, such as a missing connection or a call from another thread.
    Error checkUsable(const char *function) const;
    bool isKnownUsable() const
    {
        return connection && engine && connection->mailbox->isOwnThread();
    } // if false, checkUsable() has the reason
    // Store an error, which is the reason why a call was rejected or why the channel closed, and emit it from the
    // dispatch loop.
    Error reportCallError(const Error &reason);
    void setError(const Error &reason);
    void reportFailedSettlement(quint64 deliveryTag, const Error &reason);

    // Returns the reply to a call. ~ChannelPrivate finishes it at the latest, when Channel::d may be null already, so
    // the functions reach the private class without the channel. `convert` makes its value from the broker's answer;
    // `emitSignals` emits the signals.
    using Call = std::function<Result<Engine::CallId>()>;
    struct EmitNothing {
        template <typename... Arguments>
        void operator()(Arguments &&...) const
        {
        }
    };
    template <typename T, typename Convert, typename Emit = EmitNothing>
    Reply<T> reply(const char *function, const Call &call, Convert convert, Emit emitSignals = {});
    template <typename Emit = EmitNothing>
    Reply<void> reply(const char *function, const Call &call, Emit emitSignals = {});

    quint64 publish(const char *function, const QString &exchange, const QString &routingKey, const Message &message,
                    Channel::PublishFlags flags);
    Reply<void> publishWithReply(const QString &exchange, const QString &routingKey, const Message &message,
                                 Channel::PublishFlags flags);
    Reply<void> whenConfirmed();
    Reply<void> select(const char *function, const Call &call); // enters a mode
    Consumer *consume(const QString &queue, ConsumeOptions options, QObject *parent);
    Reply<void> reopen();
    Reply<void> close();
    bool settle(const char *function, const Message &message, Settlement::Kind kind, bool upTo);
    bool settle(const Settlement &settlement, bool upTo);
    static ChannelPrivate *get(const Channel *channel) { return channel->d.get(); }
    static void ackUnsettled(Channel *channel, const QList<Message> &messages);
    Message makeMessage(Engine::ReceivedMessage &received, const QString &consumerTag, bool noAck) const;

    // engine events
    void onOpened();
    void onClosed(const Error &reason);
    void onSuspended();                                         // the connection was lost
    void renameQueues(const QHash<QString, QString> &newNames); // the broker has named queues again
    void recountUnacked();                                      // called after deliveries or settlements were undone
    BackpressureReasons backpressure() const                    // current; the signals report each change in turn
    {
        BackpressureReasons reasons;
        if (!connection || !engine)
            return reasons;
        reasons.setFlag(BackpressureReason::BrokerBlocked, connection->engine.flow().isBlocked());
        reasons.setFlag(BackpressureReason::WriteBufferFull, !connection->engine.flow().isWritable());
        reasons.setFlag(BackpressureReason::ChannelFlow, engine->isFlowed());
        reasons.setFlag(BackpressureReason::ConfirmWindowFull, engine->publishing().isConfirmWindowFull());
        return reasons;
    }

    Channel *const q;
    ConnectionPrivate *connection; // null after the connection was destroyed
    const quint64 serialNumber;    // of this object; unlike channel numbers, never used again in this connection
    std::shared_ptr<Engine::ChannelEngine> engine;
    PublisherPrivate *publisher = nullptr; // owns the channel, if set
    Error error;
    Error lastCallError;
    std::vector<Promise<void>> whenOpen;
    // There may be thousands of channels, so members that most of them never use are created on demand.
    std::unique_ptr<Reply<void>> closing;     // the reply of close()
    std::unique_ptr<Promise<void>> reopening; // reopen() was called before closed() was emitted
    ChannelConsumers consumers;
    ChannelConfirms confirms{*this};
    ChannelFlowReports flow{*this};
    State state = State::Closed;
    bool isPrefetchSet = false; // set by Channel::setPrefetch(); otherwise the default applies
    bool isInternal = false;    // owned by the library

private:
    void setState(State newState);
    void startReopening(const Promise<void> &promise);
    Error checkConfirmMode(const char *function) const;
    Result<Engine::CallId> submit(const char *function, const Call &call);
};

template <typename T, typename Convert, typename Emit>
Reply<T> ChannelPrivate::reply(const char *function, const Call &call, Convert convert, Emit emitSignals)
{
    const Result<Engine::CallId> id = submit(function, call);
    if (!id)
        return Promise<T>::finished(id.error());
    Promise<T> promise;
    connection->addCall(*id, [promise, convert, emitSignals, this,
                              channel = QPointer(q)](Engine::ReplyValue &value, ConnectionPrivate::Delivery delivery) {
        if (const Error *failure = std::get_if<Error>(&value))
            return promise.finish(*failure, delivery);
        const T converted = convert(value);
        Q_UNUSED(this) // with EmitNothing
        Q_UNUSED(emitSignals)
        if constexpr (!std::is_same_v<Emit, EmitNothing>) {
            if (channel)
                defer(channel, [emitSignals, channel, converted] { emitSignals(channel.data(), converted); });
        }
        promise.finish(converted, delivery);
    });
    return promise.reply();
}

template <typename Emit>
Reply<void> ChannelPrivate::reply(const char *function, const Call &call, Emit emitSignals)
{
    const Result<Engine::CallId> id = submit(function, call);
    if (!id)
        return Promise<void>::finished(id.error());
    Promise<void> promise;
    connection->addCall(*id, [promise, emitSignals, this, channel = QPointer(q)](Engine::ReplyValue &value,
                                                                                 ConnectionPrivate::Delivery delivery) {
        if (const Error *failure = std::get_if<Error>(&value))
            return promise.finish(*failure, delivery);
        Q_UNUSED(this) // with EmitNothing
        Q_UNUSED(emitSignals)
        if constexpr (!std::is_same_v<Emit, EmitNothing>) {
            if (channel)
                defer(channel, [emitSignals, channel] { emitSignals(channel.data()); });
        }
        promise.finish({}, delivery);
    });
    return promise.reply();
}

} // namespace AmqpQt
