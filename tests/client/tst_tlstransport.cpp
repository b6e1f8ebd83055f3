// SPDX-License-Identifier: MIT

// The transport by itself: what it sends at its end, what it keeps in memory, and which sessions it resumes.

#include "support/certificates.h"
#include "support/tlsserver.h"

#include "transport/tlstransport_p.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qcoreapplication.h>
#include <QtCore/qprocess.h>
#include <QtCore/qregularexpression.h>
#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include <algorithm>
#include <array>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

namespace
{

constexpr int Patience = 10'000;

TlsOptions trustingCa()
{
    return {.trustsSystem = false, .authorityFiles = {certificateFile(u"ca.pem"_s)}};
}

// A transport and the socket at its other end.
class Pair
{
public:
    explicit Pair(const QByteArray &maximumVersion = "TLSv1.3"_ba)
    {
        server.setTls(TlsSettings{.maximumVersion = maximumVersion});
        server.listen(QHostAddress::LocalHost);
        transport.connectTo({u"127.0.0.1"_s, server.serverPort(), u"localhost"_s});
        if (!QTest::qWaitFor([this] { return transport.isReady() && server.hasPendingConnections(); }, Patience))
            qFatal("no connection: %s", qPrintable(transport.error().toString()));
        peer.reset(static_cast<QSslSocket *>(server.nextPendingConnection()));
        QObject::connect(peer.get(), &QSslSocket::errorOccurred, [this] { peerErrors += peer->errorString(); });
    }

    // Whether the client has ended the session by close_notify.
    bool isClosedByNotify() const { return peerErrors.contains(u"The TLS/SSL connection has been closed"_s); }

    TlsServer server;
    std::shared_ptr<TlsMemory> memory = std::make_shared<TlsMemory>();
    TlsTransport transport{trustingCa(), memory};
    std::unique_ptr<QSslSocket> peer;
    QStringList peerErrors;
};

// Runs the event loop until there is no event any more, so that neither side can send or receive more.
void exhaustEvents()
{
    constexpr int Repetitions = 100; // the kernel may have to pass bytes from one socket to the other
    for (int idle = 0; idle < Repetitions; ++idle) {
        if (QAbstractEventDispatcher::instance()->processEvents(QEventLoop::AllEvents))
            idle = 0;
    }
}

} // namespace

class tst_TlsTransport : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void missingBackendIsNamed();
    void namesTheStepAfterTheTcpConnection();
    void closeSendsEverythingAndCloseNotify_data();
    void closeSendsEverythingAndCloseNotify();
    void abortSendsNothing();
    void unsentBytesAreEncryptedOnesAsWell();
    void unreadInputIsBounded();
    void bytesBeforeTheEndCanStillBeRead();
    void closedTransportFailsToWrite();
    void resumesASessionOfTheSameEndpoint_data();
    void resumesASessionOfTheSameEndpoint();
    void lateSessionKeepsItsOwnCertificate();
    void sessionsAreTiedToEndpointAndConfiguration();
    void sessionOfAnExpiredCertificateIsNotUsed();
};

void tst_TlsTransport::missingBackendIsNamed()
{
    TlsServer server;
    server.listen(QHostAddress::LocalHost);
    TlsTransport transport(trustingCa(), std::make_shared<TlsMemory>(), QNetworkProxy::NoProxy, nullptr, false);
    QSignalSpy failed(&transport, &Transport::failed);
    transport.connectTo({u"127.0.0.1"_s, server.serverPort(), u"localhost"_s});
    QVERIFY(failed.isEmpty()); // never from within connectTo()
    QTRY_COMPARE(failed.size(), 1);
    const Error error = failed.constFirst().constFirst().value<Error>();
    QCOMPARE(error.kind(), ErrorKind::Tls);
    QVERIFY2(error.text().contains(u"Qt has no TLS backend; install Qt's TLS plugin"_s), qPrintable(error.text()));
    for (const QString &backend : QSslSocket::availableBackends())
        QVERIFY(error.text().contains(backend));
    QCOMPARE(server.acceptedCount(), 0);
}

