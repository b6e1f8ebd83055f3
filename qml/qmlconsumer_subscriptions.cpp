// SPDX-License-Identifier: MIT

// The part of QmlConsumer that subscribes, and replaces a subscription when a property changes.

#include "qmlconsumer.h"

#include "declarationqueue.h"

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

constexpr quint16 AccessRefused = 403, NotFound = 404; // reply codes

// Returns whether a later subscription may succeed: the queue may appear, or an exclusive consumer may go away,
// possibly an earlier one of this application whose channel is still closing.
bool mayPass(const Error &refusal)
{
    return refusal.replyCode() == NotFound ||
           (refusal.replyCode() == AccessRefused && refusal.text().contains("exclusive use"_L1));
}

} // namespace

void QmlConsumer::connectionOpened()
{
    m_counter.start();
    m_backoff.reset();
    m_endedSubscription.reset();
    update();
}

void QmlConsumer::connectionClosed()
{
    m_isPending = false;
    m_backoff.stop();
    const QPointer<QmlConsumer> self(this);
    dropChannels();
    if (self)
        m_counter.stop();
}

void QmlConsumer::update()
{
    if (!isLive() || std::exchange(m_isPending, true))
        return;
    declarations()->whenDeclared(this, [this] {
        m_isPending = false;
        apply();
    });
}

std::optional<QmlConsumer::Subscription> QmlConsumer::wanted() const
{
    const bool isNoAck = m_ackMode == AckMode::NoAck;
    const bool waits = m_paused && (isNoAck || m_prefetch == 0);
    const QString queue = queueName();
    if (!m_active || waits || queue.isEmpty())
        return {};
    return Subscription{.queue = queue,
                        .consumerTag = m_consumerTag,
                        .arguments = m_arguments,
                        .priority = m_priority,
                        .prefetch = isNoAck ? quint16(0) : quint16(m_prefetch),
                        .isNoAck = isNoAck,
                        .isExclusive = m_exclusive,
                        .isResubscribing = m_resubscribe && (!m_queue || m_queue->isPassive())};
}

// Takes one step towards the wanted subscription. The broker's answers call it again.
void QmlConsumer::apply()
{
    m_backoff.stop();
    const std::optional<Subscription> wanted = this->wanted();
    if (wanted && wanted != m_endedSubscription)
        m_endedSubscription.reset();
    if (!wanted) {
        if (m_active && !m_queue && m_queueName.isEmpty())
            fail(tr("A Consumer needs a queue"));
        return endAll();
    }
    if (m_nextConsumer)
        return;
    if (m_endedSubscription) {
        if (m_consumer && m_subscription.queue != wanted->queue)
            endAll();
        return;
    }
    if (!m_consumer)
        return subscribe(*wanted);
    if (m_subscription == *wanted)
        return;
    if (m_subscription.queue == wanted->queue && m_consumer->state() == Consumer::State::Active)
        return replace(*wanted);
    endAll(); // and then the next one
}

void QmlConsumer::subscribe(const Subscription &wanted)
{
    if (isEnding())
        return; // its end calls apply() again
    if (m_queue && m_queue->mayBeGone()) {
        m_queue->checkIfAutoDeleted();
        return update(); // after that
    }
    // If the broker refuses it the channel ends, and the unsettled deliveries on it would go back to the queue.
    if (!m_endingConsumers.isEmpty())
        leaveChannel();
    start(wanted);
}

