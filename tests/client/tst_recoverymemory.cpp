// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "support/heapmeter.h"

#include <AmqpQt/publisher.h>
#include <AmqpQt/recovery.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The memory that outages leave behind. The peer has its own thread, and only the allocations of this thread count.
class tst_RecoveryMemory : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void thousandOutagesNeedTheMemoryOfTen();
};

void tst_RecoveryMemory::thousandOutagesNeedTheMemoryOfTen()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    OpenClient client(peer);
    client.channel->declareExchange(u"x"_s, ExchangeType::Direct);
    client.channel->declareTemporaryQueue();
    client.channel->bindQueue({}, u"x"_s, u"key"_s);
    Consumer *const consumer = client.consume();
    Publisher publisher(&client.connection);
    publisher.setLossPolicy(Publisher::LossPolicy::Republish);
    QList<Message> held;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { held += message; });
    // Without a delay, which would take minutes.
    connect(&client.connection, &Connection::reconnecting, this, [&] { client.connection.reconnectNow(); });
    int recoveries = 0;
    connect(&client.connection, &Connection::recovered, this, [&] { ++recoveries; });

    // The peer ends the connection when it receives a message for the first time. It does so in its own thread, because
    // calls from this thread would count.
    int publishes = 0;
    peer.setHook([&](const Command &command) {
        if (command.name != "basic.publish" || ++publishes % 2 == 0)
            return false;
        peer.deliver(command.channel == 1 ? 2 : 1, "c1", 1, QByteArray(1000, 'y'));
        peer.hangUp();
        peer.forgetReceived();
        return true;
    });
    const auto loseAndRecover = [&] {
        const int before = recoveries;
        publisher.publish(u"x"_s, u"key"_s, Message(QByteArray(1000, 'x')));
        const bool isRecovered =
            waitUntil([&] { return recoveries > before && held.size() == 1 && publisher.outstandingCount() == 0; });
        if (isRecovered)
            held.constFirst().ack(); // late
        held.clear();
        QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete); // which only exec() does by itself
        return isRecovered;
    };
    for (int outage = 1; outage <= 10; ++outage)
        QVERIFY(loseAndRecover());
    const HeapMeter meter;
    for (int outage = 11; outage <= 1000; ++outage)
        QVERIFY(loseAndRecover());
    QCOMPARE(recoveries, 1000);
    // The smallest object that each outage leaves behind would need more. Buffers of the connection may be in use or
    // not.
    QTRY_VERIFY2(meter.liveInThread() < 8 * 1024, qPrintable(QString::number(meter.liveInThread())));
}

QTEST_GUILESS_MAIN(tst_RecoveryMemory)

#include "tst_recoverymemory.moc"
