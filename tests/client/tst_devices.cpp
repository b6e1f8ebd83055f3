// SPDX-License-Identifier: MIT
#include "client/openingsupport.h"
#include "support/devicerelay.h"
#include "support/memorydevice.h"

#include <QtCore/qbuffer.h>
#include <QtCore/qregularexpression.h>
#include <QtNetwork/qlocalserver.h>
#include <QtNetwork/qlocalsocket.h>

#include <optional>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

using Writing = MemoryDevice::Writing;

// A connection on a device in memory, whose other end leads to a scripted peer.
class DeviceClient
{
public:
    explicit DeviceClient(Writing writing = Writing::Buffers, qint64 room = 256 * 1024,
                          const ConnectionParameters &parameters = {})
        : connection(std::make_unique<Connection>(parameters))
    {
        auto [own, other] = MemoryDevice::pair(writing, room);
        device = own.get();
        relay = std::make_unique<DeviceRelay>(other.release(), peer.port());
        log.watch(connection.get());
        channel = connection->createChannel();
        reply = connection->openOn(std::move(own));
    }
    [[nodiscard]] bool isOpened()
    {
        return waitUntil([this] { return channel->isOpen(); });
    }

    ScriptedPeer peer;
    std::unique_ptr<DeviceRelay> relay;
    std::unique_ptr<Connection> connection;
    QPointer<MemoryDevice> device;
    QPointer<Channel> channel;
    std::optional<Reply<void>> reply;
    const Reply<void> &opened() const { return *reply; }
    SignalLog log;
};

// A device of another kind than MemoryDevice, with any open mode.
class Device final : public QIODevice
{
    Q_OBJECT
public:
    explicit Device(OpenMode mode)
    {
        if (mode != NotOpen)
            open(mode);
    }
    bool isSequential() const override { return true; }

protected:
    qint64 readData(char *, qint64) override { return 0; }
    qint64 writeData(const char *, qint64 size) override { return size; }
};

} // namespace

// Connections on devices of the application.
class tst_Devices : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void messagesPassThroughTheDevice_data();
    void messagesPassThroughTheDevice();
    void localSocketIsADevice();
    void closeSendsEverything_data();
    void closeSendsEverything();
    void endpointsAreNotUsed();
    void unsuitableDevicesAreRejected_data();
    void unsuitableDevicesAreRejected();
    void deviceOfAnotherThreadIsRejected();
    void onlyAClosedConnectionTakesADevice();
    void deviceIsDeletedOnce_data();
    void deviceIsDeletedOnce();
    void rejectedParametersDeleteTheDevice();
    void errorNamesTheDevice_data();
    void errorNamesTheDevice();
    void bytesBeforeTheEndAreDispatched();
    void slowDeviceHoldsLittle();
    void anotherDeviceMayFollow();
    void deviceWaitsForCredentials_data();
    void deviceWaitsForCredentials();
    void refusedLoginUsesTheDeviceUp();
    void loginWithACertificateIsLeftToTheDevice();
};

