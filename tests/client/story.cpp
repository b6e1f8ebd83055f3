// SPDX-License-Identifier: MIT
#include "client/story.h"

namespace AmqpQt::Test
{

Story::Story(Parents parents)
    : m_parents(parents)
{
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setWriteBuffer(1000, 10'000, 1'000'000);
    parameters.setCloseTimeout(100ms); // used to call close() while the peer blocks
    parameters.setBackpressureMultiplier(3);
    connection = new Connection;
    log.watch(connection);
    connection->setParameters(parameters);
    peer.setHook([this](const Command &command) {
        if (command.id != Wire::BasicGet::id || command.as<Wire::BasicGet>().queue != "full")
            return false;
        peer.sendContent(command.channel, Wire::BasicGetOk{.deliveryTag = 1, .messageCount = 7}, {}, "got");
        return true;
    });
}

Story::~Story()
{
    log.afterEntry = nullptr;
    delete connection;
    delete channel;
    delete consumer;
}

void Story::run()
{
    open() && use() && receive() && beBlocked() && loseChannel() && close() && loseConnection();
}

template <typename T>
void Story::call(const Reply<T> &reply, const char *name)
{
    log.watch(reply, QString::fromLatin1(name));
}

bool Story::waitFor(const QString &entry, int times)
{
    if (waitUntil([&] { return stopped || log.countOf(entry) >= times; }))
        return !stopped;
    qWarning().noquote() << entry << "does not come after" << log.entries.join(u"; ");
    QTest::qFail("the story does not go on", __FILE__, __LINE__);
    return false;
}

Consumer *Story::consume(const QString &tag, const QString &queue)
{
    Consumer *made =
        channel->consume(queue, {.consumerTag = tag}, m_parents == Parents::Other ? &m_otherParent : nullptr);
    log.watch(made, tag);
    log.watch(made->whenStarted(), tag + u".whenStarted"_s);
    return made;
}

// All calls are made before the connection is open.
bool Story::open()
{
    channel = connection->createChannel(m_parents == Parents::Other ? &m_otherParent : nullptr);
    log.watch(channel);
    call(channel->whenOpen(), "channel.whenOpen");
    call(channel->setPrefetch(10), "setPrefetch");
    call(channel->declareExchange(u"x"_s, ExchangeType::Direct), "declareExchange");
    call(channel->declareTemporaryQueue(), "declareQueue");
    call(channel->bindQueue({}, u"x"_s, u"k"_s), "bindQueue");
    consumer = consume(u"a"_s, {});
    connect(consumer, &Consumer::delivered, this, [this](const Message &message) { messages += message; });
    log.watchDeliveries(consumer, u"a"_s);
    log.watchBatches(consumer, u"a"_s);
    channel->publish(u"x"_s, u"k"_s, Message("first"));
    call(connection->whenOpen(), "connection.whenOpen");
    call(connection->open(), "open");
    return waitFor(u"connection.opened"_s) && waitFor(u"channel.opened"_s) && waitFor(u"a.started"_s);
}

bool Story::use()
{
    call(channel->inspectExchange(u"x"_s), "inspectExchange");
    call(channel->inspectQueue(u"q"_s), "inspectQueue");
    call(channel->unbindQueue(u"q"_s, u"x"_s, u"k"_s), "unbindQueue");
    call(channel->purgeQueue(u"q"_s), "purgeQueue");
    call(channel->get(u"empty"_s), "get nothing");
    call(channel->get(u"full"_s), "get");
    call(channel->deleteQueue(u"q"_s), "deleteQueue");
    call(channel->deleteExchange(u"x"_s), "deleteExchange");
    connection->channel(0);                                     // an error of the connection
    channel->publish(QString(256, u'x'), {}, Message("never")); // an error of the channel
    return waitFor(u"reply.deleteExchange ok"_s) && waitFor(u"channel.errorOccurred InvalidArgument"_s);
}

bool Story::receive()
{
    peer.deliver(1, "a", 2, "one");
    peer.deliver(1, "a", 3, "two");
    peer.deliver(1, "a", 4, "three");
    if (!waitFor(u"a.delivered three"_s))
        return false;
    for (const Message &message : std::as_const(messages))
        message.ack();
    channel->ack(messages.constFirst()); // too late for the delivery
    if (!waitFor(u"channel.settlementFailed StaleDelivery"_s))
        return false;
    const QPointer<Channel> shortLived = connection->createChannel();
    const Reply<std::optional<GetResult>> got = shortLived->get(u"full"_s);
    call(got, "get elsewhere");
    if (!waitFor(u"reply.get elsewhere ok"_s))
        return false;
    delete shortLived;
    got.result()->value().message.ack();
    if (!waitFor(u"connection.settlementFailed StaleDelivery"_s))
        return false;
    peer.sendContent(1,
                     Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .exchange = "x", .routingKey = "y"},
                     {}, "returned");
    Consumer *second = consume(u"b"_s, u"q2"_s);
    if (!waitFor(u"b.started"_s) || !waitFor(u"channel.messageReturned Returned 312"_s))
        return false;
    delete second;
    consume(u"c"_s, u"q3"_s);
    if (!waitFor(u"c.started"_s))
        return false;
    peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    return waitFor(u"c.cancelled ConsumerCancelled"_s);
}

bool Story::beBlocked()
{
    peer.send(0, Wire::ConnectionBlocked{.reason = "low on memory"});
    if (!waitFor(u"connection.blockedChanged 1"_s))
        return false;
    channel->publish(u"x"_s, u"k"_s, Message("waits"));
    peer.send(0, Wire::ConnectionUnblocked{});
    if (!waitFor(u"connection.blockedChanged 0"_s) || !waitFor(u"channel.writableChanged 1"_s, 2))
        return false;
    channel->publish(u"x"_s, u"k"_s, Message(QByteArray(20'000, 'x'))); // exceeds the high watermark
    return waitFor(u"connection.writableChanged 1"_s, 2);
}

bool Story::loseChannel()
{
    peer.send(1, Wire::ChannelFlow{.active = false});
    if (!waitFor(u"channel.backpressureChanged 4"_s))
        return false;
    channel->publish(u"x"_s, u"k"_s, Message("held"));
    channel->publish(u"x"_s, u"k"_s, Message("held"));
    peer.withhold("queue.declare-ok");
    call(channel->declareQueue(u"q"_s), "declareQueue in vain");
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    if (!waitFor(u"channel.closed ChannelClosed 406"_s))
        return false;
    peer.answerAgain("queue.declare-ok");
    call(channel->reopen(), "reopen");
    return waitFor(u"a.started"_s, 2);
}

bool Story::close()
{
    peer.deliver(1, "a", 1, "four");
    if (!waitFor(u"a.delivered four"_s))
        return false;
    call(consumer->cancel(), "cancel");
    if (!waitFor(u"a.cancelled ok"_s))
        return false;
    call(channel->close(), "channel.close");
    if (!waitFor(u"channel.closed ok"_s))
        return false;
    call(connection->close(), "close");
    return waitFor(u"connection.closed ok"_s);
}

bool Story::loseConnection()
{
    call(channel->reopen(), "reopen again");
    consume(u"d"_s, u"q4"_s);
    call(connection->open(), "open again");
    if (!waitFor(u"d.started"_s) || !confirm())
        return false;
    peer.withhold("queue.delete-ok");
    call(channel->deleteQueue(u"q"_s), "deleteQueue in vain");
    peer.closeConnection(320, "CONNECTION_FORCED");
    return waitFor(u"connection.closed ConnectionClosed 320"_s);
}

// The second of two messages stays unconfirmed.
bool Story::confirm()
{
    call(channel->confirmSelect(), "confirmSelect");
    channel->publish(u"x"_s, u"k"_s, Message("confirmed"));
    if (!waitFor(u"channel.publishConfirmed"_s))
        return false;
    peer.withhold("basic.ack");
    channel->publish(u"x"_s, u"k"_s, Message("unconfirmed"));
    return true;
}

void Story::endRemaining()
{
    peer.answerAgain("queue.declare-ok");
    peer.answerAgain("queue.delete-ok");
    if (connection)
        connection->close();
    if (!waitUntil([this] { return !connection || connection->state() == Connection::State::Closed; }))
        QTest::qFail("the connection does not close", __FILE__, __LINE__);
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
    QCoreApplication::processEvents();
}

} // namespace AmqpQt::Test
