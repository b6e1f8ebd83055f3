// SPDX-License-Identifier: MIT
#include "subscriber.h"

#include "declarationqueue.h"

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

constexpr quint16 AccessRefused = 403, NotFound = 404; // reply codes

// Returns whether a later subscription may succeed, because the queue may appear or an exclusive consumer may end. The
// exclusive consumer may be an earlier consumer of this application whose channel is still closing.
bool mayPass(const Error &refusal)
{
    return refusal.replyCode() == NotFound ||
           (refusal.replyCode() == AccessRefused && refusal.text().contains("exclusive use"_L1));
}

} // namespace

Subscriber::Subscriber(const SubscriptionSettings &settings)
    : m_settings(settings)
{
}

Subscriber::~Subscriber()
{
    delete m_channel; // unsettled deliveries go back to the queue
    for (const QPointer<Channel> &channel : std::as_const(m_formerChannels))
        delete channel;
}

void Subscriber::start(QmlConnection *connection)
{
    m_connection = connection;
    m_backoff.reset();
    retry();
}

void Subscriber::retry()
{
    m_endedSubscription.reset();
    update();
}

void Subscriber::update()
{
    if (!m_connection)
        return;
    if (m_connection->state() == Connection::State::Recovering)
        QMetaObject::invokeMethod(this, &Subscriber::endUnwanted, Qt::QueuedConnection);
    if (std::exchange(m_isPending, true))
        return;
    m_connection->declarations()->whenDeclared(this, [this] {
        m_isPending = false;
        apply();
    });
}

// The recovery restores all subscriptions, so those that are not wanted any longer end before it. Changes of properties
// that follow from a new name of a queue are complete when this is called.
void Subscriber::endUnwanted()
{
    if (!m_connection || m_connection->state() != Connection::State::Recovering)
        return;
    if (wanted() != (m_nextConsumer ? m_nextSubscription : m_subscription))
        endAll();
}

void Subscriber::renameQueue(const QString &oldName, const QString &newName)
{
    for (Subscription *subscription : {&m_subscription, &m_nextSubscription}) {
        if (subscription->queue == oldName)
            subscription->queue = newName;
    }
    if (m_endedSubscription && m_endedSubscription->queue == oldName)
        m_endedSubscription->queue = newName;
}

void Subscriber::connectionRecovered()
{
    if (m_consumer && m_consumer->state() == Consumer::State::Recovering)
        onWaiting(m_consumer);
}

QString Subscriber::consumerTag() const
{
    return m_consumer ? m_consumer->consumerTag() : QString();
}

int Subscriber::unackedCount() const
{
    int count = m_consumer ? m_consumer->unackedCount() : 0;
    count += m_nextConsumer ? m_nextConsumer->unackedCount() : 0;
    for (const QPointer<Consumer> &consumer : m_endingConsumers)
        count += consumer ? consumer->unackedCount() : 0;
    return count;
}

bool Subscriber::hasSeveralConsumers() const
{
    return m_nextConsumer || !m_endingConsumers.isEmpty();
}

bool Subscriber::settle(const Message &message, bool acknowledge, Requeue requeue)
{
    const auto settleOn = [&](Channel *channel) {
        return channel && (acknowledge ? channel->ack(message) : channel->nack(message, requeue));
    };
    if (std::any_of(m_formerChannels.cbegin(), m_formerChannels.cend(), settleOn))
        return true;
    if (m_channel)
        return settleOn(m_channel);
    Q_EMIT failed(tr("The delivery has already been settled, or its channel was closed"));
    return false;
}

std::optional<Subscriber::Subscription> Subscriber::wanted() const
{
    const SubscriptionSettings &now = m_settings;
    const bool isNoAck = now.ackMode == AckMode::NoAck;
    const QString queue = now.currentQueueName();
    if (!now.active || queue.isEmpty() || (now.paused && now.endsForPause()))
        return {};
    return Subscription{.queue = queue,
                        .consumerTag = now.consumerTag,
                        .arguments = now.arguments,
                        .priority = now.priority,
                        .prefetch = isNoAck ? quint16(0) : quint16(now.prefetch),
                        .isNoAck = isNoAck,
                        .isExclusive = now.exclusive,
                        .isResubscribing = now.resubscribe && (!now.queue || now.queue->isPassive())};
}

