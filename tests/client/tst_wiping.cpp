// SPDX-License-Identifier: MIT
#include "base/secret_p.h"
#include "client/connection/connection_p.h"
#include "support/brokersession.h"
#include "support/certificates.h"
#include "support/memorytransport.h"
#include "transport/tlsoptions_p.h"

#include <AmqpQt/connection.h>
#include <AmqpQt/saslmechanism.h>

#include <QtCore/qcoreapplication.h>
#include <QtCore/qfile.h>
#include <QtCore/qtemporaryfile.h>
#include <QtNetwork/qsslkey.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

// The secret is never stored in one piece, so that a search finds only the copies of the library.
constexpr char Part1[] = "Zq9w";
constexpr char Part2[] = "7Lx2";
constexpr char Part3[] = "Vb5n";

// The caller wipes the text.
QString secretText()
{
    QString text;
    text.reserve(sizeof Part1 + sizeof Part2 + sizeof Part3);
    text.append(QLatin1StringView(Part1)).append(QLatin1StringView(Part2)).append(QLatin1StringView(Part3));
    return text;
}

bool isSecret(const char *at, int stride)
{
    for (const char *part : {Part1, Part2, Part3}) {
        for (int i = 0; i < 4; ++i, at += stride) {
            if (*at != part[i] || (stride == 2 && at[1] != '\0'))
                return false;
        }
    }
    return true;
}

// Counts the copies of the secret, in UTF-8 and UTF-16, in the memory of the process that can be written, such as heap,
// stacks and globals, whether allocated or freed.
int copiesInMemory()
{
    QFile maps(u"/proc/self/maps"_s);
    QFile memory(u"/proc/self/mem"_s);
    if (!maps.open(QIODevice::ReadOnly) || !memory.open(QIODevice::ReadOnly | QIODevice::Unbuffered))
        return -1;
    int copies = 0;
    static char piece[1024 * 1024]; // a part of the memory that is searched, so it is wiped before each search
    constexpr qint64 Overlap = 32;
    const QByteArrayList lines = maps.readAll().split('\n');
    for (const QByteArray &line : lines) {
        if (!line.contains(" rw"))
            continue;
        const qsizetype dash = line.indexOf('-');
        const qint64 begin = line.first(dash).toLongLong(nullptr, 16);
        const qint64 end = line.mid(dash + 1, line.indexOf(' ') - dash - 1).toLongLong(nullptr, 16);
        constexpr qint64 LargestRegion = 1024 * 1024 * 1024;
        if (end - begin > LargestRegion) // AddressSanitizer's own, with terabytes that are not used
            continue;
        for (qint64 at = begin; at < end; at += qint64(sizeof piece) - Overlap) {
            Secret::wipe(piece, sizeof piece);
            if (!memory.seek(at))
                break;
            const qint64 size = memory.read(piece, std::min<qint64>(sizeof piece, end - at));
            const bool isOwn =
                at <= qint64(quintptr(piece)) + qint64(sizeof piece) && at + size > qint64(quintptr(piece));
            for (qint64 i = 0; i + Overlap <= size && !isOwn; ++i)
                copies += piece[i] == Part1[0] && (isSecret(piece + i, 1) || isSecret(piece + i, 2)) &&
                          i < qint64(sizeof piece) - Overlap;
        }
    }
    Secret::wipe(piece, sizeof piece);
    return copies;
}

// A broker that keeps nothing of what it receives.
class ForgetfulBroker final : public MemoryTransport::Peer
{
public:
    ~ForgetfulBroker()
    {
        if (transport) // it outlives its connection, to send connection.close
            delete transport->parent();
    }
    void received(QByteArrayView bytes) override
    {
        hasSeenSecret = hasSeenSecret || findSecret(bytes);
        ++messages;
        const int step = messages;
        QMetaObject::invokeMethod(
            transport.data(),
            [this, step] {
                if (step == 1)
                    send(connectionStart(encodedServerProperties(), mechanisms, "en_US"));
                else if (step == 2 && refuses)
                    send(Wire::ConnectionClose{.replyCode = 403, .replyText = "ACCESS_REFUSED"});
                else if (step == 2)
                    send(Offer().tune());
                else if (step == 3)
                    send(Wire::ConnectionOpenOk{});
                else if (step == 4)
                    send(Wire::ConnectionUpdateSecretOk{});
            },
            Qt::QueuedConnection);
    }
    void clientClosed() override {}
    void serve(Connection &connection)
    {
        ConnectionPrivate::of(&connection)
            ->connector.setTransportFactory([this](const ConnectionParameters &, const Endpoint &, QObject *parent) {
                auto made = std::make_unique<MemoryTransport>(parent);
                made->setPeer(this);
                transport = made.get();
                QMetaObject::invokeMethod(made.get(), &MemoryTransport::accept, Qt::QueuedConnection);
                return made;
            });
    }
    template <typename Method>
    void send(const Method &method)
    {
        if (transport)
            transport->send(Wire::encodeFrame(0, method));
    }
    static bool findSecret(QByteArrayView bytes)
    {
        constexpr qsizetype Length = 12;
        for (qsizetype i = 0; i + Length <= bytes.size(); ++i) {
            if (isSecret(bytes.data() + i, 1))
                return true;
        }
        return false;
    }

