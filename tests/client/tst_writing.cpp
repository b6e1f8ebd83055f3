// SPDX-License-Identifier: MIT

// Everything passes through the socket in order, however slowly the peer reads.

#include "clientsupport.h"

#include "transport/sockettransport_p.h"

#include <QtCore/qrandom.h>
#include <QtNetwork/qtcpserver.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Writing : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void piecesFollowEachOther();
    void sendsPiecesAsFastAsThePeerReads();
    void outputWrittenAfterPiecesFollowsThem();
    void piecesForAClosedConnectionFail();
    void bodiesOfAllSizesReachASlowPeer();
    void aCallHasItsTimeWhenTheBacklogBeforeItHasLeft();
};

namespace
{

constexpr qsizetype SmallBuffer = 64 * 1024;

// A transport and the socket at its other end.
class Pair
{
public:
    Pair()
    {
        server.listen(QHostAddress::LocalHost);
        transport.connectTo({u"127.0.0.1"_s, server.serverPort(), {}});
        if (!waitUntil([this] { return transport.isReady() && server.hasPendingConnections(); }))
            qFatal("no connection");
        peer.reset(server.nextPendingConnection());
        peer->setReadBufferSize(SmallBuffer); // unread bytes stay in the kernel, then in the client
    }

    QTcpServer server;
    SocketTransport transport;
    std::unique_ptr<QTcpSocket> peer;
};

QByteArray randomBytes(QRandomGenerator &random, qsizetype size)
{
    QByteArray bytes(size, Qt::Uninitialized);
    random.generate(bytes.begin(), bytes.end());
    return bytes;
}

// Small and large pieces, more than one system call accepts.
QByteArrayList randomPieces(QRandomGenerator &random, int count)
{
    QByteArrayList pieces;
    for (int i = 0; i < count; ++i)
        pieces += randomBytes(random, i % 3 ? random.bounded(1, 100) : random.bounded(1, 300'000));
    return pieces;
}

// Writes the pieces as a connection does, more after each written(). Continues while the event loop runs.
class Writer : public QObject
{
public:
    Writer(Transport *transport, const QByteArrayList &pieces)
        : m_transport(transport)
        , m_pieces(pieces)
        , m_left(m_pieces.begin(), m_pieces.end())
    {
        connect(transport, &Transport::written, this, &Writer::write);
        write();
    }

    bool isDone() const { return m_left.empty(); }
    qint64 taken() const { return m_taken; }
    bool hasFailed() const { return m_hasFailed; }

private:
    void write()
    {
        while (!m_left.empty() && !m_hasFailed && m_transport->bytesToWrite() == 0) {
            qint64 size = m_transport->writeSome(m_left);
            m_hasFailed = size < 0;
            m_taken += size;
            while (size > 0) {
                const qint64 part = std::min<qint64>(size, m_left.front().size());
                m_left.front() = m_left.front().sliced(part);
                size -= part;
                if (m_left.front().isEmpty())
                    m_left.erase(m_left.begin());
            }
        }
    }

    Transport *m_transport;
    QByteArrayList m_pieces;
    std::vector<QByteArrayView> m_left;
    qint64 m_taken = 0;
    bool m_hasFailed = false;
};

} // namespace

void tst_Writing::piecesFollowEachOther()
{
    Pair pair;
    const std::array<QByteArrayView, 4> pieces{"AM", "QP", "", "\x01"};
    QCOMPARE(pair.transport.writeSome(pieces), 5);
    QCOMPARE(pair.transport.bytesToWrite(), 0);
    QVERIFY(waitUntil([&] { return pair.peer->bytesAvailable() == 5; }));
    QCOMPARE(pair.peer->readAll(), "AMQP\x01");
    QCOMPARE(pair.transport.writeSome({}), 0);
}

void tst_Writing::sendsPiecesAsFastAsThePeerReads()
{
    constexpr int Pieces = 300;
    QRandomGenerator random(1);
    const QByteArrayList pieces = randomPieces(random, Pieces);
    const QByteArray all = pieces.join();
    Pair pair;
    Writer writer(&pair.transport, pieces);
    QVERIFY(writer.taken() < all.size());
    QVERIFY(pair.transport.bytesToWrite() > 0);           // written() is therefore emitted later
    QVERIFY(pair.transport.bytesToWrite() < SmallBuffer); // without copying much data

    QByteArray arrived;
    arrived.reserve(all.size());
    while (arrived.size() < all.size()) {
        QVERIFY(waitUntil([&] { return pair.peer->bytesAvailable() > 0; }));
        arrived += pair.peer->read(random.bounded(1, 200'000));
    }
    QVERIFY(writer.isDone());
    QCOMPARE(writer.taken(), all.size());
    QVERIFY(arrived == all);
    QCOMPARE(pair.transport.bytesToWrite(), 0);
}

void tst_Writing::outputWrittenAfterPiecesFollowsThem()
{
    QRandomGenerator random(2);
    const QByteArrayList pieces = randomPieces(random, 300);
    const QByteArray all = pieces.join();
    Pair pair;
    const std::vector<QByteArrayView> views(pieces.begin(), pieces.end());
    const qint64 taken = pair.transport.writeSome(views);
    const qint64 more =
        pair.transport.writeSome(std::array{QByteArrayView(all).sliced(taken)}); // the kernel accepts nothing
    QVERIFY(more > 0);
    const QByteArrayView rest = QByteArrayView(all).sliced(taken + more);
    QCOMPARE(pair.transport.write(rest.data(), rest.size()), rest.size());
    QByteArray arrived;
    while (arrived.size() < all.size()) {
        QVERIFY(waitUntil([&] { return pair.peer->bytesAvailable() > 0; }));
        arrived += pair.peer->readAll();
    }
    QVERIFY(arrived == all);
}

void tst_Writing::piecesForAClosedConnectionFail()
{
    const QByteArrayList pieces(100, QByteArray(100'000, 'x'));
    Pair pair;
    QSignalSpy failed(&pair.transport, &Transport::failed);
    Writer writer(&pair.transport, pieces);
    pair.peer->abort();
    QVERIFY(waitUntil([&] { return writer.hasFailed() || !failed.isEmpty(); }));
    QVERIFY(!writer.isDone());
    const std::array<QByteArrayView, 1> late{"late"};
    QCOMPARE(pair.transport.writeSome(late), -1);
    QVERIFY(pair.transport.error().isError());
}

void tst_Writing::bodiesOfAllSizesReachASlowPeer()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.setReading(false);
    QRandomGenerator random(3);
    QByteArrayList bodies;
    for (const int size : {0, 1, 4'096, 32'767, 32'768, 65'536, 131'064, 131'065, 262'129, 1'000'000}) {
        for (int i = 0; i < 4; ++i)
            bodies += randomBytes(random, size);
    }
    std::shuffle(bodies.begin(), bodies.end(), random);
    for (const QByteArray &body : std::as_const(bodies))
        client.channel->publish({}, u"q"_s, Message(body));
    settleEvents();
    QVERIFY(client.connection.bytesToWrite() > 0);
    peer.setReading(true);
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == bodies.size(); }));
    QByteArrayList arrived;
    for (const Command &command : peer.received("basic.publish"))
        arrived += command.body;
    QVERIFY(arrived == bodies);
    QVERIFY(waitUntil([&] { return client.connection.bytesToWrite() == 0; }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Writing::aCallHasItsTimeWhenTheBacklogBeforeItHasLeft()
{
    constexpr auto Timeout = 4s;
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(Timeout);
    Connection connection(parameters);
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    Channel *channel = connection.createChannel();
    QVERIFY(waitUntil([&] { return channel->isOpen(); }));
    peer.setReading(false);
    for (int i = 0; i < 32; ++i) // more than the kernel accepts
        QVERIFY(channel->publish({}, u"q"_s, Message(QByteArray(1 << 20, 'b'))));
    const Reply<QueueInfo> declaring = channel->declareQueue(u"q"_s);
    bool isOver = false;
    QTimer::singleShot(Timeout + 1s, this, [&] { isOver = true; });
    QVERIFY(waitUntil([&] { return isOver || declaring.isFinished(); }));
    QVERIFY(!declaring.isFinished());
    QVERIFY(connection.bytesToWrite() > 0);
    peer.setReading(true);
    QVERIFY(waitUntil([&] { return declaring.isFinished(); }, 60s));
    QVERIFY2(declaring.result(), qPrintable(declaring.result().error().toString()));
    const Reply<void> closing = connection.close();
    QVERIFY(waitUntil([&] { return closing.isFinished(); }));
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_Writing)
#include "tst_writing.moc"