void tst_TlsTransport::namesTheStepAfterTheTcpConnection()
{
    TlsServer server;
    server.setTls(TlsSettings{.handshake = TlsSettings::Handshake::Stalls});
    server.listen(QHostAddress::LocalHost);
    TlsTransport transport(trustingCa(), std::make_shared<TlsMemory>());
    QSignalSpy awaiting(&transport, &Transport::awaiting);
    transport.connectTo({u"127.0.0.1"_s, server.serverPort(), u"localhost"_s});
    QTRY_COMPARE(awaiting.size(), 1);
    QCOMPARE(awaiting.constFirst().constFirst().toString(), u"the TLS handshake"_s);
    QVERIFY(!transport.isReady());
}

void tst_TlsTransport::closeSendsEverythingAndCloseNotify_data()
{
    QTest::addColumn<QByteArray>("version");
    QTest::newRow("TLS 1.2") << QByteArray("TLSv1.2");
    QTest::newRow("TLS 1.3") << QByteArray("TLSv1.3");
}

void tst_TlsTransport::closeSendsEverythingAndCloseNotify()
{
    QFETCH(const QByteArray, version);
    const QByteArray bytes(3'000'000, 'x');
    Pair pair(version);
    // With TLS 1.3 a session follows the handshake. It must have been read, like all input, before close().
    pair.peer->write("x");
    char last = 0;
    QVERIFY(QTest::qWaitFor([&] { return pair.transport.read(&last, 1) == 1; }, Patience));
    QSignalSpy finished(&pair.transport, &Transport::finished);
    QCOMPARE(pair.transport.write(bytes.data(), bytes.size()), bytes.size());
    pair.transport.close();
    QByteArray arrived;
    QTRY_VERIFY_WITH_TIMEOUT((arrived += pair.peer->readAll()).size() == bytes.size(), Patience);
    QTRY_COMPARE(pair.peer->state(), QAbstractSocket::UnconnectedState);
    QVERIFY2(pair.isClosedByNotify(), qPrintable(pair.peerErrors.join(u'\n')));
    QTRY_COMPARE(finished.size(), 1);
}

void tst_TlsTransport::abortSendsNothing()
{
    Pair pair;
    QSignalSpy encryptedRead(pair.peer.get(), &QSslSocket::readyRead);
    pair.transport.abort();
    QTRY_COMPARE(pair.peer->state(), QAbstractSocket::UnconnectedState);
    QVERIFY(!pair.peerErrors.isEmpty());
    QVERIFY(!pair.isClosedByNotify());
    QCOMPARE(encryptedRead.size(), 0);
}

