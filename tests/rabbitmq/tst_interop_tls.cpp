// SPDX-License-Identifier: MIT
#include "rabbitmq/interop.h"
#include "support/certificates.h"
#include "support/scriptedpeer.h"
#include "support/tlscases.h"

#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>

using namespace AmqpQt::Test;

Q_DECLARE_METATYPE(TlsCase)

// Tests that pika and librabbitmq connect over TLS where AmqpQt does, and refuse where AmqpQt refuses.
class tst_InteropTls : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void cleanupTestCase();
    void pikaHasTheSameVerdict_data() { addRows(tlsCases()); }
    void pikaHasTheSameVerdict();
    void librabbitmqHasTheSameVerdict_data();
    void librabbitmqHasTheSameVerdict();
    void certificatesLogInAtRabbitMq_data();
    void certificatesLogInAtRabbitMq();

private:
    static void addRows(const QList<TlsCase> &rows);
    // The time in seconds that the clients have: long for a busy machine, if nothing but an answer should end it.
    static int timeout(const TlsCase &row)
    {
        return row.server && row.server->handshake == TlsSettings::Handshake::Stalls ? 1 : 60;
    }
    static QByteArray verdict(const QByteArray &answer) { return answer.split(':').constFirst(); }
    QByteArray connectPika(const TlsCase &row, int port) const;
    QByteArray connectLibrabbitmq(const TlsCase &row, int port) const;

    std::unique_ptr<Peer> m_pika;
    std::unique_ptr<Peer> m_librabbitmq;
};

// Each line has, in JSON, the arguments of connect().
static const auto Pika = QStringLiteral(R"python(
import json
import logging
import ssl
import sys

import pika

logging.disable(logging.CRITICAL)


def connect(host, port, peer_name, timeout, verifies, ca_file, cert_file=None, key_file=None):
    context = ssl.create_default_context(cafile=ca_file)
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    credentials = pika.PlainCredentials('guest', 'guest')
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
        credentials = pika.credentials.ExternalCredentials()
    pika.BlockingConnection(pika.ConnectionParameters(
        host, port, '/', credentials, ssl_options=pika.SSLOptions(context, peer_name), socket_timeout=timeout,
        stack_timeout=timeout, heartbeat=0)).close()


for line in sys.stdin:
    try:
        connect(*json.loads(line))
        print('connects', flush=True)
    except Exception as error:
        print('refuses:', repr(error).replace('\n', ' '), flush=True)
)python");

void tst_InteropTls::initTestCase()
{
    QVERIFY(!brokerTlsUrl().isEmpty());
    m_pika = std::make_unique<Peer>(startPika(Pika));
#ifdef AMQPQT_INTEROP_TLS_LIBRABBITMQ
    auto process = std::make_unique<QProcess>();
    process->start(QStringLiteral(AMQPQT_INTEROP_TLS_LIBRABBITMQ));
    m_librabbitmq = std::make_unique<Peer>(std::move(process));
#endif
}

void tst_InteropTls::cleanupTestCase()
{
    m_pika.reset();
    m_librabbitmq.reset();
}

void tst_InteropTls::addRows(const QList<TlsCase> &rows)
{
    QTest::addColumn<TlsCase>("row");
    for (const TlsCase &row : rows)
        QTest::newRow(row.name) << row;
}

QByteArray tst_InteropTls::connectPika(const TlsCase &row, int port) const
{
    QJsonArray arguments = {row.host,     port,         row.peerName.isEmpty() ? row.host : row.peerName,
                            timeout(row), row.verifies, certificateFile(row.authorities + u".pem"_s)};
    if (!row.certificate.isEmpty()) {
        arguments.append(certificateFile(row.certificate + u".pem"_s));
        arguments.append(certificateFile((row.key.isEmpty() ? row.certificate : row.key) + u".key"_s));
    }
    return m_pika->ask(QJsonDocument(arguments).toJson(QJsonDocument::Compact));
}

QByteArray tst_InteropTls::connectLibrabbitmq(const TlsCase &row, int port) const
{
    QStringList words = {row.host, QString::number(port), QString::number(timeout(row)), QString::number(row.verifies),
                         certificateFile(row.authorities + u".pem"_s)};
    if (!row.certificate.isEmpty()) {
        words += certificateFile(row.certificate + u".pem"_s);
        words += certificateFile((row.key.isEmpty() ? row.certificate : row.key) + u".key"_s);
    }
    return m_librabbitmq->ask(words.join(u' ').toUtf8());
}

// The mechanisms of a broker that accepts each of the two log-ins.
static void serve(ScriptedPeer &peer, const TlsCase &row)
{
    ScriptedPeer::Handshake handshake;
    handshake.mechanisms = "PLAIN EXTERNAL";
    peer.setHandshake(handshake);
    peer.setTls(row.server);
}

void tst_InteropTls::pikaHasTheSameVerdict()
{
    QFETCH(TlsCase, row);
    ScriptedPeer peer;
    serve(peer, row);
    const QByteArray answer = connectPika(row, peer.port());
    QVERIFY2(verdict(answer) == (row.connects ? "connects" : "refuses"), answer.constData());
    QCOMPARE(peer.count("connection.open"), row.connects ? 1 : 0);
}

void tst_InteropTls::librabbitmqHasTheSameVerdict_data()
{
    QList<TlsCase> rows = tlsCases();
    rows.removeIf([](const TlsCase &row) {
        // librabbitmq can only expect the name that it connects to, and never finds an address in a certificate.
        return !row.peerName.isEmpty() || QHostAddress().setAddress(row.host);
    });
    QVERIFY(rows.size() > 20);
    addRows(rows);
}

void tst_InteropTls::librabbitmqHasTheSameVerdict()
{
    QFETCH(TlsCase, row);
    if (!m_librabbitmq)
        QSKIP("This build has no librabbitmq.");
    ScriptedPeer peer;
    serve(peer, row);
    const QByteArray answer = connectLibrabbitmq(row, peer.port());
    QVERIFY2(verdict(answer) == (row.connects ? "connects" : "refuses"), answer.constData());
    QCOMPARE(peer.count("connection.open"), row.connects ? 1 : 0);
}

void tst_InteropTls::certificatesLogInAtRabbitMq_data()
{
    QTest::addColumn<bool>("connects");
    QTest::newRow("client") << true;
    QTest::newRow("client-rsa") << true;
    QTest::newRow("client-chain") << true;
    QTest::newRow("client-stranger") << false; // the broker has no such user
    QTest::newRow("client-foreign") << false;
    QTest::newRow("client-revoked") << false;
    QTest::newRow("client-expired") << false;
}

void tst_InteropTls::certificatesLogInAtRabbitMq()
{
    QFETCH(bool, connects);
    const QUrl url = brokerTlsUrl();
    const TlsCase row{.name = QTest::currentDataTag(),
                      .connects = connects,
                      .certificate = QString::fromLatin1(QTest::currentDataTag())};
    const QByteArray pika = connectPika(row, url.port());
    QVERIFY2(verdict(pika) == (connects ? "connects" : "refuses"), pika.constData());
    if (!m_librabbitmq)
        return;
    const QByteArray librabbitmq = connectLibrabbitmq(row, url.port());
    QVERIFY2(verdict(librabbitmq) == (connects ? "connects" : "refuses"), librabbitmq.constData());
}

QTEST_GUILESS_MAIN(tst_InteropTls)

#include "tst_interop_tls.moc"
