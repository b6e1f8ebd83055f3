// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <QtCore/qpoint.h>
#include <QtTest/qsignalspy.h>

#include <limits>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_RejectedPublishes : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_client = std::make_unique<BrokerClient>();
        QVERIFY(m_client->isOpen());
        m_queue = uniqueName(u"q"_s);
        VERIFY_OK(m_client->channel->declareQueue(m_queue, {.exclusive = true}));
    }
    void cleanup() { m_client.reset(); }

    void rejectedMessagesDoNotAffectOthers_data();
    void rejectedMessagesDoNotAffectOthers();

    void unusableMessagesAreRejected_data();
    void unusableMessagesAreRejected();
    void publishFailsWhenTheBufferIsFull();
    void backlogIsReportedIfTheUrlAsksForIt_data();
    void backlogIsReportedIfTheUrlAsksForIt();
    void tooLongNamesAreRejected();
    void namesThatAreNoUnicodeAreRejected();
    void unusableTablesAreRejected();

private:
    std::unique_ptr<BrokerClient> m_client;
    QString m_queue;
};

// F8
void tst_RejectedPublishes::rejectedMessagesDoNotAffectOthers_data()
{
    QTest::addColumn<Message>("message");
    Message expiring;
    expiring.setExpiration(std::chrono::milliseconds(315'360'000'001));
    QTest::newRow("expiration") << expiring;
    Message foreign;
    foreign.setUserId(u"somebody else"_s);
    QTest::newRow("user id") << foreign;
    Message request;
    request.setReplyTo(u"amq.rabbitmq.reply-to"_s);
    QTest::newRow("direct replies without their consumer") << request;
    for (const QString &name : {u"CC"_s, u"BCC"_s}) {
        Message copied;
        copied.setHeader(name, u"queue"_s);
        QTest::newRow(qPrintable(name)) << copied;
    }
}

void tst_RejectedPublishes::rejectedMessagesDoNotAffectOthers()
{
    QFETCH(const Message, message);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->confirmSelect());
    QVERIFY(channel->publish({}, m_queue, Message("before")));
    QCOMPARE(channel->publish({}, m_queue, message), 0u);
    QCOMPARE(channel->lastCallError().kind(), ErrorKind::InvalidArgument);
    QVERIFY(channel->publish({}, m_queue, Message("after")));
    VERIFY_OK(channel->whenConfirmed());
    QCOMPARE(texts(m_client->drain(m_queue)), QStringList({u"before"_s, u"after"_s}));
    QVERIFY(channel->isOpen());
}

void tst_RejectedPublishes::unusableMessagesAreRejected_data()
{
    QTest::addColumn<Message>("message");
    QTest::addColumn<QString>("named");
    const auto withHeader = [](const QVariant &value) {
        Message message("body");
        message.setHeader(u"the key"_s, value);
        return message;
    };
    const QString tooLong(128, u'é'); // 256 bytes
    Message message("body");
    message.setType(tooLong);
    QTest::newRow("long type") << message << u"type"_s;
    message = Message("body");
    message.setCorrelationId(tooLong);
    QTest::newRow("long correlation id") << message << u"correlationId"_s;
    message = Message("body");
    message.setHeader(tooLong, 1);
    QTest::newRow("long header name") << message << u"headers"_s;
    QTest::newRow("unsupported type") << withHeader(QPoint(1, 2)) << u"the key"_s;
    QTest::newRow("unsupported type inside")
        << withHeader(QVariantList{QVariantMap{{u"deep"_s, QPoint(1, 2)}}}) << u"the key"_s;
    QTest::newRow("NaN") << withHeader(std::nan("")) << u"the key"_s;
    QTest::newRow("infinity") << withHeader(std::numeric_limits<float>::infinity()) << u"the key"_s;
    QTest::newRow("over 63 bits") << withHeader(std::numeric_limits<quint64>::max()) << u"the key"_s;
    QTest::newRow("headers over a frame") << withHeader(QString(140'000, u'x')) << u"headers"_s;
}

// F1
void tst_RejectedPublishes::unusableMessagesAreRejected()
{
    QFETCH(const Message, message);
    QFETCH(const QString, named);
    QSignalSpy errors(m_client->channel, &Channel::errorOccurred);
    QCOMPARE(m_client->channel->publish({}, m_queue, message), 0U);
    const Error error = m_client->channel->lastCallError();
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(error.text().contains(named), qPrintable(error.text()));
    QVERIFY(waitFor([&] { return errors.count() == 1; }));

    // Nothing was sent, so the channel still works, and the number was not used.
    QCOMPARE(m_client->channel->publish({}, m_queue, Message("usable")), 1U);
    const auto got = await(m_client->channel->get(m_queue, AckMode::NoAck));
    QVERIFY(got && *got);
    QCOMPARE((*got)->message.body(), "usable");
}

// F7
void tst_RejectedPublishes::publishFailsWhenTheBufferIsFull()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setWriteBuffer(1000, 10'000, 100'000);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, {.exclusive = true}));

    QCOMPARE(client.channel->publish({}, queue, Message(QByteArray(100'001, 'x'))), 0U);
    QCOMPARE(client.channel->lastCallError().kind(), ErrorKind::InvalidArgument); // the message could never be sent
    QVERIFY2(client.channel->lastCallError().text().contains(u"100000"_s),
             qPrintable(client.channel->lastCallError().text()));

    // The socket accepts some; without an event loop the rest stays until the buffer is full.
    QSignalSpy writableChanged(client.channel, &Channel::writableChanged);
    int accepted = 0;
    while (accepted < 100'000 && client.channel->publish({}, queue, Message(QByteArray(10'000, 'x'))) > 0)
        ++accepted;
    QVERIFY(accepted < 100'000);
    QCOMPARE(client.channel->lastCallError().kind(), ErrorKind::BufferFull);
    QVERIFY(!client.channel->isWritable());
    QVERIFY(client.channel->backpressure().testFlag(BackpressureReason::WriteBufferFull));

    QVERIFY(waitFor([&] { return client.channel->isWritable() && writableChanged.count() >= 2; }));
    QCOMPARE(writableChanged.first().first().toBool(), false);
    QCOMPARE(writableChanged.last().first().toBool(), true);
    QVERIFY(client.channel->publish({}, queue, Message("again")) > 0);
    QVERIFY(waitFor([&] { return client.messageCount(queue) == accepted + 1; })); // all accepted messages
}

void tst_RejectedPublishes::backlogIsReportedIfTheUrlAsksForIt_data()
{
    QTest::addColumn<QString>("query");
    QTest::addColumn<int>("reported");
    QTest::newRow("not asked for") << QString() << 0;
    QTest::newRow("default") << u"backpressure_detection=t"_s << 1;
    QTest::newRow("large multiple") << u"backpressure_multiplier=100000"_s << 0;
}

// C4
void tst_RejectedPublishes::backlogIsReportedIfTheUrlAsksForIt()
{
    QFETCH(const QString, query);
    QFETCH(const int, reported);
    QUrl url = brokerUrl();
    url.setQuery(query);
    const Result<ConnectionParameters> parameters = ConnectionParameters::fromUrl(url);
    QVERIFY(parameters);
    BrokerClient client(*parameters);
    QVERIFY(client.isOpen());
    int count = 0;
    connect(&client.connection, &Connection::backpressureDetected, this, [&](qint64 bytes) { count += bytes > 0; });
    const Reply<QueueInfo> queue = client.channel->declareTemporaryQueue();
    VERIFY_OK(queue);
    for (int i = 0; i < 100; ++i)
        client.channel->publish({}, queue.result()->name, Message("body"));
    QVERIFY(waitFor([&] { return client.messageCount(queue.result()->name) == 100; }));
    QCOMPARE(count, reported);
}

void tst_RejectedPublishes::tooLongNamesAreRejected()
{
    const QString tooLong = QString(85, u'語') + u'x'; // 256 bytes, 86 characters
    Channel *channel = m_client->channel;
    const auto rejected = [&](const Error &error, const QString &named) {
        return brief(error) == u"InvalidArgument"_s && error.text().contains(named) && error.text().contains(u"256"_s)
                   ? u"rejected"_s
                   : error.toString();
    };
    QCOMPARE(channel->publish(tooLong, u"key"_s, Message("body")), 0U);
    QCOMPARE(rejected(channel->lastCallError(), u"exchange"_s), u"rejected"_s);
    QCOMPARE(channel->publish({}, tooLong, Message("body")), 0U);
    QCOMPARE(rejected(channel->lastCallError(), u"routingKey"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->declareQueue(tooLong)).error(), u"queue"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->inspectQueue(tooLong)).error(), u"queue"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->deleteQueue(tooLong)).error(), u"queue"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->purgeQueue(tooLong)).error(), u"queue"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->bindQueue(tooLong, u"amq.direct"_s)).error(), u"queue"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->bindQueue(m_queue, tooLong)).error(), u"exchange"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->unbindQueue(m_queue, u"amq.direct"_s, tooLong)).error(), u"routingKey"_s),
             u"rejected"_s);
    QCOMPARE(rejected(await(channel->declareExchange(tooLong, ExchangeType::Direct)).error(), u"exchange"_s),
             u"rejected"_s);
    QCOMPARE(rejected(await(channel->declareExchange(m_queue, tooLong)).error(), u"type"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->deleteExchange(tooLong)).error(), u"exchange"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->get(tooLong)).error(), u"queue"_s), u"rejected"_s);
    QCOMPARE(rejected(await(channel->consume(tooLong)->whenStarted()).error(), u"queue"_s), u"rejected"_s);
    QCOMPARE(
        rejected(await(channel->consume(m_queue, {.consumerTag = tooLong})->whenStarted()).error(), u"consumerTag"_s),
        u"rejected"_s);
    QVERIFY(channel->isOpen());
    VERIFY_OK(channel->inspectQueue(m_queue));
}

