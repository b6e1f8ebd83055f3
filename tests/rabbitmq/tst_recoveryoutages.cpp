// SPDX-License-Identifier: MIT
#include "rabbitmq/recoveringclient.h"

#include <QtCore/qdir.h>
#include <QtCore/qelapsedtimer.h>
#include <QtCore/qpointer.h>
#include <QtCore/qrandom.h>
#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using Kind = NetworkFault::Kind;
using Direction = NetworkFault::Direction;

namespace
{

qsizetype openFiles()
{
    return QDir(u"/proc/self/fd"_s).entryList(QDir::AllEntries | QDir::System | QDir::NoDotAndDotDot).size();
}

// What the application does in the middle of a recovery.
enum class End { Close, Abort, Delete };

} // namespace

// The course of an outage: attempts, their pauses, their end, and what they leave behind.
class tst_RecoveryOutages : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyOutageIsRecoveredFrom();
    void lossAtEachByteOfTheHandshake_data();
    void lossAtEachByteOfTheHandshake();
    void refusedFirstAttemptIsFollowedByOthers();
    void attemptsAreCountedInEachOutage();
    void lastAttemptEndsTheConnection();
    void attemptsArePaused();
    void stalledWritesAreNoticed();
    void neverTwoConnections();
    void nothingIsLeftBehind();
    void failedOpensLeaveNothingBehind();
    void endStopsTheWait_data();
    void endStopsTheWait();
    void endStopsTheAttempt_data();
    void endStopsTheAttempt();
    void slotsMayEndEverything_data();
    void slotsMayEndEverything();
    void closeAtRandomPoints();
    void idleConnectionRecovers();
};

void tst_RecoveryOutages::everyOutageIsRecoveredFrom()
{
    RecoveringClient client;
    QVERIFY(client.open());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, {.durable = false, .exclusive = true}));
    for (int outage = 1; outage <= 10; ++outage) {
        const int failing = client.proxy.acceptedCount() + 1 + outage % 3;
        client.proxy.setFaults([failing](int number) {
            return NetworkFault{.kind = number < failing ? Kind::Reset : Kind::None, .afterBytes = 8};
        });
        QVERIFY(client.loseAndRecover());
        QCOMPARE(client.proxy.acceptedCount(), failing);
        QCOMPARE(client.reports.size(), outage);
        VERIFY_OK(client.channel->inspectQueue(queue));
    }
}

void tst_RecoveryOutages::lossAtEachByteOfTheHandshake_data()
{
    QTest::addColumn<Kind>("kind");
    QTest::addColumn<Direction>("direction");
    QTest::newRow("RST while it sends") << Kind::Reset << Direction::ToBroker;
    QTest::newRow("RST while it receives") << Kind::Reset << Direction::ToClient;
    QTest::newRow("FIN while it sends") << Kind::Finish << Direction::ToBroker;
    QTest::newRow("FIN while it receives") << Kind::Finish << Direction::ToClient;
}

void tst_RecoveryOutages::lossAtEachByteOfTheHandshake()
{
    QFETCH(Kind, kind);
    QFETCH(Direction, direction);
    RecoveringClient client;
    QVERIFY(client.open());
    QList<qint64> places{0, 1, 7, 8, 9, 20, 100, 250, 400, 450, 480, 500, 510, 520, 530, 540, 550, 560, 580, 600};
    client.proxy.setFaults([&](int) {
        if (places.isEmpty())
            return NetworkFault();
        return NetworkFault{.kind = kind, .direction = direction, .afterBytes = places.takeFirst()};
    });
    const auto isOpen = [&] { return client.connection.isOpen() && client.channel->isOpen(); };
    while (!places.isEmpty()) {
        QVERIFY(client.lose());
        QVERIFY(waitFor(isOpen));
    }
    VERIFY_OK(client.channel->setPrefetch(1));
}

void tst_RecoveryOutages::refusedFirstAttemptIsFollowedByOthers()
{
    RecoveringClient client;
    client.proxy.setFaults([](int number) { return NetworkFault{.kind = number <= 2 ? Kind::Reset : Kind::None}; });
    QSignalSpy opened(&client.connection, &Connection::opened);
    QSignalSpy closed(&client.connection, &Connection::closed);
    QSignalSpy reconnecting(&client.connection, &Connection::reconnecting);
    const auto declaring = client.channel->declareTemporaryQueue();
    client.connection.open();
    VERIFY_OK(declaring);
    QCOMPARE(opened.count(), 1);
    QCOMPARE(closed.count(), 0);
    QCOMPARE(reconnecting.count(), 2);
    QCOMPARE(reconnecting.at(1).at(0).toInt(), 2);
}

