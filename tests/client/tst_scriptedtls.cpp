// SPDX-License-Identifier: MIT
#include "support/certificates.h"
#include "support/scriptedpeer.h"

#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qsslsocket.h>
#include <QtTest/qtest.h>

using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;
using Handshake = TlsSettings::Handshake;
using ClientCertificate = TlsSettings::ClientCertificate;

namespace
{

// A client that trusts ca, and speaks every version of TLS.
class Client
{
public:
    explicit Client(const ScriptedPeer &peer, const QString &certificate = {})
    {
        QSslConfiguration configuration = socket.sslConfiguration();
        configuration.setCaCertificates({readCertificate(u"ca"_s)});
        if (!certificate.isEmpty()) {
            configuration.setLocalCertificateChain(readCertificateChain(certificate));
            configuration.setPrivateKey(readCertificateKey(certificate));
        }
        configuration.setProtocol(QSsl::AnyProtocol);
        configuration.setBackendConfigurationOption("MinProtocol", QByteArray("TLSv1.1"));
        configuration.setBackendConfigurationOption("CipherString", QByteArray("ALL:@SECLEVEL=0"));
        socket.setSslConfiguration(configuration);
        QObject::connect(&socket, &QSslSocket::encrypted, [this] { isEncrypted = true; });
        QObject::connect(&socket, &QSslSocket::disconnected, [this] { isDisconnected = true; });
        QObject::connect(&socket, &QSslSocket::sslErrors, [this](const QList<QSslError> &found) { errors = found; });
        // A later error replaces the text of an alert that came after the handshake.
        QObject::connect(&socket, &QSslSocket::errorOccurred, [this] { allErrors += socket.errorString() + u'\n'; });
        QObject::connect(&socket, &QSslSocket::readyRead, [this] { received += socket.readAll(); });
        socket.connectToHostEncrypted(u"127.0.0.1"_s, peer.port(), u"localhost"_s);
    }

    void sendProtocolHeader() { socket.write(ProtocolHeader.data(), ProtocolHeader.size()); }

    QSslSocket socket;
    bool isEncrypted = false;
    bool isDisconnected = false;
    QList<QSslError> errors;
    QString allErrors;
    QByteArray received;
};

} // namespace

class tst_ScriptedTls : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void speaksAmqpOverTls_data();
    void speaksAmqpOverTls();
    void showsItsCertificate();
    void changesItsCertificate();
    void sendsTheIntermediateCertificate();
    void speaksTheVersionsOfItsSettings_data();
    void speaksTheVersionsOfItsSettings();
    void learnsTheNameThatTheClientIndicates();
    void demandsClientCertificates_data();
    void demandsClientCertificates();
    void stalls();
    void hangsUp();
    void sendsBytesInsteadOfTheHandshake();
    void rejectsClientsWithoutTls();
    void decryptsNothingIfTheClientRefusesTheCertificate();
    void takesBytesInPiecesAndLargeOnes();
    void endsTls();
};

void tst_ScriptedTls::speaksAmqpOverTls_data()
{
    QTest::addColumn<ScriptedPeer::Lives>("lives");
    QTest::newRow("in the thread of the test") << ScriptedPeer::Lives::InThisThread;
    QTest::newRow("in its own thread") << ScriptedPeer::Lives::InItsOwnThread;
}

void tst_ScriptedTls::speaksAmqpOverTls()
{
    QFETCH(ScriptedPeer::Lives, lives);
    ScriptedPeer peer(lives);
    peer.setTls(TlsSettings());
    QCOMPARE(peer.url().scheme(), u"amqps"_s);
    QCOMPARE(peer.url().port(), peer.port());
    Client client(peer);
    client.sendProtocolHeader();
    QTRY_VERIFY(client.received.size() > 100);
    QVERIFY(client.isEncrypted);
    QCOMPARE(client.errors, QList<QSslError>());
    QCOMPARE(peer.bytesReceived(), ProtocolHeader.size());
    QCOMPARE(peer.protocolHeader(), ProtocolHeader.toByteArray());
    QCOMPARE(peer.connectionCount(), 1);
    QCOMPARE(peer.acceptedCount(), 1);
    QCOMPARE(client.received.sliced(7, 4), QByteArray("\0\x0a\0\x0a", 4)); // connection.start
    peer.send(0, ConnectionBlocked{.reason = "x"});
    QTRY_VERIFY(client.received.endsWith(encodeFrame(0, ConnectionBlocked{.reason = "x"})));
    peer.hangUp();
    QTRY_VERIFY(client.isDisconnected);
}