void tst_TlsTransport::unsentBytesAreEncryptedOnesAsWell()
{
    const QByteArray bytes(100'000, 'x');
    const std::array<QByteArrayView, 1> pieces{bytes};
    Pair pair;
    pair.peer->setReadBufferSize(1000); // unread bytes stay in the kernel, then in the client
    QSignalSpy written(&pair.transport, &Transport::written);
    qint64 taken = 0;
    while (pair.transport.bytesToWrite() == 0) {
        const qint64 size = pair.transport.writeSome(pieces);
        QVERIFY(size > 0 && size <= 64 * 1024);
        taken += size;
        QVERIFY(taken < 1'000'000'000);
    }
    QVERIFY(pair.transport.bytesToWrite() < 100'000); // at most one chunk is copied
    QCOMPARE(written.size(), 0);
    pair.peer->setReadBufferSize(0);
    QByteArray arrived = pair.peer->readAll();
    QTRY_VERIFY_WITH_TIMEOUT((arrived += pair.peer->readAll()).size() == taken, Patience);
    QCOMPARE(pair.transport.bytesToWrite(), 0);
    QVERIFY(!written.isEmpty());
}

void tst_TlsTransport::unreadInputIsBounded()
{
    constexpr qint64 Size = 64 * 1024 * 1024;
    constexpr qint64 Kernel = 16 * 1024 * 1024; // more than its buffers on both sides
    Pair pair;
    const auto unsent = [&] { return pair.peer->bytesToWrite() + pair.peer->encryptedBytesToWrite(); };
    pair.peer->write(QByteArray(Size, 'x'));
    QTRY_VERIFY_WITH_TIMEOUT(unsent() < Size, Patience);
    exhaustEvents();
    QVERIFY2(unsent() > Size - Kernel, qPrintable(QString::number(unsent())));
    QByteArray space(1'000'000, Qt::Uninitialized);
    qint64 arrived = pair.transport.read(space.data(), space.size());
    QVERIFY2(arrived > 0 && arrived < 500'000, qPrintable(QString::number(arrived)));

    connect(&pair.transport, &Transport::readable, &pair.transport, [&] {
        QMetaObject::invokeMethod(
            &pair.transport,
            [&] {
                while (const qint64 size = pair.transport.read(space.data(), space.size()))
                    arrived += size;
            },
            Qt::QueuedConnection);
    });
    QTRY_COMPARE_WITH_TIMEOUT(arrived, Size, 60'000);
}

void tst_TlsTransport::bytesBeforeTheEndCanStillBeRead()
{
    constexpr qsizetype Size = 100'000; // less than the buffer, so that the transport sees the end as well
    Pair pair;
    QSignalSpy failed(&pair.transport, &Transport::failed);
    pair.peer->write(QByteArray(Size, 'x'));
    pair.peer->disconnectFromHost();
    QTRY_COMPARE(failed.size(), 1);
    QByteArray space(2 * Size, Qt::Uninitialized);
    qint64 arrived = 0;
    while (const qint64 size = std::max<qint64>(pair.transport.read(space.data(), space.size()), 0))
        arrived += size;
    QCOMPARE(arrived, Size);
    QTRY_VERIFY(!pair.transport.isReady());
    QCOMPARE(pair.transport.read(space.data(), space.size()), -1);
}

void tst_TlsTransport::closedTransportFailsToWrite()
{
    const std::array<QByteArrayView, 1> pieces{"late"};
    Pair pair;
    QSignalSpy failed(&pair.transport, &Transport::failed);
    pair.peer->abort();
    QTRY_COMPARE(failed.size(), 1);
    QCOMPARE(failed.constFirst().constFirst().value<Error>().kind(), ErrorKind::Network);
    QCOMPARE(pair.transport.writeSome(pieces), -1);
    QCOMPARE(pair.transport.write("late", 4), -1);
    QVERIFY(!pair.transport.isReady());
    QCOMPARE(pair.transport.error().kind(), ErrorKind::Network);
}

// A QSslSocket has keys of its own for the tickets of its sessions, so the server is that of OpenSSL.
class OpenSslServer
{
public:
    explicit OpenSslServer(const QString &version)
    {
        m_process.setProcessChannelMode(QProcess::MergedChannels);
        m_process.start(u"openssl"_s, {u"s_server"_s, u"-accept"_s, u"127.0.0.1:0"_s, version, u"-cert"_s,
                                       certificateFile(u"server.pem"_s), u"-key"_s, certificateFile(u"server.key"_s)});
        if (!QTest::qWaitFor([this] { return findPort(); }, Patience))
            qFatal("openssl s_server does not start: %s", m_output.constData());
    }
    ~OpenSslServer()
    {
        m_process.kill();
        m_process.waitForFinished();
    }

    quint16 port() const { return m_port; }
    bool contains(const QString &text)
    {
        m_output += m_process.readAll();
        return QString::fromUtf8(m_output).contains(text);
    }

private:
    bool findPort()
    {
        static const QRegularExpression accept(u"ACCEPT 127.0.0.1:(\\d+)\\n"_s);
        m_output += m_process.readAll();
        m_port = accept.match(QString::fromUtf8(m_output)).captured(1).toUShort();
        return m_port != 0;
    }

    QProcess m_process;
    QByteArray m_output;
    quint16 m_port = 0;
};

void tst_TlsTransport::resumesASessionOfTheSameEndpoint_data()
{
    QTest::addColumn<QString>("version");
    QTest::newRow("tls 1.2") << u"-tls1_2"_s;
    QTest::newRow("tls 1.3") << u"-tls1_3"_s;
}

void tst_TlsTransport::resumesASessionOfTheSameEndpoint()
{
    QFETCH(const QString, version);
    if (!QSslSocket::supportedFeatures().contains(QSsl::SupportedFeature::SessionTicket))
        QSKIP("the TLS backend does not resume sessions");
    OpenSslServer server(version);
    const auto memory = std::make_shared<TlsMemory>();
    const PeerAddress address{u"127.0.0.1"_s, server.port(), u"localhost"_s};
    const QString peer = u"amqps://127.0.0.1:%1 localhost"_s.arg(address.port);
    QSslConfiguration configuration = *tlsConfiguration(trustingCa());
    configuration.setSslOption(QSsl::SslOptionDisableSessionPersistence, false);
    for (const bool isResumed : {false, true}) {
        TlsTransport transport(trustingCa(), memory);
        transport.connectTo(address);
        QTRY_VERIFY_WITH_TIMEOUT(transport.isReady(), Patience);
        // With TLS 1.3 the session arrives later.
        QTRY_VERIFY_WITH_TIMEOUT(!memory->session(peer, configuration).isEmpty(), Patience);
        QSignalSpy finished(&transport, &Transport::finished);
        transport.close();
        QTRY_COMPARE(finished.size(), 1);
        QTRY_VERIFY(server.contains(isResumed ? u"Reused session-id"_s : u"CIPHER is"_s));
        QCOMPARE(server.contains(u"Reused session-id"_s), isResumed);
    }
}

// With TLS 1.3 a session may arrive while another connection is being opened, to another broker.
void tst_TlsTransport::lateSessionKeepsItsOwnCertificate()
{
    if (!QSslSocket::supportedFeatures().contains(QSsl::SupportedFeature::SessionTicket))
        QSKIP("the TLS backend does not resume sessions");
    TlsServer server;
    server.setTls(TlsSettings{.minimumVersion = "TLSv1.3"});
    server.listen(QHostAddress::LocalHost);
    const auto memory = std::make_shared<TlsMemory>();
    TlsTransport transport(trustingCa(), memory);
    connect(&transport, &Transport::ready, this,
            [&] { memory->setPeerCertificate(readCertificate(u"server-expired"_s)); });
    transport.connectTo({u"127.0.0.1"_s, server.serverPort(), u"localhost"_s});
    const QString peer = u"amqps://127.0.0.1:%1 localhost"_s.arg(server.serverPort());
    QSslConfiguration configuration = *tlsConfiguration(trustingCa());
    configuration.setSslOption(QSsl::SslOptionDisableSessionPersistence, false);
    QTRY_VERIFY_WITH_TIMEOUT(!memory->session(peer, configuration).isEmpty(), Patience);
}

void tst_TlsTransport::sessionsAreTiedToEndpointAndConfiguration()
{
    TlsMemory memory;
    const QSslCertificate certificate = readCertificate(u"server"_s);
    const QSslConfiguration trusting = *tlsConfiguration(trustingCa());
    TlsOptions otherAuthority = trustingCa();
    otherAuthority.authorityFiles = {certificateFile(u"foreign-ca.pem"_s)};
    TlsOptions withCertificate = trustingCa();
    withCertificate.certificateFile = certificateFile(u"client.pem"_s);
    withCertificate.keyFile = certificateFile(u"client.key"_s);
    memory.keepSession(u"a"_s, certificate, trusting, "session");
    QCOMPARE(memory.session(u"a"_s, *tlsConfiguration(trustingCa())), "session");
    QCOMPARE(memory.session(u"b"_s, trusting), QByteArray());
    QCOMPARE(memory.session(u"a"_s, *tlsConfiguration(otherAuthority)), QByteArray());
    QCOMPARE(memory.session(u"a"_s, *tlsConfiguration(withCertificate)), QByteArray());
}

void tst_TlsTransport::sessionOfAnExpiredCertificateIsNotUsed()
{
    TlsMemory memory;
    const QSslConfiguration trusting = *tlsConfiguration(trustingCa());
    memory.keepSession(u"a"_s, readCertificate(u"server-expired"_s), trusting, "session");
    QCOMPARE(memory.session(u"a"_s, trusting), QByteArray());
}

QTEST_GUILESS_MAIN(tst_TlsTransport)
#include "tst_tlstransport.moc"