void tst_RecoveryOutages::attemptsAreCountedInEachOutage()
{
    RecoveringClient client(RecoveryPolicy().withMaximumAttempts(3));
    QVERIFY(client.open());
    for (int outage = 1; outage <= 10; ++outage) {
        const int failing = client.proxy.acceptedCount() + 2;
        client.proxy.setFaults(
            [failing](int number) { return NetworkFault{.kind = number <= failing ? Kind::Reset : Kind::None}; });
        QVERIFY(client.loseAndRecover());
    }
}

void tst_RecoveryOutages::lastAttemptEndsTheConnection()
{
    RecoveringClient client(RecoveryPolicy().withMaximumAttempts(2));
    QVERIFY(client.open());
    QSignalSpy closed(&client.connection, &Connection::closed);
    QSignalSpy channelClosed(client.channel, &Channel::closed);
    const int before = client.proxy.acceptedCount();
    client.proxy.setFaults([](int) { return NetworkFault{.kind = Kind::Reset}; });
    QVERIFY(client.lose());
    const auto waiting = client.channel->declareTemporaryQueue();
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    QCOMPARE(closed.constFirst().constFirst().value<Error>().kind(), ErrorKind::Network);
    QCOMPARE(client.connection.state(), Connection::State::Closed);
    QCOMPARE(client.proxy.acceptedCount(), before + 2);
    QVERIFY(!await(waiting));
    QVERIFY(waitFor([&] { return channelClosed.count() == 1; }));
}

void tst_RecoveryOutages::attemptsArePaused()
{
    RecoveringClient client;
    QVERIFY(client.open());
    QElapsedTimer timer;
    QList<qint64> times;
    client.proxy.setFaults([&](int) {
        times += timer.elapsed();
        return NetworkFault{.kind = times.size() < 6 ? Kind::Reset : Kind::None};
    });
    timer.start();
    QVERIFY(client.loseAndRecover());
    QCOMPARE(times.size(), 6);
    for (qsizetype i = 1; i < times.size(); ++i)
        QVERIFY2(times.at(i) - times.at(i - 1) >= 195, qPrintable(QString::number(times.at(i) - times.at(i - 1))));
}

void tst_RecoveryOutages::stalledWritesAreNoticed()
{
    RecoveringClient client;
    ConnectionParameters parameters = client.connection.parameters();
    parameters.setHeartbeatInterval(1s);
    client.connection.setParameters(parameters);
    QVERIFY(client.open());
    const QString queue = uniqueName(u"q"_s);
    client.channel->declareQueue(queue, sharedQueue());
    VERIFY_OK(client.channel->confirmSelect());
    client.proxy.strike({.kind = Kind::Stall});
    QList<Reply<void>> publishing;
    for (int i = 0; i < 20; ++i)
        publishing += client.channel->publishWithReply({}, queue, Message(QByteArray(1024 * 1024, 'x')));
    QVERIFY(client.recover());
    for (const Reply<void> &reply : std::as_const(publishing))
        QVERIFY(waitFor([&] { return reply.isFinished(); }));
    VERIFY_OK(client.channel->publishWithReply({}, queue, Message("hello")));
    VERIFY_OK(client.channel->deleteQueue(queue));
}

void tst_RecoveryOutages::neverTwoConnections()
{
    RecoveringClient client;
    int most = 0;
    client.proxy.setFaults([&](int number) {
        most = std::max(most, client.proxy.openCount() + 1); // the new one is not counted yet
        return NetworkFault{.kind = number % 3 ? Kind::Reset : Kind::None, .afterBytes = number * 50};
    });
    client.connection.open();
    QVERIFY(waitFor([&] { return client.connection.isOpen(); }));
    for (int outage = 1; outage <= 5; ++outage)
        QVERIFY(client.loseAndRecover());
    QCOMPARE(most, 1);
}

void tst_RecoveryOutages::nothingIsLeftBehind()
{
    RecoveringClient client;
    QVERIFY(client.open());
    const QString queue = uniqueName(u"q"_s);
    client.channel->declareQueue(queue, {.durable = false, .exclusive = true});
    VERIFY_OK(client.channel->consume(queue)->whenStarted());
    const auto counts = [&] {
        QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete); // this loop does not do it
        const QList<QObject *> objects = client.connection.findChildren<QObject *>();
        return std::tuple(openFiles(), objects.size(), client.connection.channels().size());
    };
    for (int outage = 1; outage <= 2; ++outage) // create what is kept for later
        QVERIFY(client.loseAndRecover());
    QVERIFY(waitFor([&] { return client.proxy.openCount() == 1; }));
    const auto first = counts();
    const auto text = [](const auto &value) {
        return u"%1 files, %2 objects, %3 channels"_s.arg(std::get<0>(value))
            .arg(std::get<1>(value))
            .arg(std::get<2>(value));
    };
    for (int outage = 3; outage <= 10; ++outage) {
        QVERIFY(client.loseAndRecover());
        QVERIFY2(AmqpQt::Test::waitFor([&] { return counts() == first; }, 20s),
                 qPrintable(text(first) + u", then "_s + text(counts())));
    }
    Channel *const channel = client.connection.createChannel();
    VERIFY_OK(channel->whenOpen());
    QVERIFY2(channel->number() <= 4, qPrintable(QString::number(channel->number()))); // no number was lost
}