void tst_Devices::messagesPassThroughTheDevice_data()
{
    QTest::addColumn<Writing>("writing");
    QTest::addColumn<qint64>("room");
    QTest::newRow("buffers everything") << Writing::Buffers << qint64(256 * 1024);
    QTest::newRow("buffers, and the other end takes little") << Writing::Buffers << qint64(1000);
    QTest::newRow("takes a part") << Writing::Partial << qint64(100'000);
    QTest::newRow("takes a small part or nothing") << Writing::Partial << qint64(5000);
}

void tst_Devices::messagesPassThroughTheDevice()
{
    QFETCH(const Writing, writing);
    QFETCH(const qint64, room);
    DeviceClient client(writing, room);
    QVERIFY(client.isOpened());
    QVERIFY(client.opened().result());
    ConsumeOptions options;
    options.consumerTag = u"c1"_s;
    Consumer *consumer = client.channel->consume(u"q"_s, options);
    QByteArrayList arrived;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { arrived += message.body(); });
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    QByteArrayList bodies;
    for (int i = 0; i < 40; ++i)
        bodies += QByteArray(i % 10 ? i : 30'000, char('a' + i % 26));
    for (qsizetype i = 0; i < bodies.size(); ++i) {
        QVERIFY(client.channel->publish({}, u"q"_s, Message(bodies.at(i))) > 0);
        client.peer.deliver(1, "c1", quint64(i) + 1, bodies.at(i));
    }
    QVERIFY(waitUntil([&] { return arrived.size() == 40 && client.peer.count("basic.publish") == 40; }));
    QCOMPARE(arrived, bodies);
    QByteArrayList published;
    for (const Command &command : client.peer.received("basic.publish"))
        published += command.body;
    QCOMPARE(published, bodies);
    QCOMPARE(client.peer.violations(), QStringList());
    QCOMPARE(client.connection->bytesToWrite(), 0);
}

void tst_Devices::localSocketIsADevice()
{
    ScriptedPeer peer;
    QLocalServer server;
    QVERIFY2(server.listen(u"amqpqt-tst_devices-%1"_s.arg(QCoreApplication::applicationPid())),
             qPrintable(server.errorString()));
    std::unique_ptr<DeviceRelay> relay;
    connect(&server, &QLocalServer::newConnection, this,
            [&] { relay = std::make_unique<DeviceRelay>(server.nextPendingConnection(), peer.port()); });
    auto socket = std::make_unique<QLocalSocket>();
    socket->connectToServer(server.fullServerName());
    QVERIFY(waitUntil([&] { return socket->state() == QLocalSocket::ConnectedState; }));
    Connection connection;
    Channel *channel = connection.createChannel();
    const Reply<void> opened = connection.openOn(std::move(socket));
    QVERIFY(waitUntil([&] { return channel->isOpen(); }));
    for (int i = 0; i < 20; ++i)
        QVERIFY(channel->publish({}, u"q"_s, Message(QByteArray(100'000, 'x'))) > 0);
    const Reply<void> closed = connection.close();
    QVERIFY(waitUntil([&] { return closed.isFinished(); }));
    QVERIFY2(closed.result(), qPrintable(closed.result().error().toString()));
    QCOMPARE(peer.count("basic.publish"), 20);
}

void tst_Devices::closeSendsEverything_data()
{
    QTest::addColumn<Writing>("writing");
    QTest::newRow("buffers") << Writing::Buffers;
    QTest::newRow("takes a part") << Writing::Partial;
}

void tst_Devices::closeSendsEverything()
{
    QFETCH(const Writing, writing);
    DeviceClient client(writing, 10'000);
    QVERIFY(client.isOpened());
    for (int i = 0; i < 10; ++i)
        QVERIFY(client.channel->publish({}, u"q"_s, Message(QByteArray(20'000, 'x'))) > 0);
    const Reply<void> closed = client.connection->close();
    QVERIFY(waitUntil([&] { return closed.isFinished(); }));
    QVERIFY2(closed.result(), qPrintable(closed.result().error().toString()));
    QCOMPARE(client.peer.count("basic.publish"), 10);
    QVERIFY(waitUntil([&] { return !client.device; }));
}

void tst_Devices::endpointsAreNotUsed()
{
    ScriptedPeer other;
    ConnectionParameters parameters = parametersOf(other);
    parameters.setConnectionAttempts(100);
    parameters.setRetryDelay(0ms);
    DeviceClient client(Writing::Buffers, 256 * 1024, parameters);
    QVERIFY(client.isOpened());
    QCOMPARE(client.connection->currentEndpoint().host, QString());
    client.peer.dropConnection();
    QVERIFY(waitUntil([&] { return client.log.has(u"connection.closed Network"_s); }));
    QCOMPARE(other.connectionCount(), 0);

    client.connection->open();
    QVERIFY(waitUntil([&] { return client.connection->isOpen(); }));
    QCOMPARE(other.connectionCount(), 1);
}

void tst_Devices::unsuitableDevicesAreRejected_data()
{
    QTest::addColumn<QString>("device");
    QTest::addColumn<QString>("problem");
    QTest::newRow("null") << u"null"_s << u"it is null"_s;
    QTest::newRow("not open") << u"closed"_s << u"it is not open"_s;
    QTest::newRow("read only") << u"read"_s << u"it must be open for reading and writing"_s;
    QTest::newRow("write only") << u"write"_s << u"it must be open for reading and writing"_s;
    QTest::newRow("random access") << u"buffer"_s
                                   << u"it has random access; a connection needs a stream, such as a socket"_s;
    QTest::newRow("text mode") << u"text"_s << u"it is open in text mode, which changes bytes"_s;
}

void tst_Devices::unsuitableDevicesAreRejected()
{
    QFETCH(const QString, device);
    QFETCH(const QString, problem);
    std::unique_ptr<QIODevice> unsuitable;
    if (device == u"buffer") {
        unsuitable = std::make_unique<QBuffer>();
        unsuitable->open(QIODevice::ReadWrite);
    } else if (device != u"null") {
        const QIODevice::OpenMode mode = device == u"read"    ? QIODevice::ReadOnly
                                         : device == u"write" ? QIODevice::WriteOnly
                                         : device == u"text"  ? QIODevice::ReadWrite | QIODevice::Text
                                                              : QIODevice::NotOpen;
        unsuitable = std::make_unique<Device>(mode);
    }
    const QPointer<QIODevice> watched = unsuitable.get();
    Connection connection;
    SignalLog log;
    log.watch(&connection);
    const Reply<void> opened = connection.openOn(std::move(unsuitable));
    QVERIFY(opened.isFinished());
    QCOMPARE(opened.result().error(), Error(ErrorKind::InvalidArgument, u"device: "_s + problem));
    QCOMPARE(connection.state(), Connection::State::Closed);
    settleEvents();
    QVERIFY(!watched);
    QCOMPARE(log.entries, QStringList());
}

void tst_Devices::deviceOfAnotherThreadIsRejected()
{
    QThread thread;
    thread.start();
    auto device = std::make_unique<Device>(QIODevice::ReadWrite);
    device->moveToThread(&thread);
    const QPointer<QIODevice> watched = device.get();
    Connection connection;
    const Reply<void> opened = connection.openOn(std::move(device));
    QCOMPARE(opened.result().error(),
             Error(ErrorKind::InvalidArgument, u"device: it lives in another thread than the connection"_s));
    thread.quit();
    thread.wait();
    QVERIFY(!watched);
}

void tst_Devices::onlyAClosedConnectionTakesADevice()
{
    DeviceClient client;
    for (const bool isOpen : {false, true}) {
        if (isOpen)
            QVERIFY(client.isOpened());
        auto second = std::make_unique<Device>(QIODevice::ReadWrite);
        const QPointer<QIODevice> watched = second.get();
        const Reply<void> opened = client.connection->openOn(std::move(second));
        QCOMPARE(opened.result().error(),
                 Error(ErrorKind::InvalidArgument, u"the connection is open or is being opened"_s));
        settleEvents();
        QVERIFY(!watched);
    }
    QVERIFY(client.connection->isOpen());
}

void tst_Devices::deviceIsDeletedOnce_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<bool>("isOpen");
    for (const char *end :
         {"close", "abort", "delete the connection", "loss", "delete the device", "close the device"}) {
        QTest::addRow("%s", end) << QString::fromLatin1(end) << true;
        QTest::addRow("%s before it is open", end) << QString::fromLatin1(end) << false;
    }
}

// Deleting it a second time would crash.
void tst_Devices::deviceIsDeletedOnce()
{
    QFETCH(const QString, end);
    QFETCH(const bool, isOpen);
    DeviceClient client;
    if (isOpen)
        QVERIFY(client.isOpened());
    int deleted = 0;
    connect(client.device, &QObject::destroyed, this, [&] { ++deleted; });
    if (end == u"close")
        client.connection->close();
    else if (end == u"abort")
        client.connection->abort();
    else if (end == u"delete the connection")
        client.connection.reset();
    else if (end == u"loss")
        client.relay.reset();
    else if (end == u"delete the device")
        delete client.device;
    else
        client.device->close();
    QVERIFY(waitUntil([&] {
        settleEvents(); // outside an event loop nothing else deletes later
        return deleted == 1;
    }));
    QVERIFY(!client.connection || waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    QVERIFY(waitUntil([&] { return client.opened().isFinished(); }));
    settleEvents();
    QCOMPARE(client.opened().result().error().isError(), !isOpen);
    QCOMPARE(deleted, 1);
}

void tst_Devices::rejectedParametersDeleteTheDevice()
{
    ConnectionParameters parameters;
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^setRetryDelay"_s));
    parameters.setRetryDelay(-1ms);
    DeviceClient client(Writing::Buffers, 1000, parameters);
    QVERIFY(waitUntil([&] { return client.opened().isFinished() && !client.device; }));
    QCOMPARE(client.opened().result().error().kind(), ErrorKind::InvalidArgument);
}

void tst_Devices::errorNamesTheDevice_data()
{
    QTest::addColumn<QString>("cause");
    QTest::addColumn<QString>("reason");
    QTest::newRow("end of the stream") << u"end"_s << u"the stream has ended"_s;
    QTest::newRow("end of the stream with an error") << u"error and end"_s << u"the stream has ended: no route"_s;
    QTest::newRow("closed") << u"close"_s << u"the device was closed"_s;
    QTest::newRow("closed with an error") << u"error and close"_s << u"the device was closed: no route"_s;
    QTest::newRow("deleted") << u"delete"_s << u"the device was deleted"_s;
    QTest::newRow("write error") << u"write"_s << u"broken pipe"_s;
}

void tst_Devices::errorNamesTheDevice()
{
    QFETCH(const QString, cause);
    QFETCH(const QString, reason);
    auto [own, other] = MemoryDevice::pair(Writing::Buffers, 1000);
    own->setObjectName(u"to the broker"_s);
    own->setError(u"the first address does not answer"_s); // before the device was connected
    QPointer<MemoryDevice> device = own.get();
    ScriptedPeer peer;
    DeviceRelay relay(other.release(), peer.port());
    Connection connection;
    Channel *channel = connection.createChannel();
    SignalLog log;
    log.watch(&connection);
    connection.openOn(std::move(own));
    QVERIFY(waitUntil([&] { return channel->isOpen(); }));
    if (cause.startsWith(u"error"))
        device->setError(u"no route"_s);
    if (cause.endsWith(u"end")) {
        peer.dropConnection();
    } else if (cause.endsWith(u"close")) {
        device->close();
    } else if (cause == u"delete") {
        delete device;
    } else {
        device->failWrites();
        channel->publish({}, u"q"_s, Message("m"));
    }
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed Network"_s); }));
    QCOMPARE(connection.error(), Error(ErrorKind::Network, u"MemoryDevice \"to the broker\": "_s + reason));
}

void tst_Devices::bytesBeforeTheEndAreDispatched()
{
    DeviceClient client;
    QVERIFY(client.isOpened());
    client.peer.closeConnection(320, "CONNECTION_FORCED - shutdown");
    QVERIFY(waitUntil([&] { return client.device->bytesAvailable() > 0 || !client.connection->isOpen(); }));
    if (client.device)
        client.device->close();
    QVERIFY(waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    QCOMPARE(client.connection->error().replyCode(), quint16(320));
}

// The device buffers everything that it is given, so it is given little.
void tst_Devices::slowDeviceHoldsLittle()
{
    ConnectionParameters parameters;
    constexpr qint64 HighWatermark = 1024 * 1024;
    parameters.setWriteBuffer(0, HighWatermark, 16 * HighWatermark);
    DeviceClient client(Writing::Buffers, 10'000, parameters);
    QVERIFY(client.isOpened());
    client.relay->setReading(false);
    int published = 0;
    while (client.connection->isWritable() && published < 1000) {
        QVERIFY(client.channel->publish({}, u"q"_s, Message(QByteArray(64 * 1024, 'x'))) > 0);
        ++published;
        QCoreApplication::processEvents();
    }
    QVERIFY(!client.connection->isWritable());
    QVERIFY(client.connection->bytesToWrite() >= HighWatermark);
    QVERIFY2(client.device->mostHeld() <= 64 * 1024, qPrintable(QString::number(client.device->mostHeld())));
    client.relay->setReading(true);
    QVERIFY(waitUntil([&] { return client.peer.count("basic.publish") == published; }));
    QVERIFY(waitUntil([&] { return client.connection->bytesToWrite() == 0; }));
    QVERIFY2(client.device->mostHeld() <= 64 * 1024, qPrintable(QString::number(client.device->mostHeld())));
}

void tst_Devices::anotherDeviceMayFollow()
{
    DeviceClient client;
    QVERIFY(client.isOpened());
    client.peer.dropConnection();
    QVERIFY(waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    auto [own, other] = MemoryDevice::pair(Writing::Buffers, 256 * 1024);
    DeviceRelay relay(other.release(), client.peer.port());
    client.connection->openOn(std::move(own));
    QVERIFY(waitUntil([&] { return client.connection->isOpen(); }));
    QCOMPARE(client.peer.connectionCount(), 2);
}

void tst_Devices::deviceWaitsForCredentials_data()
{
    QTest::addColumn<QString>("event");
    QTest::addColumn<QString>("result");
    QTest::newRow("answer") << u"answer"_s << u"ok"_s;
    QTest::newRow("close") << u"close"_s << u"Cancelled"_s;
    QTest::newRow("deleted device") << u"delete"_s << u"Network"_s;
}

void tst_Devices::deviceWaitsForCredentials()
{
    QFETCH(const QString, event);
    QFETCH(const QString, result);
    auto [own, other] = MemoryDevice::pair(Writing::Buffers, 256 * 1024);
    const QPointer<MemoryDevice> device = own.get();
    ScriptedPeer peer;
    ScriptedPeer endpoint; // the password is not for this broker
    DeviceRelay relay(other.release(), peer.port());
    Connection connection(to({endpointOf(endpoint)}));
    int requests = 0;
    connect(&connection, &Connection::credentialsRequested, this, [&] { ++requests; });
    const Reply<void> opened = connection.openOn(std::move(own));
    QVERIFY(waitUntil([&] { return requests == 1; }));
    QVERIFY(device);
    QVERIFY(!opened.isFinished());
    if (event == u"close")
        connection.close();
    else if (event == u"delete")
        delete device;
    if (event != u"close")
        connection.setCredentials(u"guest"_s, u"token"_s);
    QVERIFY(waitUntil([&] { return opened.isFinished(); }));
    QCOMPARE(brief(opened.result().error()), result);
    QCOMPARE(connection.isOpen(), event == u"answer");
    QCOMPARE(peer.count("connection.start-ok"), event == u"answer" ? 1 : 0);
    QCOMPARE(endpoint.connectionCount(), 0);
    QCOMPARE(connection.currentEndpoint().host, QString());
    settleEvents(); // outside an event loop nothing else deletes later
    QCOMPARE(bool(device), event == u"answer");
}

void tst_Devices::refusedLoginUsesTheDeviceUp()
{
    auto [own, other] = MemoryDevice::pair(Writing::Buffers, 256 * 1024);
    const QPointer<MemoryDevice> device = own.get();
    ScriptedPeer peer;
    peer.setHook([&peer](const Command &command) {
        if (command.name != "connection.start-ok")
            return false;
        peer.closeConnection(403, "ACCESS_REFUSED - Login was refused");
        return true;
    });
    ScriptedPeer endpoint; // the password is not for this broker
    DeviceRelay relay(other.release(), peer.port());
    ConnectionParameters parameters = to({endpointOf(endpoint)});
    parameters.setConnectionAttempts(100);
    parameters.setRetryDelay(0ms);
    Connection connection(parameters);
    connection.setCredentials(u"guest"_s, u"mistaken"_s);
    QList<Connection::CredentialReason> reasons;
    connect(&connection, &Connection::credentialsRequested, this,
            [&](Connection::CredentialReason reason) { reasons += reason; });
    const Reply<void> opened = connection.openOn(std::move(own));
    QVERIFY(waitUntil([&] { return opened.isFinished() && !device; }));
    QCOMPARE(opened.result().error().kind(), ErrorKind::Authentication);
    QCOMPARE(reasons, QList<Connection::CredentialReason>());

    auto [next, nextOther] = MemoryDevice::pair(Writing::Buffers, 256 * 1024);
    DeviceRelay nextRelay(nextOther.release(), peer.port());
    peer.setHook({});
    const Reply<void> openedAgain = connection.openOn(std::move(next));
    QVERIFY(waitUntil([&] { return reasons.size() == 1; }));
    QCOMPARE(reasons.first(), Connection::CredentialReason::Refused);
    connection.setCredentials(u"guest"_s, u"token"_s);
    QVERIFY(waitUntil([&] { return openedAgain.isFinished(); }));
    QVERIFY2(openedAgain.result(), qPrintable(openedAgain.result().error().toString()));
    QCOMPARE(endpoint.connectionCount(), 0);
}

// The device may be a QSslSocket with a client certificate.
void tst_Devices::loginWithACertificateIsLeftToTheDevice()
{
    ConnectionParameters parameters;
    parameters.setExternalAuthentication();
    DeviceClient client;
    client.connection->abort();
    QVERIFY(waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    auto [own, other] = MemoryDevice::pair(Writing::Buffers, 256 * 1024);
    DeviceRelay relay(other.release(), client.peer.port());
    ScriptedPeer::Handshake handshake;
    handshake.mechanisms = "PLAIN EXTERNAL";
    client.peer.setHandshake(handshake);
    client.connection->setParameters(parameters);
    client.connection->openOn(std::move(own));
    QVERIFY(waitUntil([&] { return client.connection->isOpen(); }));
    QCOMPARE(client.peer.last("connection.start-ok").fields.value(u"mechanism"_s).toString(), u"EXTERNAL"_s);
}

QTEST_GUILESS_MAIN(tst_Devices)
#include "tst_devices.moc"
