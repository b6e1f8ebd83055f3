// SPDX-License-Identifier: MIT
#include "client/consumer/consumer_p.h"

#include <QtCore/qmetaobject.h>

namespace AmqpQt
{

/*!
    \class AmqpQt::Consumer
    \inheaderfile AmqpQt/Consumer
    \inmodule AmqpQt
    \since 0.1
    \brief The Consumer class represents a subscription to a queue and emits the messages that arrive.

    Channel::consume() creates consumers:

    \code
    AmqpQt::Consumer *orders = channel->consume(u"orders"_s, {.prefetch = 100});
    connect(orders, &AmqpQt::Consumer::delivered, this, [this](const AmqpQt::Message &message) {
        show(message.text());
        message.ack();
    });
    \endcode

    Connect to its signals before control returns to the event loop. With AckMode::Manual, a message that arrives while
    neither delivered() nor batchDelivered() is connected is lost to the application, though not to the broker: it stays
    unsettled until the channel is closed, and a warning is logged. With AckMode::NoAck the message is lost. With
    AckMode::AfterDelivery it is kept until one of the signals is connected.

    \section1 Settling

    With AckMode::Manual, the default, the broker keeps each message until Message::ack() or Message::nack() is called,
    and sends no more unsettled messages than the prefetch count (Channel::setPrefetch(), ConsumeOptions::prefetch).
    Delivered messages can also be settled after the consumer has ended, as long as their channel has not. With
    AckMode::AfterDelivery, the library acknowledges a message when the slots have returned, unless a slot has settled
    it. With AckMode::NoAck, the broker forgets a message as soon as it is written.

    Set a prefetch count if a slot is slow. Without a prefetch count, the broker sends as fast as the connection accepts
    messages, and each message that waits for the slots counts as delivered: the broker's consumer timeout runs for it,
    and other consumers of the queue do not receive it.

    \section1 The end of a subscription

    \list
    \li cancel() ends the subscription. Deliveries that no slot has seen return to the queue.
    \li drain() ends the subscription too, but first emits the messages that the broker has sent before it confirms.
    \li Deleting the object has the same effect as cancel(), but no signal is emitted.
    \li The broker may end the subscription, usually because the queue was deleted (\c basic.cancel, see
        \l {https://www.rabbitmq.com/docs/consumer-cancel} {Consumer cancel notification}). Then cancelled() is emitted
        with ErrorKind::ConsumerCancelled. With ConsumeOptions::resubscribe, the consumer instead waits in
        State::Recovering until the queue exists, and subscribes again. The channel stays usable.
    \li If the connection is lost and recovers, the consumer is in State::Recovering until the broker has confirmed its
        new subscription, with the same tag and prefetch. A consumer that the broker refuses then ends, unless its queue
        is temporarily down or ConsumeOptions::resubscribe is set; other consumers are not affected.
    \li If the channel is closed by an error, or the connection is lost without a recovery, the consumer waits in
        State::Recovering until Channel::reopen(), and then subscribes again with the same tag. There is one exception:
        if the broker refuses a \c basic.consume, all consumers of the channel that the broker has not confirmed yet
        end, because the broker does not identify the refused consumer.
    \li If a message for this consumer is larger than ConnectionParameters::maximumMessageSize(), the library cancels
        the consumer, because the message would otherwise be delivered again, and emits cancelled() with
        ErrorKind::MessageTooLarge. The message returns to the queue, or is lost with AckMode::NoAck. The channel and
        its other consumers are not affected.
    \li Channel::close() and Connection::close() end the subscription, and cancelled() is emitted without an error.
    \li If the channel or the connection is deleted, the subscription ends with ErrorKind::Cancelled.
    \endlist

    cancelled() is the last signal. batchDelivered() with the remaining messages, deliveredCountChanged()
    and unackedCountChanged() precede it.

    A consumer is a child of its Channel unless it was given a parent, and belongs to the thread of its connection.

    \sa Channel::consume(), Message
*/

/*!
    \enum AmqpQt::Consumer::State

    \value Starting \c basic.consume is waiting to be sent or to be answered.
    \value Active The broker has confirmed the subscription. Deliveries may arrive.
    \value Recovering The connection was lost, and its recovery subscribes again; the channel was closed by an error,
   and Channel::reopen() subscribes again; or the broker has cancelled a consumer with ConsumeOptions::resubscribe,
           which subscribes again when its queue exists.
    \value Cancelling cancel() or drain() was called and has not been answered yet. Deliveries are emitted only for
           drain().
    \value Cancelled The subscription has ended.
*/

/*!
    \property AmqpQt::Consumer::queue
    \brief the name of the queue.

    An empty string passed to Channel::consume() stands for the queue last declared on the channel. Its name may be
    known only after the declaration; queueChanged() is emitted then.
*/

/*!
    \property AmqpQt::Consumer::consumerTag
    \brief the consumer's name on its channel, set in ConsumeOptions or generated by the library; it never changes.
*/

/*!
    \property AmqpQt::Consumer::ackMode
    \brief how deliveries are settled; it never changes.
*/

/*!
    \property AmqpQt::Consumer::state
    \brief the state of the subscription; State::Starting initially.
*/

/*!
    \property AmqpQt::Consumer::deliveredCount
    \brief the number of messages that have arrived since the consumer was created.

    Messages that wait for a slot, and messages that return to the queue because no slot has seen them, are counted too.
    The number is updated once per turn of the event loop, with its signal. The function may be called from any thread.
    Connecting to the signal does not make the consumer emit or acknowledge messages.
*/

/*!
    \property AmqpQt::Consumer::unackedCount
    \brief the number of messages that were delivered and are not settled yet; 0 with AckMode::NoAck.

    The count is 0 when the channel ends, because the messages return to the broker.
*/

/*!
    \fn void AmqpQt::Consumer::delivered(const AmqpQt::Message &message)

    This signal is emitted when \a message has arrived (\c basic.deliver). The slot may call any function and delete any
    object, including the consumer and the connection.

    Deliveries are emitted for at most ConnectionParameters::dispatchBudget() in a row. Other events are then processed
    before the next deliveries, so that a flood of messages does not freeze the application.
*/

/*!
    \fn void AmqpQt::Consumer::batchDelivered(const QList<AmqpQt::Message> &messages)

    This signal is emitted with the \a messages of one turn of the event loop, in the order of their arrival. It is
    intended for models, and for slots in another thread: one queued call delivers all messages. Connect either to
    delivered() or to this signal; a receiver connected to both gets each message twice.

    Messages that have not been emitted when cancel() is called, or when the consumer is deleted, return to the queue.
*/

/*!
    \fn void AmqpQt::Consumer::started()

    This signal is emitted when the broker has confirmed the subscription (\c basic.consume-ok), for the first time or
    after the consumer has subscribed again. It follows the replies of whenStarted(), queueChanged() and
    stateChanged(Active).
*/

/*!
    \fn void AmqpQt::Consumer::cancelled(const AmqpQt::Error &reason)

    This signal is emitted when the subscription has ended; it is the last signal of a consumer. \a reason is not an
    error (Error::isError() is \c false) after cancel(), Channel::close() and Connection::close(). For other reasons,
    see \l {The end of a subscription}. A rejected call of Channel::consume() also ends with this signal, with
    ErrorKind::InvalidArgument or ErrorKind::NotOpen.
*/

/*!
    \fn void AmqpQt::Consumer::stateChanged(AmqpQt::Consumer::State state)

    This signal is emitted when the consumer enters \a state.
*/

/*!
    \fn void AmqpQt::Consumer::queueChanged(const QString &queue)

    This signal is emitted when the name of the \a queue becomes known because the broker has generated it.
*/

/*!
    \fn void AmqpQt::Consumer::deliveredCountChanged(double count)

    This signal is emitted when deliveredCount() has changed to \a count, at most once per turn of the event loop.
*/

/*!
    \fn void AmqpQt::Consumer::unackedCountChanged(int count)

    This signal is emitted when unackedCount() has changed to \a count, at most once per turn of the event loop.
*/

Consumer::Consumer(Channel *, QObject *parent)
    : QObject(parent)
{
}

/*!
    Ends the subscription (\c basic.cancel), without any signal. Deliveries that no slot has seen, and those that still
    arrive, go back to the queue. Messages that were emitted can still be settled.
*/
Consumer::~Consumer() = default;

/*!
    Returns the channel of this consumer, or null once it has been deleted.
*/
Channel *Consumer::channel() const
{
    return d->channel ? d->channel->q : nullptr;
}

void Consumer::connectNotify(const QMetaMethod &signal)
{
    if (signal == QMetaMethod::fromSignal(&Consumer::delivered) ||
        signal == QMetaMethod::fromSignal(&Consumer::batchDelivered))
        d->onConnected();
}

void Consumer::disconnectNotify(const QMetaMethod &)
{
    d->onDisconnected();
}

QString Consumer::queue() const
{
    return d->queue;
}

QString Consumer::consumerTag() const
{
    return d->options.consumerTag;
}

AckMode Consumer::ackMode() const
{
    return d->options.ackMode;
}

Consumer::State Consumer::state() const
{
    return d->state;
}

qint64 Consumer::deliveredCount() const
{
    return d->deliveredCount.load(std::memory_order_relaxed);
}

int Consumer::unackedCount() const
{
    return d->unackedCount;
}

/*!
    Returns a reply that succeeds with \c basic.consume-ok. It ends with the error of the channel if the channel is
    closed first, with ErrorKind::InvalidArgument or ErrorKind::NotOpen if the call was rejected, and with
    ErrorKind::Cancelled if the consumer, channel or connection is deleted. After Channel::reopen(), a new reply reports
    the new subscription.
*/
Reply<void> Consumer::whenStarted()
{
    return d->started.reply();
}

/*!
    Ends the subscription (\c basic.cancel): no more messages are emitted from now on. The reply succeeds with
    \c basic.cancel-ok and contains the number of unseen deliveries that went back to the queue. With AckMode::NoAck
    these are lost, and a warning reports their number. stateChanged() and cancelled() follow.

    Messages that were emitted can still be settled. While the channel is closed or closing, the consumer ends without a
    call to the broker. For an ended consumer the reply contains 0. While a cancellation is under way, cancel() returns
    the same reply.
*/
Reply<int> Consumer::cancel()
{
    return d->cancel(false);
}

/*!
    Ends the subscription (\c basic.cancel) as cancel() does, but still emits the messages that the broker has sent
    before it confirms. So no message goes back to the queue out of order, and a consumer with AckMode::NoAck loses
    none. Meanwhile state() is State::Cancelling; cancelled() comes after the last delivery.

    The reply succeeds with 0 when the broker has confirmed (\c basic.cancel-ok). If cancel() was called before, its
    reply is returned.

    \sa cancel()
*/
Reply<int> Consumer::drain()
{
    return d->cancel(true);
}

/*!
    \reimp
*/
bool Consumer::event(QEvent *event)
{
    return QObject::event(event);
}

} // namespace AmqpQt
