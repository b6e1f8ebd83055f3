// SPDX-License-Identifier: MIT
#include "brokerclient.h"
#include "support/certificates.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qrandom.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// TLS with the listener of a real broker, which asks for client certificates but does not require them.
class tst_TlsLive : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void messagesPass();
    void largeBodyPasses();
    void certificateOfTheBrokerCanBeRead();
    void wrongNameIsRejected();
    void clientCertificateIsAccepted();
    void badClientCertificateIsRefused_data();
    void badClientCertificateIsRefused();
    void plainPortIsNamed();
    void tlsPortIsNamed();
    void closeByTheBrokerIsReported();
    void opensAgain();

private:
    ConnectionParameters m_parameters;
};

void tst_TlsLive::initTestCase()
{
    QVERIFY(!brokerTlsUrl().isEmpty());
    const Result<ConnectionParameters> parameters = ConnectionParameters::fromUrl(brokerTlsUrl());
    QVERIFY2(parameters, qPrintable(parameters.error().toString()));
    m_parameters = *parameters;
    m_parameters.trustOnly(certificateFile(u"ca.pem"_s));
}

void tst_TlsLive::messagesPass()
{
    constexpr int Count = 1000;
    BrokerClient client(m_parameters);
    QVERIFY2(client.isOpen(), qPrintable(client.connection.error().toString()));
    QVERIFY(client.connection.currentEndpoint().encrypted);
    const Result<QueueInfo> queue = await(client.channel->declareTemporaryQueue());
    QVERIFY2(queue, qPrintable(queue.error().toString()));
    QList<Message> arrived;
    Consumer *consumer = client.channel->consume(queue->name, ConsumeOptions().withAckMode(AckMode::NoAck));
    collect(consumer, &arrived);
    QStringList sent;
    for (int i = 0; i < Count; ++i) {
        sent += QString::number(i);
        QVERIFY(client.channel->publish({}, queue->name, Message(sent.constLast().toUtf8())));
    }
    QVERIFY(waitFor([&] { return arrived.size() == Count; }));
    QCOMPARE(texts(arrived), sent);
    VERIFY_OK(client.connection.close());
}

void tst_TlsLive::largeBodyPasses()
{
    QByteArray body(64 * 1024 * 1024, Qt::Uninitialized);
    QRandomGenerator random(1);
    random.generate(body.begin(), body.end());
    BrokerClient client(m_parameters);
    QVERIFY2(client.isOpen(), qPrintable(client.connection.error().toString()));
    const Result<QueueInfo> queue = await(client.channel->declareTemporaryQueue());
    QVERIFY2(queue, qPrintable(queue.error().toString()));
    QList<Message> arrived;
    collect(client.channel->consume(queue->name, ConsumeOptions().withAckMode(AckMode::NoAck)), &arrived);
    QVERIFY(client.channel->publish({}, queue->name, Message(body)));
    QVERIFY(waitFor([&] { return arrived.size() == 1; }));
    QVERIFY(arrived.constFirst().body() == body);
}

void tst_TlsLive::certificateOfTheBrokerCanBeRead()
{
    BrokerClient client(m_parameters);
    QVERIFY(client.isOpen());
    QCOMPARE(client.connection.peerCertificate(), readCertificate(u"server"_s));
    QVERIFY(client.connection.peerCertificate().expiryDate() > QDateTime::currentDateTimeUtc());
}

void tst_TlsLive::wrongNameIsRejected()
{
    ConnectionParameters parameters = m_parameters;
    Endpoint endpoint = parameters.endpoints().constFirst();
    endpoint.peerName = u"other.example"_s;
    parameters.setEndpoints({endpoint});
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    QCOMPARE(error.kind(), ErrorKind::Tls);
    QVERIFY2(error.text().contains(u"but not for \"other.example\""_s), qPrintable(error.text()));
}

void tst_TlsLive::clientCertificateIsAccepted()
{
    ConnectionParameters parameters = m_parameters;
    for (const QString &name : {u"client"_s, u"client-rsa"_s, u"client-chain"_s}) {
        parameters.setClientCertificate(certificateFile(name + u".pem"_s), certificateFile(name + u".key"_s));
        Connection connection(parameters);
        VERIFY_OK(connection.open());
    }
}

void tst_TlsLive::badClientCertificateIsRefused_data()
{
    QTest::addColumn<QString>("name");
    for (const char *name : {"client-foreign", "client-expired", "client-revoked"})
        QTest::newRow(name) << QString::fromLatin1(name);
}

// With TLS 1.3 the refusal follows the handshake. If the protocol header arrives at the closed socket first, the alert
// is lost, and the error is the loss of the connection with a hint.
void tst_TlsLive::badClientCertificateIsRefused()
{
    QFETCH(const QString, name);
    ConnectionParameters parameters = m_parameters;
    parameters.setClientCertificate(certificateFile(name + u".pem"_s), certificateFile(name + u".key"_s));
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    QVERIFY2(error.text().contains(u"client certificate"_s), qPrintable(error.toString()));
    QVERIFY2(error.kind() == ErrorKind::Tls || error.kind() == ErrorKind::Network, qPrintable(error.toString()));
}

void tst_TlsLive::plainPortIsNamed()
{
    ConnectionParameters parameters = m_parameters;
    parameters.setEndpoints({{brokerUrl().host(), quint16(brokerUrl().port()), true, u"localhost"_s}});
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    QCOMPARE(error.kind(), ErrorKind::Tls);
    QVERIFY2(error.text().contains(u"does not speak TLS on this port, but probably plain AMQP"_s),
             qPrintable(error.text()));
}

void tst_TlsLive::tlsPortIsNamed()
{
    ConnectionParameters parameters = m_parameters;
    Endpoint endpoint = parameters.endpoints().constFirst();
    endpoint.encrypted = false;
    parameters.setEndpoints({endpoint});
    Connection connection(parameters);
    const Error error = await(connection.open()).error();
    QVERIFY2(error.text().contains(u"an encrypted endpoint is needed, as in amqps://host"_s),
             qPrintable(error.toString()));
}

void tst_TlsLive::closeByTheBrokerIsReported()
{
    ConnectionParameters parameters = withoutRecovery(m_parameters);
    parameters.setConnectionName(uniqueName(u"tls"_s));
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QCOMPARE(brokerControl({u"close_all_user_connections"_s, parameters.userName(), u"the test"_s}).exitCode, 0);
    QVERIFY(waitFor([&] { return client.connection.state() == Connection::State::Closed; }));
    QCOMPARE(client.connection.error().replyCode(), 320);
    QVERIFY2(client.connection.error().text().contains(u"the test"_s), qPrintable(client.connection.error().text()));
}

void tst_TlsLive::opensAgain()
{
    Connection connection(m_parameters);
    for (int i = 0; i < 5; ++i) {
        VERIFY_OK(connection.open());
        VERIFY_OK(connection.close());
    }
}

QTEST_GUILESS_MAIN(tst_TlsLive)
#include "tst_tls_live.moc"
