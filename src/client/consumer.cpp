// SPDX-License-Identifier: MIT
#include "client/consumer_p.h"

#include <QtCore/qmetaobject.h>

namespace AmqpQt
{

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
    closed first, with ErrorKind::InvalidArgument or ErrorKind::NotOpen if the call was refused, and with
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
