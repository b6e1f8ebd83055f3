// SPDX-License-Identifier: MIT

// Which certificates, names and versions of TLS are accepted. Where an attempt is refused, no byte of AMQP arrives at
// the broker.

#include "support/tlscases.h"
#include "tlssupport.h"

#include <QtCore/qfile.h>
#include <QtCore/qtemporarydir.h>
#include <QtNetwork/qsslsocket.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

using Setup = std::function<void(ConnectionParameters &)>;
using ClientCertificate = TlsSettings::ClientCertificate;
using Handshake = TlsSettings::Handshake;
Q_DECLARE_METATYPE(Setup)

class tst_TlsMatrix : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void hasTheVerdictOfOtherClients_data();
    void hasTheVerdictOfOtherClients();
    void attempt_data();
    void attempt();
    void filesAreReadForEachAttempt();
    void clientCertificateIsReadForEachAttempt();
    void verificationFailureTriesNoOtherEndpoint();
    void stalledHandshakeTriesTheNextEndpoint();
};

namespace
{

struct Case {
    TlsSettings server;
    Endpoint endpoint{u"127.0.0.1"_s, 0, true, u"localhost"_s}; // its port is that of the peer
    Setup setUp;                                                // by default trusts ca
    QList<QSslCertificate> system;                              // what the process trusts by default
};

void trustCa(ConnectionParameters &parameters)
{
    parameters.trustOnly(certificateFile(u"ca.pem"_s));
}

Setup withClient(const QString &name)
{
    return [name](ConnectionParameters &parameters) {
        trustCa(parameters);
        setClientCertificate(parameters, name);
    };
}

// A fatal alert as a server sends it before encryption: type, version, size, level, description.
QByteArray alert(char description)
{
    return QByteArray("\x15\x03\x03\x00\x02\x02", 6) + description;
}

QByteArray plainAmqpAnswer()
{
    return QByteArray("AMQP\0\0\x09\x01", 8);
}

} // namespace
Q_DECLARE_METATYPE(Case)
Q_DECLARE_METATYPE(TlsCase)

// The cases with which pika and librabbitmq are compared.
void tst_TlsMatrix::hasTheVerdictOfOtherClients_data()
{
    QTest::addColumn<TlsCase>("test");
    for (const TlsCase &test : tlsCases())
        QTest::newRow(test.name) << test;
}

void tst_TlsMatrix::hasTheVerdictOfOtherClients()
{
    QFETCH(const TlsCase, test);
    ScriptedPeer peer;
    peer.setTls(test.server);
    ConnectionParameters parameters = trusting(test.authorities, {test.host, peer.port(), true, test.peerName});
    if (!test.certificate.isEmpty()) {
        const QString key = test.key.isEmpty() ? test.certificate : test.key;
        parameters.setClientCertificate(certificateFile(test.certificate + u".pem"_s),
                                        certificateFile(key + u".key"_s));
    }
    if (!test.verifies) {
        QSslConfiguration configuration = parameters.sslConfiguration();
        configuration.setPeerVerifyMode(QSslSocket::VerifyNone);
        parameters.setSslConfiguration(configuration);
    }
    if (test.server && test.server->handshake == Handshake::Stalls)
        parameters.setConnectTimeout(300ms);
    Connection connection(parameters);
    const Error error = openingError(connection);
    QVERIFY2(error.isError() != test.connects, qPrintable(error.toString()));
    if (test.connects)
        return;
    settleEvents();
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QVERIFY(peer.received().isEmpty());
    QVERIFY(!test.server || peer.bytesReceived() == 0);
}

