// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <optional>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Requests and replies without a queue for the replies. RabbitMQ 3.10 does not count the replies among the deliveries
// of their channel, so their delivery tags repeat; later versions count them.
class tst_DirectReplyTo : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void repliesAndAnOrdinaryDeliveryShareAChannel();
    void repliesMixWithAllElseOnTheirChannel();
};

namespace
{

const QString ReplyTo = u"amq.rabbitmq.reply-to"_s;

// Replies to each request with its body.
class EchoServer
{
public:
    EchoServer()
        : requests(uniqueName(u"requests"_s))
    {
        client.channel->declareQueue(requests, sharedQueue());
        Consumer *consumer = client.channel->consume(requests);
        QObject::connect(consumer, &Consumer::delivered, consumer, [this](const Message &request) {
            client.channel->publish({}, request.replyTo(), Message(request.body()));
            request.ack();
        });
        isReady = client.isOpen() && await(consumer->whenStarted());
    }

    BrokerClient client;
    const QString requests;
    bool isReady = false;
};

Message request(int number)
{
    Message request(QByteArray::number(number));
    request.setReplyTo(ReplyTo);
    return request;
}

} // namespace

// G9
void tst_DirectReplyTo::repliesAndAnOrdinaryDeliveryShareAChannel()
{
    EchoServer server;
    QVERIFY(server.isReady);
    BrokerClient client;
    QVERIFY(client.isOpen());
    QList<Message> replies;
    collect(client.channel->consume(ReplyTo, {.ackMode = AckMode::NoAck}), &replies);
    const QString queue = filledQueue(client, 0);
    QList<Message> ordinary;
    collect(client.channel->consume(queue), &ordinary);
    for (int i = 0; i < 5; ++i)
        client.channel->publish({}, server.requests, request(i));
    QVERIFY(waitFor([&] { return replies.size() == 5 || !client.isOpen(); }));
    client.channel->publish({}, queue, Message("ordinary"));
    QVERIFY(waitFor([&] { return ordinary.size() == 1 || !client.isOpen(); }));
    QCOMPARE(texts(replies), numbers(0, 4));
    QCOMPARE(texts(ordinary), QStringList(u"ordinary"_s));
    ordinary.first().ack();
    QCOMPARE(queueCounts(client.channel, queue), QByteArray("0 0"));
    QVERIFY(client.isOpen());
}

// G9
void tst_DirectReplyTo::repliesMixWithAllElseOnTheirChannel()
{
    constexpr int Count = 2000; // requests, and ordinary messages
    EchoServer server;
    QVERIFY(server.isReady);
    BrokerClient client;
    QVERIFY(client.isOpen());
    Channel *channel = client.channel;
    const QString queue = filledQueue(client, 0);
    const QString fetched = filledQueue(client, 40);
    QList<Message> replies;
    collect(channel->consume(ReplyTo, {.ackMode = AckMode::NoAck}), &replies);
    QList<Message> lossy;
    const QString noAckQueue = filledQueue(client, 0);
    collect(channel->consume(noAckQueue, {.ackMode = AckMode::NoAck}), &lossy);

    int settled = 0;
    int redelivered = 0;
    QList<Message> open; // settled ten at a time
    Consumer *consumer = channel->consume(queue, {.prefetch = 50});
    connect(consumer, &Consumer::delivered, consumer, [&](const Message &message) {
        redelivered += message.isRedelivered();
        const int number = message.body().toInt();
        if (number % 7 == 0 && !message.isRedelivered())
            return message.nack();
        ++settled;
        if (number % 3 == 0)
            return message.ack();
        open.append(message);
        if (open.size() == 10 || settled == Count) {
            QVERIFY(channel->ackUpTo(open.last()));
            open.clear();
        }
    });
    QList<Reply<std::optional<GetResult>>> got;
    for (int i = 0; i < Count; ++i) {
        channel->publish({}, queue, Message(QByteArray::number(i)));
        channel->publish({}, server.requests, request(i));
        channel->publish({}, noAckQueue, Message(QByteArray::number(i)));
        if (i % 50 == 0)
            got.append(channel->get(fetched, i % 100 ? AckMode::NoAck : AckMode::Manual));
    }
    QVERIFY(waitFor(
        [&] { return (settled == Count && replies.size() == Count && lossy.size() == Count) || !client.isOpen(); }));
    QVERIFY2(client.isOpen(), qPrintable(client.channel->error().toString() + client.connection.error().toString()));
    QCOMPARE(texts(replies), numbers(0, Count - 1));
    QCOMPARE(texts(lossy), numbers(0, Count - 1));
    QVERIFY(redelivered >= Count / 7);
    if (!open.isEmpty())
        QVERIFY(channel->ackUpTo(open.last()));
    for (qsizetype i = 0; i < got.size(); ++i) {
        const auto result = await(got[i]);
        QVERIFY2(result, qPrintable(result.error().toString()));
        QVERIFY(*result);
        if (i % 2 == 0)
            (*result)->message.ack();
    }
    QVERIFY(waitFor([&] { return queueCounts(channel, queue) == "0 0" && queueCounts(channel, fetched) == "0 0"; }));
    QCOMPARE(consumer->unackedCount(), 0);
    QVERIFY(client.isOpen());
}

QTEST_GUILESS_MAIN(tst_DirectReplyTo)
#include "tst_directreplyto.moc"
