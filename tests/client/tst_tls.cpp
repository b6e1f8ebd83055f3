// SPDX-License-Identifier: MIT

// A connection over TLS: what the application learns about it, and that it transports what one over TCP does.

#include "support/proxyserver.h"
#include "tlssupport.h"

#include "transport/tlsoptions_p.h"

#include <QtCore/qfile.h>
#include <QtCore/qrandom.h>
#include <QtCore/qtemporarydir.h>
#include <QtNetwork/qsslcipher.h>
#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qsslsocket.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

static void addProxies()
{
    QTest::addColumn<ProxyServer::Kind>("kind");
    QTest::newRow("SOCKS5") << ProxyServer::Kind::Socks5;
    QTest::newRow("HTTP") << ProxyServer::Kind::Http;
}

class tst_Tls : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void expiryOfThePeerCertificateCanBeRead();
    void sessionCipherHasTheVersionOfTls_data();
    void sessionCipherHasTheVersionOfTls();
    void peerCertificateOfARejectedBrokerCanBeRead();
    void sslErrorsAreReportedBeforeTheEnd();
    void slotOfSslErrorsMayDeleteTheConnection();
    void acceptedCertificateConnectsWithAWarningEachTime();
    void otherCertificateIsStillRejected();
    void otherErrorIsStillRejected();
    void acceptanceEnds();
    void noVerificationWarnsEachTime();
    void oldProtocolsAreRejectedLocally();
    void tlsRequiredRejectsPlainEndpoints();
    void plainConnectionToATlsPortIsNamed();
    void unansweredProtocolHeaderMayMeanTls();
    void largeBodiesArriveInBothDirections();
    void lastBytesBeforeTheEndAreDispatched();
    void lossIsReported();
    void lossThroughAProxyLosesNoDelivery_data() { addProxies(); }
    void lossThroughAProxyLosesNoDelivery();
    void readingAKeySparesOtherConnections_data();
    void readingAKeySparesOtherConnections();
    void backpressureReachesThePublisher();
    void deletedConnectionSendsEverything();
    void urlConnects();
    void backpressureReachesThePublisherThroughAProxy_data() { addProxies(); }
    void backpressureReachesThePublisherThroughAProxy();
    void passphraseIsNeverShown();

private:
    QTemporaryDir m_directory;
};

namespace
{

const QString Accepted = QStringLiteral("accepted in spite of an error");

ConnectionParameters trustingCa(const ScriptedPeer &peer)
{
    return trusting(u"ca"_s, tlsEndpointOf(peer));
}

QByteArray randomBytes(qsizetype size)
{
    QRandomGenerator random{quint32(size)};
    QByteArray bytes(size, Qt::Uninitialized);
    random.generate(bytes.begin(), bytes.end());
    return bytes;
}

// Counts the warnings that contain a text while it exists.
class Warnings
{
public:
    Warnings()
    {
        s_current = this;
        m_previous = qInstallMessageHandler(
            [](QtMsgType, const QMessageLogContext &, const QString &text) { s_current->texts += text; });
    }
    ~Warnings() { qInstallMessageHandler(m_previous); }
    Q_DISABLE_COPY_MOVE(Warnings)

    qsizetype count(const QString &text) const { return texts.filter(text).size(); }

    QStringList texts;

private:
    static inline Warnings *s_current = nullptr;
    QtMessageHandler m_previous = nullptr;
};

} // namespace

void tst_Tls::expiryOfThePeerCertificateCanBeRead()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    Connection connection(trustingCa(peer));
    QVERIFY(connection.peerCertificate().isNull());
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
    QCOMPARE(connection.peerCertificate().expiryDate(), readCertificate(u"server"_s).expiryDate());
    QVERIFY(connection.currentEndpoint().encrypted);
    connection.close();
    QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Closed; }));
    QVERIFY(!connection.peerCertificate().isNull());

    ScriptedPeer plain;
    connection.setParameters(parametersOf(plain));
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
    QVERIFY(connection.peerCertificate().isNull());
}

void tst_Tls::sessionCipherHasTheVersionOfTls_data()
{
    QTest::addColumn<QByteArray>("version");
    QTest::newRow("TLS 1.2") << QByteArray("TLSv1.2");
    QTest::newRow("TLS 1.3") << QByteArray("TLSv1.3");
}