// Takes one step towards the wanted subscription. The broker's answers call it again.
void Subscriber::apply()
{
    m_backoff.stop();
    const std::optional<Subscription> wanted = this->wanted();
    if (wanted && wanted != m_endedSubscription)
        m_endedSubscription.reset();
    if (!wanted) {
        const QPointer<Subscriber> self(this);
        if (m_settings.active && !m_settings.queue && m_settings.queueName.isEmpty())
            Q_EMIT failed(tr("A Consumer needs a queue"));
        if (self)
            endAll();
        return;
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
    endAll(); // the new subscription follows
}

void Subscriber::subscribe(const Subscription &wanted)
{
    if (isEnding())
        return; // apply() is called again when the subscription has ended
    if (m_settings.queue && m_settings.queue->mayBeGone()) {
        m_settings.queue->checkIfAutoDeleted();
        return update(); // continues after the check
    }
    // If the broker refuses the subscription it closes the channel, and the unsettled deliveries on it would go
    // back to the queue.
    if (!m_endingConsumers.isEmpty())
        leaveChannel();
    consume(wanted);
}

// Replaces the subscription by another one to the same queue. The new one starts before the old one is cancelled,
// unless the broker would refuse it, since a queue without a consumer may be deleted. It uses the same channel, where
// deliveries stay in order.
void Subscriber::replace(const Subscription &wanted)
{
    const bool isExclusive = m_subscription.isExclusive || wanted.isExclusive; // the broker allows no other consumer
    const bool keepsTag = !wanted.consumerTag.isEmpty() && m_subscription.consumerTag == wanted.consumerTag;
    const bool mayQueueGo = !m_settings.queue || m_settings.queue->isAutoDelete() || m_settings.queue->isPassive();
    if (isExclusive || (keepsTag && !mayQueueGo)) {
        const QPointer<Subscriber> self(this);
        if (m_settings.queue && m_settings.queue->isAutoDelete()) {
            Q_EMIT failed(
                tr("Changing an exclusive subscription deletes the auto-delete queue \"%1\" with its messages; "
                   "the queue is declared again")
                    .arg(wanted.queue));
        }
        if (!self)
            return;
        end(m_consumer, true);
        return setSubscribed(false);
    }
    Subscription next = wanted;
    if (keepsTag && m_channel)
        next.consumerTag.clear(); // a generated tag for now, since the requested one is free only when the old
                                  // subscription has ended
    consume(next);
}

void Subscriber::consume(const Subscription &wanted)
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
    connect(consumer, &Consumer::unackedCountChanged, this, &Subscriber::unackedCountChanged);
    connect(consumer, &Consumer::unackedCountChanged, this, &Subscriber::releaseEnded, Qt::QueuedConnection);
    connect(consumer, &Consumer::started, this, [this, consumer] { onStarted(consumer); });
    connect(consumer, &Consumer::stateChanged, this,
            [this, consumer](Consumer::State state) { onStateChanged(consumer, state); });
    connect(consumer, &Consumer::cancelled, this,
            [this, consumer](const Error &reason) { onCancelled(consumer, reason); });
}

void Subscriber::onStarted(Consumer *consumer)
{
    m_backoff.succeeded();
    const QPointer<Subscriber> self(this);
    if (consumer == m_nextConsumer)
        takeNext();
    if (!self || consumer != m_consumer)
        return;
    Q_EMIT succeeded();
    if (self)
        setSubscribed(true);
    if (self)
        update(); // the settings may have changed in the meantime
}

void Subscriber::takeNext()
{
    end(m_consumer, true);
    m_consumer = std::exchange(m_nextConsumer, nullptr);
    m_subscription = std::exchange(m_nextSubscription, {});
    Q_EMIT consumerTagChanged();
}

