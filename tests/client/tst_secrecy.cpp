// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <AmqpQt/amqpqt.h>

#include <QtCore/qloggingcategory.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qmutex.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

const QString Canary = u"c4n4ry-7f3a"_s;

QMutex logMutex;
QString logged;

void keepMessage(QtMsgType, const QMessageLogContext &context, const QString &message)
{
    const QMutexLocker locker(&logMutex);
    logged += QLatin1StringView(context.category) + u": "_s + message + u'\n';
}

template <typename T>
QString shown(const T &value)
{
    QString text;
    QDebug(&text) << value;
    return text + u'\n';
}

// All that an object shows: its properties, as text and for debugging.
QString propertiesOf(const QObject &object)
{
    QString text;
    const QMetaObject &type = *object.metaObject();
    for (int i = 0; i < type.propertyCount(); ++i) {
        const QVariant value = type.property(i).read(&object);
        text += QLatin1StringView(type.property(i).name()) + u": "_s + value.toString() + u' ' + shown(value);
    }
    return text;
}

class OwnMechanism : public SaslMechanism
{
public:
    QByteArray name() const override { return "OWN"; }
    QByteArray initialResponse() override { return Canary.toUtf8(); }
    std::optional<QByteArray> respond(const QByteArray &challenge) override
    {
        wasChallenged = challenge.contains(Canary.toUtf8());
        return challenge + Canary.toUtf8();
    }

    bool wasChallenged = false;
};

} // namespace

// A password must never appear in output. Its way to the broker is checked as well, so that it was really in use.
class tst_Secrecy : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();
    void everyOutputOfAConnection_data();
    void everyOutputOfAConnection();
    void invalidUrls_data();
    void invalidUrls();

private:
    void check(const QString &text);
    QtMessageHandler m_before = nullptr;
};

void tst_Secrecy::init()
{
    logged.clear();
    m_before = qInstallMessageHandler(keepMessage);
    QLoggingCategory::setFilterRules(u"amqpqt.*=true"_s); // the log of frames is disabled by default
}

void tst_Secrecy::cleanup()
{
    QLoggingCategory::setFilterRules({});
    qInstallMessageHandler(m_before);
}

void tst_Secrecy::check(const QString &text)
{
    for (const QString &form :
         {Canary, QString::fromLatin1(Canary.toUtf8().toHex()), QString::fromLatin1(Canary.toUtf8().toBase64())}) {
        const qsizetype at = text.indexOf(form, 0, Qt::CaseInsensitive);
        QVERIFY2(at < 0, qPrintable(text.mid(std::max<qsizetype>(at - 200, 0), 400)));
    }
}

void tst_Secrecy::everyOutputOfAConnection_data()
{
    QTest::addColumn<QString>("how");
    for (const char *how : {"URL", "setters", "AMQPLAIN", "refused login", "dropped login", "wrong virtual host",
                            "own mechanism", "answer to credentialsRequested", "renewal", "refused renewal",
                            "rejected secret", "rejected renewal", "too large"})
        QTest::newRow(how) << QString::fromLatin1(how);
}

