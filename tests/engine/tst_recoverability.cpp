// SPDX-License-Identifier: MIT
#include "engine/connection/recoverability_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

using Engine::FailureClass;
using Engine::FailurePhase;

// Tests which failures recovery can overcome.
class tst_Recoverability : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void failuresAreClassified_data();
    void failuresAreClassified();
    void violationsOfEitherSideAreKnown();
};

void tst_Recoverability::failuresAreClassified_data()
{
    using enum FailureClass;
    QTest::addColumn<Error>("error");
    QTest::addColumn<FailureClass>("opening");
    QTest::addColumn<FailureClass>("open");
    const auto closed = [](quint16 code, const QString &text = u"no"_s, const QString &method = {}) {
        return Error(ErrorKind::ConnectionClosed, text, code, method);
    };
    const auto local = [](ErrorKind kind, quint16 code = 0) { return Error(kind, u"no"_s, code); };
    const auto row = [](const char *name, const Error &error, FailureClass opening, FailureClass open) {
        QTest::newRow(name) << error << opening << open;
    };
    row("no error", Error(), Final, Final);
    row("network", local(ErrorKind::Network), Recoverable, Recoverable);
    row("timeout", local(ErrorKind::Timeout), Recoverable, Recoverable);
    row("closed by an operator", closed(320, u"CONNECTION_FORCED"_s), Recoverable, Recoverable);
    row("resource error", closed(506), Recoverable, Recoverable);
    row("internal error", closed(541), Recoverable, Recoverable);
    row("login refused", local(ErrorKind::Authentication, 403), Credentials, Credentials);
    row("no common mechanism", local(ErrorKind::Authentication), Credentials, Credentials);
    row("virtual host refused", closed(403), Credentials, Credentials);
    row("virtual host missing", closed(530, u"NOT_ALLOWED - vhost v not found"_s, u"connection.open"_s), Final,
        Recoverable);
    row("too many connections",
        closed(530, u"NOT_ALLOWED - access to vhost 'v' refused for user 'u': vhost connection limit (1) is reached"_s,
               u"connection.open"_s),
        Recoverable, Recoverable);
    row("token refused", closed(530, u"NOT_ALLOWED - New secret was refused"_s, u"connection.update-secret"_s),
        Credentials, Credentials);
    row("invalid path", closed(402), Final, Recoverable);
    for (const quint16 code : {501, 502, 503, 504, 505, 540}) {
        QTest::addRow("closed with %d", int(code)) << closed(code) << Final << Recoverable;
        QTest::addRow("violation %d of the broker", int(code))
            << local(ErrorKind::ProtocolViolation, code) << Final << Recoverable;
    }
    row("another protocol", local(ErrorKind::ProtocolViolation), Final, Recoverable);
    row("TLS", local(ErrorKind::Tls), Final, Recoverable);
    row("invalid parameters", local(ErrorKind::InvalidArgument), Final, Final);
    row("closed by the application", local(ErrorKind::Cancelled), Final, Final);
    row("not open", local(ErrorKind::NotOpen), Final, Final);
}

void tst_Recoverability::failuresAreClassified()
{
    QFETCH(const Error, error);
    QTEST(Engine::classify(error, FailurePhase::Opening), "opening");
    QTEST(Engine::classify(error, FailurePhase::Open), "open");
}

void tst_Recoverability::violationsOfEitherSideAreKnown()
{
    QVERIFY(Engine::isViolation(Error(ErrorKind::ProtocolViolation, u"no"_s)));
    for (const quint16 code : {501, 502, 503, 504, 505, 540}) {
        QVERIFY(Engine::isViolation(Error(ErrorKind::ConnectionClosed, u"no"_s, code)));
        QVERIFY(!Engine::isViolation(Error(ErrorKind::ChannelClosed, u"no"_s, code)));
    }
    for (const quint16 code : {320, 402, 403, 506, 530, 541})
        QVERIFY(!Engine::isViolation(Error(ErrorKind::ConnectionClosed, u"no"_s, code)));
    QVERIFY(!Engine::isViolation(Error(ErrorKind::Network, u"no"_s)));
}

QTEST_APPLESS_MAIN(tst_Recoverability)
#include "tst_recoverability.moc"
