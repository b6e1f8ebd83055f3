// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"
#include "support/devicerelay.h"

#include <QtNetwork/qlocalserver.h>
#include <QtNetwork/qlocalsocket.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// A relay from a local socket to the broker.
class LocalRelay : public QLocalServer
{
public:
    LocalRelay()
    {
        if (!listen(uniqueName(u"amqpqt"_s)))
            qFatal("the relay cannot listen: %s", qPrintable(errorString()));
        connect(this, &QLocalServer::newConnection, this, [this] {
            const QUrl url = brokerUrl();
            m_relay = std::make_unique<DeviceRelay>(nextPendingConnection(), quint16(url.port(5672)), url.host());
        });
    }

    std::unique_ptr<QLocalSocket> connectedSocket() const
    {
        auto socket = std::make_unique<QLocalSocket>();
        socket->setObjectName(u"local relay"_s);
        socket->connectToServer(fullServerName());
        if (!waitFor([&] { return socket->state() == QLocalSocket::ConnectedState; }))
            qFatal("the local socket is not connected: %s", qPrintable(socket->errorString()));
        return socket;
    }
    void hangUp() { m_relay.reset(); }

private:
    std::unique_ptr<DeviceRelay> m_relay;
};

} // namespace

// Connections on a local socket, whose other end a relay connects to the broker.
class tst_Devices_Live : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void confirmedMessagesArriveOnceAndInOrder();
    void lossNamesTheDeviceAndAnotherDeviceMayFollow();
};

void tst_Devices_Live::confirmedMessagesArriveOnceAndInOrder()
{
    LocalRelay relay;
    Connection connection(brokerParameters());
    VERIFY_OK(connection.openOn(relay.connectedSocket()));
    Channel *channel = connection.createChannel();
    const Reply<QueueInfo> queue = channel->declareTemporaryQueue();
    VERIFY_OK(queue);
    VERIFY_OK(channel->confirmSelect());
    Consumer *consumer = channel->consume(queue.result()->name);
    QList<Message> arrived;
    collect(consumer, &arrived);
    connect(consumer, &Consumer::delivered, this, [](const Message &message) { message.ack(); });

    constexpr int Count = 1000;
    QByteArrayList bodies;
    for (int i = 0; i < Count; ++i)
        bodies += QByteArray::number(i);
    bodies.insert(Count / 2, QByteArray(8 * 1024 * 1024, 'x'));
    QList<Reply<void>> confirms;
    for (const QByteArray &body : bodies)
        confirms += channel->publishWithReply({}, queue.result()->name, Message(body));
    for (const Reply<void> &confirm : confirms)
        VERIFY_OK(confirm);
    QVERIFY(waitFor([&] { return arrived.size() >= bodies.size(); }));
    QByteArrayList received;
    for (const Message &message : arrived)
        received += message.body();
    QVERIFY(received == bodies);
    VERIFY_OK(connection.close());
}

void tst_Devices_Live::lossNamesTheDeviceAndAnotherDeviceMayFollow()
{
    LocalRelay relay;
    Connection connection(brokerParameters());
    VERIFY_OK(connection.openOn(relay.connectedSocket()));
    Channel *channel = connection.createChannel();
    VERIFY_OK(channel->whenOpen());

    relay.hangUp();
    QVERIFY(waitFor([&] { return connection.state() == Connection::State::Closed; }));
    QCOMPARE(connection.error().kind(), ErrorKind::Network);
    QVERIFY2(connection.error().text().startsWith(u"QLocalSocket \"local relay\": "_s),
             qPrintable(connection.error().text()));

    channel->reopen();
    const Reply<QueueInfo> queue = channel->declareTemporaryQueue();
    VERIFY_OK(connection.openOn(relay.connectedSocket()));
    VERIFY_OK(queue);
    VERIFY_OK(channel->confirmSelect());
    VERIFY_OK(channel->publishWithReply({}, queue.result()->name, Message("after the loss")));
    const auto got = await(channel->get(queue.result()->name));
    QVERIFY(got && *got);
    QCOMPARE((*got)->message.body(), "after the loss");
}

QTEST_GUILESS_MAIN(tst_Devices_Live)
#include "tst_devices_live.moc"
