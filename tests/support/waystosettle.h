// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/Channel>
#include <AmqpQt/Message>

#include <QtTest/qtest.h>

// Every function that settles a delivery, as test data.
namespace AmqpQt::Test
{

inline void addWaysToSettle() // a column "how"
{
    QTest::addColumn<QString>("how");
    for (const char *how : {"message.ack", "message.nack", "ack", "ackUpTo", "nack", "nackUpTo"})
        QTest::newRow(how) << QString::fromLatin1(how);
}

// Returns what the function returns; the functions of a message return nothing, which counts as false.
inline bool settleBy(const QString &how, Channel *channel, const Message &message)
{
    if (how == QLatin1StringView("ack"))
        return channel->ack(message);
    if (how == QLatin1StringView("ackUpTo"))
        return channel->ackUpTo(message);
    if (how == QLatin1StringView("nack"))
        return channel->nack(message, Requeue::No);
    if (how == QLatin1StringView("nackUpTo"))
        return channel->nackUpTo(message, Requeue::No);
    if (how == QLatin1StringView("message.ack"))
        message.ack();
    else
        message.nack(Requeue::No);
    return false;
}

} // namespace AmqpQt::Test