void tst_RecoveryOutages::failedOpensLeaveNothingBehind()
{
    QTcpServer nobody;
    QVERIFY(nobody.listen(QHostAddress::LocalHost));
    ConnectionParameters parameters = withoutRecovery({});
    parameters.setEndpoints({{u"127.0.0.1"_s, nobody.serverPort()}});
    nobody.close();
    Connection connection(parameters);
    QVERIFY(!await(connection.open()));
    const qsizetype before = openFiles();
    for (int i = 0; i < 1000; ++i)
        QVERIFY(!await(connection.open()));
    QCOMPARE(openFiles(), before);
    QCOMPARE(connection.channels().size(), 0);
}

void tst_RecoveryOutages::endStopsTheWait_data()
{
    QTest::addColumn<int>("end");
    QTest::newRow("close") << int(End::Close);
    QTest::newRow("abort") << int(End::Abort);
    QTest::newRow("delete") << int(End::Delete);
}

void tst_RecoveryOutages::endStopsTheWait()
{
    QFETCH(int, end);
    FaultProxy proxy(quint16(brokerUrl().port()));
    ConnectionParameters parameters = brokerParameters();
    parameters.setEndpoints({{u"127.0.0.1"_s, proxy.serverPort()}});
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(200ms, 200ms));
    auto connection = std::make_unique<Connection>(parameters);
    Channel *const channel = connection->createChannel();
    VERIFY_OK(connection->open());
    QSignalSpy reconnecting(connection.get(), &Connection::reconnecting);
    QSignalSpy closed(connection.get(), &Connection::closed);
    proxy.strike({.kind = Kind::Reset});
    QVERIFY(waitFor([&] { return reconnecting.count() == 1; }));
    const auto waiting = channel->declareTemporaryQueue();
    if (End(end) == End::Close) {
        VERIFY_OK(connection->close());
    } else if (End(end) == End::Abort) {
        connection->abort();
    } else {
        connection.reset();
    }
    VERIFY_FAILS(waiting, u"Cancelled"_s);
    if (connection) {
        QVERIFY(waitFor([&] { return closed.count() == 1; }));
        QCOMPARE(connection->state(), Connection::State::Closed);
    }
    QTest::qWait(500); // the attempt would follow within 200 ms
    QCOMPARE(proxy.acceptedCount(), 1);
    QCOMPARE(closed.count(), connection ? 1 : 0);
}

void tst_RecoveryOutages::endStopsTheAttempt_data()
{
    endStopsTheWait_data();
}

void tst_RecoveryOutages::endStopsTheAttempt()
{
    QFETCH(int, end);
    FaultProxy proxy(quint16(brokerUrl().port()));
    ConnectionParameters parameters = brokerParameters();
    parameters.setEndpoints({{u"127.0.0.1"_s, proxy.serverPort()}});
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(200ms, 200ms));
    for (const qint64 place : {0, 8, 100, 300, 400}) { // of the handshake and the replay
        proxy.setFaults([](int) { return NetworkFault(); });
        auto connection = std::make_unique<Connection>(parameters);
        Channel *const channel = connection->createChannel();
        channel->declareTemporaryQueue();
        const auto starting = channel->consume({})->whenStarted();
        connection->open();
        VERIFY_OK(starting);
        QSignalSpy closed(connection.get(), &Connection::closed);
        const int faults = proxy.faultCount();
        proxy.setFaults([place](int) { return NetworkFault{.kind = Kind::BlackHole, .afterBytes = place}; });
        proxy.strike({.kind = Kind::Reset});
        QVERIFY(waitFor([&] { return proxy.faultCount() == faults + 2; }));
        const int accepted = proxy.acceptedCount();
        if (End(end) == End::Close)
            connection->close();
        else if (End(end) == End::Abort)
            connection->abort();
        else
            connection.reset();
        if (connection)
            QVERIFY(waitFor([&] { return closed.count() == 1; }));
        QVERIFY(waitFor([&] { return proxy.openCount() == 0; }));
        QTest::qWait(500); // another attempt would follow within 200 ms
        QCOMPARE(proxy.acceptedCount(), accepted);
    }
}

