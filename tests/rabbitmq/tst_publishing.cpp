// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <QtTest/qsignalspy.h>

#include <cmath>
#include <limits>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// Bytes that differ at each position, to reveal a lost or duplicated piece.
QByteArray pattern(qsizetype size)
{
    QByteArray bytes(size, Qt::Uninitialized);
    quint32 state = quint32(size) + 1;
    for (char &byte : bytes) {
        state = state * 1664525 + 1013904223;
        byte = char(state >> 24);
    }
    return bytes;
}

} // namespace

class tst_Publishing : public QObject
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

    void allPropertiesArrive();
    void absentPropertiesStayAbsent();
    void everyHeaderTypeArrives_data();
    void everyHeaderTypeArrives();
    void nestedTablesAndArraysArrive();
    void numbersKeepTheirLimits_data();
    void numbersKeepTheirLimits();
    void textArrivesAsUtf8();
    void bytesArriveUntouched();
    void bodyOfAnySizeArrives_data();
    void bodyOfAnySizeArrives();
    void sizesMixOnOneChannel();
    void forwardedMessageIsTheSame();
    void sequenceNumbersCountUp();
    void copiesGoToCcAndBcc();
    void messageExpiresByItsOwnTime();
    void foreignUserIdClosesTheChannelIfItIsNotChecked();
    void routingKeyThatIsNoTextIsKept();
    void mandatoryMessageWithoutARouteComesBack();
    void missingExchangeClosesTheChannel();

private:
    // Returns the message as it comes back.
    Result<Message> roundTrip(const Message &message)
    {
        if (m_client->channel->publish({}, m_queue, message) == 0)
            return m_client->channel->lastCallError();
        const auto got = await(m_client->channel->get(m_queue, AckMode::NoAck));
        if (!got)
            return got.error();
        if (!*got)
            return Error(ErrorKind::NotOpen, u"the queue is empty"_s);
        return (*got)->message;
    }

    std::unique_ptr<BrokerClient> m_client;
    QString m_queue;
};

