// SPDX-License-Identifier: MIT
#include <AmqpQt/options.h>

using namespace Qt::StringLiterals;

namespace AmqpQt
{

namespace
{

template <typename Options>
Options with(Options options, const QString &argument, const QVariant &value)
{
    options.arguments.insert(argument, value);
    return options;
}

template <typename Options, typename Field, typename Value>
Options withField(Options options, Field Options::*field, const Value &value)
{
    options.*field = value;
    return options;
}

} // namespace

/*!
    \class AmqpQt::QueueOptions
    \inheaderfile AmqpQt/Options
    \inmodule AmqpQt
    \since 0.1
    \brief The arguments of \c queue.declare.

    This class is a plain aggregate, intended for designated initialisers:
    \c{channel->declareQueue(u"q"_s, {.durable = false})}. The default is a durable queue that other connections may
    use. RabbitMQ declares a queue only once: a second declaration with other options ends the channel with 406.

    The functions that begin with "with" return a copy with one field or argument set, and can be chained, also in
    C++17:
    \code
    channel->declareQueue(u"orders"_s, AmqpQt::QueueOptions::quorum().withDeliveryLimit(3).withDeadLetter(u"dead"_s));
    \endcode
    They accept any value. The declaration rejects an invalid value, such as a negative number, with
    ErrorKind::InvalidArgument, which names the argument, and sends nothing. The same applies to values set in
    \c arguments directly. Arguments unknown to the library are passed to the broker.
*/

/*!
    \variable AmqpQt::QueueOptions::durable
    \brief the queue survives a restart of the broker; \c true by default.
*/

/*!
    \variable AmqpQt::QueueOptions::exclusive
    \brief only this connection may use the queue, which is deleted with the connection.
*/

/*!
    \variable AmqpQt::QueueOptions::autoDelete
    \brief the queue is deleted when its last consumer is gone.
*/

/*!
    \variable AmqpQt::QueueOptions::arguments
    \brief the optional arguments, such as \c x-message-ttl, by name.
*/

/*!
    Returns the options of a queue for one connection: exclusive, deleted when it is no longer used, not durable.
    RabbitMQ 4.3 still accepts these options for queues that are not durable. Channel::declareTemporaryQueue() uses
    them.
*/
QueueOptions QueueOptions::temporary()
{
    return {.durable = false, .exclusive = true, .autoDelete = true};
}

/*!
    Returns the options of a quorum queue: replicated and durable (\c x-queue-type is \c quorum).
*/
QueueOptions QueueOptions::quorum()
{
    return {.arguments = {{u"x-queue-type"_s, u"quorum"_s}}};
}

/*!
    Returns the options of a stream: durable and append-only (\c x-queue-type is \c stream). A consumer of a stream
    needs a prefetch and manual acknowledgement.
*/
QueueOptions QueueOptions::stream()
{
    return {.arguments = {{u"x-queue-type"_s, u"stream"_s}}};
}

/*!
    Returns these options with \a isDurable: whether the queue survives a restart of the broker.
*/
QueueOptions QueueOptions::withDurable(bool isDurable) const
{
    return withField(*this, &QueueOptions::durable, isDurable);
}

/*!
    Returns these options with \a isExclusive: whether only this connection may use the queue.
*/
QueueOptions QueueOptions::withExclusive(bool isExclusive) const
{
    return withField(*this, &QueueOptions::exclusive, isExclusive);
}

/*!
    Returns these options with \a deletes: whether the queue is deleted when its last consumer is gone.
*/
QueueOptions QueueOptions::withAutoDelete(bool deletes) const
{
    return withField(*this, &QueueOptions::autoDelete, deletes);
}

/*!
    Returns these options with the optional argument \a name set to \a value.
*/
QueueOptions QueueOptions::withArgument(const QString &name, const QVariant &value) const
{
    return with(*this, name, value);
}

/*!
    Returns these options with a time to live for messages (\c x-message-ttl): a message that has waited for \a ttl
    without being delivered is dropped or dead-lettered. With 0, a message is delivered at once or not at all. The
    maximum is ten years. See \l{https://www.rabbitmq.com/docs/ttl}.
*/
QueueOptions QueueOptions::withMessageTtl(std::chrono::milliseconds ttl) const
{
    return with(*this, u"x-message-ttl"_s, qint64(ttl.count()));
}

/*!
    Returns these options with an expiry of the queue (\c x-expires). The queue and its messages are deleted, without
    dead-lettering, after a time without a consumer, a declaration or a get, given by \a unused, 1 ms to ten years. See
    \l{https://www.rabbitmq.com/docs/ttl#queue-ttl}.
*/
QueueOptions QueueOptions::withExpiry(std::chrono::milliseconds unused) const
{
    return with(*this, u"x-expires"_s, qint64(unused.count()));
}

/*!
    Returns these options with a limit of \a messages that are ready for delivery (\c x-max-length), from 0 on.
    withOverflow() determines what happens beyond the limit; by default the oldest message is removed. See
    \l{https://www.rabbitmq.com/docs/maxlength}.
*/
QueueOptions QueueOptions::withMaxLength(qint64 messages) const
{
    return with(*this, u"x-max-length"_s, messages);
}

/*!
    Returns these options with a limit of \a bytes in the bodies of the messages that are ready for delivery
    (\c x-max-length-bytes), from 0 on. See \l{https://www.rabbitmq.com/docs/maxlength}.
*/
QueueOptions QueueOptions::withMaxLengthBytes(qint64 bytes) const
{
    return with(*this, u"x-max-length-bytes"_s, bytes);
}

/*!
    Returns these options with a \a behaviour for a full queue (\c x-overflow): \c drop-head, the default, drops or
    dead-letters the oldest message; \c reject-publish rejects new ones, which Channel::publishFailed() reports as
    ErrorKind::Nacked in confirm mode; \c reject-publish-dlx also dead-letters the rejected ones, in classic queues. See
    \l{https://www.rabbitmq.com/docs/maxlength#overflow-behaviour}.
*/
QueueOptions QueueOptions::withOverflow(const QString &behaviour) const
{
    return with(*this, u"x-overflow"_s, behaviour);
}

/*!
    Returns these options with an \a exchange for dead letters (\c x-dead-letter-exchange): messages that expired, were
    too many, were nacked without requeue or delivered too often. An empty name means the default exchange. Dead letters
    are published with \a routingKey (\c x-dead-letter-routing-key) or, if it is empty, with their original routing key.
    See \l{https://www.rabbitmq.com/docs/dlx} and Message::header() with \c x-death.
*/
QueueOptions QueueOptions::withDeadLetter(const QString &exchange, const QString &routingKey) const
{
    const QueueOptions options = with(*this, u"x-dead-letter-exchange"_s, exchange);
    return routingKey.isEmpty() ? options : with(options, u"x-dead-letter-routing-key"_s, routingKey);
}

/*!
    Returns these options with priorities from 0 to \a levels (\c x-max-priority), of which RabbitMQ recommends no more
    than 10; Message::setPriority() sets a message's. With 0 the queue has none. For classic queues. See
    \l{https://www.rabbitmq.com/docs/priority}.
*/
QueueOptions QueueOptions::withMaxPriority(quint8 levels) const
{
    return with(*this, u"x-max-priority"_s, int(levels));
}

/*!
    Returns these options with a limit for redelivery in quorum queues (\c x-delivery-limit). A message that was
    requeued more often than \a times, 0 or more, is dropped or dead-lettered. -1 means no limit; RabbitMQ 4 has a
    default limit of 20. See \l{https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling}.
*/
QueueOptions QueueOptions::withDeliveryLimit(int times) const
{
    return with(*this, u"x-delivery-limit"_s, times);
}

/*!
    Returns these options with one active consumer at a time (\c x-single-active-consumer): the others wait until it is
    gone. See \l{https://www.rabbitmq.com/docs/consumers#single-active-consumer}.
*/
QueueOptions QueueOptions::withSingleActiveConsumer() const
{
    return with(*this, u"x-single-active-consumer"_s, true);
}

/*!
    Returns these options with dead-lettering that loses no message while the target queue is not available
    (\c x-dead-letter-strategy is \c at-least-once), for quorum queues. RabbitMQ requires the overflow behaviour
    \c reject-publish for it, which this function sets too, and a feature flag that new nodes have. See
    \l{https://www.rabbitmq.com/docs/quorum-queues#dead-lettering}.

    \sa withDeadLetter(), withOverflow()
*/
QueueOptions QueueOptions::withAtLeastOnceDeadLettering() const
{
    return with(withOverflow(u"reject-publish"_s), u"x-dead-letter-strategy"_s, u"at-least-once"_s);
}

/*!
    Returns these options with the \a strategy that selects the node of the leader when the queue is declared
    (\c x-queue-leader-locator), for quorum queues and streams: \c client-local, the default, is the node to which the
    connection leads, and \c balanced is a node with few leaders. See
    \l{https://www.rabbitmq.com/docs/clustering#replica-placement}.
*/
QueueOptions QueueOptions::withLeaderLocator(const QString &strategy) const
{
    return with(*this, u"x-queue-leader-locator"_s, strategy);
}

/*!
    Returns these options with replicas on that many \a nodes, 1 or more, when the queue is declared. The argument is
    \c x-initial-cluster-size if these are the options of a stream, and \c x-quorum-initial-group-size otherwise. A
    cluster with fewer nodes has a replica on each. See
    \l{https://www.rabbitmq.com/docs/quorum-queues#replication-factor}.
*/
QueueOptions QueueOptions::withInitialReplicas(int nodes) const
{
    const bool isStream = arguments.value(u"x-queue-type"_s) == u"stream"_s;
    return with(*this, isStream ? u"x-initial-cluster-size"_s : u"x-quorum-initial-group-size"_s, nodes);
}

/*!
    Returns these options with a \a timeout for acknowledgements (\c x-consumer-timeout), 0 or more, for quorum queues
   of RabbitMQ 4.3 and later: if a consumer has a delivery for longer, the broker requeues its deliveries and cancels
    the consumer. Without this argument, the node's \c consumer_timeout applies, 30 minutes by default. See
    \l{https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout}.

    \sa ConsumeOptions::withConsumerTimeout()
*/
QueueOptions QueueOptions::withConsumerTimeout(std::chrono::milliseconds timeout) const
{
    return with(*this, u"x-consumer-timeout"_s, qint64(timeout.count()));
}

/*!
    Returns these options with delays before messages are delivered again, for quorum queues of RabbitMQ 4.3 and later.
    The delay before the n-th repetition is n times the \a minimum (\c x-delayed-retry-min), up to the \a maximum
    (\c x-delayed-retry-max). \a which (\c x-delayed-retry-type) selects the messages: \c failed for those rejected by
    Message::reject() with requeue, or whose consumer was lost; \c returned for those returned by Message::nack() with
    requeue; \c all for both; \c disabled for none. Both times are 0 or more. See
    \l{https://www.rabbitmq.com/docs/quorum-queues}.

    \sa withDeliveryLimit()
*/
QueueOptions QueueOptions::withDelayedRetry(const QString &which, std::chrono::milliseconds minimum,
                                            std::chrono::milliseconds maximum) const
{
    const QueueOptions options = with(*this, u"x-delayed-retry-type"_s, which);
    return with(with(options, u"x-delayed-retry-min"_s, qint64(minimum.count())), u"x-delayed-retry-max"_s,
                qint64(maximum.count()));
}

/*!
    \class AmqpQt::ExchangeOptions
    \inheaderfile AmqpQt/Options
    \inmodule AmqpQt
    \since 0.1
    \brief The arguments of \c exchange.declare. The default is a durable exchange.
*/

/*!
    \variable AmqpQt::ExchangeOptions::durable
    \brief the exchange survives a restart of the broker; \c true by default.
*/

/*!
    \variable AmqpQt::ExchangeOptions::autoDelete
    \brief the exchange is deleted when its last binding is gone.
*/

/*!
    \variable AmqpQt::ExchangeOptions::internal
    \brief only other exchanges may route messages to it; publishing to it is refused.
*/

/*!
    \variable AmqpQt::ExchangeOptions::arguments
    \brief the optional arguments, such as \c alternate-exchange, by name.
*/

/*!
    Returns these options with \a isDurable: whether the exchange survives a restart of the broker.
*/
ExchangeOptions ExchangeOptions::withDurable(bool isDurable) const
{
    return withField(*this, &ExchangeOptions::durable, isDurable);
}

/*!
    Returns these options with \a deletes: whether the exchange is deleted when its last binding is gone.
*/
ExchangeOptions ExchangeOptions::withAutoDelete(bool deletes) const
{
    return withField(*this, &ExchangeOptions::autoDelete, deletes);
}

/*!
    Returns these options with \a isInternal: whether publishing to the exchange is refused.
*/
ExchangeOptions ExchangeOptions::withInternal(bool isInternal) const
{
    return withField(*this, &ExchangeOptions::internal, isInternal);
}

/*!
    Returns these options with the optional argument \a name set to \a value.
*/
ExchangeOptions ExchangeOptions::withArgument(const QString &name, const QVariant &value) const
{
    return with(*this, name, value);
}

/*!
    Returns these options with an alternate \a exchange (\c alternate-exchange) that receives messages that this
    exchange cannot route. A message routed by the alternate exchange is not returned. See
    \l{https://www.rabbitmq.com/docs/ae}.
*/
ExchangeOptions ExchangeOptions::withAlternate(const QString &exchange) const
{
    return with(*this, u"alternate-exchange"_s, exchange);
}

/*!
    Returns these options with the \a type of the exchange behind the delay (\c x-delayed-type), such as
    ExchangeType::Direct, which an exchange of the type ExchangeType::DelayedMessage needs. The header \c x-delay of a
    message has its delay in milliseconds.
*/
ExchangeOptions ExchangeOptions::withDelayedType(const QString &type) const
{
    return with(*this, u"x-delayed-type"_s, type);
}

/*!
    \namespace AmqpQt::ExchangeType
    \inmodule AmqpQt
    \since 0.1
    \brief The names of the exchange types that every broker has, and of some others. Plug-ins may add further types;
    any string is accepted.
*/

/*!
    \variable AmqpQt::ExchangeType::Direct
    \brief the routing key equals the binding's.
*/

/*!
    \variable AmqpQt::ExchangeType::Fanout
    \brief every binding matches.
*/

/*!
    \variable AmqpQt::ExchangeType::Topic
    \brief the words of the routing key match the binding's pattern, with \c * for one word and \c # for any number.
*/

/*!
    \variable AmqpQt::ExchangeType::Headers
    \brief the headers of the message match the arguments of the binding.
*/

/*!
    \variable AmqpQt::ExchangeType::LocalRandom
    \brief one of the queues on the node that has received the message, at random. RabbitMQ 4.0 and later. See
    \l{https://www.rabbitmq.com/docs/local-random-exchange}.
*/

/*!
    \variable AmqpQt::ExchangeType::ConsistentHash
    \brief a queue chosen by the hash of the routing key, or of the header that the argument \c hash-header names. The
    routing key of a binding is the weight of its queue. Needs the plug-in \c rabbitmq_consistent_hash_exchange.
*/

/*!
    \variable AmqpQt::ExchangeType::ModulusHash
    \brief the queue that the hash of the routing key, modulo the number of queues, selects. Needs the plug-in
    \c rabbitmq_sharding before RabbitMQ 4.3.
*/

/*!
    \variable AmqpQt::ExchangeType::DelayedMessage
    \brief messages wait as long as their header \c x-delay says, in milliseconds. Needs the plug-in
    \c rabbitmq_delayed_message_exchange, which does not come with RabbitMQ, and ExchangeOptions::withDelayedType().
*/

/*!
    \class AmqpQt::ConsumeOptions
    \inheaderfile AmqpQt/Options
    \inmodule AmqpQt
    \since 0.1
    \brief The arguments of \c basic.consume. The default settles manually and shares the queue.
*/

/*!
    \variable AmqpQt::ConsumeOptions::consumerTag
    \brief the name of the consumer on its channel, at most 255 bytes of UTF-8; if it is empty the library generates
    one.
*/

/*!
    \variable AmqpQt::ConsumeOptions::ackMode
    \brief the way in which deliveries are settled; AckMode::Manual by default.
*/

/*!
    \variable AmqpQt::ConsumeOptions::exclusive
    \brief the broker refuses other consumers of the queue, and this one if there are others (403).
*/

/*!
    \variable AmqpQt::ConsumeOptions::noLocal
    \brief no messages published on the same connection. RabbitMQ ignores this.
*/

/*!
    \variable AmqpQt::ConsumeOptions::resubscribe
    \brief whether a consumer that the broker cancels waits in Consumer::State::Recovering until its queue exists, and
    then subscribes again with the same consumer tag and prefetch. By default it is \c false, and the consumer ends. If
    the channel or the connection is lost in the meantime, the consumer also waits for Channel::reopen().

    The library checks for the queue on a separate channel: at once, after half a second, and then at growing intervals
    up to about 30 seconds, which vary from consumer to consumer. The consumer waits as long as the broker answers 404,
    which it also does while the node of the queue is down. If another connection has declared the queue as exclusive
    (405) the consumer ends with that error. Any other refusal, such as 403 from a broker that demands permission to
    configure the queue, leads to an attempt to subscribe. If the broker refuses this attempt it closes the channel, and
    the consumer ends. If the queue is missing again by then, the broker closes the channel too, but the consumer
    continues to wait.
*/

/*!
    \variable AmqpQt::ConsumeOptions::prefetch
    \brief the maximum number of unsettled messages of this consumer, 0 for no limit. If it is unset, the
    limit is that of Channel::setPrefetch(), or 100 if that has not been called.
*/

/*!
    \variable AmqpQt::ConsumeOptions::arguments
    \brief the optional arguments, such as \c x-priority, by name. An invalid priority or stream offset is rejected with
    ErrorKind::InvalidArgument.
*/

/*!
    Returns these options with the consumer tag \a tag.
*/
ConsumeOptions ConsumeOptions::withConsumerTag(const QString &tag) const
{
    return withField(*this, &ConsumeOptions::consumerTag, tag);
}

/*!
    Returns these options with the acknowledgement mode \a mode.
*/
ConsumeOptions ConsumeOptions::withAckMode(AckMode mode) const
{
    return withField(*this, &ConsumeOptions::ackMode, mode);
}

/*!
    Returns these options with \a isExclusive: whether the broker refuses other consumers of the queue.
*/
ConsumeOptions ConsumeOptions::withExclusive(bool isExclusive) const
{
    return withField(*this, &ConsumeOptions::exclusive, isExclusive);
}

/*!
    Returns these options with \a excludesLocal: whether messages published on the same connection are left out.
*/
ConsumeOptions ConsumeOptions::withNoLocal(bool excludesLocal) const
{
    return withField(*this, &ConsumeOptions::noLocal, excludesLocal);
}

/*!
    Returns these options with \a subscribesAgain: whether a consumer that the broker cancels subscribes again.
*/
ConsumeOptions ConsumeOptions::withResubscribe(bool subscribesAgain) const
{
    return withField(*this, &ConsumeOptions::resubscribe, subscribesAgain);
}

/*!
    Returns these options with the prefetch \a count, 0 for no limit.
*/
ConsumeOptions ConsumeOptions::withPrefetch(quint16 count) const
{
    return withField(*this, &ConsumeOptions::prefetch, count);
}

/*!
    Returns these options with the optional argument \a name set to \a value.
*/
ConsumeOptions ConsumeOptions::withArgument(const QString &name, const QVariant &value) const
{
    return with(*this, name, value);
}

/*!
    Returns these options with a \a priority (\c x-priority): as long as they have prefetch left, consumers with a
    higher one get all messages of the queue. The default is 0; negative priorities are allowed. See
    \l{https://www.rabbitmq.com/docs/consumer-priority}.
*/
ConsumeOptions ConsumeOptions::withPriority(int priority) const
{
    return with(*this, u"x-priority"_s, priority);
}

/*!
    Returns these options with a \a timeout for acknowledgements (\c x-consumer-timeout), 0 or more, for consumers of
   quorum queues with RabbitMQ 4.3 and later. It replaces the one of the queue, see QueueOptions::withConsumerTimeout().
*/
ConsumeOptions ConsumeOptions::withConsumerTimeout(std::chrono::milliseconds timeout) const
{
    return with(*this, u"x-consumer-timeout"_s, qint64(timeout.count()));
}

/*!
    Returns these options with the \a offset at which to begin in a stream (\c x-stream-offset):

    \list
    \li the text \c first, the oldest message there is; \c last, the last chunk of messages; \c next, the default,
        messages published from now on
    \li an integer: the message of that number, or the oldest one there is if that is later
    \li a QDateTime: messages from that time on. RabbitMQ searches by chunks, so that earlier ones may come first.
    \li an interval before now such as \c 1h: digits and one of \c Y, \c M, \c D, \c h, \c m, \c s
    \endlist

    Channel::consume() rejects other values. See \l{https://www.rabbitmq.com/docs/streams#consuming}.
*/
ConsumeOptions ConsumeOptions::withStreamOffset(const QVariant &offset) const
{
    return with(*this, u"x-stream-offset"_s, offset);
}

/*!
    \class AmqpQt::QueueInfo
    \inheaderfile AmqpQt/Options
    \inmodule AmqpQt
    \since 0.1
    \brief The broker's answer to a declaration (\c queue.declare-ok).
*/

/*!
    \variable AmqpQt::QueueInfo::name
    \brief the queue's name, which the broker chooses if the declaration has none.
*/

/*!
    \variable AmqpQt::QueueInfo::messageCount
    \brief the number of messages that are ready for delivery.
*/

/*!
    \variable AmqpQt::QueueInfo::consumerCount
    \brief the number of consumers of the queue.
*/

} // namespace AmqpQt
