// SPDX-License-Identifier: MIT
#pragma once

#include "rabbitmq/brokerclient.h"

namespace AmqpQt::Test
{

// A new queue with the messages "0", "1" …, all of them ready.
inline QString filledQueue(BrokerClient &client, int count, const FieldTable &arguments = {})
{
    const QString queue = uniqueName(u"q"_s);
    client.channel->declareQueue(queue, sharedQueue(arguments));
    for (int i = 0; i < count; ++i)
        client.channel->publish({}, queue, Message(QByteArray::number(i)));
    if (!waitFor([&] { return client.messageCount(queue) == count; }))
        qWarning("the queue does not fill");
    return queue;
}

// The texts of such messages.
inline QStringList numbers(int first, int last)
{
    QStringList numbers;
    for (int i = first; i <= last; ++i)
        numbers += QString::number(i);
    return numbers;
}

// Returns RabbitMQ's own counts for a queue, after it has processed everything sent earlier on the channel: "ready
// unacknowledged", as in "3 0", or the reason why there is no such line.
inline QByteArray queueCounts(Channel *channel, const QString &queue)
{
    if (const Result<QueueInfo> info = await(channel->inspectQueue(queue)); !info)
        return info.error().toString().toUtf8();
    const ProcessResult listed = brokerControl({u"list_queues"_s, u"--quiet"_s, u"--no-table-headers"_s, u"name"_s,
                                                u"messages_ready"_s, u"messages_unacknowledged"_s});
    const QByteArray start = queue.toUtf8() + '\t';
    for (const QByteArray &line : listed.output.split('\n')) {
        if (line.startsWith(start))
            return line.mid(start.size()).trimmed().replace('\t', ' ');
    }
    return "not listed: " + listed.output + listed.errors;
}

} // namespace AmqpQt::Test