void tst_Tls::sessionCipherHasTheVersionOfTls()
{
    QFETCH(const QByteArray, version);
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.minimumVersion = version, .maximumVersion = version});
    Connection connection(trustingCa(peer));
    QVERIFY(connection.sessionCipher().isNull());
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
    QVERIFY(connection.sessionCipher().name().contains("AES"_L1) ||
            connection.sessionCipher().name().contains("CHACHA"_L1));
    QCOMPARE(connection.sessionCipher().protocolString(), QString::fromLatin1(version));
    connection.close();
    QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Closed; }));

    ScriptedPeer plain;
    connection.setParameters(parametersOf(plain));
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
    QVERIFY(connection.sessionCipher().isNull());
}

void tst_Tls::peerCertificateOfARejectedBrokerCanBeRead()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-foreign"_s});
    Connection connection(trustingCa(peer));
    QCOMPARE(brief(openingError(connection)), u"Tls"_s);
    QCOMPARE(connection.peerCertificate(), readCertificate(u"server-foreign"_s));
}

void tst_Tls::sslErrorsAreReportedBeforeTheEnd()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-self-signed"_s});
    Connection connection(trustingCa(peer));
    QStringList order;
    QList<QSslError> errors;
    connect(&connection, &Connection::sslErrors, this, [&](const QList<QSslError> &found) {
        errors = found;
        order += u"sslErrors"_s;
    });
    connect(&connection, &Connection::closed, this, [&] { order += u"closed"_s; });
    QCOMPARE(brief(openingError(connection)), u"Tls"_s);
    QVERIFY(waitUntil([&] { return order.contains(u"closed"_s); }));
    QCOMPARE(order, (QStringList{u"sslErrors"_s, u"closed"_s}));
    QCOMPARE(errors.size(), 1);
    QCOMPARE(errors.constFirst().error(), QSslError::SelfSignedCertificate);
}

void tst_Tls::slotOfSslErrorsMayDeleteTheConnection()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-foreign"_s});
    auto connection = std::make_unique<Connection>(trustingCa(peer));
    connect(connection.get(), &Connection::sslErrors, this, [&] { connection.reset(); });
    const Reply<void> opening = connection->open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }, 30s));
    QVERIFY(!connection);
    QVERIFY(opening.result().error().isError());
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.bytesReceived(), 0);
}

void tst_Tls::acceptedCertificateConnectsWithAWarningEachTime()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-self-signed"_s});
    Connection connection(trustingCa(peer));
    QSignalSpy sslErrors(&connection, &Connection::sslErrors);
    connection.ignoreSslErrors(readCertificate(u"server-self-signed"_s), {QSslError::SelfSignedCertificate});
    const Warnings warnings;
    for (int opening = 1; opening <= 2; ++opening) {
        QCOMPARE(brief(openingError(connection)), u"ok"_s);
        QCOMPARE(warnings.count(Accepted), opening);
        connection.close();
        QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Closed; }));
    }
    QCOMPARE(sslErrors.size(), 0);
    Connection other(trustingCa(peer));
    QCOMPARE(brief(openingError(other)), u"Tls"_s);
}

void tst_Tls::otherCertificateIsStillRejected()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-foreign"_s});
    Connection connection(trustingCa(peer));
    const QList<QSslError::SslError> all{QSslError::SelfSignedCertificate, QSslError::UnableToGetLocalIssuerCertificate,
                                         QSslError::UnableToVerifyFirstCertificate, QSslError::CertificateUntrusted};
    connection.ignoreSslErrors(readCertificate(u"server-self-signed"_s), all);
    connection.ignoreSslErrors(readCertificate(u"foreign-ca"_s), all);
    QTest::ignoreMessage(QtWarningMsg, "ignoreSslErrors: the certificate is null");
    connection.ignoreSslErrors(QSslCertificate(), all);
    QCOMPARE(brief(openingError(connection)), u"Tls"_s);
    connection.ignoreSslErrors(readCertificate(u"server-foreign"_s), all);
    const Warnings warnings;
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
    QVERIFY(warnings.count(Accepted) > 0);
}

void tst_Tls::otherErrorIsStillRejected()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-self-signed"_s});
    Connection connection(trusting(u"ca"_s, tlsEndpointOf(peer, u"other.example"_s)));
    connection.ignoreSslErrors(readCertificate(u"server-self-signed"_s), {QSslError::SelfSignedCertificate});
    const Error error = openingError(connection);
    QCOMPARE(brief(error), u"Tls"_s);
    QVERIFY2(error.text().contains(u"but not for \"other.example\""_s), qPrintable(error.text()));
    QCOMPARE(peer.bytesReceived(), 0);
}

