// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "client/clock_p.h"
#include "client/connection/transportlink_p.h"
#include "client/turntaker.h"
#include "engine/connection/sasl_p.h"
#include "support/memorytransport.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// An engine that has started, and a transport to a broker that is the test.
struct Linked final : MemoryTransport::Peer {
    Linked()
    {
        Engine::Settings settings;
        settings.login.mechanisms = {{.name = Engine::SaslPlain}};
        if (engine.start(settings, now()).isError())
            qFatal("not started");
        connectTransport();
        engine.handshake().transportReady({});
    }
    ~Linked()
    {
        if (transport)
            transport->setPeer(nullptr);
    }
    void connectTransport()
    {
        auto connected = std::make_unique<MemoryTransport>();
        transport = connected.get();
        transport->setPeer(this);
        transport->connectTo({});
        transport->accept();
        if (!waitUntil([this] { return transport->isReady(); }))
            qFatal("not connected");
        link.setTransport(std::move(connected));
    }
    void received(QByteArrayView bytes) override { input.append(bytes); }
    void clientClosed() override { isClosed = true; }

    static QByteArray start()
    {
        return Wire::encodeFrame(0,
                                 Wire::ConnectionStart{.versionMinor = 9, .mechanisms = "PLAIN", .locales = "en_US"});
    }
    void writeHeader()
    {
        link.write(now());
        input.clear();
    }
    std::optional<Error> connectionError() // the reason if the engine has ended the connection
    {
        Engine::Event event;
        while (engine.next(event)) {
            if (const auto *closed = std::get_if<Engine::ConnectionClosed>(&event))
                return closed->reason;
        }
        return std::nullopt;
    }

    QByteArray input;
    bool isClosed = false; // by the client
    QPointer<MemoryTransport> transport;
    Engine::ConnectionEngine engine;
    Taker taker;
    TransportLink link{engine, taker.scheduler, nullptr};
    Engine::Time time;
};

const QByteArray Header = "AMQP\0\0\x09\x01"_ba;

} // namespace

class tst_TransportLink : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void outputIsWritten();
    void outputWaitsForTheTransport();
    void inputLeadsToATurnAndIsReadOnce();
    void errorFollowsTheInput();
    void endOfTheStreamEndsTheConnection();
    void nothingIsWrittenAfterAnError();
    void closingReleaseWritesTheRest();
    void abortingReleaseDropsTheOutput();
    void awaitingReleaseKnowsTheInputThatTheEngineHas();
    void resetForgetsTheTransportAndItsError();
    void trafficEndsTheIdleness();
};

void tst_TransportLink::outputIsWritten()
{
    Linked t;
    QVERIFY(t.engine.hasOutput());
    t.link.write(now());
    QCOMPARE(t.input, Header);
    QCOMPARE(t.link.bytesOut(), quint64(8));
    QCOMPARE(t.link.bytesToWrite(), 0);
    QVERIFY(!t.engine.hasOutput());
    t.link.write(now());
    QCOMPARE(t.input, Header);
}

void tst_TransportLink::outputWaitsForTheTransport()
{
    Linked t;
    t.transport->setRoom(3);
    t.link.write(now());
    QCOMPARE(t.input, Header.first(3));
    QCOMPARE(t.link.bytesToWrite(), 5);
    t.transport->send(Linked::start());
    QVERIFY(waitUntil([&] { return t.taker.turns == 1; }));
    QVERIFY(t.link.read(t.time));
    QVERIFY(!t.connectionError());
    QVERIFY(t.engine.hasOutput()); // start-ok
    t.link.write(now());
    QVERIFY(t.engine.hasOutput());
    t.transport->setRoom(1000);
    QCOMPARE(t.input, Header);
    QVERIFY(waitUntil([&] { return t.taker.turns == 2; }));
    QVERIFY(!t.engine.hasOutput()); // written as soon as the transport had written the rest
    QVERIFY(t.input.size() > Header.size());
}

void tst_TransportLink::inputLeadsToATurnAndIsReadOnce()
{
    Linked t;
    t.writeHeader();
    QVERIFY(!t.link.read(t.time));
    t.transport->send(Linked::start());
    QVERIFY(!t.link.isReadable());
    QVERIFY(waitUntil([&] { return t.taker.turns == 1; }));
    QVERIFY(t.link.isReadable());
    const Engine::Time before = now();
    QVERIFY(t.link.read(t.time));
    QVERIFY(t.time >= before);
    QCOMPARE(t.link.bytesIn(), quint64(Linked::start().size()));
    QVERIFY(!t.connectionError());
    QVERIFY(t.engine.hasOutput());
    QVERIFY(!t.link.read(t.time));
    t.link.lookAgain();
    QVERIFY(t.link.isReadable());
}

