// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <QtCore/qelapsedtimer.h>
#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>
#include <QtNetwork/qhostaddress.h>
#include <QtNetwork/qtcpserver.h>
#include <QtNetwork/qtcpsocket.h>
#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// A server that is not an AMQP broker. It accepts, answers the first bytes with this text, and sends nothing else.
class OtherServer : public QTcpServer
{
public:
    explicit OtherServer(const QByteArray &answer)
    {
        connect(this, &QTcpServer::newConnection, this, [this, answer] {
            QTcpSocket *socket = nextPendingConnection();
            connect(socket, &QTcpSocket::readyRead, socket, [socket, answer] {
                if (!socket->readAll().isEmpty() && !answer.isEmpty())
                    socket->write(answer);
            });
        });
        listen(QHostAddress::LocalHost);
    }

    ConnectionParameters parameters() const
    {
        ConnectionParameters parameters;
        parameters.setEndpoints({{u"127.0.0.1"_s, serverPort()}});
        return parameters;
    }
};

QString setting(const FieldTable &table, const QString &name)
{
    return table.value(name).toString();
}

// rabbitmqctl writes a table as [["name", "type", value], …].
FieldTable tableFromControl(const QJsonValue &entries)
{
    FieldTable table;
    for (const QJsonValue entry : entries.toArray())
        table.insert(entry[0].toString(),
                     entry[1] == "table"_L1 ? QVariant(tableFromControl(entry[2])) : entry[2].toVariant());
    return table;
}

} // namespace

class tst_Connecting : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void urlAndParametersGiveTheSameConnection();
    void urlOptionsArriveAtTheBroker();
    void defaultsAreNegotiated();
    void ownLimitsAreNegotiated();
    void zeroAcceptsTheLimitsOfTheBroker();
    void smallFramesCarryLargeMessages();
    void heartbeatsKeepAnIdleConnection();
    void brokerListsNameAndProperties();
    void serverPropertiesCanBeRead();
    void signalsReportTheWholeLife();
    void nextEndpointIsTried();
    void connectionOpensAgain();

    void invalidUrlIsRejected_data();
    void invalidUrlIsRejected();
    void wrongPasswordIsNamed();
    void missingVirtualHostIsNamed();
    void forbiddenVirtualHostIsNamed();
    void closedPortIsNamed();
    void impossibleHostIsNamed();
    void serverOfAnotherProtocolIsNamed_data();
    void serverOfAnotherProtocolIsNamed();
    void silentServerIsGivenUpInTime();
    void failedConnectKeepsWaitingCalls();
    void closeWhileConnectingCancels();
};

// B1
void tst_Connecting::urlAndParametersGiveTheSameConnection()
{
    const QUrl url = brokerUrl();
    Connection byUrl(url);
    VERIFY_OK(byUrl.open());

    ConnectionParameters parameters;
    parameters.setEndpoints({{url.host(), quint16(url.port())}});
    parameters.setCredentials(url.userName(), url.password());
    Connection byParameters(parameters);
    VERIFY_OK(byParameters.open());

    QCOMPARE(byParameters.heartbeatInterval(), byUrl.heartbeatInterval());
    QCOMPARE(byParameters.maximumFrameSize(), byUrl.maximumFrameSize());
    QCOMPARE(byParameters.maximumChannels(), byUrl.maximumChannels());
    QCOMPARE(byUrl.url().password(), QString());
    QCOMPARE(byUrl.currentEndpoint().host, url.host());
    QCOMPARE(int(byUrl.currentEndpoint().port), url.port());
}

// B1
void tst_Connecting::urlOptionsArriveAtTheBroker()
{
    QUrl url = brokerUrl();
    url.setQuery(u"heartbeat=7&frame_max=16384&channel_max=11&connection_timeout=20000&name=by%20URL"_s);
    Connection connection(url);
    VERIFY_OK(connection.open());
    QCOMPARE(connection.heartbeatInterval(), 7s);
    QCOMPARE(connection.maximumFrameSize(), 16384U);
    QCOMPARE(connection.maximumChannels(), quint16(11));
    QCOMPARE(connection.parameters().connectTimeout(), 20s);
    QCOMPARE(connection.parameters().connectionName(), u"by URL"_s);
}