void Subscriber::onBatch(const Consumer *consumer, const QList<Message> &messages)
{
    m_hasTakenNoAck = m_hasTakenNoAck || consumer->ackMode() == AckMode::NoAck;
    Q_EMIT delivered(consumer, messages);
}

void Subscriber::onStateChanged(Consumer *consumer, Consumer::State state)
{
    if (state != Consumer::State::Recovering || !consumer->channel())
        return;
    switch (consumer->channel()->state()) {
    case Channel::State::Closed:
        break;
    case Channel::State::Recovering:
        onSuspended(consumer);
        break;
    default:
        onWaiting(consumer);
        break;
    }
}

// The connection is lost, and the broker delivers again what is unsettled.
void Subscriber::onSuspended(const Consumer *consumer)
{
    const QPointer<Subscriber> self(this);
    Q_EMIT channelLost();
    if (self && consumer == m_consumer)
        setSubscribed(false);
}

// The broker has cancelled the consumer, or could not restore it, and it waits for its queue.
void Subscriber::onWaiting(Consumer *consumer)
{
    const QPointer<Subscriber> self(this);
    if (consumer == m_nextConsumer)
        takeNext();
    if (!self || consumer != m_consumer)
        return;
    const QString queue = m_subscription.queue;
    const QString reason =
        tr("The broker has cancelled the subscription; the consumer waits for the queue \"%1\"").arg(queue);
    setSubscribed(false);
    if (self)
        Q_EMIT attemptFailed(reason);
    if (self && m_settings.queue)
        m_settings.queue->lost(queue, Error(ErrorKind::ConsumerCancelled, reason));
}

void Subscriber::onCancelled(Consumer *consumer, const Error &reason)
{
    const bool isByBroker = reason.kind() == ErrorKind::ConsumerCancelled;
    const bool isFinal = reason.kind() == ErrorKind::InvalidArgument || reason.kind() == ErrorKind::MessageTooLarge;
    // The broker has closed the channel because of this consumer, and the others have been restored without it.
    const bool isRefused = reason.kind() == ErrorKind::ChannelClosed && consumer->channel() &&
                           consumer->channel()->state() != Channel::State::Closed;
    if (reason.isError() && !isByBroker && !isFinal && !isRefused)
        return; // the end of its channel follows
    const bool isNext = consumer == m_nextConsumer;
    const QPointer<Subscriber> self(this);
    if (isNext || consumer == m_consumer) {
        const Subscription ended = isNext ? m_nextSubscription : m_subscription;
        (isNext ? m_nextConsumer : m_consumer).clear();
        m_endingConsumers.append(consumer);
        if (isFinal || !m_settings.resubscribe)
            m_endedSubscription = ended; // repeating it would have the same result
        if (!m_consumer)
            setSubscribed(false);
        if (self && reason.isError())
            Q_EMIT attemptFailed(reason.text());
        if (self && isRefused)
            onRefused(reason, ended.queue);
        else if (self && isByBroker && m_settings.queue)
            m_settings.queue->lost(ended.queue, reason);
    }
    if (!self)
        return;
    releaseEnded();
    if (self && !isRefused)
        update();
}

// Ends a subscription. Messages that the broker sends before it confirms are delivered or go back to the queue.
void Subscriber::end(QPointer<Consumer> &consumer, bool drains)
{
    if (!consumer)
        return;
    Consumer *ending = std::exchange(consumer, nullptr);
    m_endingConsumers.append(ending);
    if (m_settings.queue && !m_nextConsumer)
        m_settings.queue->consumerLeft();
    if (drains || ending->ackMode() == AckMode::NoAck) // these deliveries cannot go back to the queue
        ending->drain();
    else
        ending->cancel();
}

void Subscriber::endAll()
{
    if (!m_consumer && !m_nextConsumer)
        return;
    const QPointer<Subscriber> self(this);
    Q_EMIT aboutToEnd();
    if (!self)
        return;
    end(m_nextConsumer, false);
    end(m_consumer, false);
    setSubscribed(false);
}

