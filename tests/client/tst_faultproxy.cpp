// SPDX-License-Identifier: MIT
#include "support/faultproxy.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qelapsedtimer.h>
#include <QtNetwork/qtcpsocket.h>
#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Kind = NetworkFault::Kind;
using Direction = NetworkFault::Direction;

namespace
{

// A socket of the system, because QTcpSocket does not distinguish FIN from RST.
class RawSocket
{
public:
    explicit RawSocket(quint16 port)
        : m_descriptor(::socket(AF_INET, SOCK_STREAM, 0))
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(m_descriptor, reinterpret_cast<const sockaddr *>(&address), sizeof(address)) != 0)
            qFatal("cannot connect");
        ::fcntl(m_descriptor, F_SETFL, O_NONBLOCK);
    }
    RawSocket(const RawSocket &) = delete;
    RawSocket &operator=(const RawSocket &) = delete;
    ~RawSocket() { end(); }

    void send(const QByteArray &bytes) { ::send(m_descriptor, bytes.constData(), size_t(bytes.size()), MSG_NOSIGNAL); }
    void end()
    {
        if (m_descriptor >= 0)
            ::close(m_descriptor);
        m_descriptor = -1;
    }

    // Reads everything that has arrived. Returns whether the connection has ended.
    bool read()
    {
        if (!m_end.isEmpty())
            return true;
        char buffer[4096];
        ssize_t size = 0;
        while ((size = ::recv(m_descriptor, buffer, sizeof(buffer), 0)) > 0)
            m_received.append(buffer, size);
        if (size == 0)
            m_end = "FIN";
        else if (errno == ECONNRESET)
            m_end = "RST";
        return !m_end.isEmpty();
    }
    const QByteArray &received() const { return m_received; }
    const QByteArray &howItEnded() const { return m_end; }

private:
    int m_descriptor;
    QByteArray m_received;
    QByteArray m_end;
};

// A server that collects what it receives.
class Broker : public QTcpServer
{
public:
    Broker()
    {
        listen(QHostAddress::LocalHost);
        connect(this, &QTcpServer::newConnection, this, [this] {
            socket = nextPendingConnection();
            connect(socket, &QTcpSocket::readyRead, this, [this] { received += socket->readAll(); });
            connect(socket, &QTcpSocket::disconnected, this, [this] { ++ended; });
        });
    }

    QTcpSocket *socket = nullptr; // the latest
    QByteArray received;
    int ended = 0;
};

} // namespace

class tst_FaultProxy : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void passesEverythingInBothDirections();
    void endsReachTheOtherSide();
    void unreachableBrokerResetsTheClient();
    void cutsAfterExactlySoManyBytes_data();
    void cutsAfterExactlySoManyBytes();
    void blackHoleKeepsTheSocketsOpen();
    void stallLeavesTheOtherDirectionAlone_data();
    void stallLeavesTheOtherDirectionAlone();
    void stalledClientMayLeave();
    void throttleLimitsTheRate();
    void delayKeepsTheOrder();
    void lastingFaultEndsWithAReset_data();
    void lastingFaultEndsWithAReset();
    void eachConnectionHasItsOwnFault();
    void openConnectionsCanBeStruck();
};