    QPointer<MemoryTransport> transport;
    QByteArray mechanisms = "PLAIN AMQPLAIN";
    bool refuses = false;
    bool hasSeenSecret = false;
    int messages = 0;
};

class OwnMechanism final : public SaslMechanism
{
public:
    QByteArray name() const override { return "OWN"; }
    QByteArray initialResponse() override
    {
        QByteArray response;
        response.reserve(sizeof Part1 + sizeof Part2 + sizeof Part3);
        return response.append(Part1).append(Part2).append(Part3);
    }
    std::optional<QByteArray> respond(const QByteArray &) override { return std::nullopt; }
};

template <typename Condition>
bool waitUntil(Condition condition)
{
    return QTest::qWaitFor(condition, 10'000);
}

} // namespace

// With eraseOnConnect, no copy of a password is left in the memory of the process after an attempt. The test wipes the
// strings that it passes to the library, as an application has to do. Copies in the buffers of QTcpSocket, QSslSocket
// and QUrl belong to Qt, which does not wipe them; so these are not used here.
class tst_Wiping : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void theSearchFindsCopies();
    void nothingIsLeftAfterAnAttempt_data();
    void nothingIsLeftAfterAnAttempt();
    void nothingIsLeftOfAnOwnResponse();
    void nothingIsLeftAfterARenewal_data();
    void nothingIsLeftAfterARenewal();
    void replacedAndDestroyedParametersLeaveNothing();
    void fileOfAPrivateKeyLeavesNothing();
};

void tst_Wiping::theSearchFindsCopies()
{
    QCOMPARE(copiesInMemory(), 0);
    QString text = secretText();
    QVERIFY(copiesInMemory() > 0);
    {
        const Secret secret(text);
        Secret::wipe(text);
        QCOMPARE(copiesInMemory(), 1);
        const Secret copy(secret); // NOLINT(performance-unnecessary-copy-initialization)
        QCOMPARE(copiesInMemory(), 2);
    }
    QCOMPARE(copiesInMemory(), 0);
}

void tst_Wiping::nothingIsLeftAfterAnAttempt_data()
{
    QTest::addColumn<QString>("mechanism");
    QTest::addColumn<bool>("refuses");
    QTest::addColumn<bool>("asks");
    QTest::newRow("PLAIN") << u"PLAIN"_s << false << false;
    QTest::newRow("AMQPLAIN") << u"AMQPLAIN"_s << false << false;
    QTest::newRow("refused") << u"PLAIN"_s << true << false;
    QTest::newRow("no common mechanism") << u"EXTERNAL"_s << false << false;
    QTest::newRow("answer to credentialsRequested") << u"PLAIN"_s << false << true;
    QTest::newRow("refused answer") << u"PLAIN"_s << true << true;
}

void tst_Wiping::nothingIsLeftAfterAnAttempt()
{
    QFETCH(const QString, mechanism);
    QFETCH(const bool, refuses);
    QFETCH(const bool, asks);
    ForgetfulBroker broker;
    broker.mechanisms = mechanism.toLatin1();
    broker.refuses = refuses;
    QCOMPARE(copiesInMemory(), 0);
    Connection connection;
    broker.serve(connection);
    int requests = 0;
    {
        ConnectionParameters parameters;
        parameters.setEraseOnConnect(true);
        if (asks) {
            connect(&connection, &Connection::credentialsRequested, this, [&] {
                if (++requests > 1)
                    return connection.abort(); // in answer to the refusal
                QString password = secretText();
                connection.setCredentials(u"guest"_s, password, 1h);
                Secret::wipe(password);
            });
        } else {
            QString password = secretText();
            parameters.setCredentials(u"guest"_s, password);
            Secret::wipe(password);
            QVERIFY(copiesInMemory() > 0);
        }
        connection.setParameters(parameters);
    }
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QCOMPARE(bool(opening.result()), !refuses && mechanism != u"EXTERNAL");
    QCOMPARE(broker.hasSeenSecret, mechanism != u"EXTERNAL");
    QCOMPARE(copiesInMemory(), 0);
}