void tst_RecoveryOutages::slotsMayEndEverything_data()
{
    QTest::addColumn<QString>("signal");
    QTest::addColumn<int>("end");
    for (const char *signal : {"stateChanged", "reconnecting", "errorOccurred", "recovered", "channelStateChanged"}) {
        QTest::addRow("close in %s", signal) << QString::fromLatin1(signal) << int(End::Close);
        QTest::addRow("abort in %s", signal) << QString::fromLatin1(signal) << int(End::Abort);
        QTest::addRow("delete in %s", signal) << QString::fromLatin1(signal) << int(End::Delete);
    }
}

void tst_RecoveryOutages::slotsMayEndEverything()
{
    QFETCH(const QString, signal);
    QFETCH(int, end);
    FaultProxy proxy(quint16(brokerUrl().port()));
    ConnectionParameters parameters = brokerParameters();
    parameters.setEndpoints({{u"127.0.0.1"_s, proxy.serverPort()}});
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(200ms, 200ms));
    auto *connection = new Connection(parameters);
    const QPointer<Connection> guard(connection);
    Channel *const channel = connection->createChannel();
    const auto declaring = channel->declareTemporaryQueue();
    Consumer *const consumer = channel->consume({});
    VERIFY_OK(connection->open());
    VERIFY_OK(consumer->whenStarted());
    int ended = 0, closed = 0;
    connect(connection, &Connection::closed, this, [&] { ++closed; });
    const auto endIt = [&] {
        if (ended++)
            return;
        if (End(end) == End::Close)
            connection->close();
        else if (End(end) == End::Abort)
            connection->abort();
        else
            delete connection;
    };
    if (signal == "stateChanged"_L1)
        connect(connection, &Connection::stateChanged, this, endIt);
    else if (signal == "reconnecting"_L1)
        connect(connection, &Connection::reconnecting, this, endIt);
    else if (signal == "errorOccurred"_L1)
        connect(connection, &Connection::errorOccurred, this, endIt);
    else if (signal == "recovered"_L1)
        connect(connection, &Connection::recovered, this, endIt);
    else
        connect(channel, &Channel::stateChanged, this, endIt);
    proxy.strike({.kind = Kind::Reset});
    QVERIFY(waitFor([&] { return ended > 0 && (!guard || guard->state() == Connection::State::Closed); }));
    if (guard)
        QVERIFY(waitFor([&] { return closed == 1; }));
    const int accepted = proxy.acceptedCount();
    QTest::qWait(300); // an attempt would follow within 200 ms
    QCOMPARE(proxy.acceptedCount(), accepted);
    QCOMPARE(proxy.openCount(), 0);
    QCOMPARE(closed, guard ? 1 : 0);
    delete guard;
}

void tst_RecoveryOutages::closeAtRandomPoints()
{
    FaultProxy proxy(quint16(brokerUrl().port()));
    ConnectionParameters parameters = brokerParameters();
    parameters.setEndpoints({{u"127.0.0.1"_s, proxy.serverPort()}});
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(200ms, 200ms));
    for (int i = 0; i < 50; ++i) {
        Connection connection(parameters);
        Channel *const channel = connection.createChannel();
        channel->declareTemporaryQueue();
        const Consumer *const consumer = channel->consume({});
        VERIFY_OK(connection.open());
        VERIFY_OK(channel->whenOpen());
        int closed = 0;
        connect(&connection, &Connection::closed, this, [&] { ++closed; });
        proxy.strike({.kind = Kind::Reset});
        const Reply<void> calling = channel->setPrefetch(3);
        QTimer alarm;
        alarm.setSingleShot(true);
        alarm.start(QRandomGenerator::global()->bounded(350)); // an arbitrary point
        QVERIFY(waitFor([&] { return !alarm.isActive(); }));
        const Reply<void> closing = connection.close();
        VERIFY_OK(closing);
        QVERIFY(waitFor([&] { return calling.isFinished() && closed == 1; }));
        QCOMPARE(connection.state(), Connection::State::Closed);
        QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Cancelled; }));
        QVERIFY(waitFor([&] { return proxy.openCount() == 0; }));
    }
}

void tst_RecoveryOutages::idleConnectionRecovers()
{
    RecoveringClient client;
    ConnectionParameters parameters = client.connection.parameters();
    parameters.setHeartbeatInterval(1s);
    client.connection.setParameters(parameters);
    QVERIFY(client.open());
    QVERIFY(client.loseAndRecover({.kind = Kind::BlackHole})); // noticed by the missing heartbeats
    VERIFY_OK(client.channel->setPrefetch(1));
}

QTEST_GUILESS_MAIN(tst_RecoveryOutages)

#include "tst_recoveryoutages.moc"
