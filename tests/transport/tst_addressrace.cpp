// SPDX-License-Identifier: MIT
#include "transport/addressrace_p.h"

#include <QtCore/qpointer.h>
#include <QtNetwork/qtcpserver.h>
#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include <algorithm>
#include <chrono>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

const QString V6 = u"2001:db8::1"_s;
const QString OtherV6 = u"2001:db8::2"_s;
const QString V4 = u"192.0.2.1"_s;
const QString OtherV4 = u"192.0.2.2"_s;

// A socket that connects and fails when the test says so. It never touches the network.
class FakeSocket final : public QTcpSocket
{
public:
    void connectToHost(const QString &host, quint16 port, OpenMode mode, NetworkLayerProtocol) override
    {
        target = u"%1 %2"_s.arg(host).arg(port);
        openMode = mode;
        if (!failsAtOnce.isEmpty())
            fail(failsAtOnce);
    }
    void succeed()
    {
        setSocketState(ConnectedState);
        Q_EMIT connected();
    }
    void fail(const QString &reason, SocketError error = ConnectionRefusedError)
    {
        setSocketError(error);
        setErrorString(reason);
        Q_EMIT errorOccurred(error);
    }
    void setSocketOption(SocketOption option, const QVariant &value) override
    {
        hasLowDelay = hasLowDelay || (option == LowDelayOption && value.toInt() == 1);
    }

    QString target;
    OpenMode openMode;
    QString failsAtOnce;
    bool hasLowDelay = false;
};

// A race whose resolver and sockets the test controls.
class Race
{
public:
    explicit Race(const QNetworkProxy &proxy = QNetworkProxy::NoProxy)
        : race(std::make_unique<AddressRace>(
              proxy,
              [this] {
                  auto socket = std::make_unique<FakeSocket>();
                  socket->failsAtOnce = failAtOnce;
                  sockets.append(socket.get());
                  return socket;
              },
              nullptr))
    {
        race->setResolver({.lookUp =
                               [this](const QString &name, QObject *, const Resolver::Done &callback) {
                                   names += name;
                                   done = callback;
                                   return 42;
                               },
                           .cancel = [this](int id) { cancelled += id; }});
        QObject::connect(race.get(), &AddressRace::connected, race.get(), [this] {
            ++successes;
            winner = race->takeSocket();
        });
        QObject::connect(race.get(), &AddressRace::failed, race.get(), [this](const Error &reason) {
            ++failures;
            error = reason;
        });
    }

    void start(const QString &host = u"broker.example"_s)
    {
        race->start(host, 5672, QIODevice::ReadWrite | QIODevice::Unbuffered);
    }
    void resolve(const QStringList &addresses)
    {
        QHostInfo info;
        QList<QHostAddress> list;
        for (const QString &address : addresses)
            list.append(QHostAddress(address));
        info.setAddresses(list);
        done(info);
    }
    void startTo(const QStringList &addresses)
    {
        start();
        resolve(addresses);
    }
    [[nodiscard]] bool waitForAttempts(qsizetype count)
    {
        return QTest::qWaitFor([&] { return sockets.size() >= count; }) && sockets.size() == count;
    }
    QString target(qsizetype attempt) const { return sockets.at(attempt)->target; }

    QString failAtOnce;
    QStringList names;
    QList<int> cancelled;
    Resolver::Done done;
    QList<QPointer<FakeSocket>> sockets;
    int successes = 0;
    int failures = 0;
    Error error;
    std::unique_ptr<AddressRace> race;
    std::unique_ptr<QTcpSocket> winner;
};

} // namespace

class tst_AddressRace : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void familiesAlternate_data();
    void familiesAlternate();
    void theFirstConnectedSocketWins();
    void aSilentAddressCostsOnlyTheDelay();
    void aSilentAddressMayStillWin();
    void aFailedAttemptStartsTheNextAtOnce();
    void attemptThatTheSocketGivesUpIsRepeated();
    void errorNamesEveryAddressWithItsReason();
    void errorNamesAFewOfManyAddresses();
    void anAddressThatFailsAtOnceIsReportedLater();
    void addressesAreNotLookedUp_data();
    void addressesAreNotLookedUp();
    void failedLookUpIsAnError_data();
    void failedLookUpIsAnError();
    void stoppingEndsEverything_data();
    void stoppingEndsEverything();
    void deletingCancelsTheLookUp();
    void canStartAgain();
    void proxyGetsTheName_data();
    void proxyGetsTheName();
    void errorNamesTheProxy();
    void aProxyThatRefusesTheLoginIsNotRecoverable();
    void realSocketsConnectByName();
};