void tst_FaultProxy::passesEverythingInBothDirections()
{
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    QTcpSocket client;
    client.connectToHost(QHostAddress::LocalHost, proxy.serverPort());
    QByteArray sent;
    for (int i = 0; i < 300'000; ++i)
        sent += QByteArray::number(i);
    client.write(sent);
    QTRY_COMPARE(broker.received.size(), sent.size());
    QVERIFY(broker.received == sent);
    QByteArray received;
    connect(&client, &QTcpSocket::readyRead, this, [&] { received += client.readAll(); });
    broker.socket->write(sent);
    QTRY_COMPARE(received.size(), sent.size());
    QVERIFY(received == sent);
    QCOMPARE(proxy.acceptedCount(), 1);
    QCOMPARE(proxy.openCount(), 1);
    QCOMPARE(proxy.faultCount(), 0);
}

void tst_FaultProxy::endsReachTheOtherSide()
{
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    {
        RawSocket client(proxy.serverPort());
        client.send("the last words");
        client.end();
        QTRY_COMPARE(broker.ended, 1);
        QCOMPARE(broker.received, QByteArray("the last words"));
        QTRY_COMPARE(proxy.openCount(), 0);
    }
    RawSocket client(proxy.serverPort());
    client.send("hello");
    QTRY_VERIFY(broker.received.endsWith("hello"));
    broker.socket->write("goodbye");
    broker.socket->disconnectFromHost();
    QTRY_VERIFY(client.read());
    QCOMPARE(client.received(), QByteArray("goodbye"));
    QCOMPARE(client.howItEnded(), QByteArray("FIN"));
}

void tst_FaultProxy::unreachableBrokerResetsTheClient()
{
    QTcpServer nobody;
    QVERIFY(nobody.listen(QHostAddress::LocalHost));
    const quint16 port = nobody.serverPort();
    nobody.close();
    FaultProxy proxy(port);
    RawSocket client(proxy.serverPort());
    QTRY_VERIFY(client.read());
    QCOMPARE(client.howItEnded(), QByteArray("RST"));
    QTRY_COMPARE(proxy.openCount(), 0);
}

void tst_FaultProxy::cutsAfterExactlySoManyBytes_data()
{
    QTest::addColumn<Kind>("kind");
    QTest::addColumn<Direction>("direction");
    QTest::addColumn<qint64>("bytes");
    QTest::addColumn<QByteArray>("end");
    for (const auto &[name, kind, end] :
         {std::tuple("RST", Kind::Reset, "RST"), std::tuple("FIN", Kind::Finish, "FIN")}) {
        for (const qint64 bytes : {0, 1, 7, 70'000}) {
            QTest::addRow("%s to the broker, %lld", name, bytes)
                << kind << Direction::ToBroker << bytes << QByteArray(end);
            QTest::addRow("%s to the client, %lld", name, bytes)
                << kind << Direction::ToClient << bytes << QByteArray(end);
        }
    }
}

void tst_FaultProxy::cutsAfterExactlySoManyBytes()
{
    QFETCH(Kind, kind);
    QFETCH(Direction, direction);
    QFETCH(qint64, bytes);
    QFETCH(QByteArray, end);
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    proxy.setFaults([=](int) { return NetworkFault{.kind = kind, .direction = direction, .afterBytes = bytes}; });
    RawSocket client(proxy.serverPort());
    const QByteArray text(bytes + 1000, 'x');
    if (direction == Direction::ToBroker) {
        client.send(text);
    } else if (bytes > 0) {
        QTRY_VERIFY(broker.socket);
        broker.socket->write(text);
    }
    QTRY_VERIFY(client.read());
    QCOMPARE(client.howItEnded(), end);
    QCOMPARE(proxy.faultCount(), 1);
    if (direction == Direction::ToClient)
        QCOMPARE(client.received().size(), bytes);
    client.end();
    if (bytes > 0) {
        QTRY_COMPARE(broker.ended, 1);
        if (direction == Direction::ToBroker && kind == Kind::Finish)
            QCOMPARE(broker.received.size(), bytes);
        QVERIFY(broker.received.size() <= bytes); // with RST, QTcpSocket may drop the last bytes
    }
    QTRY_COMPARE(proxy.openCount(), 0);
}

void tst_FaultProxy::blackHoleKeepsTheSocketsOpen()
{
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    proxy.setFaults([](int) { return NetworkFault{.kind = Kind::BlackHole, .afterBytes = 5}; });
    RawSocket client(proxy.serverPort());
    client.send("hello, is anybody there");
    QTRY_COMPARE(broker.received, QByteArray("hello"));
    broker.socket->write("yes");
    QTRY_COMPARE(broker.socket->bytesToWrite(), 0);
    broker.socket->disconnectFromHost();
    QTRY_COMPARE(broker.ended, 1);
    client.send("hello?");
    QTest::qWait(50); // more would have arrived
    QVERIFY(!client.read());
    QCOMPARE(client.received(), QByteArray());
    QCOMPARE(broker.received, QByteArray("hello"));
    QCOMPARE(proxy.openCount(), 1);
    client.end();
    QTRY_COMPARE(proxy.openCount(), 0);
}

void tst_FaultProxy::stallLeavesTheOtherDirectionAlone_data()
{
    QTest::addColumn<Direction>("direction");
    QTest::newRow("to the broker") << Direction::ToBroker;
    QTest::newRow("to the client") << Direction::ToClient;
}

void tst_FaultProxy::stallLeavesTheOtherDirectionAlone()
{
    QFETCH(Direction, direction);
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    proxy.setFaults([=](int) { return NetworkFault{.kind = Kind::Stall, .direction = direction, .afterBytes = 3}; });
    QTcpSocket client;
    client.connectToHost(QHostAddress::LocalHost, proxy.serverPort());
    QTRY_VERIFY(broker.socket);
    QByteArray received;
    connect(&client, &QTcpSocket::readyRead, this, [&] { received += client.readAll(); });
    const bool toBroker = direction == Direction::ToBroker;
    const QByteArray flood(64 * 1024 * 1024, 'x');
    QTcpSocket *sender = toBroker ? &client : broker.socket;
    sender->write(flood);
    QTRY_COMPARE((toBroker ? broker.received : received).size(), 3);
    (toBroker ? broker.socket : &client)->write("still here");
    QTRY_COMPARE(toBroker ? received : broker.received, QByteArray("still here"));
    QVERIFY(sender->bytesToWrite() > 0);
    QCOMPARE((toBroker ? broker.received : received).size(), 3);
}

void tst_FaultProxy::stalledClientMayLeave()
{
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    proxy.setFaults([](int) { return NetworkFault{.kind = Kind::Stall, .afterBytes = 3}; });
    QTcpSocket client;
    client.connectToHost(QHostAddress::LocalHost, proxy.serverPort());
    client.write(QByteArray(100'000, 'x'));
    QTRY_COMPARE(broker.received.size(), 3);
    QTRY_COMPARE(client.bytesToWrite(), 0); // otherwise the end would wait behind the rest
    client.abort();
    QTRY_COMPARE(broker.ended, 1);
    QTRY_COMPARE(proxy.openCount(), 0);
}

void tst_FaultProxy::throttleLimitsTheRate()
{
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    proxy.setFaults(
        [](int) { return NetworkFault{.kind = Kind::Throttle, .afterBytes = 1000, .bytesPerSecond = 50'000}; });
    QTcpSocket client;
    client.connectToHost(QHostAddress::LocalHost, proxy.serverPort());
    QElapsedTimer timer;
    timer.start();
    client.write(QByteArray(26'000, 'x'));
    QTRY_COMPARE(broker.received.size(), 26'000);
    QVERIFY2(timer.elapsed() >= 250, qPrintable(QString::number(timer.elapsed()))); // half of the time at this rate
}

void tst_FaultProxy::delayKeepsTheOrder()
{
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    proxy.setFaults([](int) { return NetworkFault{.kind = Kind::Delay, .afterBytes = 2, .delay = 50ms}; });
    QTcpSocket client;
    client.connectToHost(QHostAddress::LocalHost, proxy.serverPort());
    QElapsedTimer timer;
    timer.start();
    QByteArray sent;
    for (int i = 0; i < 20; ++i) {
        const QByteArray part = QByteArray::number(i) + ' ';
        sent += part;
        client.write(part);
        QTest::qWait(2);
    }
    QTRY_COMPARE(broker.received, sent);
    QVERIFY2(timer.elapsed() >= 50, qPrintable(QString::number(timer.elapsed())));
    RawSocket other(proxy.serverPort());
    other.send("hello");
    QTRY_VERIFY(broker.received.endsWith("hello"));
    broker.socket->write("goodbye");
    broker.socket->disconnectFromHost();
    QTRY_VERIFY(other.read());
    QCOMPARE(other.received(), QByteArray("goodbye")); // the delay does not overtake the last bytes
    QCOMPARE(other.howItEnded(), QByteArray("FIN"));
}

void tst_FaultProxy::lastingFaultEndsWithAReset_data()
{
    QTest::addColumn<Kind>("kind");
    QTest::newRow("black hole") << Kind::BlackHole;
    QTest::newRow("stall") << Kind::Stall;
    QTest::newRow("throttle") << Kind::Throttle;
    QTest::newRow("delay") << Kind::Delay;
}

void tst_FaultProxy::lastingFaultEndsWithAReset()
{
    QFETCH(Kind, kind);
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    proxy.setFaults([=](int) { return NetworkFault{.kind = kind, .afterBytes = 5, .delay = 5ms, .resetAfter = 20ms}; });
    RawSocket client(proxy.serverPort());
    client.send("hello");
    QTRY_VERIFY(client.read());
    QCOMPARE(client.howItEnded(), QByteArray("RST"));
    QTRY_COMPARE(broker.ended, 1);
    QTRY_COMPARE(proxy.openCount(), 0);
}

void tst_FaultProxy::eachConnectionHasItsOwnFault()
{
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    QList<int> numbers;
    proxy.setFaults([&](int number) {
        numbers += number;
        return NetworkFault{.kind = number == 2 ? Kind::None : Kind::Reset, .afterBytes = 1};
    });
    for (int i = 1; i <= 3; ++i) {
        RawSocket client(proxy.serverPort());
        client.send("hello");
        if (i == 2)
            QTRY_COMPARE(broker.received, QByteArray("hhello"));
        else
            QTRY_VERIFY(client.read());
        QCOMPARE(client.howItEnded(), i == 2 ? QByteArray() : QByteArray("RST"));
    }
    QCOMPARE(numbers, QList({1, 2, 3}));
    QCOMPARE(proxy.faultCount(), 2);
}

void tst_FaultProxy::openConnectionsCanBeStruck()
{
    Broker broker;
    FaultProxy proxy(broker.serverPort());
    RawSocket client(proxy.serverPort());
    client.send("hello");
    QTRY_COMPARE(broker.received, QByteArray("hello"));
    proxy.strike({.kind = Kind::Reset});
    QTRY_VERIFY(client.read());
    QCOMPARE(client.howItEnded(), QByteArray("RST"));
    QTRY_COMPARE(broker.ended, 1);
    QCOMPARE(proxy.faultCount(), 1);
}

QTEST_GUILESS_MAIN(tst_FaultProxy)

#include "tst_faultproxy.moc"