// F1, G2
void tst_Publishing::allPropertiesArrive()
{
    const QDateTime now = QDateTime::fromSecsSinceEpoch(1'700'000'000).toUTC();
    Message message("body");
    message.setContentType(u"application/x-température"_s);
    message.setContentEncoding(u"identity"_s);
    message.setHeaders({{u"unit"_s, u"°C"_s}});
    message.setDeliveryMode(DeliveryMode::Transient);
    message.setPriority(9);
    message.setCorrelationId(u"correlation 相関"_s);
    message.setReplyTo(u"reply.to"_s);
    message.setExpiration(60'000ms);
    message.setMessageId(u"id-1"_s);
    message.setTimestamp(now);
    message.setType(u"reading"_s);
    message.setUserId(u"guest"_s); // the broker compares it with the user
    message.setAppId(u"tst"_s);
    message.setClusterId(u"cluster"_s);

    const Result<Message> got = roundTrip(message);
    QVERIFY2(got, qPrintable(got.error().toString()));
    QCOMPARE(got->body(), "body");
    QCOMPARE(got->contentType(), u"application/x-température"_s);
    QCOMPARE(got->contentEncoding(), u"identity"_s);
    QCOMPARE(got->headers(), FieldTable({{u"unit"_s, u"°C"_s}}));
    QCOMPARE(got->deliveryMode(), DeliveryMode::Transient);
    QCOMPARE(got->isPersistent(), false);
    QCOMPARE(got->priority(), 9);
    QCOMPARE(got->correlationId(), u"correlation 相関"_s);
    QCOMPARE(got->replyTo(), u"reply.to"_s);
    QCOMPARE(got->expiration(), std::optional(60'000ms));
    QCOMPARE(got->messageId(), u"id-1"_s);
    QCOMPARE(got->timestamp(), now);
    QCOMPARE(got->type(), u"reading"_s);
    QCOMPARE(got->userId(), u"guest"_s);
    QCOMPARE(got->appId(), u"tst"_s);
    QCOMPARE(got->clusterId(), u"cluster"_s);

    QCOMPARE(got->routingKey(), m_queue);
    QCOMPARE(got->exchange(), QString());
    QCOMPARE(got->channelNumber(), 1);
    QCOMPARE(got->deliveryTag(), 1U);
    QCOMPARE(got->isRedelivered(), false);
    QVERIFY(got->isDelivered());
}

// F1
void tst_Publishing::absentPropertiesStayAbsent()
{
    const Result<Message> got = roundTrip(Message("body"));
    QVERIFY2(got, qPrintable(got.error().toString()));
    for (const QString &text : {got->contentType(), got->contentEncoding(), got->correlationId(), got->replyTo(),
                                got->messageId(), got->type(), got->userId(), got->appId(), got->clusterId()})
        QCOMPARE(text, QString());
    QCOMPARE(got->headers(), FieldTable());
    QCOMPARE(got->priority(), -1);
    QCOMPARE(got->expiration(), std::nullopt);
    QVERIFY(!got->timestamp().isValid());
    QVERIFY(got->isPersistent()); // persistent is the safe default
}

void tst_Publishing::everyHeaderTypeArrives_data()
{
    QTest::addColumn<QVariant>("value");
    QTest::newRow("bool true") << QVariant(true);
    QTest::newRow("bool false") << QVariant(false);
    QTest::newRow("signed 8") << QVariant::fromValue<signed char>(-100);
    QTest::newRow("unsigned 8") << QVariant::fromValue<uchar>(200);
    QTest::newRow("signed 16") << QVariant::fromValue<short>(-30'000);
    QTest::newRow("unsigned 16") << QVariant::fromValue<ushort>(60'000);
    QTest::newRow("signed 32") << QVariant(-2'000'000'000);
    QTest::newRow("unsigned 32") << QVariant(4'000'000'000U);
    QTest::newRow("signed 64") << QVariant(-9'000'000'000'000'000'000LL);
    QTest::newRow("float") << QVariant(1.5F);
    QTest::newRow("double") << QVariant(0.1);
    QTest::newRow("decimal") << QVariant::fromValue(Decimal{2, 314});
    QTest::newRow("text") << QVariant(u"Grüße, 世界 🌍"_s);
    QTest::newRow("empty text") << QVariant(u""_s);
    QTest::newRow("bytes") << QVariant(QByteArray("\0\xff\x80 bytes", 9));
    QTest::newRow("no bytes") << QVariant(QByteArray(""));
    QTest::newRow("timestamp") << QVariant(QDateTime::fromSecsSinceEpoch(1'234'567'890).toUTC());
    QTest::newRow("array") << QVariant(QVariantList{1, u"two"_s, 3.0});
    QTest::newRow("empty array") << QVariant(QVariantList());
    QTest::newRow("table") << QVariant(QVariantMap{{u"a"_s, 1}, {u"b"_s, u"two"_s}});
    QTest::newRow("empty table") << QVariant(QVariantMap());
    QTest::newRow("void") << QVariant::fromValue(nullptr);
}

// F1
void tst_Publishing::everyHeaderTypeArrives()
{
    QFETCH(const QVariant, value);
    Message message("body");
    message.setHeader(u"before"_s, 1);
    message.setHeader(u"key"_s, value);
    message.setHeader(u"zzz"_s, u"behind"_s);
    const Result<Message> got = roundTrip(message);
    QVERIFY2(got, qPrintable(got.error().toString()));
    const QVariant arrived = got->headers().value(u"key"_s);
    QVERIFY(got->headers().contains(u"key"_s));
    QCOMPARE(arrived.metaType().name(), value.metaType().name());
    QCOMPARE(arrived, value);
    QCOMPARE(got->header(u"before"_s), QVariant(1));
    QCOMPARE(got->header(u"zzz"_s), QVariant(u"behind"_s));
}

// F1
void tst_Publishing::nestedTablesAndArraysArrive()
{
    QVariantMap deepest = {{u"decimal"_s, QVariant::fromValue(Decimal{4, 4'000'000'000})}};
    for (int depth = 0; depth < 10; ++depth)
        deepest = {{u"list"_s, QVariantList{deepest, QVariantList{}, QByteArray("\0", 1)}}, {u"größe"_s, depth}};
    Message message("body");
    message.setHeaders({{u"deep"_s, deepest}, {u"wide"_s, QVariantList(500, 7)}});
    const Result<Message> got = roundTrip(message);
    QVERIFY2(got, qPrintable(got.error().toString()));
    QCOMPARE(got->headers(), message.headers());
}

void tst_Publishing::numbersKeepTheirLimits_data()
{
    QTest::addColumn<QVariantList>("values");
    const auto limitsOf = []<typename T>(T) {
        using Limits = std::numeric_limits<T>;
        return QVariantList{QVariant::fromValue(Limits::lowest()), QVariant::fromValue(Limits::max()),
                            QVariant::fromValue(T(0))};
    };
    QTest::newRow("signed char") << limitsOf(static_cast<signed char>(0));
    QTest::newRow("uchar") << limitsOf(uchar());
    QTest::newRow("short") << limitsOf(short());
    QTest::newRow("ushort") << limitsOf(ushort());
    QTest::newRow("int") << limitsOf(int());
    QTest::newRow("uint") << limitsOf(uint());
    QTest::newRow("qlonglong") << limitsOf(qlonglong());
    QTest::newRow("float") << limitsOf(float());
    QTest::newRow("double") << limitsOf(double());
    QTest::newRow("small double") << QVariantList{std::numeric_limits<double>::denorm_min(), -0.0};
}

// F1
void tst_Publishing::numbersKeepTheirLimits()
{
    QFETCH(const QVariantList, values);
    Message message("body");
    message.setHeader(u"values"_s, values);
    const Result<Message> got = roundTrip(message);
    QVERIFY2(got, qPrintable(got.error().toString()));
    const QVariantList arrived = got->header(u"values"_s).toList();
    QCOMPARE(arrived, values);
    for (qsizetype i = 0; i < values.size(); ++i) {
        QCOMPARE(arrived[i].metaType().name(), values[i].metaType().name());
        QCOMPARE(std::signbit(arrived[i].toDouble()), std::signbit(values[i].toDouble()));
    }
}

// F2
void tst_Publishing::textArrivesAsUtf8()
{
    const QString text = u"21,5 °C — 東京の気温 🌡"_s;
    const Result<Message> got = roundTrip(Message::fromText(text));
    QVERIFY2(got, qPrintable(got.error().toString()));
    QCOMPARE(got->body(), text.toUtf8());
    QCOMPARE(got->text(), text);
    QCOMPARE(got->contentType(), u"text/plain"_s);
    QCOMPARE(got->contentEncoding().toLower(), u"utf-8"_s);

    Message latin1(text.first(7).toLatin1(), u"text/plain"_s);
    latin1.setContentEncoding(u"ISO-8859-1"_s);
    const Result<Message> gotLatin1 = roundTrip(latin1);
    QVERIFY(gotLatin1);
    QCOMPARE(gotLatin1->text(), text.first(7));

    const Result<Message> json =
        roundTrip(Message::fromJson(QJsonDocument::fromJson(R"({"room": {"temperature": [21.5]}})")));
    QVERIFY(json);
    QCOMPARE(json->json(u"room.temperature.0"_s).toDouble(), 21.5);
}

// F2
void tst_Publishing::bytesArriveUntouched()
{
    QByteArray bytes;
    for (int i = 0; i < 256; ++i)
        bytes += char(i);
    const Result<Message> got = roundTrip(Message(bytes));
    QVERIFY2(got, qPrintable(got.error().toString()));
    QCOMPARE(got->body(), bytes);
    QCOMPARE(got->contentEncoding(), QString());
}

void tst_Publishing::bodyOfAnySizeArrives_data()
{
    QTest::addColumn<qsizetype>("size");
    constexpr qsizetype FullFrame = 131072 - 8; // the payload of a frame
    QTest::newRow("empty") << qsizetype(0);
    QTest::newRow("1 byte") << qsizetype(1);
    QTest::newRow("one less than a frame") << FullFrame - 1;
    QTest::newRow("one frame") << FullFrame;
    QTest::newRow("one more than a frame") << FullFrame + 1;
    QTest::newRow("two frames") << 2 * FullFrame;
    QTest::newRow("1 MiB") << (qsizetype(1) << 20);
    QTest::newRow("64 MiB") << (qsizetype(64) << 20);
}

// F3
void tst_Publishing::bodyOfAnySizeArrives()
{
    QFETCH(const qsizetype, size);
    QCOMPARE(m_client->connection.maximumFrameSize(), 131072U);
    const QByteArray body = pattern(size);
    QList<Message> messages;
    collect(m_client->channel->consume(m_queue), &messages);
    QVERIFY(m_client->channel->publish({}, m_queue, Message(body)) > 0);
    m_client->channel->publish({}, m_queue, Message("behind it"));
    QVERIFY(waitFor([&] { return messages.size() == 2; }));
    QCOMPARE(messages[0].body().size(), size);
    QVERIFY(messages[0].body() == body);
    QCOMPARE(messages[1].body(), "behind it");
}

// F3
void tst_Publishing::sizesMixOnOneChannel()
{
    const QList<qsizetype> sizes = {0, 300'000, 1, 0, 131064, 5, 131065, 1'000'000, 16};
    QList<Message> messages;
    collect(m_client->channel->consume(m_queue), &messages);
    // A second channel sends small messages, whose frames come between.
    Channel *other = m_client->connection.createChannel();
    QList<Message> others;
    const Result<QueueInfo> otherQueue = await(other->declareTemporaryQueue());
    QVERIFY(otherQueue);
    collect(other->consume({}), &others);
    for (const qsizetype size : sizes) {
        m_client->channel->publish({}, m_queue, Message(pattern(size)));
        other->publish({}, otherQueue->name, Message(QByteArray::number(size)));
    }
    QVERIFY(waitFor([&] { return messages.size() == sizes.size() && others.size() == sizes.size(); }));
    for (qsizetype i = 0; i < sizes.size(); ++i) {
        QVERIFY(messages[i].body() == pattern(sizes[i]));
        QCOMPARE(others[i].body(), QByteArray::number(sizes[i]));
    }
}

// F1
void tst_Publishing::forwardedMessageIsTheSame()
{
    Message message("body");
    message.setHeaders({{u"x"_s, QVariantList{1, u"two"_s}}, {u"y"_s, QVariant::fromValue(Decimal{1, 5})}});
    message.setType(u"reading"_s);
    message.setTimestamp(QDateTime::fromSecsSinceEpoch(1'700'000'000).toUTC());
    const Result<Message> first = roundTrip(message);
    QVERIFY(first);
    const Result<Message> second = roundTrip(*first); // nothing is decoded in between
    QVERIFY(second);
    QCOMPARE(second->headers(), message.headers());
    QCOMPARE(second->type(), message.type());
    QCOMPARE(second->timestamp(), message.timestamp());

    Message changed = *second;
    changed.setHeader(u"y"_s, u"changed"_s);
    const Result<Message> third = roundTrip(changed);
    QVERIFY(third);
    QCOMPARE(third->header(u"y"_s), QVariant(u"changed"_s));
    QCOMPARE(third->header(u"x"_s), message.header(u"x"_s));
    QCOMPARE(third->type(), u"reading"_s);
}

// F1
void tst_Publishing::sequenceNumbersCountUp()
{
    for (quint64 i = 1; i <= 10; ++i)
        QCOMPARE(m_client->channel->publish({}, m_queue, Message("body")), i);
    QCOMPARE(m_client->connection.createChannel()->publish({}, m_queue, Message("body")), 1U);
}

// F8
void tst_Publishing::copiesGoToCcAndBcc()
{
    const QString copy = uniqueName(u"cc"_s);
    const QString blindCopy = uniqueName(u"bcc"_s);
    VERIFY_OK(m_client->channel->declareQueue(copy, {.exclusive = true}));
    VERIFY_OK(m_client->channel->declareQueue(blindCopy, {.exclusive = true}));
    Message message("for three");
    message.setHeaders({{u"CC"_s, QVariantList{copy}}, {u"BCC"_s, QVariantList{blindCopy}}});
    m_client->channel->publish({}, m_queue, message);
    for (const QString &queue : {m_queue, copy, blindCopy}) {
        QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
        const Message got = m_client->drain(queue).constFirst();
        QCOMPARE(got.body(), "for three");
        QCOMPARE(got.headers(), (FieldTable{{u"CC"_s, QVariantList{copy}}})); // no receiver sees the blind copy
    }
}

// F8
void tst_Publishing::messageExpiresByItsOwnTime()
{
    Message expiring("gone soon");
    expiring.setExpiration(1ms);
    VERIFY_OK(m_client->channel->confirmSelect());
    m_client->channel->publish({}, m_queue, expiring);
    m_client->channel->publish({}, m_queue, Message("stays"));
    VERIFY_OK(m_client->channel->whenConfirmed()); // both have been in the queue
    QVERIFY(waitFor([&] { return m_client->messageCount(m_queue) == 1; }));
    QCOMPARE(texts(m_client->drain(m_queue)), QStringList{u"stays"_s});
}

// F8
void tst_Publishing::foreignUserIdClosesTheChannelIfItIsNotChecked()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setChecksUserId(false);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    Message message("whose?");
    message.setUserId(u"somebody else"_s);
    QSignalSpy closed(client.channel, &Channel::closed);
    QVERIFY(client.channel->publish({}, m_queue, message) > 0);
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    const Error error = closed.first().first().value<Error>();
    QCOMPARE(brief(error), u"ChannelClosed 406 basic.publish"_s);
    QVERIFY2(error.text().contains(u"somebody else"_s), qPrintable(error.text()));
}

// F6
void tst_Publishing::routingKeyThatIsNoTextIsKept()
{
    const QByteArray key("key \xff\xc3");
    const QString dead = uniqueName(u"dead"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareExchange(dead, ExchangeType::Fanout, {.durable = false, .autoDelete = true}));
    VERIFY_OK(channel->bindQueue(m_queue, dead));
    const auto expired = await(channel->declareQueue(
        {}, QueueOptions::temporary().withMessageTtl(1ms).withDeadLetter(dead, textFromBytes(key))));
    QVERIFY(expired);
    channel->publish({}, expired->name, Message("dead"));
    QVERIFY(waitFor([&] { return m_client->messageCount(m_queue) == 1; }));
    const QList<Message> got = m_client->drain(m_queue);
    QCOMPARE(textToBytes(got.first().routingKey()), key);

    channel->publish(dead, got.first().routingKey(), got.first());
    QVERIFY(waitFor([&] { return m_client->messageCount(m_queue) == 1; }));
    QCOMPARE(textToBytes(m_client->drain(m_queue).first().routingKey()), key);
}

// F5
void tst_Publishing::mandatoryMessageWithoutARouteComesBack()
{
    QList<Message> returned;
    Error reason;
    connect(m_client->channel, &Channel::messageReturned, this,
            [&](quint64, const Message &message, const Error &error) {
                returned += message;
                reason = error;
            });
    Message message("comes back");
    message.setMessageId(u"id-1"_s);
    m_client->channel->publish({}, m_queue, Message("has a route"), Channel::PublishFlag::Mandatory);
    m_client->channel->publish(u"amq.direct"_s, u"no such route"_s, message, Channel::PublishFlag::Mandatory);
    m_client->channel->publish(u"amq.direct"_s, u"no such route"_s, Message("does not come back"));
    QVERIFY(waitFor([&] { return !returned.isEmpty(); }));
    VERIFY_OK(m_client->channel->inspectQueue(m_queue)); // the broker has processed all other messages
    QCOMPARE(returned.size(), 1);
    QCOMPARE(brief(reason).section(u' ', 0, 1), u"Returned 312"_s);
    QCOMPARE(returned.first().body(), "comes back");
    QCOMPARE(returned.first().messageId(), u"id-1"_s);
    QCOMPARE(returned.first().exchange(), u"amq.direct"_s);
    QCOMPARE(returned.first().routingKey(), u"no such route"_s);
    QVERIFY(!returned.first().isDelivered());
    QVERIFY(m_client->channel->isOpen());
}

// D3
void tst_Publishing::missingExchangeClosesTheChannel()
{
    const QString exchange = uniqueName(u"missing"_s);
    QSignalSpy closed(m_client->channel, &Channel::closed);
    QVERIFY(m_client->channel->publish(exchange, {}, Message("body")) > 0);
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    const Error error = closed.first().first().value<Error>();
    QCOMPARE(brief(error), u"ChannelClosed 404 basic.publish"_s);
    QVERIFY2(error.text().contains(exchange), qPrintable(error.text()));
}

QTEST_GUILESS_MAIN(tst_Publishing)

#include "tst_publishing.moc"