void tst_TlsMatrix::attempt_data()
{
    QTest::addColumn<Case>("test");
    QTest::addColumn<ErrorKind>("kind");
    QTest::addColumn<QString>("text");
    const auto accepted = [](const char *name, const Case &test) {
        QTest::newRow(name) << test << ErrorKind::NoError << QString();
    };
    const auto refused = [](const char *name, const Case &test, const QString &text, ErrorKind kind = ErrorKind::Tls) {
        QTest::newRow(name) << test << kind << text;
    };
    const QString pass = QString::fromUtf8(certificatePassphrase());
    const Endpoint byAddress{u"127.0.0.1"_s, 0, true};

    accepted("right", {});
    accepted("right name", {.endpoint = {u"localhost"_s, 0, true}});
    accepted("right rsa", {.server = {.certificate = u"server-rsa"_s}});
    accepted("right intermediate", {.server = {.certificate = u"server-chain"_s}});
    accepted("address in the certificate", {.endpoint = byAddress});
    refused("address not in the certificate", {.server = {.certificate = u"server-no-ip"_s}, .endpoint = byAddress},
            u"it is valid for localhost, but not for \"127.0.0.1\"; Endpoint::peerName"_s);
    accepted("absolute name", {.server = {.certificate = u"server-broker-example"_s},
                               .endpoint = {u"127.0.0.1"_s, 0, true, u"broker.example."_s}});
    accepted("endpoint with another name", {.server = {.certificate = u"server-broker-example"_s},
                                            .endpoint = {u"127.0.0.1"_s, 0, true, u"broker.example"_s}});
    refused("endpoint without its other name",
            {.server = {.certificate = u"server-broker-example"_s}, .endpoint = {u"localhost"_s, 0, true}},
            u"it is valid for broker.example, but not for \"localhost\""_s);
    refused("wrong host", {.server = {.certificate = u"server-wrong-host"_s}},
            u"it is valid for other.example, but not for \"localhost\""_s);
    refused("expired", {.server = {.certificate = u"server-expired"_s}}, u"it expired on 2021-01-01T00:00:00Z"_s);
    refused("not yet valid", {.server = {.certificate = u"server-not-yet-valid"_s}},
            u"it is not valid before 2048-01-01T00:00:00Z"_s);
    refused("certificate of a client", {.server = {.certificate = u"client"_s}},
            u"it is not a certificate for servers; its extended key usage must contain serverAuth"_s);
    refused("self-signed", {.server = {.certificate = u"server-self-signed"_s}}, u"it is self-signed"_s);
    accepted("self-signed and trusted",
             {.server = {.certificate = u"server-self-signed"_s},
              .setUp = [](auto &parameters) { parameters.trustOnly(certificateFile(u"server-self-signed.pem"_s)); }});
    refused("wrong authority", {.server = {.certificate = u"server-foreign"_s}},
            u"its issuer, \"Foreign CA\", is not trusted"_s);

    const QList<QSslCertificate> foreign{readCertificate(u"foreign-ca"_s)};
    const Setup nothing = [](ConnectionParameters &) {};
    refused("authority of the system only", {.server = {.certificate = u"server-foreign"_s}, .system = foreign},
            u"its issuer, \"Foreign CA\", is not trusted"_s);
    accepted("authority of the system",
             {.server = {.certificate = u"server-foreign"_s}, .setUp = nothing, .system = foreign});
    refused("no authority", {.setUp = nothing}, u"its issuer, \"Test CA\", is not trusted"_s);
    const Setup also = [](ConnectionParameters &parameters) { parameters.trustAlso(certificateFile(u"ca.pem"_s)); };
    accepted("system and another authority", {.setUp = also, .system = foreign});
    accepted("system besides another authority",
             {.server = {.certificate = u"server-foreign"_s}, .setUp = also, .system = foreign});
    accepted("two authorities", {.server = {.certificate = u"server-foreign"_s}, .setUp = [](auto &parameters) {
                                     trustCa(parameters);
                                     parameters.trustAlso(certificateFile(u"foreign-ca.pem"_s));
                                 }});
    refused("authority file is missing", {.setUp = [](auto &parameters) { parameters.trustOnly(u"/no/ca.pem"_s); }},
            u"cannot read the file of certificate authorities \"/no/ca.pem\""_s);

    const auto requiring = [](const Setup &setUp, const QByteArray &maximum = "TLSv1.3") {
        return Case{.server = {.clientCertificate = ClientCertificate::Required, .maximumVersion = maximum},
                    .setUp = setUp};
    };
    accepted("client certificate", requiring(withClient(u"client"_s)));
    accepted("client certificate rsa", requiring(withClient(u"client-rsa"_s)));
    accepted("client certificate intermediate", requiring(withClient(u"client-chain"_s)));
    accepted("client certificate encrypted", requiring([pass](ConnectionParameters &parameters) {
                 trustCa(parameters);
                 parameters.setClientCertificate(certificateFile(u"client.pem"_s),
                                                 certificateFile(u"client-encrypted.key"_s), pass);
             }));
    accepted("client certificate pkcs12", requiring([pass](ConnectionParameters &parameters) {
                 trustCa(parameters);
                 parameters.setClientPkcs12(certificateFile(u"client.p12"_s), pass);
             }));
    for (const QByteArray &version : {QByteArray("TLSv1.2"), QByteArray("TLSv1.3")}) {
        const auto row = [&](const char *name) { return name + (" " + version); };
        refused(row("client certificate missing"), requiring(trustCa, version),
                version == "TLSv1.2" ? u"client certificate"_s : u"the broker requires a client certificate"_s);
        refused(row("client certificate foreign"), requiring(withClient(u"client-foreign"_s), version),
                u"client certificate"_s);
        refused(row("client certificate expired"), requiring(withClient(u"client-expired"_s), version),
                u"client certificate"_s);
    }
    refused("client certificate revoked",
            {.server = {.handshake = Handshake::SendsInstead, .instead = alert(44)}, .setUp = withClient(u"client"_s)},
            u"the broker refused the client certificate, since it has been revoked"_s);
    refused("client certificate with another key", requiring([](ConnectionParameters &parameters) {
                trustCa(parameters);
                parameters.setClientCertificate(certificateFile(u"client.pem"_s),
                                                certificateFile(u"client-stranger.key"_s));
            }),
            u"the private key does not belong to the client certificate"_s);

    accepted("tls 1.2 only", {.server = {.maximumVersion = "TLSv1.2"}});
    accepted("tls 1.3 only", {.server = {.minimumVersion = "TLSv1.3"}});
    refused("tls 1.1 only", {.server = {.minimumVersion = "TLSv1.1", .maximumVersion = "TLSv1.1"}},
            u"the broker supports no version of TLS that this connection accepts"_s);
    refused("stalled handshake",
            {.server = {.handshake = Handshake::Stalls},
             .setUp =
                 [](ConnectionParameters &parameters) {
                     trustCa(parameters);
                     parameters.setConnectTimeout(300ms);
                 }},
            u"timed out after 300 ms while waiting for "_s, ErrorKind::Timeout); // the handshake, on a fast machine
    refused("closed during the handshake", {.server = {.handshake = Handshake::HangsUp}},
            u"the server closed the connection during the TLS handshake"_s, ErrorKind::Network);
    refused("closed after the handshake", {.server = {.handshake = Handshake::ThenHangsUp}},
            u"right after the TLS handshake; the broker may require another client certificate"_s, ErrorKind::Network);
    refused("plain port", {.server = {.handshake = Handshake::SendsInstead, .instead = plainAmqpAnswer()}},
            u"the server does not speak TLS on this port, but probably plain AMQP"_s);
    refused("broker that is starting", {.server = {.handshake = Handshake::SendsInstead, .instead = alert(80)}},
            u"the broker ended the TLS session"_s, ErrorKind::Network);
    refused("broker that is stopping", {.server = {.handshake = Handshake::SendsInstead, .instead = alert(90)}},
            u"the broker ended the TLS session"_s, ErrorKind::Network);
    refused("name unknown to the broker", {.server = {.handshake = Handshake::SendsInstead, .instead = alert(112)}},
            u"the broker has no certificate for \"localhost\""_s);
}

