// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <AmqpQt/publisher.h>

#include <QtCore/qpoint.h>
#include <QtCore/qprocess.h>
#include <QtCore/qregularexpression.h>

#include <limits>
#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// A call of a channel; the error is that of its reply, if it has one.
using Call = std::function<Error(Channel *)>;
Q_DECLARE_METATYPE(Call)

namespace
{

template <typename T>
Error errorOf(const Reply<T> &reply)
{
    return reply.isFinished() ? reply.result().error() : Error();
}

Error publish(Channel *channel, const QString &exchange, const QString &routingKey,
              const Message &message = Message("body"))
{
    return channel->publish(exchange, routingKey, message) == 0 ? channel->lastCallError() : Error();
}

Error consume(Channel *channel, const QString &queue, const ConsumeOptions &options = {})
{
    return channel->consume(queue, options)->state() == Consumer::State::Cancelled ? channel->lastCallError() : Error();
}

void addCall(const char *tag, const Call &call, const QString &named)
{
    QTest::newRow(tag) << call << named;
}

void addCallColumns()
{
    QTest::addColumn<Call>("call");
    QTest::addColumn<QString>("named");
}

constexpr qint64 BufferLimit = 500'000;

// A channel with the consumer "c1". rejected() then returns whether a call left no trace but its error.
class Client
{
public:
    Client()
        : m_client(parameters(m_peer))
        , channel(m_client.channel)
    {
        m_client.consume();
        settle(m_client.connection);
        m_peer.forgetReceived();
        m_log.watch(channel);
        m_log.watch(&m_client.connection);
    }

