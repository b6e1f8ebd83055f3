// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"
#include "support/certificates.h"
#include "support/framecounter.h"

#include <AmqpQt/saslmechanism.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// The demonstration mechanism of RabbitMQ: the user in the initial response, the password in that to a challenge.
class CrDemo : public SaslMechanism
{
public:
    explicit CrDemo(const QByteArray &password)
        : m_password(password)
    {
    }
    QByteArray name() const override { return "RABBIT-CR-DEMO"; }
    QByteArray initialResponse() override { return "guest"; }
    std::optional<QByteArray> respond(const QByteArray &challenge) override
    {
        challenges += challenge;
        return "My password is " + m_password;
    }

    QByteArrayList challenges;

private:
    const QByteArray m_password;
};

} // namespace

// SASL mechanisms and credentials against a real broker.
class tst_Authenticating : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void eachMechanismLogsIn_data();
    void eachMechanismLogsIn();
    void challengesAreAnswered();
    void aWrongAnswerIsRefused();
    void externalTakesTheUserFromTheCertificate();
    void externalIsNotTriedWithoutTls();
    void externalIsNotTriedWithoutACertificate();
    void startOkIsAsLargeAsTheBrokerAccepts();
    void refusedCredentialsAreAskedForAgain();
    void secretIsRenewed();
    void tokensAreRenewedBeforeTheyExpire();
};

void tst_Authenticating::eachMechanismLogsIn_data()
{
    QTest::addColumn<QString>("name");
    QTest::newRow("PLAIN") << u"PLAIN"_s;
    QTest::newRow("AMQPLAIN") << u"AMQPLAIN"_s;
    QTest::newRow("ANONYMOUS") << u"ANONYMOUS"_s;
}

void tst_Authenticating::eachMechanismLogsIn()
{
    QFETCH(const QString, name);
    ConnectionParameters parameters = brokerParameters();
    parameters.setMechanismNames({name});
    Connection connection(parameters);
    const Result<void> opened = await(connection.open());
    if (name == u"ANONYMOUS" && !opened && opened.error().text().contains(u"no SASL mechanism in common"))
        QSKIP("this broker does not offer ANONYMOUS");
    QVERIFY2(opened, qPrintable(opened.error().toString()));
    VERIFY_OK(connection.createChannel()->declareTemporaryQueue());
}

void tst_Authenticating::challengesAreAnswered()
{
    ConnectionParameters parameters = brokerParameters();
    const auto mechanism = std::make_shared<CrDemo>("guest");
    parameters.setMechanisms({mechanism});
    Connection connection(parameters);
    VERIFY_OK(connection.open());
    QCOMPARE(mechanism->challenges.size(), 1);
    QVERIFY2(mechanism->challenges.constFirst().contains("password"), mechanism->challenges.constFirst().constData());
    VERIFY_OK(connection.createChannel()->declareTemporaryQueue());
}

void tst_Authenticating::aWrongAnswerIsRefused()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setMechanisms({std::make_shared<CrDemo>("wrong")});
    Connection connection(parameters);
    const Result<void> opened = await(connection.open());
    QVERIFY(!opened);
    QCOMPARE(opened.error().kind(), ErrorKind::Authentication);
    QCOMPARE(opened.error().replyCode(), quint16(403));
}

void tst_Authenticating::externalTakesTheUserFromTheCertificate()
{
    ConnectionParameters parameters = ConnectionParameters::fromUrl(brokerTlsUrl()).value();
    parameters.trustOnly(certificateFile(u"ca.pem"_s));
    parameters.setClientCertificate(certificateFile(u"client.pem"_s), certificateFile(u"client.key"_s));
    parameters.setExternalAuthentication();
    Connection connection(parameters);
    VERIFY_OK(connection.open());
    VERIFY_OK(connection.createChannel()->declareTemporaryQueue());
    const ProcessResult users = brokerControl({u"-q"_s, u"list_connections"_s, u"user"_s, u"auth_mechanism"_s});
    QVERIFY2(users.output.contains("amqpqt-client\tEXTERNAL"), users.output.constData());
}