// Replaces the subscription by another one to the same queue. The new one starts before the old one is cancelled,
// unless the broker would refuse it, since a queue without a consumer may be deleted. It uses the same channel, where
// deliveries stay in order.
void QmlConsumer::replace(const Subscription &wanted)
{
    const bool isExclusive = m_subscription.isExclusive || wanted.isExclusive; // the broker allows no other consumer
    const bool keepsTag = !wanted.consumerTag.isEmpty() && m_subscription.consumerTag == wanted.consumerTag;
    const bool mayQueueGo = !m_queue || m_queue->isAutoDelete() || m_queue->isPassive();
    if (isExclusive || (keepsTag && !mayQueueGo)) {
        const QPointer<QmlConsumer> self(this);
        if (m_queue && m_queue->isAutoDelete()) {
            fail(tr("The change of an exclusive subscription deletes the auto-delete queue \"%1\" with its messages; "
                    "the "
                    "queue is declared again")
                     .arg(wanted.queue));
        }
        if (!self)
            return;
        end(m_consumer, true);
        return setSubscribed(false);
    }
    Subscription next = wanted;
    if (keepsTag && m_channel)
        next.consumerTag.clear(); // in between: the tag is free when the old subscription has been cancelled
    start(next);
}

void QmlConsumer::start(const Subscription &wanted)
{
    openChannel();
    ConsumeOptions options{.consumerTag = wanted.consumerTag,
                           .ackMode = wanted.isNoAck ? AckMode::NoAck : AckMode::Manual,
                           .exclusive = wanted.isExclusive,
                           .resubscribe = wanted.isResubscribing,
                           .prefetch = wanted.prefetch,
                           .arguments = wanted.arguments};
    if (wanted.priority != 0)
        options.arguments.insert(u"x-priority"_s, wanted.priority);
    Consumer *consumer = m_channel->consume(wanted.queue, options);
    m_nextConsumer = consumer;
    m_nextSubscription = wanted;
    connect(consumer, &Consumer::batchDelivered, this,
            [this, consumer](const QList<Message> &messages) { onBatch(consumer, messages); });
    connect(consumer, &Consumer::unackedCountChanged, this, &QmlConsumer::unackedCountChanged);
    connect(consumer, &Consumer::unackedCountChanged, this, &QmlConsumer::releaseEnded, Qt::QueuedConnection);
    connect(consumer, &Consumer::started, this, [this, consumer] { onStarted(consumer); });
    connect(consumer, &Consumer::stateChanged, this,
            [this, consumer](Consumer::State state) { onStateChanged(consumer, state); });
    connect(consumer, &Consumer::cancelled, this,
            [this, consumer](const Error &reason) { onCancelled(consumer, reason); });
}

void QmlConsumer::onStarted(Consumer *consumer)
{
    m_backoff.succeeded();
    const QPointer<QmlConsumer> self(this);
    if (consumer == m_nextConsumer)
        takeNext();
    if (!self || consumer != m_consumer)
        return;
    setErrorString({});
    if (self)
        setSubscribed(true);
    if (self)
        update(); // more may have changed meanwhile
}

void QmlConsumer::takeNext()
{
    end(m_consumer, true);
    m_consumer = std::exchange(m_nextConsumer, nullptr);
    m_subscription = std::exchange(m_nextSubscription, {});
    Q_EMIT consumerTagChanged();
}

// Recovering means that the broker has cancelled the consumer, which now waits for its queue.
void QmlConsumer::onStateChanged(Consumer *consumer, Consumer::State state)
{
    if (state != Consumer::State::Recovering || !consumer->channel() ||
        consumer->channel()->state() == Channel::State::Closed)
        return;
    const QPointer<QmlConsumer> self(this);
    if (consumer == m_nextConsumer)
        takeNext();
    if (!self || consumer != m_consumer)
        return;
    setSubscribed(false);
    if (self) {
        failOnce(tr("The broker has cancelled the subscription; the consumer waits for the queue \"%1\"")
                     .arg(m_subscription.queue));
    }
    if (self && m_queue)
        m_queue->lost(m_subscription.queue, Error(ErrorKind::ConsumerCancelled, errorString()));
}

