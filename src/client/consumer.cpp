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
    Ends the subscription (\c basic.cancel), without any signal. Deliveries that no slot has seen, and those that
    still arrive, go back to the queue. Those that were delivered stay as they are: they can be settled as before.
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

int Consumer::unackedCount() const
{
    return d->unackedCount;
}

/*!
    Returns a reply that succeeds with \c basic.consume-ok. It ends with the error of the channel if that is closed
    before, with ErrorKind::InvalidArgument or ErrorKind::NotOpen if the call was refused, and with
    ErrorKind::Cancelled if something was deleted. Once Channel::reopen() has subscribed again a new reply is about
    that.
*/
Reply<void> Consumer::whenStarted()
{
    return d->started.reply();
}

/*!
    Ends the subscription (\c basic.cancel): no more messages are emitted from now on. The reply succeeds with
    \c basic.cancel-ok and has the number of deliveries that no slot had seen and that went back to the queue; those
    of a consumer with AckMode::NoAck are lost, and a warning has their number. stateChanged() and cancelled() follow.

    Messages that were delivered can be settled as before. While the channel is closed or closing the consumer ends
    without asking the broker. One that has ended gives 0, and called again while it is under way cancel() returns
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

    The reply succeeds with 0 when the broker has confirmed (\c basic.cancel-ok). If cancel() was called before, it is
    the reply of that call.

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