void tst_ScriptedTls::showsItsCertificate()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-rsa"_s});
    Client client(peer);
    QTRY_VERIFY(client.isEncrypted);
    QCOMPARE(client.socket.peerCertificate(), readCertificate(u"server-rsa"_s));
}

void tst_ScriptedTls::changesItsCertificate()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    Client first(peer);
    QTRY_VERIFY(first.isEncrypted);
    peer.setTls(TlsSettings{.certificate = u"server-renewed"_s});
    Client second(peer);
    QTRY_VERIFY(second.isEncrypted);
    QCOMPARE(second.socket.peerCertificate(), readCertificate(u"server-renewed"_s));
    QTRY_COMPARE(peer.connectionCount(), 2);
}

void tst_ScriptedTls::sendsTheIntermediateCertificate()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-chain"_s});
    Client client(peer);
    QTRY_VERIFY(client.isEncrypted);
    QVERIFY(client.socket.peerCertificateChain().contains(readCertificate(u"intermediate"_s)));
}

void tst_ScriptedTls::speaksTheVersionsOfItsSettings_data()
{
    QTest::addColumn<QByteArray>("version");
    QTest::addColumn<QString>("protocol"); // as QSslCipher names it
    QTest::newRow("1.1") << QByteArray("TLSv1.1") << u"TLSv1.1"_s;
    QTest::newRow("1.2") << QByteArray("TLSv1.2") << u"TLSv1.2"_s;
    QTest::newRow("1.3") << QByteArray("TLSv1.3") << u"TLSv1.3"_s;
}

void tst_ScriptedTls::speaksTheVersionsOfItsSettings()
{
    QFETCH(QByteArray, version);
    QFETCH(QString, protocol);
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.minimumVersion = version, .maximumVersion = version});
    Client client(peer);
    QTRY_VERIFY(client.isEncrypted);
    QT_WARNING_PUSH
    QT_WARNING_DISABLE_DEPRECATED
    const QMap<QSsl::SslProtocol, QString> names{
        {QSsl::TlsV1_1, u"TLSv1.1"_s}, {QSsl::TlsV1_2, u"TLSv1.2"_s}, {QSsl::TlsV1_3, u"TLSv1.3"_s}};
    QT_WARNING_POP
    QCOMPARE(names.value(client.socket.sessionProtocol()), protocol);
}

void tst_ScriptedTls::learnsTheNameThatTheClientIndicates()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    Client client(peer);
    QTRY_VERIFY(client.isEncrypted);
    QCOMPARE(peer.indicatedName(), "localhost");
}

void tst_ScriptedTls::demandsClientCertificates_data()
{
    QTest::addColumn<ClientCertificate>("setting");
    QTest::addColumn<QString>("certificate");
    QTest::addColumn<bool>("isAccepted");
    QTest::newRow("required, right") << ClientCertificate::Required << u"client"_s << true;
    QTest::newRow("required, by an intermediate") << ClientCertificate::Required << u"client-chain"_s << true;
    QTest::newRow("required, none") << ClientCertificate::Required << QString() << false;
    QTest::newRow("required, foreign") << ClientCertificate::Required << u"client-foreign"_s << false;
    QTest::newRow("required, expired") << ClientCertificate::Required << u"client-expired"_s << false;
    QTest::newRow("optional, none") << ClientCertificate::Optional << QString() << true;
    QTest::newRow("optional, right") << ClientCertificate::Optional << u"client"_s << true;
    QTest::newRow("ignored, foreign") << ClientCertificate::Ignored << u"client-foreign"_s << true;
}

void tst_ScriptedTls::demandsClientCertificates()
{
    QFETCH(ClientCertificate, setting);
    QFETCH(QString, certificate);
    QFETCH(bool, isAccepted);
    for (const QByteArray version : {"TLSv1.2", "TLSv1.3"}) {
        ScriptedPeer peer;
        peer.setTls(TlsSettings{.clientCertificate = setting, .minimumVersion = version, .maximumVersion = version});
        Client client(peer, certificate);
        client.sendProtocolHeader();
        if (isAccepted) {
            QTRY_VERIFY(!client.received.isEmpty());
            QCOMPARE(peer.protocolHeader(), ProtocolHeader.toByteArray());
        } else {
            QTRY_VERIFY(client.isDisconnected);
            QVERIFY2(client.allErrors.contains(u"alert"_s), qPrintable(client.allErrors));
            QCOMPARE(peer.connectionCount(), 0);
            QCOMPARE(peer.bytesReceived(), 0);
        }
        QCOMPARE(peer.acceptedCount(), 1);
    }
}