    // Returns "rejected" if this error was reported once, nothing was sent to the broker, and the channel still works.
    QString rejected(const Call &call, ErrorKind kind, const QString &named)
    {
        const Error error = call(channel);
        if (error.kind() != kind || !error.text().contains(named))
            return error.toString();
        if (channel->lastCallError() != error)
            return u"error(): "_s + channel->lastCallError().toString();
        settleEvents();
        settle(m_client.connection); // opens and closes a channel
        const QStringList reported = m_log.entries.filter(QRegularExpression(u"errorOccurred|closed|stateChanged"_s));
        if (reported != QStringList{u"channel.errorOccurred "_s + nameOf(kind)})
            return reported.join(u'\n');
        for (const Command &command : m_peer.received()) {
            if (command.channel == channel->number())
                return u"sent: "_s + QString::fromLatin1(command.name);
        }
        const Reply<QueueInfo> good = channel->declareQueue(u"good"_s);
        if (!waitUntil([&] { return good.isFinished(); }) || !good.result())
            return u"the next call failed"_s;
        return m_peer.violations().isEmpty() ? u"rejected"_s : m_peer.violations().join(u'\n');
    }

private:
    static ConnectionParameters parameters(const ScriptedPeer &peer)
    {
        ConnectionParameters parameters = parametersOf(peer);
        parameters.setWriteBuffer(1000, 10'000, BufferLimit);
        return parameters;
    }

    ScriptedPeer m_peer;
    OpenClient m_client;
    SignalLog m_log;

public:
    Channel *const channel;
};

struct NamedCall {
    const char *name;
    Call call;
};

// Each case is wrong only for the state of its channel.
const QList<NamedCall> &everyCall()
{
    static const QList<NamedCall> calls = {
        {"publish", [](Channel *c) { return publish(c, {}, u"q"_s); }},
        {"declareTemporaryQueue()", [](Channel *c) { return errorOf(c->declareTemporaryQueue()); }},
        {"declareQueue", [](Channel *c) { return errorOf(c->declareQueue(u"q"_s)); }},
        {"inspectQueue", [](Channel *c) { return errorOf(c->inspectQueue(u"q"_s)); }},
        {"deleteQueue", [](Channel *c) { return errorOf(c->deleteQueue(u"q"_s)); }},
        {"purgeQueue", [](Channel *c) { return errorOf(c->purgeQueue(u"q"_s)); }},
        {"bindQueue", [](Channel *c) { return errorOf(c->bindQueue(u"q"_s, u"e"_s)); }},
        {"unbindQueue", [](Channel *c) { return errorOf(c->unbindQueue(u"q"_s, u"e"_s)); }},
        {"declareExchange", [](Channel *c) { return errorOf(c->declareExchange(u"e"_s, ExchangeType::Direct)); }},
        {"inspectExchange", [](Channel *c) { return errorOf(c->inspectExchange(u"e"_s)); }},
        {"deleteExchange", [](Channel *c) { return errorOf(c->deleteExchange(u"e"_s)); }},
        {"setPrefetch", [](Channel *c) { return errorOf(c->setPrefetch(1)); }},
        {"get", [](Channel *c) { return errorOf(c->get(u"q"_s)); }},
        {"consume", [](Channel *c) { return consume(c, u"q"_s); }},
    };
    return calls;
}

using Settle = std::function<bool(Channel *, const Message &)>; // returns false if the message is rejected
const QList<std::pair<const char *, Settle>> &everySettle()
{
    static const QList<std::pair<const char *, Settle>> calls = {
        {"ack", [](Channel *c, const Message &m) { return c->ack(m); }},
        {"ackUpTo", [](Channel *c, const Message &m) { return c->ackUpTo(m); }},
        {"nack", [](Channel *c, const Message &m) { return c->nack(m); }},
        {"nackUpTo", [](Channel *c, const Message &m) { return c->nackUpTo(m); }},
    };
    return calls;
}

// The messages of a new consumer, delivered with the tags from `first` on.
QList<Message> receive(ScriptedPeer &peer, OpenClient &client, Channel *channel, AckMode ackMode, quint64 first,
                       int count)
{
    const QString tag = u"t%1"_s.arg(first);
    Consumer *consumer = channel->consume(u"q"_s, {.consumerTag = tag, .ackMode = ackMode});
    QList<Message> messages;
    QObject::connect(consumer, &Consumer::delivered, &client.connection,
                     [&messages](const Message &message) { messages += message; });
    if (!waitUntil([&] { return consumer->state() == Consumer::State::Active; }))
        qFatal("the consumer does not start");
    peer.sendRaw(deliveries(tag.toUtf8(), first, QByteArrayList(count, "m"), channel->number()));
    if (!waitUntil([&] { return messages.size() == count; }))
        qFatal("nothing is delivered");
    consumer->disconnect();
    return messages;
}

} // namespace

// For each mistake, the application gets a typed error that names the wrong value, and the broker gets nothing.
class tst_BadInput : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void tooLongNamesAreRejected_data();
    void tooLongNamesAreRejected();
    void unusableValuesAreRejected_data();
    void unusableValuesAreRejected();
    void impossibleCallsFail_data();
    void impossibleCallsFail();
    void channelThatIsNotOpenFailsAllCalls_data();
    void channelThatIsNotOpenFailsAllCalls();
    void wrongSettlingSendsNothing_data();
    void wrongSettlingSendsNothing();
    void noAckDeliveryCannotBeSettledByItself_data();
    void noAckDeliveryCannotBeSettledByItself();
    void impossibleChannelNumbersAreRejected_data();
    void impossibleChannelNumbersAreRejected();
    void tooLargeClientPropertiesFailTheOpening();
    void callsOfForeignThreadsFail_data();
    void callsOfForeignThreadsFail();
    void parentsOfOtherThreadsAreReplaced();
};