// B8
void tst_Connecting::defaultsAreNegotiated()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    QCOMPARE(client.connection.heartbeatInterval(), 60s);
    QCOMPARE(client.connection.maximumFrameSize(), 131072U);
    QCOMPARE(client.connection.maximumChannels(), quint16(2047));
}

// B8
void tst_Connecting::ownLimitsAreNegotiated()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setMaximumFrameSize(8192);
    parameters.setMaximumChannels(2);
    parameters.setHeartbeatInterval(5s);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QCOMPARE(client.connection.maximumFrameSize(), 8192U);
    QCOMPARE(client.connection.maximumChannels(), quint16(2));
    QCOMPARE(client.connection.heartbeatInterval(), 5s);
    // The broker applies them, too, and would end the connection at channel 3, which this test does not open.
    Channel *second = client.connection.createChannel();
    VERIFY_OK(second->whenOpen());
    QCOMPARE(second->number(), quint16(2));
    Channel *third = client.connection.createChannel();
    QSignalSpy closed(third, &Channel::closed);
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    QCOMPARE(brief(closed.first().first().value<Error>()), u"NotOpen"_s);
    VERIFY_OK(second->declareTemporaryQueue());
}

// B8
void tst_Connecting::zeroAcceptsTheLimitsOfTheBroker()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setMaximumFrameSize(0);
    parameters.setMaximumChannels(0);
    parameters.setHeartbeatInterval(0s);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QCOMPARE(client.connection.maximumFrameSize(), 131072U); // RabbitMQ's default
    QCOMPARE(client.connection.maximumChannels(), quint16(2047));
    QCOMPARE(client.connection.heartbeatInterval(), 0s); // disabled, since the application set it to 0
}

// B8
void tst_Connecting::smallFramesCarryLargeMessages()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setMaximumFrameSize(8192);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, {.exclusive = true}));
    QByteArray body;
    while (body.size() < 300'000)
        body += QByteArray::number(body.size()) + ' ';
    client.channel->publish({}, queue, Message(body));
    const auto got = await(client.channel->get(queue));
    QVERIFY(got && *got);
    QVERIFY((*got)->message.body() == body);

    // Headers cannot be split. A header too large for one frame is rejected here; the broker would end the connection.
    Message tooMany("body");
    tooMany.setHeader(u"large"_s, QString(9000, u'x'));
    QCOMPARE(client.channel->publish({}, queue, tooMany), 0U);
    QCOMPARE(client.channel->lastCallError().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(client.channel->lastCallError().text().contains(u"headers"_s),
             qPrintable(client.channel->lastCallError().text()));
    VERIFY_OK(client.channel->inspectQueue(queue));
}

// B9
void tst_Connecting::heartbeatsKeepAnIdleConnection()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setHeartbeatInterval(1s);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QCOMPARE(client.connection.heartbeatInterval(), 1s);
    QSignalSpy closed(&client.connection, &Connection::closed);
    // Without the client's heartbeats the broker would end the connection after two to three seconds, and vice versa.
    QTest::qWait(4000);
    QCOMPARE(closed.count(), 0);
    VERIFY_OK(client.channel->declareTemporaryQueue());
}