void tst_Wiping::nothingIsLeftOfAnOwnResponse()
{
    ForgetfulBroker broker;
    broker.mechanisms = "OWN";
    ConnectionParameters parameters;
    parameters.setMechanisms({std::make_shared<OwnMechanism>()});
    Connection connection(parameters);
    broker.serve(connection);
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY(opening.result());
    QVERIFY(broker.hasSeenSecret);
    QCOMPARE(copiesInMemory(), 0);
}

void tst_Wiping::nothingIsLeftAfterARenewal_data()
{
    QTest::addColumn<bool>("isAnswer");
    QTest::newRow("updateSecret") << false;
    QTest::newRow("setCredentials with eraseOnConnect") << true;
}

void tst_Wiping::nothingIsLeftAfterARenewal()
{
    QFETCH(const bool, isAnswer);
    ForgetfulBroker broker;
    ConnectionParameters parameters;
    parameters.setEraseOnConnect(true);
    Connection connection(parameters);
    connection.setCredentials(u"guest"_s, u"another"_s, 1h);
    broker.serve(connection);
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY(opening.result());
    QVERIFY(!broker.hasSeenSecret);
    QString secret = secretText();
    const Reply<void> renewal =
        isAnswer ? connection.setCredentials(u"guest"_s, secret, 1h) : connection.updateSecret(secret, u"expiry"_s);
    Secret::wipe(secret);
    QVERIFY(waitUntil([&] { return renewal.isFinished(); }));
    QVERIFY(renewal.result());
    QVERIFY(broker.hasSeenSecret);
    QCOMPARE(copiesInMemory(), 0);
}

void tst_Wiping::replacedAndDestroyedParametersLeaveNothing()
{
    {
        ConnectionParameters parameters;
        QString password = secretText();
        parameters.setCredentials(u"guest"_s, password);
        Secret::wipe(password);
        ConnectionParameters copy = parameters;
        copy.setVirtualHost(u"v"_s); // detaches
        QVERIFY(copiesInMemory() >= 2);
        parameters.setCredentials(u"guest"_s, u"another"_s);
        copy = ConnectionParameters();
        QCOMPARE(copiesInMemory(), 0);
        password = secretText();
        parameters.setCredentials(u"guest"_s, password);
        Secret::wipe(password);
        QVERIFY(copiesInMemory() > 0);
    }
    QCOMPARE(copiesInMemory(), 0);
}

// A damaged key, because a search can find this secret only.
static QByteArray damagedKey()
{
    const QByteArray comment(400, '#'); // so that no later allocation has the size of the file
    QString text = secretText();
    QByteArray bytes = text.toLatin1();
    QByteArray key;
    key.reserve(2000); // no copies are left behind
    key += comment + "\n-----BEGIN PRIVATE KEY-----\n";
    key += bytes;
    key += "\n-----END PRIVATE KEY-----\n" + comment;
    Secret::wipe(text);
    Secret::wipe(bytes);
    return key;
}

void tst_Wiping::fileOfAPrivateKeyLeavesNothing()
{
    QTemporaryFile file;
    QVERIFY(file.open());
    QByteArray key = damagedKey();
    {
        QFile written(file.fileName());
        QVERIFY(written.open(QIODevice::WriteOnly | QIODevice::Unbuffered));
        QCOMPARE(written.write(key), key.size());
    }
    Secret::wipe(key);
    QCOMPARE(copiesInMemory(), 0);

    // Qt and OpenSSL do not wipe their copies. These are found only with AddressSanitizer, which keeps freed memory.
    key = damagedKey();
    for (const QSsl::KeyAlgorithm algorithm : {QSsl::Rsa, QSsl::Ec, QSsl::Dsa})
        QVERIFY(QSslKey(key, algorithm, QSsl::Pem, QSsl::PrivateKey).isNull());
    Secret::wipe(key);
    const int copiesOfQt = copiesInMemory();

    const auto configuration =
        tlsConfiguration({.certificateFile = certificateFile(u"client.pem"_s), .keyFile = file.fileName()});
    QVERIFY(!configuration);
    QVERIFY2(configuration.error().text().contains(u"damaged"_s), qPrintable(configuration.error().text()));
    QVERIFY2(copiesInMemory() <= 2 * copiesOfQt,
             qPrintable(u"%1, of which Qt made %2"_s.arg(copiesInMemory()).arg(2 * copiesOfQt)));
}

QTEST_GUILESS_MAIN(tst_Wiping)
#include "tst_wiping.moc"