void tst_TlsMatrix::attempt()
{
    QFETCH(const Case, test);
    QFETCH(const ErrorKind, kind);
    QFETCH(const QString, text);
    QSslConfiguration byDefault = QSslConfiguration::defaultConfiguration();
    byDefault.setCaCertificates(test.system);
    byDefault.setProtocol(QSsl::AnyProtocol); // what the process accepts must not matter
    byDefault.setPeerVerifyMode(QSslSocket::VerifyNone);
    byDefault.setBackendConfigurationOption("CipherString", QByteArray("DEFAULT:@SECLEVEL=0"));
    const DefaultConfiguration guard(byDefault);
    ScriptedPeer peer;
    peer.setTls(test.server);
    ConnectionParameters parameters = withoutRecovery();
    Endpoint endpoint = test.endpoint;
    endpoint.port = peer.port();
    parameters.setEndpoints({endpoint});
    (test.setUp ? test.setUp : trustCa)(parameters);
    QCOMPARE(brief(parameters.error()), u"ok"_s);

    Connection connection(parameters);
    const Error error = openingError(connection);
    QVERIFY2(error.kind() == kind && error.text().contains(text), qPrintable(error.toString()));
    QVERIFY(QSslConfiguration::defaultConfiguration() == byDefault);
    if (kind == ErrorKind::NoError) {
        QVERIFY(connection.isOpen());
        QCOMPARE(connection.peerCertificate(), readCertificate(test.server.certificate));
        connection.close();
        QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
        QCOMPARE(peer.violations(), QStringList());
        return;
    }
    QVERIFY2(!error.text().contains(QString::fromUtf8(certificatePassphrase())), qPrintable(error.text()));
    settleEvents();
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.bytesReceived(), 0);
    QCOMPARE(peer.protocolHeader(), QByteArray());
    QVERIFY(peer.acceptedCount() <= 1);
}