// B10
void tst_Connecting::brokerListsNameAndProperties()
{
    const QString name = uniqueName(u"connection é 名"_s);
    ConnectionParameters parameters = brokerParameters();
    parameters.setConnectionName(name);
    parameters.setClientProperties({{u"site"_s, u"Genève"_s}, {u"version"_s, u"7.1"_s}});
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());

    const ProcessResult listed =
        brokerControl({u"-q"_s, u"--formatter=json"_s, u"list_connections"_s, u"client_properties"_s, u"channels"_s});
    QVERIFY2(listed.exitCode == 0, listed.errors.constData());
    FieldTable properties;
    int channels = 0;
    for (const QJsonValue connection : QJsonDocument::fromJson(listed.output).array()) {
        const FieldTable of = tableFromControl(connection[u"client_properties"_s]);
        if (of.value(u"connection_name"_s) == name) {
            properties = of;
            channels = connection[u"channels"_s].toInt();
        }
    }
    QVERIFY2(!properties.isEmpty(), listed.output.constData());
    QCOMPARE(channels, 1);
    QCOMPARE(properties.value(u"product"_s), u"AmqpQt"_s);
    QCOMPARE(properties.value(u"version"_s), u"7.1"_s); // the application's value replaces the library's
    QCOMPARE(properties.value(u"site"_s), u"Genève"_s);
    QVERIFY(properties.value(u"platform"_s).toString().startsWith(u"Qt 6."_s));
    const FieldTable capabilities = properties.value(u"capabilities"_s).toMap();
    QCOMPARE(capabilities.keys(),
             QStringList({u"authentication_failure_close"_s, u"basic.nack"_s, u"connection.blocked"_s,
                          u"consumer_cancel_notify"_s, u"direct_reply_to"_s, u"exchange_exchange_bindings"_s,
                          u"per_consumer_qos"_s, u"publisher_confirms"_s}));
    for (const QVariant &capability : capabilities)
        QCOMPARE(capability, QVariant(true));
}

// B10
void tst_Connecting::serverPropertiesCanBeRead()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const FieldTable properties = client.connection.serverProperties();
    QCOMPARE(setting(properties, u"product"_s), u"RabbitMQ"_s);
    QVERIFY2(setting(properties, u"version"_s).contains(u'.'), qPrintable(setting(properties, u"version"_s)));
    QVERIFY(!properties.value(u"capabilities"_s).toMap().isEmpty());
    for (const QString &capability :
         {u"publisher_confirms"_s, u"basic.nack"_s, u"connection.blocked"_s, u"direct_reply_to"_s})
        QVERIFY2(client.connection.hasCapability(capability), qPrintable(capability));
    QVERIFY(!client.connection.hasCapability(u"no such thing"_s));
}

// C1
void tst_Connecting::signalsReportTheWholeLife()
{
    Connection connection(brokerParameters());
    QStringList log;
    connect(&connection, &Connection::stateChanged, this, [&](Connection::State state) {
        QCOMPARE(connection.state(), state);
        log += QLatin1StringView(QMetaEnum::fromType<Connection::State>().valueToKey(int(state)));
    });
    connect(&connection, &Connection::opened, this, [&] {
        QVERIFY(connection.isOpen());
        log += u"opened"_s;
    });
    connect(&connection, &Connection::closed, this, [&](const Error &reason) {
        QVERIFY(!connection.isOpen());
        log += u"closed "_s + brief(reason);
    });
    connect(&connection, &Connection::errorOccurred, this, [&](const Error &error) { log += brief(error); });

    QVERIFY(!connection.isOpen());
    QCOMPARE(connection.state(), Connection::State::Closed);
    const Reply<void> whenOpen = connection.whenOpen();
    VERIFY_OK(connection.open());
    VERIFY_OK(whenOpen);
    VERIFY_OK(connection.open()); // the connection is open
    VERIFY_OK(connection.close());
    VERIFY_OK(connection.close()); // the connection is closed
    QCOMPARE(log, QStringList({u"Connecting"_s, u"Handshaking"_s, u"Open"_s, u"opened"_s, u"Closing"_s, u"Closed"_s,
                               u"closed NoError"_s}));
    QCOMPARE(connection.error(), Error());
}

// B1
void tst_Connecting::nextEndpointIsTried()
{
    QTcpServer nobody;
    QVERIFY(nobody.listen(QHostAddress::LocalHost));
    const quint16 closedPort = nobody.serverPort();
    nobody.close();
    ConnectionParameters parameters = brokerParameters();
    const Endpoint broker = parameters.endpoints().constFirst();
    parameters.setEndpoints({{u"127.0.0.1"_s, closedPort}, broker});
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QCOMPARE(client.connection.currentEndpoint().port, broker.port);
}

// C1
void tst_Connecting::connectionOpensAgain()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    VERIFY_OK(client.connection.close());
    QVERIFY(!client.isOpen());
    VERIFY_OK(client.connection.open());
    Channel *channel = client.connection.createChannel();
    VERIFY_OK(channel->declareTemporaryQueue());
    VERIFY_OK(client.channel->reopen()); // the old channel can be used again, too
    VERIFY_OK(client.channel->declareTemporaryQueue());
}