void tst_BadInput::tooLongNamesAreRejected_data()
{
    addCallColumns();
    static const QString name = QString(85, u'語') + u'x'; // 256 bytes, 86 characters
    addCall(
        "publish exchange", [](Channel *c) { return publish(c, name, u"k"_s); }, u"exchange"_s);
    addCall(
        "publish routingKey", [](Channel *c) { return publish(c, {}, name); }, u"routingKey"_s);
    addCall(
        "declareQueue", [](Channel *c) { return errorOf(c->declareQueue(name)); }, u"queue"_s);
    addCall(
        "inspectQueue", [](Channel *c) { return errorOf(c->inspectQueue(name)); }, u"queue"_s);
    addCall(
        "deleteQueue", [](Channel *c) { return errorOf(c->deleteQueue(name)); }, u"queue"_s);
    addCall(
        "purgeQueue", [](Channel *c) { return errorOf(c->purgeQueue(name)); }, u"queue"_s);
    addCall(
        "bindQueue queue", [](Channel *c) { return errorOf(c->bindQueue(name, u"e"_s)); }, u"queue"_s);
    addCall(
        "bindQueue exchange", [](Channel *c) { return errorOf(c->bindQueue(u"q"_s, name)); }, u"exchange"_s);
    addCall(
        "bindQueue routingKey", [](Channel *c) { return errorOf(c->bindQueue(u"q"_s, u"e"_s, name)); },
        u"routingKey"_s);
    addCall(
        "unbindQueue queue", [](Channel *c) { return errorOf(c->unbindQueue(name, u"e"_s)); }, u"queue"_s);
    addCall(
        "unbindQueue exchange", [](Channel *c) { return errorOf(c->unbindQueue(u"q"_s, name)); }, u"exchange"_s);
    addCall(
        "unbindQueue routingKey", [](Channel *c) { return errorOf(c->unbindQueue(u"q"_s, u"e"_s, name)); },
        u"routingKey"_s);
    addCall(
        "declareExchange", [](Channel *c) { return errorOf(c->declareExchange(name, u"direct"_s)); }, u"exchange"_s);
    addCall(
        "declareExchange type", [](Channel *c) { return errorOf(c->declareExchange(u"e"_s, name)); }, u"type"_s);
    addCall(
        "inspectExchange", [](Channel *c) { return errorOf(c->inspectExchange(name)); }, u"exchange"_s);
    addCall(
        "deleteExchange", [](Channel *c) { return errorOf(c->deleteExchange(name)); }, u"exchange"_s);
    addCall(
        "get", [](Channel *c) { return errorOf(c->get(name)); }, u"queue"_s);
    addCall(
        "consume queue", [](Channel *c) { return consume(c, name); }, u"queue"_s);
    addCall(
        "consume consumerTag", [](Channel *c) { return consume(c, u"q"_s, {.consumerTag = name}); }, u"consumerTag"_s);

    const auto addProperty = [](const char *property, void (Message::*set)(const QString &)) {
        const auto call = [set](Channel *c) {
            Message message("body");
            (message.*set)(name);
            return publish(c, {}, u"q"_s, message);
        };
        addCall(property, call, QLatin1StringView(property));
    };
    addProperty("contentType", &Message::setContentType);
    addProperty("contentEncoding", &Message::setContentEncoding);
    addProperty("correlationId", &Message::setCorrelationId);
    addProperty("replyTo", &Message::setReplyTo);
    addProperty("messageId", &Message::setMessageId);
    addProperty("type", &Message::setType);
    addProperty("userId", &Message::setUserId);
    addProperty("clusterId", &Message::setClusterId);
    addProperty("appId", &Message::setAppId);
}

void tst_BadInput::tooLongNamesAreRejected()
{
    QFETCH(const Call, call);
    QFETCH(const QString, named);
    Client client;
    QCOMPARE(client.rejected(call, ErrorKind::InvalidArgument, named), u"rejected"_s);
    QVERIFY2(client.channel->lastCallError().text().contains(u"256"_s),
             qPrintable(client.channel->lastCallError().text()));
}