bool Subscriber::isEnding() const
{
    return std::any_of(m_endingConsumers.cbegin(), m_endingConsumers.cend(), [](const QPointer<Consumer> &consumer) {
        return consumer && consumer->state() == Consumer::State::Cancelling;
    });
}

void Subscriber::releaseEnded()
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

void Subscriber::setSubscribed(bool subscribed)
{
    if (std::exchange(m_isSubscribed, subscribed) != subscribed)
        Q_EMIT subscribedChanged();
}

void Subscriber::openChannel()
{
    if (m_channel)
        return;
    m_channel = m_connection->createChannel();
    connect(m_channel, &Channel::errorOccurred, this, &Subscriber::onChannelError);
    connect(m_channel, &Channel::settlementFailed, this,
            [this](quint64, const Error &error) { onChannelError(error); });
    connect(m_channel, &Channel::closed, this,
            [this, channel = m_channel.data()](const Error &reason) { onChannelClosed(channel, reason); });
}

// Keeps the channel until the last delivery on it is settled.
void Subscriber::leaveChannel()
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
void Subscriber::onChannelClosed(Channel *channel, const Error &reason)
{
    const auto isOnIt = [channel](const QPointer<Consumer> &consumer) {
        return !consumer || consumer->channel() == channel;
    };
    const bool isFormer = channel != m_channel;
    const QString failedQueue = m_nextConsumer && isOnIt(m_nextConsumer) ? m_nextSubscription.queue : QString();
    const bool hasLost = m_consumer && isOnIt(m_consumer);
    channel->disconnect(this);
    for (Consumer *consumer : channel->consumers())
        consumer->disconnect(this);
    if (!failedQueue.isEmpty())
        m_nextConsumer.clear();
    if (hasLost)
        m_consumer.clear();
    m_endingConsumers.removeIf(isOnIt);
    m_formerChannels.removeAll(channel);
    if (!isFormer)
        m_channel.clear();
    channel->deleteLater();

    const QPointer<Subscriber> self(this);
    if (!m_consumer) {
        Q_EMIT channelLost();
        if (self)
            setSubscribed(false);
    }
    if (self)
        Q_EMIT unackedCountChanged();
    if (self && isFormer && reason.isError())
        Q_EMIT attemptFailed(reason.text());
    if (!self || !m_connection || !reason.isError())
        return;
    if (!failedQueue.isEmpty())
        onRefused(reason, failedQueue);
    else if (m_settings.resubscribe && hasLost)
        m_backoff.start(this);
}

// The broker has refused a subscription to the queue.
void Subscriber::onRefused(const Error &reason, const QString &queue)
{
    if (reason.replyCode() == NotFound && m_settings.queue)
        m_settings.queue->lost(queue, reason);
    else if (m_settings.resubscribe && mayPass(reason))
        m_backoff.start(this);
}

void Subscriber::stop()
{
    m_connection.clear();
    m_isPending = false;
    m_backoff.stop();
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
    const QPointer<Subscriber> self(this);
    Q_EMIT channelLost();
    if (self)
        setSubscribed(false);
    if (self)
        Q_EMIT unackedCountChanged();
}

void Subscriber::onChannelError(const Error &error)
{
    switch (error.kind()) {
    case ErrorKind::StaleDelivery: // the handler has already settled the message
        if (m_settings.ackMode == AckMode::Manual)
            Q_EMIT failed(error.text());
        break;
    case ErrorKind::InvalidArgument: // likewise, the message is not a delivery that can be settled; see also
                                     // onCancelled()
        if (m_settings.ackMode == AckMode::Manual &&
            !m_hasTakenNoAck) // its handler cannot know which deliveries need no ack
            Q_EMIT attemptFailed(error.text());
        break;
    case ErrorKind::ChannelClosed:
    case ErrorKind::MessageTooLarge:
    case ErrorKind::NotOpen:
        Q_EMIT attemptFailed(error.text());
        break;
    default: // the connection reports it
        break;
    }
}

void Subscriber::timerEvent(QTimerEvent *)
{
    m_backoff.stop();
    update();
}

} // namespace AmqpQt