void tst_AddressRace::familiesAlternate_data()
{
    QTest::addColumn<QStringList>("resolved");
    QTest::addColumn<QStringList>("tried");
    QTest::newRow("none") << QStringList() << QStringList();
    QTest::newRow("one") << QStringList{V4} << QStringList{V4};
    QTest::newRow("IPv6 first") << QStringList{V6, OtherV6, V4, OtherV4} << QStringList{V6, V4, OtherV6, OtherV4};
    QTest::newRow("IPv4 first") << QStringList{V4, OtherV4, V6} << QStringList{V4, V6, OtherV4};
    QTest::newRow("one family") << QStringList{OtherV4, V4} << QStringList{OtherV4, V4};
    QTest::newRow("alternating") << QStringList{V6, V4, OtherV6} << QStringList{V6, V4, OtherV6};
    QTest::newRow("few of the first") << QStringList{V6, V4, OtherV4} << QStringList{V6, V4, OtherV4};
}

void tst_AddressRace::familiesAlternate()
{
    QFETCH(const QStringList, resolved);
    QFETCH(const QStringList, tried);
    QList<QHostAddress> addresses;
    for (const QString &address : resolved)
        addresses.append(QHostAddress(address));
    QStringList texts;
    for (const QHostAddress &address : interleaved(addresses))
        texts.append(address.toString());
    QCOMPARE(texts, tried);
}

void tst_AddressRace::theFirstConnectedSocketWins()
{
    Race race;
    race.startTo({V6, V4, OtherV4});
    QCOMPARE(race.names, QStringList{u"broker.example"_s});
    QVERIFY(race.waitForAttempts(3));
    QCOMPARE(race.target(0), V6 + u" 5672"_s);
    QCOMPARE(race.target(1), V4 + u" 5672"_s);
    QCOMPARE(race.target(2), OtherV4 + u" 5672"_s);
    QVERIFY(race.sockets[1]->openMode.testFlag(QIODevice::Unbuffered));
    QCOMPARE(race.sockets[1]->proxy().type(), QNetworkProxy::NoProxy);
    QCOMPARE(race.sockets[1]->parent(), race.race.get()); // moves to another thread with it
    race.sockets[1]->succeed();
    QCOMPARE(race.successes, 1);
    QCOMPARE(race.winner.get(), race.sockets[1]);
    QVERIFY(race.sockets[1]->hasLowDelay);
    QVERIFY(!race.sockets[0]); // the others are gone
    QVERIFY(!race.sockets[2]);
    race.sockets[1]->fail(u"reset"_s, QAbstractSocket::RemoteHostClosedError); // concerns the new owner only
    QTest::qWait(0);
    QCOMPARE(race.failures, 0);
}

void tst_AddressRace::aSilentAddressCostsOnlyTheDelay()
{
    Race race;
    race.startTo({V6, V4});
    QCOMPARE(race.sockets.size(), 0); // not from within the resolver's call
    QVERIFY(race.waitForAttempts(2));
    QCOMPARE(race.race->findChild<QTimer *>()->intervalAsDuration(), 250ms); // the second attempt has set no other
    QCOMPARE(race.target(1), V4 + u" 5672"_s);
    race.sockets[1]->succeed();
    QCOMPARE(race.successes, 1);
    QVERIFY(!race.sockets[0]);
}

void tst_AddressRace::aSilentAddressMayStillWin()
{
    Race race;
    race.startTo({V6, V4});
    QVERIFY(race.waitForAttempts(2));
    race.sockets[1]->fail(u"refused"_s);
    QTest::qWait(0);
    QCOMPARE(race.failures, 0);
    race.sockets[0]->succeed();
    QCOMPARE(race.successes, 1);
    QCOMPARE(race.winner.get(), race.sockets[0]);
}

// One pass of the event loop starts the next attempt, without the delay.
void tst_AddressRace::aFailedAttemptStartsTheNextAtOnce()
{
    Race race;
    race.startTo({V6, V4, OtherV4});
    QVERIFY(race.waitForAttempts(1));
    race.sockets[0]->fail(u"unreachable"_s);
    QCoreApplication::processEvents(); // handles a timer of 0 ms
    QCOMPARE(race.sockets.size(), 2);
    QCOMPARE(race.target(1), V4 + u" 5672"_s);
}