void tst_RejectedPublishes::namesThatAreNoUnicodeAreRejected()
{
    const QString broken = u"half"_s + QChar(0xd800);
    Channel *channel = m_client->channel;
    const auto rejected = [&](const QString &named) {
        return named + u": a string with an unpaired surrogate cannot be sent"_s;
    };
    QCOMPARE(channel->publish(broken, u"key"_s, Message("body")), 0U);
    QCOMPARE(channel->lastCallError().text(), rejected(u"exchange"_s));
    QCOMPARE(channel->publish({}, broken, Message("body")), 0U);
    QCOMPARE(channel->lastCallError().text(), rejected(u"routingKey"_s));
    Message message;
    message.setReplyTo(broken);
    QCOMPARE(channel->publish({}, m_queue, message), 0U);
    QCOMPARE(channel->lastCallError().text(), rejected(u"replyTo"_s));
    QCOMPARE(await(channel->declareQueue(broken)).error().text(), rejected(u"queue"_s));
    QVERIFY(channel->isOpen());
    VERIFY_OK(channel->inspectQueue(m_queue));
}

void tst_RejectedPublishes::unusableTablesAreRejected()
{
    const FieldTable table = {{u"x-good"_s, 1}, {u"x-bad"_s, QPoint(1, 2)}};
    Channel *channel = m_client->channel;
    const auto rejected = [&](const Error &error) {
        return brief(error) == u"InvalidArgument"_s && error.text().contains(u"x-bad"_s) ? u"rejected"_s
                                                                                         : error.toString();
    };
    QCOMPARE(rejected(await(channel->declareQueue(m_queue, {.arguments = table})).error()), u"rejected"_s);
    QCOMPARE(rejected(await(channel->declareExchange(m_queue, ExchangeType::Direct, {.arguments = table})).error()),
             u"rejected"_s);
    QCOMPARE(rejected(await(channel->bindQueue(m_queue, u"amq.direct"_s, {}, table)).error()), u"rejected"_s);
    QCOMPARE(rejected(await(channel->unbindQueue(m_queue, u"amq.direct"_s, {}, table)).error()), u"rejected"_s);
    QCOMPARE(rejected(await(channel->consume(m_queue, {.arguments = table})->whenStarted()).error()), u"rejected"_s);
    QVERIFY(channel->isOpen());
    VERIFY_OK(channel->inspectQueue(m_queue));
}

QTEST_GUILESS_MAIN(tst_RejectedPublishes)

#include "tst_rejectedpublishes.moc"