void QmlConsumer::onCancelled(Consumer *consumer, const Error &reason)
{
    const bool isByBroker = reason.kind() == ErrorKind::ConsumerCancelled;
    const bool isFinal = reason.kind() == ErrorKind::InvalidArgument || reason.kind() == ErrorKind::MessageTooLarge;
    if (reason.isError() && !isByBroker && !isFinal)
        return; // the end of its channel follows
    const bool isNext = consumer == m_nextConsumer;
    const QPointer<QmlConsumer> self(this);
    if (isNext || consumer == m_consumer) {
        const Subscription ended = isNext ? m_nextSubscription : m_subscription;
        (isNext ? m_nextConsumer : m_consumer).clear();
        m_endingConsumers.append(consumer);
        if (isFinal || !m_resubscribe)
            m_endedSubscription = ended; // the same would happen again
        if (!m_consumer)
            setSubscribed(false);
        if (self && reason.isError())
            failOnce(reason.text());
        if (self && isByBroker && m_queue)
            m_queue->lost(ended.queue, reason);
    }
    if (!self)
        return;
    releaseEnded();
    if (self)
        update();
}

// Ends a subscription. Messages that the broker sends before it confirms are delivered or go back to the queue.
void QmlConsumer::end(QPointer<Consumer> &consumer, bool drains)
{
    if (!consumer)
        return;
    Consumer *ending = std::exchange(consumer, nullptr);
    m_endingConsumers.append(ending);
    if (m_queue && !m_nextConsumer)
        m_queue->consumerLeft();
    if (drains || ending->ackMode() == AckMode::NoAck) // which cannot go back
        ending->drain();
    else
        ending->cancel();
}

void QmlConsumer::endAll()
{
    if (!m_consumer && !m_nextConsumer)
        return;
    const QPointer<QmlConsumer> self(this);
    releaseUnseen();
    if (!self)
        return;
    end(m_nextConsumer, false);
    end(m_consumer, false);
    setSubscribed(false);
}

bool QmlConsumer::isEnding() const
{
    return std::any_of(m_endingConsumers.cbegin(), m_endingConsumers.cend(), [](const QPointer<Consumer> &consumer) {
        return consumer && consumer->state() == Consumer::State::Cancelling;
    });
}

void QmlConsumer::releaseEnded()
{
    const auto isOver = [](const QPointer<Consumer> &consumer) {
        return !consumer || (consumer->state() == Consumer::State::Cancelled && consumer->unackedCount() == 0);
    };
    for (const QPointer<Consumer> &consumer : std::as_const(m_endingConsumers)) {
        if (consumer && isOver(consumer)) {
            consumer->disconnect(this);
            consumer->deleteLater();
        }
    }
    m_endingConsumers.removeIf(isOver);
    m_formerChannels.removeIf([this](const QPointer<Channel> &channel) {
        const bool isUsed =
            channel && (std::any_of(m_endingConsumers.cbegin(), m_endingConsumers.cend(),
                                    [&](const QPointer<Consumer> &one) { return one->channel() == channel; }) ||
                        (m_consumer && m_consumer->channel() == channel) ||
                        (m_nextConsumer && m_nextConsumer->channel() == channel));
        if (channel && !isUsed) {
            channel->disconnect(this);
            channel->deleteLater();
        }
        return !isUsed;
    });
}

// Returns deliveries that no handler has seen to the queue. Deliveries that cannot go back are kept.
void QmlConsumer::releaseUnseen()
{
    if (m_holdsNoAck)
        return;
    const QPointer<QmlConsumer> self(this);
    m_batchTimer.stop();
    if (!m_isBatchNew && !m_batch.isEmpty()) // delivered() has emitted them
        emitBatch();
    if (!self)
        return;
    const QList<Message> unseen = std::exchange(m_batch, {}) + std::exchange(m_held, {}) + std::exchange(m_arrived, {});
    for (const Message &message : unseen + std::exchange(m_thrown, {}))
        settle(message, false);
}

void QmlConsumer::setSubscribed(bool subscribed)
{
    if (std::exchange(m_isSubscribed, subscribed) != subscribed)
        Q_EMIT subscribedChanged();
}

