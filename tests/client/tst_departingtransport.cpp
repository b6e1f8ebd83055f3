// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "client/connection/departingtransport_p.h"
#include "support/memorytransport.h"

#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using Engine::Ending;

namespace
{

QByteArray closeOk()
{
    return Wire::encodeFrame(0, Wire::ConnectionCloseOk{});
}

// A transport that is ready to depart, to a broker that is the test.
struct Ready final : MemoryTransport::Peer {
    Ready()
        : own(std::make_unique<MemoryTransport>())
        , transport(own.get())
    {
        transport->setPeer(this);
        transport->connectTo({});
        transport->accept();
        if (!waitUntil([this] { return transport->isReady(); }))
            qFatal("not connected");
    }
    ~Ready()
    {
        if (transport)
            transport->setPeer(nullptr);
    }
    void depart(Ending ending, std::chrono::milliseconds patience, const QByteArray &tail = {})
    {
        DepartingTransport::depart(std::move(own), ending, patience, tail);
    }
    void received(QByteArrayView bytes) override { input.append(bytes); }
    void clientClosed() override { isClosed = true; }

    std::unique_ptr<MemoryTransport> own; // until it departs
    QPointer<MemoryTransport> transport;
    QByteArray input;
    bool isClosed = false; // by the client
};

} // namespace

class tst_DepartingTransport : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void closesAfterTheOutput();
    void awaitsCloseOk_data();
    void awaitsCloseOk();
    void closeOkWithinTheInputDoesNotEndIt();
    void discardsLongInput();
    void endOfTheStreamEndsIt();
    void failureEndsIt();
    void peerThatDoesNotReadIsAbandoned_data();
    void peerThatDoesNotReadIsAbandoned();
    void peerThatReadsGetsMoreTime();
    void peerThatOnlySendsIsAbandoned();
    void endOfTheStreamWhileClosingEndsItOnce();
    void endsWithItsThread_data();
    void endsWithItsThread();
    void closesAtOnceInAnotherThread();
};

void tst_DepartingTransport::closesAfterTheOutput()
{
    Ready t;
    t.transport->setRoom(3);
    QCOMPARE(t.transport->write("output", 6), 6);
    t.depart(Ending::Close, 24h);
    settleEvents();
    QVERIFY(t.transport && !t.isClosed);
    t.transport->setRoom(10);
    QCOMPARE(t.input, "output");
    QVERIFY(t.isClosed);
    QVERIFY(waitUntil([&] { return !t.transport; }));
}