void tst_Connecting::invalidUrlIsRejected_data()
{
    QTest::addColumn<QString>("url");
    QTest::addColumn<QString>("named");
    QTest::newRow("scheme") << u"http://localhost"_s << u"http"_s;
    QTest::newRow("key") << u"amqp://localhost?heart_beat=5"_s << u"heart_beat"_s;
    QTest::newRow("value") << u"amqp://localhost?heartbeat=soon"_s << u"soon"_s;
    QTest::newRow("virtual host") << u"amqp://localhost/a/b"_s << u"virtual host"_s;
    QTest::newRow("empty") << QString() << u"empty"_s;
}

void tst_Connecting::invalidUrlIsRejected()
{
    QFETCH(const QString, url);
    QFETCH(const QString, named);
    Connection connection{QUrl(url)};
    const Error error = await(connection.open()).error();
    QCOMPARE(brief(error), u"InvalidArgument"_s);
    QVERIFY2(error.text().contains(named), qPrintable(error.text()));
    QCOMPARE(connection.state(), Connection::State::Closed);
    connection.setUrl(brokerUrl());
    VERIFY_OK(connection.open());
}

void tst_Connecting::wrongPasswordIsNamed()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setCredentials(u"guest"_s, u"not-the-password"_s);
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    QCOMPARE(error.kind(), ErrorKind::Authentication);
    QCOMPARE(error.replyCode(), quint16(403));
    QVERIFY2(error.text().contains(u"ACCESS_REFUSED"_s), qPrintable(error.text()));
    QVERIFY2(!error.toString().contains(u"not-the-password"_s), qPrintable(error.toString()));
}

void tst_Connecting::missingVirtualHostIsNamed()
{
    const QString name = uniqueName(u"no such host "_s);
    ConnectionParameters parameters = brokerParameters();
    parameters.setVirtualHost(name);
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    QCOMPARE(brief(error), u"ConnectionClosed 530 connection.open"_s);
    QVERIFY2(error.text().contains(name), qPrintable(error.text()));
}

void tst_Connecting::forbiddenVirtualHostIsNamed()
{
    const QString name = uniqueName(u"vhost"_s);
    const ProcessResult added = brokerControl({u"-q"_s, u"add_vhost"_s, name});
    QVERIFY2(added.exitCode == 0, added.errors.constData());
    ConnectionParameters parameters = brokerParameters();
    parameters.setVirtualHost(name); // the virtual host exists, but no user has permissions
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    brokerControl({u"-q"_s, u"delete_vhost"_s, name});
    QCOMPARE(brief(error), u"ConnectionClosed 530 connection.open"_s);
    QVERIFY2(error.text().contains(name), qPrintable(error.text()));
}

void tst_Connecting::closedPortIsNamed()
{
    QTcpServer nobody;
    QVERIFY(nobody.listen(QHostAddress::LocalHost));
    const quint16 port = nobody.serverPort();
    nobody.close();
    ConnectionParameters parameters;
    parameters.setEndpoints({{u"127.0.0.1"_s, port}});
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    QCOMPARE(brief(error), u"Network"_s);
    QVERIFY2(error.text().contains(u"127.0.0.1"_s) && error.text().contains(QString::number(port)),
             qPrintable(error.text()));
    QVERIFY(error.isRecoverable());
}

void tst_Connecting::impossibleHostIsNamed()
{
    const QString host(64, u'x'); // a label has at most 63 characters
    ConnectionParameters parameters;
    parameters.setEndpoints({{host, 5672}});
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    QCOMPARE(brief(error), u"InvalidArgument"_s);
    QVERIFY2(error.text().contains(host), qPrintable(error.text()));
}

