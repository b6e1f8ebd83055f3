// SPDX-License-Identifier: MIT
#include "client/namedcalls.h"
#include "support/callsofchannel.h"

#include <QtCore/qpoint.h>
#include <QtCore/qregularexpression.h>

#include <limits>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

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
    void everyCallOfAChannelIsTested();
    void impossibleCallsFail_data();
    void impossibleCallsFail();
    void channelThatIsNotOpenFailsAllCalls_data();
    void channelThatIsNotOpenFailsAllCalls();
    void impossibleChannelNumbersAreRejected_data();
    void impossibleChannelNumbersAreRejected();
    void tooLargeClientPropertiesFailTheOpening();
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
        const auto addRow = [&values, &argument, name = name, call = call](const char *what, const FieldTable &table,
                                                                           const QString &named) {
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

void tst_BadInput::everyCallOfAChannelIsTested()
{
    QStringList visited;
    visitChannelCalls([&](const char *name, auto) { visited += QLatin1StringView(name); });
    visited.sort();
    QCOMPARE(visited, callsOfChannel());
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
    auto client = std::make_unique<OpenClient>(withoutRecovery(peer));
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

    // These need no open channel, or have nothing to reject.
    const QList<QByteArrayView> others{"whenOpen", "whenConfirmed", "setConfirmWindow", "reopen", "close"};
    QStringList reported;
    for (const auto &[name, call] : everyCall()) {
        if (others.contains(name))
            continue;
        reported += u"channel.errorOccurred NotOpen"_s;
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
    ConnectionParameters parameters = withoutRecovery(peer);
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
    QCOMPARE(peer.received().size(), 0); // the limit depends on the broker's version

    parameters.setClientProperties({{u"x-long"_s, QString(1000, u'x')}});
    connection.setParameters(parameters);
    const Reply<void> again = connection.open();
    QVERIFY(waitUntil([&] { return again.isFinished(); }));
    QVERIFY(again.result());
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_BadInput)
#include "tst_badinput.moc"