void QmlConsumer::openChannel()
{
    if (m_channel)
        return;
    m_channel = connection()->createChannel();
    connect(m_channel, &Channel::errorOccurred, this, &QmlConsumer::onChannelError);
    connect(m_channel, &Channel::settlementFailed, this,
            [this](quint64, const Error &error) { onChannelError(error); });
    connect(m_channel, &Channel::closed, this,
            [this, channel = m_channel.data()](const Error &reason) { onChannelClosed(channel, reason); });
}

// Keeps the channel until the last delivery on it is settled.
void QmlConsumer::leaveChannel()
{
    if (!m_channel)
        return;
    disconnect(m_channel, &Channel::errorOccurred, this, nullptr);
    disconnect(m_channel, &Channel::settlementFailed, this, nullptr);
    m_formerChannels.append(m_channel);
    m_channel.clear();
    releaseEnded();
}

// The broker has requeued the unsettled deliveries.
void QmlConsumer::onChannelClosed(Channel *channel, const Error &reason)
{
    const auto isOnIt = [channel](const QPointer<Consumer> &consumer) {
        return !consumer || consumer->channel() == channel;
    };
    const bool isFormer = channel != m_channel;
    const QString failed = m_nextConsumer && isOnIt(m_nextConsumer) ? m_nextSubscription.queue : QString();
    const bool hasLost = m_consumer && isOnIt(m_consumer);
    channel->disconnect(this);
    for (Consumer *consumer : channel->consumers())
        consumer->disconnect(this);
    if (!failed.isEmpty())
        m_nextConsumer.clear();
    if (hasLost)
        m_consumer.clear();
    m_endingConsumers.removeIf(isOnIt);
    m_formerChannels.removeAll(channel);
    if (!isFormer)
        m_channel.clear();
    channel->deleteLater();

    const QPointer<QmlConsumer> self(this);
    if (!m_consumer) {
        dropUnseen();
        setSubscribed(false);
    }
    if (self)
        Q_EMIT unackedCountChanged();
    if (self && isFormer && reason.isError())
        failOnce(reason.text());
    if (!self || !isLive() || !reason.isError())
        return;
    if (!failed.isEmpty() && reason.replyCode() == NotFound && m_queue)
        m_queue->lost(failed, reason);
    else if (m_resubscribe && (failed.isEmpty() ? hasLost : mayPass(reason)))
        m_backoff.start(this);
}

// With the connection.
void QmlConsumer::dropChannels()
{
    QList<QPointer<Channel>> channels = std::exchange(m_formerChannels, {});
    channels.append(std::exchange(m_channel, nullptr));
    for (const QPointer<Channel> &channel : std::as_const(channels)) {
        if (!channel)
            continue;
        channel->disconnect(this);
        for (Consumer *consumer : channel->consumers())
            consumer->disconnect(this);
        channel->deleteLater();
    }
    m_endingConsumers.clear();
    m_nextConsumer.clear();
    m_consumer.clear();
    dropUnseen();
    const QPointer<QmlConsumer> self(this);
    setSubscribed(false);
    if (self)
        Q_EMIT unackedCountChanged();
}

void QmlConsumer::onChannelError(const Error &error)
{
    switch (error.kind()) {
    case ErrorKind::StaleDelivery: // the handler has settled it itself
        if (m_ackMode == AckMode::Manual)
            fail(error.text());
        break;
    case ErrorKind::InvalidArgument: // likewise, not a delivery that can be settled; see also onCancelled()
        if (m_ackMode == AckMode::Manual && !m_hasTakenNoAck) // its handler cannot know which deliveries need no ack
            failOnce(error.text());
        break;
    case ErrorKind::ChannelClosed:
    case ErrorKind::MessageTooLarge:
    case ErrorKind::NotOpen:
        failOnce(error.text());
        break;
    default: // the connection reports it
        break;
    }
}

// Attempts are repeated, and several signals may report the same error.
void QmlConsumer::failOnce(const QString &text)
{
    if (text != errorString())
        fail(text);
}

} // namespace AmqpQt