void tst_DepartingTransport::awaitsCloseOk_data()
{
    QTest::addColumn<QByteArray>("processed");
    QTest::addColumn<QByteArrayList>("pieces");
    QTest::newRow("by itself") << QByteArray() << QByteArrayList{closeOk()};
    QTest::newRow("after other input") << QByteArray() << QByteArrayList{QByteArray(100'000, 'x') + closeOk()};
    QTest::newRow("in two pieces") << QByteArray() << QByteArrayList{"x" + closeOk().first(5), closeOk().sliced(5)};
    QTest::newRow("begun") << "x" + closeOk().first(5) << QByteArrayList{closeOk().sliced(5)};
    QTest::newRow("complete") << "x" + closeOk() << QByteArrayList{};
}

void tst_DepartingTransport::awaitsCloseOk()
{
    QFETCH(const QByteArray, processed);
    QFETCH(const QByteArrayList, pieces);
    Ready t;
    t.depart(Ending::AwaitCloseOk, 24h, processed);
    for (const QByteArray &piece : pieces) {
        settleEvents();
        QVERIFY(t.transport && !t.isClosed);
        t.transport->send(piece);
    }
    QVERIFY(waitUntil([&] { return !t.transport; }));
    QVERIFY(t.isClosed);
}

void tst_DepartingTransport::closeOkWithinTheInputDoesNotEndIt()
{
    Ready t;
    t.depart(Ending::AwaitCloseOk, 24h);
    t.transport->send(closeOk() + 'x');
    settleEvents();
    QVERIFY(t.transport && !t.isClosed);
    t.transport->send(closeOk());
    QVERIFY(waitUntil([&] { return !t.transport; }));
}

void tst_DepartingTransport::discardsLongInput()
{
    Ready t;
    t.transport->send(QByteArray(10'000'000, 'x') + closeOk());
    t.depart(Ending::AwaitCloseOk, 24h);
    QVERIFY(!t.isClosed); // other events come first
    QVERIFY(waitUntil([&] { return !t.transport; }));
}

void tst_DepartingTransport::endOfTheStreamEndsIt()
{
    Ready t;
    t.depart(Ending::AwaitCloseOk, 24h);
    t.transport->send("x");
    t.transport->hangUp();
    QVERIFY(waitUntil([&] { return !t.transport; }));
}

void tst_DepartingTransport::failureEndsIt()
{
    Ready t;
    t.depart(Ending::AwaitCloseOk, 24h);
    t.transport->fail(Error(ErrorKind::Network, u"cable"_s));
    QVERIFY(waitUntil([&] { return !t.transport; }));
}

void tst_DepartingTransport::peerThatDoesNotReadIsAbandoned_data()
{
    QTest::addColumn<Ending>("ending");
    QTest::newRow("closing") << Ending::Close;
    QTest::newRow("awaiting close-ok") << Ending::AwaitCloseOk;
}

void tst_DepartingTransport::peerThatDoesNotReadIsAbandoned()
{
    QFETCH(const Ending, ending);
    Ready t;
    t.transport->setRoom(0);
    QCOMPARE(t.transport->write("output", 6), 6);
    t.depart(ending, 1ms);
    QVERIFY(t.transport && !t.isClosed);
    QVERIFY(waitUntil([&] { return !t.transport; }));
    QVERIFY(t.isClosed);
    QCOMPARE(t.input, QByteArray());
}

void tst_DepartingTransport::peerThatReadsGetsMoreTime()
{
    Ready t;
    t.transport->setRoom(0);
    QCOMPARE(t.transport->write("output", 6), 6);
    t.depart(Ending::AwaitCloseOk, 24h);
    auto *const timer = t.transport->parent()->findChild<QTimer *>();
    QVERIFY(timer && timer->isActive());
    timer->stop();
    t.transport->send("x");
    settleEvents();
    QVERIFY(!timer->isActive());
    t.transport->setRoom(3);
    QVERIFY(waitUntil([&] { return timer->isActive(); }));
}

void tst_DepartingTransport::peerThatOnlySendsIsAbandoned()
{
    Ready t;
    t.depart(Ending::AwaitCloseOk, 1ms);
    QVERIFY(waitUntil([&] {
        if (t.transport)
            t.transport->send("x");
        return !t.transport;
    }));
}

void tst_DepartingTransport::endOfTheStreamWhileClosingEndsItOnce()
{
    Ready t;
    t.transport->setRoom(0);
    QCOMPARE(t.transport->write("output", 6), 6);
    t.depart(Ending::Close, 24h);
    t.transport->hangUp();
    QVERIFY(waitUntil([&] { return !t.transport; }));
}

void tst_DepartingTransport::endsWithItsThread_data()
{
    peerThatDoesNotReadIsAbandoned_data();
}

void tst_DepartingTransport::endsWithItsThread()
{
    QFETCH(const Ending, ending);
    std::optional<Ready> t;
    const std::unique_ptr<QThread> thread(QThread::create([&] {
        t.emplace();
        t->transport->setRoom(0);
        t->transport->write("output", 6);
        t->transport->send("input");
        t->depart(ending, 24h);
    }));
    thread->start();
    QVERIFY(thread->wait());
    QVERIFY(!t->transport);
    QVERIFY(t->isClosed);
}

void tst_DepartingTransport::closesAtOnceInAnotherThread()
{
    Ready t;
    std::thread([&] { t.depart(Ending::AwaitCloseOk, 24h); }).join();
    QVERIFY(!t.transport);
    QVERIFY(t.isClosed);
}

QTEST_GUILESS_MAIN(tst_DepartingTransport)
#include "tst_departingtransport.moc"
