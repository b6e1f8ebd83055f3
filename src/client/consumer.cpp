// SPDX-License-Identifier: MIT
#include "client/consumer_p.h"

namespace AmqpQt {

Consumer::Consumer(Channel *, QObject *parent)
    : QObject(parent)
{
}

Consumer::~Consumer() = default;

Channel *Consumer::channel() const
{
    return d->channel ? d->channel->q : nullptr;
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

Reply<void> Consumer::whenStarted()
{
    return d->started.reply();
}

Reply<int> Consumer::cancel()
{
    return d->cancel();
}

} // namespace AmqpQt