void tst_AddressRace::attemptThatTheSocketGivesUpIsRepeated()
{
    Race race;
    race.startTo({V4});
    QVERIFY(race.waitForAttempts(1));
    const QString target = race.target(0);
    race.sockets.at(0)->fail(u"timed out"_s, QAbstractSocket::SocketTimeoutError);
    QVERIFY(race.waitForAttempts(2));
    QCOMPARE(race.target(1), target);
    race.sockets.at(1)->fail(u"refused"_s);
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.error.text(), u"broker.example:5672: refused (192.0.2.1)"_s);
}

void tst_AddressRace::errorNamesEveryAddressWithItsReason()
{
    Race race;
    race.startTo({V6, V4});
    QVERIFY(race.waitForAttempts(2));
    race.sockets[1]->fail(u"refused"_s);
    race.sockets[0]->fail(u"unreachable"_s);
    QCOMPARE(race.failures, 0); // not from within the signal of a socket
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.error, Error(ErrorKind::Network, u"broker.example:5672: refused (192.0.2.1); unreachable "
                                                   "(2001:db8::1)"_s));
    QVERIFY(race.error.isRecoverable());
    QTRY_VERIFY(!race.sockets[0] && !race.sockets[1]);
    QCOMPARE(race.failures, 1);
}

void tst_AddressRace::errorNamesAFewOfManyAddresses()
{
    Race race;
    race.failAtOnce = u"refused"_s;
    QStringList addresses;
    for (int i = 1; i <= 250; ++i)
        addresses.append(u"192.0.2.%1"_s.arg(i));
    race.startTo(addresses);
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.sockets.size(), 250);
    QCOMPARE(race.error.text().count(u"refused"_s), 8);
    QVERIFY2(race.error.text().endsWith(u"; and 242 more addresses failed"), qPrintable(race.error.text()));
}

void tst_AddressRace::anAddressThatFailsAtOnceIsReportedLater()
{
    Race race;
    race.failAtOnce = u"unreachable"_s;
    race.start(V4);
    QCOMPARE(race.failures, 0);
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.error.text(), u"192.0.2.1:5672: unreachable"_s);
}

void tst_AddressRace::addressesAreNotLookedUp_data()
{
    QTest::addColumn<QString>("host");
    QTest::newRow("IPv4") << V4;
    QTest::newRow("IPv6") << V6;
    QTest::newRow("IPv6 with a zone") << u"fe80::1%eth0"_s;
}

void tst_AddressRace::addressesAreNotLookedUp()
{
    QFETCH(const QString, host);
    Race race;
    race.start(host);
    QVERIFY(race.waitForAttempts(1));
    QCOMPARE(race.names, QStringList());
    QCOMPARE(race.target(0), host + u" 5672"_s);
    race.sockets[0]->fail(u"refused"_s);
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.error.text(), (host == V4 ? u"%1:5672: refused"_s : u"[%1]:5672: refused"_s).arg(host));
}

void tst_AddressRace::failedLookUpIsAnError_data()
{
    QTest::addColumn<bool>("isError");
    QTest::addColumn<QString>("text");
    QTest::newRow("unknown name") << true << u"broker.example:5672: no such name"_s;
    QTest::newRow("a name without addresses") << false << u"broker.example:5672: the name has no address"_s;
}

void tst_AddressRace::failedLookUpIsAnError()
{
    QFETCH(const bool, isError);
    QFETCH(const QString, text);
    Race race;
    race.start();
    QHostInfo info;
    if (isError) {
        info.setError(QHostInfo::HostNotFound);
        info.setErrorString(u"no such name"_s);
    }
    race.done(info);
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.error, Error(ErrorKind::Network, text));
    QVERIFY(race.cancelled.isEmpty());
}

void tst_AddressRace::stoppingEndsEverything_data()
{
    QTest::addColumn<QString>("when");
    QTest::newRow("look-up") << u"look-up"_s;
    QTest::newRow("before the first attempt") << u"before"_s;
    QTest::newRow("attempts") << u"attempts"_s;
    QTest::newRow("before the failure is reported") << u"failed"_s;
}

void tst_AddressRace::stoppingEndsEverything()
{
    QFETCH(const QString, when);
    Race race;
    race.start();
    if (when != u"look-up")
        race.resolve({V6, V4});
    if (when == u"attempts" || when == u"failed")
        QVERIFY(race.waitForAttempts(2));
    if (when == u"failed") {
        for (const auto &socket : race.sockets)
            socket->fail(u"refused"_s);
    }
    race.race->stop();
    QCOMPARE(race.cancelled, when == u"look-up" ? QList<int>{42} : QList<int>());
    const qsizetype attempts = race.sockets.size();
    QTest::qWait(0);
    QCOMPARE(race.sockets.size(), attempts);
    QVERIFY(std::none_of(race.sockets.cbegin(), race.sockets.cend(), [](const auto &socket) { return bool(socket); }));
    QCOMPARE(race.successes + race.failures, 0);
}