void tst_TransportLink::errorFollowsTheInput()
{
    Linked t;
    t.writeHeader();
    t.transport->send(Linked::start());
    t.link.fail(Error(ErrorKind::Network, u"cable"_s));
    QVERIFY(t.link.isReadable() && t.taker.scheduler.isScheduled());
    QVERIFY(t.link.read(t.time));
    QCOMPARE(t.link.bytesIn(), quint64(Linked::start().size()));
    QVERIFY(!t.connectionError());
    QVERIFY(t.link.read(t.time));
    const std::optional<Error> error = t.connectionError();
    QVERIFY(error);
    QVERIFY2(error->text().endsWith(u": cable"_s), qPrintable(error->text()));
    QVERIFY(!t.link.isReadable());
}

void tst_TransportLink::endOfTheStreamEndsTheConnection()
{
    Linked t;
    t.writeHeader();
    t.transport->hangUp();
    QVERIFY(waitUntil([&] { return t.link.isReadable(); }));
    QVERIFY(t.link.read(t.time));
    const std::optional<Error> error = t.connectionError();
    QVERIFY(error);
    QCOMPARE(error->kind(), ErrorKind::Network);
}

void tst_TransportLink::nothingIsWrittenAfterAnError()
{
    Linked t;
    t.link.fail(Error(ErrorKind::Network, u"cable"_s));
    t.link.write(now());
    QCOMPARE(t.input, QByteArray());
    QVERIFY(t.engine.hasOutput());
}

void tst_TransportLink::closingReleaseWritesTheRest()
{
    Linked t;
    t.transport->setRoom(3);
    t.link.release(Engine::Ending::Close, 1h);
    QVERIFY(!t.link.hasTransport());
    QVERIFY(t.transport && !t.isClosed); // until the broker takes the remaining bytes
    t.transport->setRoom(5);
    QCOMPARE(t.input, Header);
    QVERIFY(t.isClosed);
    QVERIFY(waitUntil([&] { return !t.transport; }));
}

void tst_TransportLink::abortingReleaseDropsTheOutput()
{
    Linked t;
    t.link.release(Engine::Ending::Abort, 1h);
    QVERIFY(!t.link.hasTransport());
    QVERIFY(t.isClosed);
    QCOMPARE(t.input, QByteArray());
    settleEvents();
    QVERIFY(!t.transport);
    QCOMPARE(t.link.bytesToWrite(), 0);
    t.link.write(now());
}

void tst_TransportLink::awaitingReleaseKnowsTheInputThatTheEngineHas()
{
    const QByteArray closeOk = Wire::encodeFrame(0, Wire::ConnectionCloseOk{});
    Linked t;
    t.transport->send(closeOk.first(5));
    QVERIFY(waitUntil([&] { return t.link.isReadable(); }));
    QVERIFY(t.link.read(t.time));
    t.link.release(Engine::Ending::AwaitCloseOk, 24h);
    QVERIFY(!t.link.hasTransport());
    QCOMPARE(t.input, Header);
    settleEvents();
    QVERIFY(t.transport && !t.isClosed);
    t.transport->send(closeOk.sliced(5));
    QVERIFY(waitUntil([&] { return !t.transport; }));
    QVERIFY(t.isClosed);
}

void tst_TransportLink::resetForgetsTheTransportAndItsError()
{
    Linked t;
    t.link.fail(Error(ErrorKind::Network, u"cable"_s));
    t.link.reset();
    QVERIFY(t.isClosed && !t.link.hasTransport() && !t.link.isReadable());
    QVERIFY(!t.link.read(t.time));
    t.link.lookAgain();
    QVERIFY(!t.link.isReadable());
    QVERIFY(!t.connectionError());
    t.connectTransport();
    t.link.write(now());
    QCOMPARE(t.input, Header);
}

void tst_TransportLink::trafficEndsTheIdleness()
{
    Linked t;
    t.link.watchIdleness();
    QVERIFY(t.link.isIdle());
    t.link.write(now());
    QVERIFY(!t.link.isIdle());
    t.link.watchIdleness();
    QVERIFY(t.link.isIdle());
    t.transport->send(Linked::start());
    QVERIFY(waitUntil([&] { return t.link.isReadable(); }));
    QVERIFY(t.link.read(t.time));
    QVERIFY(!t.link.isIdle());
}

QTEST_GUILESS_MAIN(tst_TransportLink)

#include "tst_transportlink.moc"