void tst_ScriptedTls::stalls()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.handshake = Handshake::Stalls});
    Client client(peer);
    QTRY_COMPARE(peer.indicatedName(), "localhost"); // the client's first bytes are here
    QVERIFY(!QTest::qWaitFor([&] { return client.isEncrypted || client.isDisconnected; }, 200));
    QCOMPARE(peer.connectionCount(), 0);
    QCOMPARE(peer.acceptedCount(), 1);
}

void tst_ScriptedTls::hangsUp()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.handshake = Handshake::HangsUp});
    Client during(peer);
    QTRY_VERIFY(during.isDisconnected);
    QVERIFY(!during.isEncrypted);

    peer.setTls(TlsSettings{.handshake = Handshake::ThenHangsUp});
    Client after(peer);
    QTRY_VERIFY(after.isDisconnected);
    QVERIFY(after.isEncrypted);
    QCOMPARE(peer.connectionCount(), 0);
    QCOMPARE(peer.acceptedCount(), 2);
}

void tst_ScriptedTls::sendsBytesInsteadOfTheHandshake()
{
    ScriptedPeer peer;
    const QByteArray handshakeFailure("\x15\x03\x03\0\x02\x02\x28", 7);
    peer.setTls(TlsSettings{.handshake = Handshake::SendsInstead, .instead = handshakeFailure});
    Client client(peer);
    QTRY_VERIFY(client.isDisconnected);
    QVERIFY2(client.allErrors.contains(u"alert handshake failure"_s), qPrintable(client.allErrors));
    QVERIFY(!client.isEncrypted);
}

void tst_ScriptedTls::rejectsClientsWithoutTls()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    QTcpSocket client;
    client.connectToHost(QHostAddress::LocalHost, peer.port());
    client.write(ProtocolHeader.data(), ProtocolHeader.size());
    QTRY_COMPARE(peer.acceptedCount(), 1);
    QTRY_COMPARE(client.state(), QAbstractSocket::UnconnectedState);
    QCOMPARE(client.bytesAvailable(), 0); // OpenSSL sends no alert to a client that does not use TLS at all
    QCOMPARE(peer.connectionCount(), 0);
    QCOMPARE(peer.protocolHeader(), QByteArray());
}

void tst_ScriptedTls::decryptsNothingIfTheClientRefusesTheCertificate()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-foreign"_s});
    Client client(peer);
    client.sendProtocolHeader();
    QTRY_VERIFY(client.isDisconnected);
    QVERIFY(!client.errors.isEmpty());
    QVERIFY(!client.isEncrypted);
    QTRY_VERIFY(!peer.isConnected());
    QCOMPARE(peer.bytesReceived(), 0);
}

void tst_ScriptedTls::takesBytesInPiecesAndLargeOnes()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    peer.setPacing(1);
    Client client(peer);
    client.sendProtocolHeader();
    QTRY_VERIFY(client.received.size() > 20);
    peer.setPacing(0);

    peer.setReading(false);
    const QByteArray bodies = encodeFrame(FrameType::Body, 1, QByteArray(100'000, 'x')).repeated(200);
    client.socket.write(bodies); // more than the kernel accepts
    const qint64 before = peer.bytesReceived();
    QVERIFY(!QTest::qWaitFor([&] { return client.socket.bytesToWrite() + client.socket.encryptedBytesToWrite() == 0; },
                             200));
    QCOMPARE(peer.bytesReceived(), before);
    peer.setReading(true);
    QTRY_COMPARE_WITH_TIMEOUT(peer.bytesReceived(), before + bodies.size(), 60000);
    QCOMPARE(peer.largestFrame(), 100'000 + FrameOverhead);
}

void tst_ScriptedTls::endsTls()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    peer.setTls(std::nullopt);
    QCOMPARE(peer.url().scheme(), u"amqp"_s);
    QTcpSocket client;
    client.connectToHost(QHostAddress::LocalHost, peer.port());
    client.write(ProtocolHeader.data(), ProtocolHeader.size());
    QTRY_VERIFY(client.bytesAvailable() > 0);
    QCOMPARE(peer.protocolHeader(), ProtocolHeader.toByteArray());
}

QTEST_GUILESS_MAIN(tst_ScriptedTls)

#include "tst_scriptedtls.moc"
