// SPDX-License-Identifier: MIT
#include <AmqpQt/options.h>

using namespace Qt::StringLiterals;

namespace AmqpQt {

/*!
    \class AmqpQt::QueueOptions
    \inheaderfile AmqpQt/Options
    \inmodule AmqpQt
    \brief The arguments of \c queue.declare.

    A plain aggregate, made for designated initialisers: \c{channel->declareQueue(u"q"_s, {.durable = false})}. The
    default is a durable queue that others may use too. RabbitMQ declares a queue only once: a second declaration with
    other options ends the channel with 406.
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
    This is what RabbitMQ 4.3 still accepts for queues that do not last, and what Channel::declareQueue() without
    a name uses.
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
    \class AmqpQt::ExchangeOptions
    \inheaderfile AmqpQt/Options
    \inmodule AmqpQt
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
    \brief only other exchanges may feed it; publishing to it is refused.
*/

/*!
    \variable AmqpQt::ExchangeOptions::arguments
    \brief the optional arguments, such as \c alternate-exchange, by name.
*/

/*!
    \namespace AmqpQt::ExchangeType
    \inmodule AmqpQt
    \brief The names of the exchange types that every broker has. Plug-ins bring more: any string will do.
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
    \class AmqpQt::ConsumeOptions
    \inheaderfile AmqpQt/Options
    \inmodule AmqpQt
    \brief The arguments of \c basic.consume. The default settles manually and shares the queue.
*/

/*!
    \variable AmqpQt::ConsumeOptions::consumerTag
    \brief the name of the consumer on its channel, at most 255 bytes of UTF-8; if it is empty the library makes one.
*/

/*!
    \variable AmqpQt::ConsumeOptions::ackMode
    \brief who settles deliveries; AckMode::Manual by default.
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
    \variable AmqpQt::ConsumeOptions::prefetch
    \brief how many unsettled messages this consumer may have, 0 for any number; the channel's setting if it is unset.
*/

/*!
    \variable AmqpQt::ConsumeOptions::arguments
    \brief the optional arguments, such as \c x-priority, by name.
*/

/*!
    \class AmqpQt::QueueInfo
    \inheaderfile AmqpQt/Options
    \inmodule AmqpQt
    \brief The broker's answer to a declaration (\c queue.declare-ok).
*/

/*!
    \variable AmqpQt::QueueInfo::name
    \brief the queue's name, the one that the broker made if the declaration had none.
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