void tst_Connecting::serverOfAnotherProtocolIsNamed_data()
{
    QTest::addColumn<QByteArray>("answer");
    QTest::addColumn<QString>("named");
    QTest::newRow("HTTP") << QByteArray("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") << u"HTTP"_s;
    QTest::newRow("AMQP 0-9") << QByteArray("AMQP\x01\x01\x00\x09", 8) << u"0-9"_s;
    QTest::newRow("AMQP 1.0") << QByteArray("AMQP\x00\x01\x00\x00", 8) << u"1"_s;
    QTest::newRow("nonsense") << QByteArray(64, '\xff') << QString();
}

void tst_Connecting::serverOfAnotherProtocolIsNamed()
{
    QFETCH(const QByteArray, answer);
    QFETCH(const QString, named);
    OtherServer server(answer);
    Connection connection(server.parameters());
    const Error error = await(connection.open()).error();
    QCOMPARE(error.kind(), ErrorKind::ProtocolViolation);
    QVERIFY2(error.text().contains(named), qPrintable(error.text()));
    QCOMPARE(connection.state(), Connection::State::Closed);
}

// B11
void tst_Connecting::silentServerIsGivenUpInTime()
{
    OtherServer server({});
    ConnectionParameters parameters = withoutRecovery(server.parameters());
    parameters.setConnectTimeout(300ms);
    Connection connection(parameters);
    QSignalSpy closed(&connection, &Connection::closed);
    QElapsedTimer timer;
    timer.start();
    const Error error = await(connection.open()).error();
    QCOMPARE(brief(error), u"Timeout"_s);
    QVERIFY2(error.text().contains(u"300"_s), qPrintable(error.text()));
    QVERIFY(timer.elapsed() >= 300);
    QVERIFY(timer.elapsed() < parameters.connectTimeout().count() * 50); // not the default of 15 s
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    QCOMPARE(closed.first().first().value<Error>(), error);
}

void tst_Connecting::failedConnectKeepsWaitingCalls()
{
    const QString queue = uniqueName(u"failed"_s);
    OtherServer server("HTTP/1.1 400 Bad Request\r\n\r\n");
    Connection connection(server.parameters());
    Channel *channel = connection.createChannel();
    QSignalSpy publishFailed(channel, &Channel::publishFailed);
    QSignalSpy channelClosed(channel, &Channel::closed);
    const Reply<QueueInfo> declaring = channel->declareQueue(queue, QueueOptions::temporary());
    const Reply<void> selecting = channel->confirmSelect();
    QCOMPARE(channel->publish({}, queue, Message("1")), 1U);
    const Reply<void> publishing = channel->publishWithReply({}, queue, Message("2"));
    Consumer *consumer = channel->consume(queue);
    QStringList delivered;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { delivered += message.text(); });
    for (int attempt = 1; attempt <= 2; ++attempt) {
        const Reply<void> opening = connection.open();
        VERIFY_FAILS(opening, u"ProtocolViolation"_s);
        QVERIFY(waitFor([&] { return connection.state() == Connection::State::Closed; }));
        QVERIFY(!declaring.isFinished());
        QCOMPARE(channel->state(), Channel::State::Opening);
    }
    connection.setUrl(brokerUrl());
    VERIFY_OK(connection.open());
    VERIFY_OK(selecting);
    VERIFY_OK(publishing);
    QCOMPARE(declaring.result()->name, queue);
    QVERIFY(waitFor([&] { return delivered.size() == 2; }));
    QCOMPARE(delivered, QStringList({u"1"_s, u"2"_s}));
    QCOMPARE(publishFailed.count() + channelClosed.count(), 0);
}

void tst_Connecting::closeWhileConnectingCancels()
{
    OtherServer server({});
    Connection connection(server.parameters());
    Channel *channel = connection.createChannel();
    const Reply<QueueInfo> declaring = channel->declareQueue(u"q"_s);
    const Reply<void> opening = connection.open();
    QVERIFY(waitFor([&] { return connection.state() == Connection::State::Handshaking; }));
    VERIFY_OK(connection.close());
    VERIFY_FAILS(opening, u"Cancelled"_s);
    QCOMPARE(await(declaring).error().kind(), ErrorKind::Cancelled);
    QCOMPARE(connection.state(), Connection::State::Closed);
    QCOMPARE(connection.error(), Error());
}

QTEST_GUILESS_MAIN(tst_Connecting)

#include "tst_connecting.moc"