void tst_AddressRace::deletingCancelsTheLookUp()
{
    Race race;
    race.start();
    race.race.reset();
    QCOMPARE(race.cancelled, QList<int>{42});
}

void tst_AddressRace::canStartAgain()
{
    Race race;
    race.startTo({V6});
    QVERIFY(race.waitForAttempts(1));
    race.sockets[0]->fail(u"first"_s);
    race.start(V4); // also ends the first race, whose failure has not been reported
    QVERIFY(race.waitForAttempts(2));
    race.sockets[1]->fail(u"second"_s);
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.error.text(), u"192.0.2.1:5672: second"_s);
}

void tst_AddressRace::proxyGetsTheName_data()
{
    QTest::addColumn<QNetworkProxy::ProxyType>("type");
    QTest::newRow("SOCKS5") << QNetworkProxy::Socks5Proxy;
    QTest::newRow("HTTP") << QNetworkProxy::HttpProxy;
}

void tst_AddressRace::proxyGetsTheName()
{
    QFETCH(const QNetworkProxy::ProxyType, type);
    const QNetworkProxy proxy(type, u"proxy.example"_s, 1080, u"user"_s, u"secret"_s);
    Race race(proxy);
    race.start();
    QVERIFY(race.waitForAttempts(1));
    QCOMPARE(race.names, QStringList());
    QCOMPARE(race.target(0), u"broker.example 5672"_s);
    QCOMPARE(race.sockets[0]->proxy(), proxy);
    race.sockets[0]->succeed();
    QCOMPARE(race.successes, 1);
}

void tst_AddressRace::errorNamesTheProxy()
{
    Race race(QNetworkProxy(QNetworkProxy::HttpProxy, u"proxy.example"_s, 3128, u"user"_s, u"secret"_s));
    race.start();
    QVERIFY(race.waitForAttempts(1));
    race.sockets[0]->fail(u"no route"_s, QAbstractSocket::ProxyNotFoundError);
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.error,
             Error(ErrorKind::Network, u"broker.example:5672 through the HTTP proxy proxy.example:3128: no route"_s));
}

void tst_AddressRace::aProxyThatRefusesTheLoginIsNotRecoverable()
{
    Race race(QNetworkProxy(QNetworkProxy::Socks5Proxy, u"proxy.example"_s, 1080, u"user"_s, u"secret"_s));
    race.start();
    QVERIFY(race.waitForAttempts(1));
    race.sockets[0]->fail(u"refused"_s, QAbstractSocket::ProxyAuthenticationRequiredError);
    QTRY_COMPARE(race.failures, 1);
    QCOMPARE(race.error, Error(ErrorKind::Authentication,
                               u"broker.example:5672 through the SOCKS5 proxy proxy.example:1080: refused"_s));
    QVERIFY(!race.error.isRecoverable());
}

// On most machines localhost also has an IPv6 address, on which no server listens in this test.
void tst_AddressRace::realSocketsConnectByName()
{
    QTcpServer server;
    QVERIFY(server.listen(QHostAddress::LocalHost));
    AddressRace race(
        QNetworkProxy::NoProxy, [] { return std::make_unique<QTcpSocket>(); }, nullptr);
    QSignalSpy connected(&race, &AddressRace::connected);
    QSignalSpy failed(&race, &AddressRace::failed);
    race.start(u"localhost"_s, server.serverPort(), QIODevice::ReadWrite | QIODevice::Unbuffered);
    QTRY_VERIFY(!connected.isEmpty() || !failed.isEmpty());
    QCOMPARE(connected.size(), 1);
    const std::unique_ptr<QTcpSocket> socket = race.takeSocket();
    QCOMPARE(socket->state(), QAbstractSocket::ConnectedState);
    QCOMPARE(socket->peerPort(), server.serverPort());
    QCOMPARE(socket->socketOption(QAbstractSocket::LowDelayOption).toInt(), 1);
    QTRY_VERIFY(server.hasPendingConnections());
}

QTEST_GUILESS_MAIN(tst_AddressRace)
#include "tst_addressrace.moc"