void tst_Tls::acceptanceEnds()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-self-signed"_s});
    Connection connection(trustingCa(peer));
    const QSslCertificate certificate = readCertificate(u"server-self-signed"_s);
    connection.ignoreSslErrors(certificate, {QSslError::SelfSignedCertificate});
    connection.ignoreSslErrors(certificate, {});
    QCOMPARE(brief(openingError(connection)), u"Tls"_s);
}

void tst_Tls::noVerificationWarnsEachTime()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-expired"_s});
    ConnectionParameters parameters = trustingCa(peer);
    QSslConfiguration configuration = parameters.sslConfiguration();
    configuration.setPeerVerifyMode(QSslSocket::VerifyNone);
    parameters.setSslConfiguration(configuration);
    Connection connection(parameters);
    const Warnings warnings;
    for (int opening = 1; opening <= 2; ++opening) {
        QCOMPARE(brief(openingError(connection)), u"ok"_s);
        QCOMPARE(warnings.count(u"without verification of its certificate"_s), opening);
        connection.close();
        QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Closed; }));
    }
}

void tst_Tls::oldProtocolsAreRejectedLocally()
{
    ConnectionParameters parameters;
    QSslConfiguration configuration = parameters.sslConfiguration();
    configuration.setProtocol(QSsl::AnyProtocol);
    QTest::ignoreMessage(QtWarningMsg, "setSslConfiguration: the protocol is not TLS 1.2 or later");
    parameters.setSslConfiguration(configuration);
    QCOMPARE(brief(parameters.error()), u"InvalidArgument"_s);
    configuration.setProtocol(QSsl::TlsV1_3OrLater);
    parameters.setSslConfiguration(configuration);
    QCOMPARE(brief(parameters.error()), u"ok"_s);
    QCOMPARE(parameters.sslConfiguration().protocol(), QSsl::TlsV1_3OrLater);
}

void tst_Tls::tlsRequiredRejectsPlainEndpoints()
{
    ScriptedPeer encrypted;
    encrypted.setTls(TlsSettings());
    ScriptedPeer plain;
    ConnectionParameters parameters = trustingCa(encrypted);
    parameters.setTlsRequired(true);
    Connection connection(parameters);
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
    connection.close();
    QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Closed; }));

    parameters.setEndpoints({tlsEndpointOf(encrypted), {u"127.0.0.1"_s, plain.port()}});
    connection.setParameters(parameters);
    const Error error = openingError(connection);
    QCOMPARE(brief(error), u"InvalidArgument"_s);
    QCOMPARE(error.text(), u"tlsRequired: the endpoint \"127.0.0.1:%1\" does not use TLS"_s.arg(plain.port()));
    QCOMPARE(encrypted.acceptedCount(), 1);
    QCOMPARE(plain.acceptedCount(), 0);
}

void tst_Tls::plainConnectionToATlsPortIsNamed()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.handshake = TlsSettings::Handshake::SendsInstead,
                            .instead = QByteArray("\x15\x03\x03\x00\x02\x02\x0a", 7)}); // unexpected_message
    ConnectionParameters parameters;
    parameters.setEndpoints({{u"127.0.0.1"_s, peer.port()}});
    Connection connection(parameters);
    const Error error = openingError(connection);
    QVERIFY2(error.text().contains(
                 u"the server speaks TLS on this port; an encrypted endpoint is needed, as in amqps://host"_s),
             qPrintable(error.toString()));
    QVERIFY(!error.isRecoverable());
}

void tst_Tls::unansweredProtocolHeaderMayMeanTls()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.handshake = TlsSettings::Handshake::HangsUp});
    ConnectionParameters parameters;
    parameters.setEndpoints({{u"127.0.0.1"_s, peer.port()}});
    Connection connection(parameters);
    const Error error = openingError(connection);
    QCOMPARE(brief(error), u"Network"_s);
    QVERIFY2(error.text().endsWith(u"without an answer to the protocol header; if this port expects TLS, an encrypted "
                                   "endpoint is needed, as in amqps://host"_s),
             qPrintable(error.text()));
}