static void replaceFile(const QString &file, const QString &source)
{
    QFile::remove(file);
    if (!QFile::copy(certificateFile(source), file))
        qFatal("cannot copy %s", qPrintable(source));
}

void tst_TlsMatrix::filesAreReadForEachAttempt()
{
    const QTemporaryDir directory;
    const QString file = directory.filePath(u"ca.pem"_s);
    ScriptedPeer peer;
    peer.setTls(TlsSettings());
    ConnectionParameters parameters = withoutRecovery();
    parameters.setEndpoints({tlsEndpointOf(peer)});
    parameters.trustOnly(file);
    Connection connection(parameters);
    QCOMPARE(brief(openingError(connection)), u"Tls"_s); // the file does not exist
    replaceFile(file, u"foreign-ca.pem"_s);
    QCOMPARE(brief(openingError(connection)), u"Tls"_s);
    QCOMPARE(peer.bytesReceived(), 0);
    replaceFile(file, u"ca.pem"_s);
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
}

void tst_TlsMatrix::clientCertificateIsReadForEachAttempt()
{
    const QTemporaryDir directory;
    const QString certificate = directory.filePath(u"client.pem"_s);
    const QString key = directory.filePath(u"client.key"_s);
    ScriptedPeer peer;
    peer.setTls(TlsSettings{.clientCertificate = ClientCertificate::Required});
    ConnectionParameters parameters = trusting(u"ca"_s, tlsEndpointOf(peer));
    parameters.setClientCertificate(certificate, key);
    Connection connection(parameters);
    replaceFile(certificate, u"client-foreign.pem"_s);
    replaceFile(key, u"client-foreign.key"_s);
    QCOMPARE(brief(openingError(connection)), u"Tls"_s);
    QCOMPARE(peer.bytesReceived(), 0);
    replaceFile(certificate, u"client.pem"_s);
    replaceFile(key, u"client.key"_s);
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
}

void tst_TlsMatrix::verificationFailureTriesNoOtherEndpoint()
{
    ScriptedPeer wrong;
    wrong.setTls(TlsSettings{.certificate = u"server-foreign"_s});
    ScriptedPeer right;
    right.setTls(TlsSettings());
    ConnectionParameters parameters = trusting(u"ca"_s, tlsEndpointOf(wrong));
    parameters.setEndpoints({tlsEndpointOf(wrong), tlsEndpointOf(right)});
    Connection connection(parameters);
    QCOMPARE(brief(openingError(connection)), u"Tls"_s);
    QCOMPARE(right.acceptedCount(), 0);
}

void tst_TlsMatrix::stalledHandshakeTriesTheNextEndpoint()
{
    ScriptedPeer stalling;
    stalling.setTls(TlsSettings{.handshake = Handshake::Stalls});
    ScriptedPeer right;
    right.setTls(TlsSettings{.certificate = u"server-broker-example"_s});
    ConnectionParameters parameters = trusting(u"ca"_s, tlsEndpointOf(stalling));
    parameters.setEndpoints({tlsEndpointOf(stalling), tlsEndpointOf(right, u"broker.example"_s)});
    parameters.setConnectTimeout(3s); // of each endpoint, so it must suffice for the second one on a busy machine
    Connection connection(parameters);
    QCOMPARE(brief(openingError(connection)), u"ok"_s);
    QCOMPARE(right.indicatedName(), "broker.example");
    QCOMPARE(stalling.indicatedName(), "localhost");
}

QTEST_GUILESS_MAIN(tst_TlsMatrix)
#include "tst_tlsmatrix.moc"