void tst_BadInput::unusableValuesAreRejected_data()
{
    QTest::addColumn<FieldTable>("table");
    addCallColumns();
    QVariant deep = 1;
    for (int i = 0; i < 40; ++i)
        deep = QVariantList{deep};
    const std::pair<const char *, QVariant> values[] = {
        {"unsupported type", QPoint(1, 2)},
        {"unsupported type inside", QVariantList{QVariantMap{{u"deep"_s, QPoint(1, 2)}}}},
        {"NaN", qQNaN()},
        {"infinity", -std::numeric_limits<float>::infinity()},
        {"over 63 bits", std::numeric_limits<quint64>::max()},
        {"unpaired surrogate", QString(QChar(0xd800))},
        {"nested too deeply", deep},
    };
    // The table is filled in by the row.
    const std::pair<const char *, std::function<Error(Channel *, const FieldTable &)>> calls[] = {
        {"declareQueue",
         [](Channel *c, const FieldTable &t) { return errorOf(c->declareQueue(u"q"_s, {.arguments = t})); }},
        {"declareExchange",
         [](Channel *c, const FieldTable &t) {
             return errorOf(c->declareExchange(u"e"_s, u"direct"_s, {.arguments = t}));
         }},
        {"bindQueue", [](Channel *c, const FieldTable &t) { return errorOf(c->bindQueue(u"q"_s, u"e"_s, {}, t)); }},
        {"unbindQueue", [](Channel *c, const FieldTable &t) { return errorOf(c->unbindQueue(u"q"_s, u"e"_s, {}, t)); }},
        {"consume", [](Channel *c, const FieldTable &t) { return consume(c, u"q"_s, {.arguments = t}); }},
        {"publish",
         [](Channel *c, const FieldTable &t) {
             Message message("body");
             message.setHeaders(t);
             return publish(c, {}, u"q"_s, message);
         }},
    };
    for (const auto &[name, call] : calls) {
        const QString argument = qstrcmp(name, "publish") == 0 ? u"headers"_s : u"arguments"_s;
        const auto addRow = [&, call = call](const char *what, const FieldTable &table, const QString &named) {
            QTest::addRow("%s, %s", name, what)
                << table << Call([call, table](Channel *c) { return call(c, table); }) << named;
        };
        for (const auto &[what, value] : values)
            addRow(what, {{u"x-good"_s, 1}, {u"x-bad"_s, value}}, argument + u": \"x-bad"_s);
        addRow("long key", {{QString(256, u'k'), 1}}, argument);
        addRow("over a frame", {{u"x-long"_s, QString(131'072, u'x')}}, argument);
    }
}

void tst_BadInput::unusableValuesAreRejected()
{
    QFETCH(const Call, call);
    QFETCH(const QString, named);
    Client client;
    QCOMPARE(client.rejected(call, ErrorKind::InvalidArgument, named), u"rejected"_s);
}

void tst_BadInput::impossibleCallsFail_data()
{
    addCallColumns();
    addCall(
        "consumer tag in use", [](Channel *c) { return consume(c, u"q"_s, {.consumerTag = u"c1"_s}); }, u"\"c1\""_s);
    addCall(
        "no queue declared: purge", [](Channel *c) { return errorOf(c->purgeQueue({})); }, u"queue"_s);
    addCall(
        "no queue declared: delete", [](Channel *c) { return errorOf(c->deleteQueue({})); }, u"queue"_s);
    addCall(
        "no queue declared: bind", [](Channel *c) { return errorOf(c->bindQueue({}, u"e"_s)); }, u"queue"_s);
    addCall(
        "no queue declared: unbind", [](Channel *c) { return errorOf(c->unbindQueue({}, u"e"_s)); }, u"queue"_s);
    addCall(
        "no queue declared: get", [](Channel *c) { return errorOf(c->get({})); }, u"queue"_s);
    addCall(
        "no queue declared: consume", [](Channel *c) { return consume(c, {}); }, u"queue"_s);
    addCall(
        "over the buffer limit",
        [](Channel *c) { return publish(c, {}, u"q"_s, Message(QByteArray(BufferLimit, 'x'))); },
        QString::number(BufferLimit));
    addCall(
        "reopen of an open channel", [](Channel *c) { return errorOf(c->reopen()); }, u"channel 1"_s);
}

void tst_BadInput::impossibleCallsFail()
{
    QFETCH(const Call, call);
    QFETCH(const QString, named);
    Client client;
    QCOMPARE(client.rejected(call, ErrorKind::InvalidArgument, named), u"rejected"_s);
}

void tst_BadInput::channelThatIsNotOpenFailsAllCalls_data()
{
    QTest::addColumn<QString>("end");
    for (const char *end :
         {"close", "closing", "closed by the broker", "connection closed", "connection lost", "connection deleted"})
        QTest::newRow(end) << QString::fromLatin1(end);
}

void tst_BadInput::channelThatIsNotOpenFailsAllCalls()
{
    QFETCH(const QString, end);
    ScriptedPeer peer;
    auto client = std::make_unique<OpenClient>(peer);
    QObject parent;
    Channel *channel = client->connection.createChannel(&parent);
    QVERIFY(waitUntil([&] { return channel->isOpen(); }));
    const quint16 number = channel->number();
    const QList<Message> messages = receive(peer, *client, channel, AckMode::Manual, 1, 1);
    if (end == u"close") {
        channel->close();
    } else if (end == u"closing") {
        peer.withhold("channel.close-ok");
        channel->close();
        QVERIFY(waitUntil([&] { return peer.count("channel.close") == 1; }));
    } else if (end == u"closed by the broker") {
        peer.closeChannel(channel->number(), 406, "PRECONDITION_FAILED");
    } else if (end == u"connection closed") {
        client->connection.close();
    } else if (end == u"connection lost") {
        peer.dropConnection();
    } else {
        client.reset();
    }
    const auto state = end == u"closing" ? Channel::State::Closing : Channel::State::Closed;
    QVERIFY(waitUntil([&] { return channel->state() == state; }));
    const bool isConnected = !end.startsWith(u"connection"_s);
    if (isConnected)
        settle(client->connection);
    else
        QVERIFY(waitUntil([&] { return !client || client->connection.state() == Connection::State::Closed; }));
    settleEvents();
    peer.forgetReceived();
    SignalLog log;
    log.watch(channel);

    for (const auto &[name, call] : everyCall()) {
        const Error error = call(channel);
        QVERIFY2(error.kind() == ErrorKind::NotOpen, qPrintable(QLatin1StringView(name) + u": "_s + error.toString()));
        QCOMPARE(channel->lastCallError(), error);
    }
    QCOMPARE(errorOf(channel->whenOpen()).kind(), ErrorKind::NotOpen);
    const ErrorKind settling = client ? ErrorKind::StaleDelivery : ErrorKind::NotOpen;
    for (const auto &[name, settleOne] : everySettle()) {
        QVERIFY2(!settleOne(channel, messages.constFirst()), name);
        QCOMPARE(channel->lastCallError().kind(), settling);
    }
    settleEvents();
    QStringList reported(everyCall().size(), u"channel.errorOccurred NotOpen"_s);
    reported += QStringList(everySettle().size(),
                            client ? u"channel.settlementFailed StaleDelivery"_s : u"channel.errorOccurred NotOpen"_s);
    QCOMPARE(log.entries, reported);
    if (isConnected)
        settle(client->connection);
    for (const Command &command : peer.received())
        QVERIFY2(isConnected && command.channel != number, command.name.constData());

    if (end == u"closing") {
        peer.answerAgain("channel.close-ok");
        peer.send(channel->number(), Wire::ChannelCloseOk{});
        QVERIFY(waitUntil([&] { return channel->state() == Channel::State::Closed; }));
    }
    if (client) { // the connection can be used again
        client->connection.open();
        channel->reopen();
        const Reply<QueueInfo> declaring = channel->declareQueue(u"q"_s);
        QVERIFY(waitUntil([&] { return declaring.isFinished(); }));
        QVERIFY2(declaring.result(), qPrintable(declaring.result().error().toString()));
    }
    QCOMPARE(peer.violations(), QStringList());
}

void tst_BadInput::wrongSettlingSendsNothing_data()
{
    QTest::addColumn<QString>("what");
    QTest::addColumn<ErrorKind>("kind");
    QTest::newRow("acked") << u"acked"_s << ErrorKind::StaleDelivery;
    QTest::newRow("nacked") << u"nacked"_s << ErrorKind::StaleDelivery;
    QTest::newRow("of another channel") << u"foreign"_s << ErrorKind::StaleDelivery;
    QTest::newRow("of another connection") << u"connection"_s << ErrorKind::StaleDelivery;
    QTest::newRow("no-ack") << u"no-ack"_s << ErrorKind::InvalidArgument;
    QTest::newRow("never delivered") << u"new"_s << ErrorKind::InvalidArgument;
    QTest::newRow("returned") << u"returned"_s << ErrorKind::InvalidArgument;
}

void tst_BadInput::wrongSettlingSendsNothing()
{
    QFETCH(const QString, what);
    QFETCH(const ErrorKind, kind);
    ScriptedPeer peer, otherPeer;
    OpenClient client(peer), otherClient(otherPeer);
    Channel *channel = client.channel;
    const QList<Message> open = receive(peer, client, channel, AckMode::Manual, 1, 2); // stay open
    Message message("new");
    if (what == u"acked" || what == u"nacked") {
        message = receive(peer, client, channel, AckMode::Manual, 3, 1).constFirst();
        QVERIFY(what == u"acked" ? channel->ack(message) : channel->nack(message));
    } else if (what == u"foreign") {
        Channel *other = client.connection.createChannel();
        QVERIFY(waitUntil([&] { return other->isOpen(); }));
        message = receive(peer, client, other, AckMode::Manual, 1, 1).constFirst();
    } else if (what == u"connection") {
        message = receive(otherPeer, otherClient, otherClient.channel, AckMode::Manual, 1, 1).constFirst();
    } else if (what == u"no-ack") {
        message = receive(peer, client, channel, AckMode::NoAck, 3, 1).constFirst();
    } else if (what == u"returned") {
        connect(channel, &Channel::messageReturned, this,
                [&](quint64, const Message &returned) { message = returned; });
        peer.sendContent(1, Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE"}, {}, "returned");
        QVERIFY(waitUntil([&] { return message.body() == "returned"; }));
    }
    settle(client.connection);
    peer.forgetReceived();
    SignalLog log;
    log.watch(channel);

    for (const auto &[name, settleOne] : everySettle()) {
        QVERIFY2(!settleOne(channel, message), name);
        QVERIFY2(channel->lastCallError().kind() == kind, qPrintable(channel->lastCallError().toString()));
        QVERIFY2(
            channel->lastCallError().text().contains(kind == ErrorKind::StaleDelivery ? u"delivery "_s : u"message"_s),
            qPrintable(channel->lastCallError().text()));
    }
    settle(client.connection);
    const QString report =
        (kind == ErrorKind::StaleDelivery ? u"channel.settlementFailed "_s : u"channel.errorOccurred "_s);
    QCOMPARE(log.entries, QStringList(everySettle().size(), report + nameOf(kind)));
    QCOMPARE(peer.count("basic.ack") + peer.count("basic.nack") + peer.count("basic.reject"), 0);

    QVERIFY(channel->ackUpTo(open.constLast())); // still works
    QVERIFY(waitUntil([&] { return peer.count("basic.ack") == 1; }));
    QVERIFY(peer.last("basic.ack").as<Wire::BasicAck>().multiple);
    QCOMPARE(peer.last("basic.ack").as<Wire::BasicAck>().deliveryTag, quint64(2));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_BadInput::noAckDeliveryCannotBeSettledByItself_data()
{
    QTest::addColumn<bool>("inAnotherThread");
    QTest::newRow("in its thread") << false;
    QTest::newRow("in another thread") << true;
}

void tst_BadInput::noAckDeliveryCannotBeSettledByItself()
{
    QFETCH(const bool, inAnotherThread);
    ScriptedPeer peer;
    OpenClient client(peer);
    const Message message = receive(peer, client, client.channel, AckMode::NoAck, 1, 1).constFirst();
    SignalLog log;
    log.watch(client.channel);
    const auto settleIt = [&] {
        message.ack();
        message.nack(Requeue::No);
    };
    inAnotherThread ? std::thread(settleIt).join() : settleIt();
    QVERIFY(waitUntil([&] { return log.entries.size() == 2; }));
    QCOMPARE(log.entries, QStringList(2, u"channel.errorOccurred InvalidArgument"_s));
    QVERIFY2(client.channel->lastCallError().text().contains(u"delivery 1 on channel 1"_s),
             qPrintable(client.channel->lastCallError().text()));
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack") + peer.count("basic.nack"), 0);
}

void tst_BadInput::impossibleChannelNumbersAreRejected_data()
{
    QTest::addColumn<quint16>("number");
    QTest::newRow("0") << quint16(0);
    QTest::newRow("over the negotiated limit") << quint16(6);
}

void tst_BadInput::impossibleChannelNumbersAreRejected()
{
    QFETCH(const quint16, number);
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.channelMax = 5;
    peer.setHandshake(handshake);
    OpenClient client(peer);
    peer.forgetReceived();
    SignalLog log;
    log.watch(&client.connection);
    QCOMPARE(client.connection.channel(number), nullptr);
    QCOMPARE(client.connection.lastCallError().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(client.connection.lastCallError().text().startsWith(u"number: %1 "_s.arg(number)),
             qPrintable(client.connection.lastCallError().text()));
    settleEvents();
    QCOMPARE(log.entries, QStringList{u"connection.errorOccurred InvalidArgument"_s});
    QVERIFY(peer.received().isEmpty());
    Channel *last = client.connection.channel(5);
    QVERIFY(last && waitUntil([&] { return last->isOpen(); }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_BadInput::tooLargeClientPropertiesFailTheOpening()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setClientProperties({{u"x-long"_s, QString(4096, u'x')}});
    Connection connection(parameters);
    SignalLog log;
    log.watch(&connection);
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed InvalidArgument"_s); }));
    QCOMPARE(opening.result().error().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(opening.result().error().text().startsWith(u"clientProperties"_s),
             qPrintable(opening.result().error().text()));
    QCOMPARE(log.only(u"connection.errorOccurred"_s).size(), 1);
    QCOMPARE(peer.connectionCount(), 0);

    parameters.setClientProperties({{u"x-long"_s, QString(1000, u'x')}});
    connection.setParameters(parameters);
    const Reply<void> again = connection.open();
    QVERIFY(waitUntil([&] { return again.isFinished(); }));
    QVERIFY(again.result());
    QCOMPARE(peer.violations(), QStringList());
}

namespace
{

using ForeignCall =
    std::function<Error(OpenClient &, const Message &)>; // no error if the call has no reply or was not rejected
const QMap<QString, ForeignCall> &foreignCalls()
{
    static const QMap<QString, ForeignCall> calls = [] {
        QMap<QString, ForeignCall> all = {
            {u"open"_s, [](OpenClient &client, const Message &) { return errorOf(client.connection.open()); }},
            {u"closeConnection"_s,
             [](OpenClient &client, const Message &) { return errorOf(client.connection.close()); }},
            {u"createChannel"_s,
             [](OpenClient &client, const Message &) { return client.connection.createChannel()->error(); }},
            {u"createChannelWithAParent"_s,
             [](OpenClient &client, const Message &) {
                 return client.connection.createChannel(client.channel)->error();
             }},
            {u"consume"_s,
             [](OpenClient &client, const Message &) {
                 const bool isRejected = client.channel->consume(u"q"_s)->state() == Consumer::State::Cancelled;
                 return isRejected ? Error(ErrorKind::InvalidArgument, {}) : Error();
             }},
            {u"Publisher"_s,
             [](OpenClient &client, const Message &message) {
                 Publisher publisher(&client.connection);
                 return publisher.publish(message) > 0 || publisher.channel() ? Error() : publisher.error();
             }},
            {u"close"_s, [](OpenClient &client, const Message &) { return errorOf(client.channel->close()); }},
            {u"reopen"_s, [](OpenClient &client, const Message &) { return errorOf(client.channel->reopen()); }},
        };
        for (const auto &[name, call] : everyCall()) {
            if (qstrcmp(name, "publish") == 0 || qstrcmp(name, "consume") == 0)
                continue; // these calls do not return a Reply
            all.insert(QString::fromLatin1(name),
                       [call = call](OpenClient &client, const Message &) { return call(client.channel); });
        }
        const auto rejected = [](bool accepted) { return accepted ? Error() : Error(ErrorKind::InvalidArgument, {}); };
        all.insert(u"publish"_s, [rejected](OpenClient &client, const Message &message) {
            return rejected(client.channel->publish({}, u"q"_s, message) > 0);
        });
        for (const auto &[name, settleOne] : everySettle()) {
            all.insert(QString::fromLatin1(name),
                       [rejected, settleOne = settleOne](OpenClient &client, const Message &message) {
                           return rejected(settleOne(client.channel, message));
                       });
        }
        return all;
    }();
    return calls;
}

// Runs in a separate process, since debug builds assert. The exit code is the result.
int makeForeignCall(const QString &name)
{
    ScriptedPeer peer;
    OpenClient client(peer);
    const Message message = receive(peer, client, client.channel, AckMode::Manual, 1, 1).constFirst();
    settle(client.connection);
    peer.forgetReceived();
    const auto objects = [&] { return client.connection.findChildren<QObject *>().size(); };
    const qsizetype before = objects();
    Error error;
    std::thread([&] { error = foreignCalls().value(name)(client, message); }).join();
    settle(client.connection);
    for (const Command &command : peer.received()) {
        if (command.channel == client.channel->number())
            return 1;
    }
    if (error.kind() != ErrorKind::InvalidArgument || !client.channel->isOpen())
        return 2;
    // Objects that were created despite the error have an owner and live in its thread.
    const bool makesAnObject = name.startsWith(u"createChannel") || name == u"consume";
    if (objects() != before + makesAnObject)
        return 4;
    return client.channel->ack(message) ? 0 : 3;
}

constexpr char ForeignCallOption[] = "--foreign-call";

} // namespace

void tst_BadInput::callsOfForeignThreadsFail_data()
{
    QTest::addColumn<QString>("call");
    for (const QString &call : foreignCalls().keys())
        QTest::newRow(qPrintable(call)) << call;
}

void tst_BadInput::callsOfForeignThreadsFail()
{
    QFETCH(const QString, call);
    QProcess process;
    process.setProcessChannelMode(QProcess::MergedChannels);
    process.start(QCoreApplication::applicationFilePath(), {QLatin1StringView(ForeignCallOption), call});
    QVERIFY(process.waitForFinished());
    const QByteArray output = process.readAll();
    if (call != u"Publisher")
        QVERIFY2(output.contains("called from another thread"), output.constData());
#ifdef QT_NO_DEBUG
    QVERIFY2(process.exitStatus() == QProcess::NormalExit && process.exitCode() == 0, output.constData());
#else
    if (call != u"Publisher")
        QVERIFY2(process.exitStatus() == QProcess::CrashExit && output.contains("ASSERT"), output.constData());
#endif
}

void tst_BadInput::parentsOfOtherThreadsAreReplaced()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    QThread thread;
    QObject foreign;
    foreign.moveToThread(&thread);
    QTest::ignoreMessage(QtWarningMsg,
                         QRegularExpression(u"^createChannel\\(\\): the parent lives in another thread"_s));
    const Channel *channel = client.connection.createChannel(&foreign);
    QCOMPARE(channel->parent(), &client.connection);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^consume\\(\\): the parent lives in another thread"_s));
    const Consumer *consumer = client.channel->consume(u"q"_s, {}, &foreign);
    QCOMPARE(consumer->parent(), client.channel);
    QVERIFY(waitUntil([&] { return channel->isOpen() && consumer->state() == Consumer::State::Active; }));
}

int main(int argc, char **argv)
{
    QCoreApplication application(argc, argv);
    if (const QStringList arguments = application.arguments();
        arguments.value(1) == QLatin1StringView(ForeignCallOption))
        return makeForeignCall(arguments.value(2));
    tst_BadInput test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_badinput.moc"