void tst_Tls::largeBodiesArriveInBothDirections()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    peer.setTls(TlsSettings());
    OpenClient client(trustingCa(peer));
    const QByteArray body = randomBytes(64 * 1024 * 1024);
    QVERIFY(client.channel->publish({}, u"q"_s, Message(body)));
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == 1; }, 120s));
    QVERIFY(peer.last("basic.publish").body == body);
    peer.forgetReceived();

    QByteArray arrived;
    Consumer *consumer = client.consume();
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { arrived = message.body(); });
    peer.deliver(1, "c1", 1, body);
    QVERIFY(waitUntil([&] { return !arrived.isEmpty(); }, 120s));
    QVERIFY(arrived == body);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Tls::lastBytesBeforeTheEndAreDispatched()
{
    constexpr int Count = 2000;
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    OpenClient client(trustingCa(peer));
    Consumer *consumer = client.consume(ConsumeOptions().withAckMode(AckMode::NoAck));
    int arrived = 0;
    connect(consumer, &Consumer::delivered, this, [&] { ++arrived; });
    Error reason;
    connect(&client.connection, &Connection::closed, this, [&](const Error &error) { reason = error; });
    peer.sendRaw(deliveries("c1", 1, QByteArrayList(Count, QByteArray(1000, 'x'))) +
                 encodeFrame(0, Wire::ConnectionClose{.replyCode = 320, .replyText = "CONNECTION_FORCED"}));
    peer.hangUp();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed && reason.isError(); }, 30s));
    QCOMPARE(arrived, Count);
    QCOMPARE(brief(reason), u"ConnectionClosed 320"_s);
}

void tst_Tls::lossIsReported()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    OpenClient client(trustingCa(peer));
    SignalLog log;
    log.watch(&client.connection);
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed Network"_s); }));
    QVERIFY(client.connection.error().isRecoverable());
    QCOMPARE(brief(openingError(client.connection)), u"ok"_s);
}

// The socket to the proxy is deleted when the connection is lost, while decrypted deliveries wait.
void tst_Tls::lossThroughAProxyLosesNoDelivery()
{
    QFETCH(const ProxyServer::Kind, kind);
    constexpr int Count = 1000;
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    ProxyServer server(kind, peer.port());
    ConnectionParameters parameters = trusting(u"ca"_s, {u"broker.invalid"_s, 0, true, u"localhost"_s});
    parameters.setProxy(server.proxy());
    parameters.setDispatchBudget(1ms);
    OpenClient client(parameters);
    Consumer *consumer = client.consume(ConsumeOptions().withAckMode(AckMode::NoAck));
    int arrived = 0;
    int arrivedAfterTheLoss = 0;
    connect(consumer, &Consumer::delivered, this, [&] {
        ++arrived;
        arrivedAfterTheLoss += server.findChildren<QTcpSocket *>().isEmpty();
        QThread::usleep(100); // so that a turn dispatches a few deliveries
        QCOMPARE(client.connection.bytesToWrite(), 0);
    });
    peer.sendRaw(deliveries("c1", 1, QByteArrayList(Count, "m")));
    peer.hangUp();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    QCOMPARE(arrived, Count);
    QVERIFY(arrivedAfterTheLoss > 0);
}

void tst_Tls::readingAKeySparesOtherConnections_data()
{
    QTest::addColumn<TlsOptions>("options");
    QTest::addColumn<bool>("isRight");
    const QString certificate = certificateFile(u"client.pem"_s);
    const QString key = certificateFile(u"client.key"_s);
    const QString encryptedKey = certificateFile(u"client-encrypted.key"_s);
    QTest::newRow("EC key") << TlsOptions{.certificateFile = certificate, .keyFile = key} << true;
    QTest::newRow("wrong passphrase") << TlsOptions{.certificateFile = certificate,
                                                    .keyFile = encryptedKey,
                                                    .passphrase = Secret(u"wrong"_s)}
                                      << false;
    QTest::newRow("no key") << TlsOptions{.certificateFile = certificate, .keyFile = certificate} << false;
    QFile damaged(m_directory.filePath(u"ca.pem"_s));
    QVERIFY(damaged.open(QIODevice::WriteOnly));
    damaged.write("-----BEGIN CERTIFICATE-----\n" + QByteArray(99, 'x').toBase64() + "\n-----END CERTIFICATE-----\n");
    QTest::newRow("damaged authority") << TlsOptions{.authorityFiles = {damaged.fileName()}} << false;
    QTest::newRow("not PKCS#12") << TlsOptions{.certificateFile = key, .isPkcs12 = true} << false;
}