void tst_Authenticating::externalIsNotTriedWithoutACertificate()
{
    ConnectionParameters parameters = ConnectionParameters::fromUrl(brokerTlsUrl()).value();
    parameters.trustOnly(certificateFile(u"ca.pem"_s));
    parameters.setExternalAuthentication();
    Connection connection(parameters);
    const Result<void> opened = await(connection.open());
    QVERIFY(!opened);
    QCOMPARE(opened.error().kind(), ErrorKind::Authentication);
    QVERIFY2(opened.error().text().contains(u"a client certificate"), qPrintable(opened.error().text()));
}

void tst_Authenticating::externalIsNotTriedWithoutTls()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setExternalAuthentication();
    Connection connection(parameters);
    const FrameCounter logins("sent", "connection.start-ok");
    const Result<void> opened = await(connection.open());
    QVERIFY(!opened);
    QCOMPARE(opened.error().kind(), ErrorKind::Authentication);
    QCOMPARE(opened.error().replyCode(), quint16(0)); // the broker was not asked
    QCOMPARE(logins.count(), 0);
    // Not every version offers EXTERNAL without TLS.
    QVERIFY2(opened.error().text().contains(u"not encrypted") || opened.error().text().contains(u"no SASL mechanism"),
             qPrintable(opened.error().text()));
    QVERIFY2(opened.error().text().contains(u"EXTERNAL"), qPrintable(opened.error().text()));
}

// The limit depends on the version of the broker. At the limit it accepts the frame, above it nothing is sent.
void tst_Authenticating::startOkIsAsLargeAsTheBrokerAccepts()
{
    const auto openWith = [](int size) {
        ConnectionParameters parameters = brokerParameters();
        parameters.setClientProperties({{u"x-padding"_s, QString(size, u'x')}});
        Connection connection(parameters);
        return await(connection.open());
    };
    int accepted = 0;
    int rejected = 8192;
    while (rejected - accepted > 1) {
        const int middle = (accepted + rejected) / 2;
        const Result<void> opened = openWith(middle);
        if (!opened) {
            QCOMPARE(opened.error().kind(), ErrorKind::InvalidArgument);
            QVERIFY2(opened.error().text().startsWith(u"clientProperties"), qPrintable(opened.error().text()));
        }
        (opened ? accepted : rejected) = middle;
    }
    QVERIFY2(accepted > 3000, qPrintable(QString::number(accepted)));
}

void tst_Authenticating::refusedCredentialsAreAskedForAgain()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setCredentials(u"guest"_s, u"wrong"_s);
    Connection connection(parameters);
    QList<Connection::CredentialReason> reasons;
    connect(&connection, &Connection::credentialsRequested, this, [&](Connection::CredentialReason reason) {
        reasons += reason;
        connection.setCredentials(u"guest"_s, u"guest"_s);
    });
    VERIFY_OK(connection.open());
    QCOMPARE(reasons, QList{Connection::CredentialReason::Refused});
    QCOMPARE(connection.parameters().password(), u"guest"_s);
}

// The broker's own users have no tokens that expire, so every secret is accepted.
void tst_Authenticating::secretIsRenewed()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const FrameCounter answers("received", "connection.update-secret-ok");
    VERIFY_OK(client.connection.updateSecret(u"new secret"_s, u"expiry"_s));
    QCOMPARE(answers.count(), 1);
    VERIFY_OK(client.channel->declareTemporaryQueue());
    VERIFY_OK(client.connection.close());
}

void tst_Authenticating::tokensAreRenewedBeforeTheyExpire()
{
    ConnectionParameters parameters;
    parameters.setEndpoints(brokerParameters().endpoints());
    parameters.setEraseOnConnect(true);
    Connection connection(parameters);
    QList<Connection::CredentialReason> reasons;
    connect(&connection, &Connection::credentialsRequested, this, [&](Connection::CredentialReason reason) {
        reasons += reason;
        connection.setCredentials(u"guest"_s, u"guest"_s, 1s);
    });
    const FrameCounter answers("received", "connection.update-secret-ok");
    VERIFY_OK(connection.open());
    QVERIFY(waitFor([&] { return reasons.size() == 3; }));
    QVERIFY(waitFor([&] { return answers.count() == 2; })); // the broker accepted both tokens
    using enum Connection::CredentialReason;
    QCOMPARE(reasons, QList({FirstConnect, ExpiresSoon, ExpiresSoon}));
    VERIFY_OK(connection.close());
    QCOMPARE(connection.parameters().password(), QString());
}

QTEST_GUILESS_MAIN(tst_Authenticating)
#include "tst_authenticating.moc"