void tst_Secrecy::everyOutputOfAConnection()
{
    QFETCH(const QString, how);
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    QByteArray received; // all credentials
    peer.setHook([&](const Command &command) {
        for (const QString &field : {u"response"_s, u"new-secret"_s})
            received += command.fields.value(field).toByteArray();
        return false;
    });
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setCredentials(u"guest"_s, Canary);
    const auto mechanism = std::make_shared<OwnMechanism>();
    bool reachesTheBroker = true;
    bool asks = false;
    if (how == u"URL") {
        QUrl url = peer.url();
        url.setPassword(Canary);
        parameters = *ConnectionParameters::fromUrl(url);
    } else if (how == u"AMQPLAIN") {
        parameters.setMechanismNames({u"AMQPLAIN"_s});
    } else if (how == u"refused login") {
        peer.closeInsteadOf("connection.tune", 403, "ACCESS_REFUSED - Login was refused");
    } else if (how == u"dropped login") {
        handshake.serverProperties = {};
        peer.setHook([&](const Command &command) {
            received += command.fields.value(u"response"_s).toByteArray();
            peer.hangUp();
            return true;
        });
    } else if (how == u"wrong virtual host") {
        peer.closeInsteadOf("connection.open-ok", 530, "NOT_ALLOWED - vhost not found");
    } else if (how == u"own mechanism") {
        handshake.mechanisms = "OWN";
        handshake.challenges = {"who? " + Canary.toUtf8()};
        parameters.setMechanisms({mechanism});
    } else if (how == u"answer to credentialsRequested") {
        parameters = withoutRecovery();
        parameters.setEndpoints(parametersOf(peer).endpoints());
        asks = true;
    } else if (how == u"refused renewal") {
        peer.closeInsteadOf("connection.update-secret-ok", 530, "NOT_ALLOWED");
    } else if (how == u"too large") {
        parameters.setCredentials(u"guest"_s, Canary.repeated(1000));
        reachesTheBroker = false;
    }
    peer.setHandshake(handshake);

    QString output;
    Connection connection(parameters);
    connect(&connection, &Connection::errorOccurred, this,
            [&](const Error &error) { output += error.text() + error.toString() + shown(error); });
    if (asks)
        connect(&connection, &Connection::credentialsRequested, this,
                [&] { connection.setCredentials(u"guest"_s, Canary, 1h); });
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    output += shown(opening.result().error());
    Channel *channel = connection.createChannel();
    if (how.endsWith(u"renewal")) {
        const Reply<void> renewal =
            connection.updateSecret(Canary, how == u"rejected renewal" ? QString(300, u'x') : u"expiry"_s);
        QVERIFY(waitUntil([&] { return renewal.isFinished(); }));
        output += shown(renewal.result().error());
    } else if (how == u"rejected secret") {
        connection.setCredentials(u"guest"_s, Canary + QChar::Null);
    }
    settleEvents();
    output += propertiesOf(connection) + propertiesOf(*channel) + shown(&connection) + shown(channel) +
              shown(connection.currentEndpoint().toString()) + shown(connection.url()) +
              shown(connection.parameters().toUrl()) + shown(connection.parameters().error()) +
              shown(connection.serverProperties()) + shown(connection.lastCallError());
    QCOMPARE(received.contains(Canary.toUtf8()), reachesTheBroker);
    QCOMPARE(mechanism->wasChallenged, how == u"own mechanism");
    check(output);
    check(logged);
    QVERIFY(!reachesTheBroker || logged.contains(u"connection.start-ok"_s)); // the frames are logged
}

void tst_Secrecy::invalidUrls_data()
{
    QTest::addColumn<QString>("url");
    for (const char *url :
         {"amqp://u:%1@h:0", "amqp://u:%1@h:99999", "amqp://u:%1@[h]", "amqp://u:%1@x@h", "amqp://u:%1/x@h",
          "amqp://u:%1?x@h", "amqp://u:%1#x@h", "amqp://u:x/%1@h", "amqp://u:x?%1@h", "amqp://u:x#%1@h",
          "http://u:%1@h", "amqp://u:%1%FF@h", "amqp://u:%1%00@h", "amqp://u:%1@h/a/b", "amqp://u:%1@h?key=1",
          "amqp://:%1@h", "amqp://u:%1@h?auth_mechanism=x", "amqp://u:%1@h i"})
        QTest::newRow(url) << QString::fromLatin1(url).replace(u"%1"_s, Canary);
}

void tst_Secrecy::invalidUrls()
{
    QFETCH(const QString, url);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(url));
    QVERIFY(!parameters);
    Connection connection{QUrl(url)};
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    check(parameters.error().toString() + shown(parameters.error()) + shown(opening.result().error()) +
          propertiesOf(connection) + logged);
}

QTEST_GUILESS_MAIN(tst_Secrecy)
#include "tst_secrecy.moc"