void tst_Tls::readingAKeySparesOtherConnections()
{
    QFETCH(const TlsOptions, options);
    QFETCH(const bool, isRight);
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    peer.setTls(TlsSettings());
    OpenClient client(trustingCa(peer));
    SignalLog log;
    log.watch(&client.connection);
    log.watchDeliveries(client.consume());
    QCOMPARE(bool(tlsConfiguration(options)), isRight); // for another connection of this thread
    peer.deliver(1, "c1", 1, "m");
    QVERIFY(waitUntil([&] { return log.has(u"consumer.delivered m"_s) || !client.connection.isOpen(); }));
    QVERIFY2(client.connection.isOpen(), qPrintable(client.connection.error().toString()));
    settle(client.connection);
    QVERIFY(client.connection.isOpen());
}

// Publishes until the connection is no longer writable, and lets the peer read then.
static void publishUntilBackpressure(ScriptedPeer &peer, ConnectionParameters parameters)
{
    parameters.setWriteBuffer(100'000, 1'000'000, 64 * 1024 * 1024);
    OpenClient client(parameters);
    peer.setReading(false);
    int published = 0;
    while (client.connection.isWritable() && published < 1000) { // the kernel accepts a few MB
        QVERIFY(client.channel->publish({}, u"q"_s, Message(QByteArray(50'000, 'b'))));
        ++published;
        settleEvents();
    }
    QVERIFY(published < 1000);
    QVERIFY(client.connection.bytesToWrite() > 1'000'000);
    peer.setReading(true);
    QVERIFY(waitUntil([&] { return client.connection.isWritable() && client.connection.bytesToWrite() == 0; }, 30s));
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == published; }, 30s));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Tls::backpressureReachesThePublisher()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    peer.setTls(TlsSettings());
    publishUntilBackpressure(peer, trustingCa(peer));
}

void tst_Tls::backpressureReachesThePublisherThroughAProxy()
{
    QFETCH(const ProxyServer::Kind, kind);
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    peer.setTls(TlsSettings());
    ProxyServer server(kind, peer.port());
    // Only the proxy can look this name up.
    ConnectionParameters parameters = trusting(u"ca"_s, {u"broker.invalid"_s, 0, true, u"localhost"_s});
    parameters.setProxy(server.proxy());
    publishUntilBackpressure(peer, parameters);
    QCOMPARE(server.targets(), QStringList{u"broker.invalid:5671"_s});
    QCOMPARE(peer.indicatedName(), "localhost");
}

void tst_Tls::deletedConnectionSendsEverything()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    peer.setTls(TlsSettings());
    {
        OpenClient client(trustingCa(peer));
        for (int i = 0; i < 100; ++i)
            client.channel->publish({}, u"q"_s, Message(QByteArray(100'000, 'b')));
    }
    QVERIFY(waitUntil([&] { return peer.count("connection.close") == 1; }, 30s));
    QCOMPARE(peer.count("basic.publish"), 100);
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Tls::urlConnects()
{
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.certificate = u"server-broker-example"_s,
                            .clientCertificate = TlsSettings::ClientCertificate::Required});
    const auto file = [](const QString &name) {
        return QString::fromLatin1(QUrl::toPercentEncoding(certificateFile(name)));
    };
    Connection connection(
        QUrl(u"amqps://127.0.0.1:%1?cacertfile=%2&keyfile=%3&certfile=%4&verify=verify_peer"
             "&server_name_indication=broker.example"_s.arg(QString::number(peer.port()), file(u"ca.pem"_s),
                                                            file(u"client.key"_s), file(u"client.pem"_s))));
    const Error error = openingError(connection);
    QVERIFY2(!error.isError(), qPrintable(error.text()));
    QCOMPARE(peer.indicatedName(), "broker.example");
}

void tst_Tls::passphraseIsNeverShown()
{
    const QString passphrase = QString::fromUtf8(certificatePassphrase());
    const Warnings output;
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    ConnectionParameters parameters = trustingCa(peer);
    for (const bool isRight : {true, false}) {
        parameters.setClientPkcs12(certificateFile(u"client.p12"_s), isRight ? passphrase : u"wrong "_s + passphrase);
        Connection connection(parameters);
        const Error error = openingError(connection);
        QCOMPARE(error.isError(), !isRight);
        QVERIFY(!error.toString().contains(passphrase));
        QVERIFY(!connection.url().toString().contains(passphrase));
        parameters.setClientCertificate(certificateFile(u"client.pem"_s), certificateFile(u"client-encrypted.key"_s),
                                        u"wrong "_s + passphrase);
        QVERIFY(!parameters.toUrl().toString().contains(passphrase));
    }
    QCOMPARE(output.count(passphrase), 0);
}

QTEST_GUILESS_MAIN(tst_Tls)
#include "tst_tls.moc"
