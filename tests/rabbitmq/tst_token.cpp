// SPDX-License-Identifier: MIT
#include "rabbitmq/exampleprograms.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The example that connects with a token.
class tst_Token : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void theTokenIsRenewedUntilEnough();
    void aTokenThatTheBrokerRefusesIsFetchedAgain();
    void invalidArgumentsAreRejected_data();
    void invalidArgumentsAreRejected();
};

void tst_Token::theTokenIsRenewedUntilEnough()
{
    QProcess process;
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    environment.insert(u"QT_LOGGING_RULES"_s, u"amqpqt.frame.debug=true"_s);
    environment.insert(u"QT_FORCE_STDERR_LOGGING"_s, u"1"_s);
    process.setProcessEnvironment(environment);
    process.start(program(u"token"_s), withUrl({u"--life"_s, u"1"_s, u"--renewals"_s, u"2"_s}));
    QVERIFY(waitFor([&] { return process.state() == QProcess::NotRunning; }));
    QCOMPARE(process.exitCode(), 0);
    int accepted = 0;
    for (const QByteArray &line : process.readAllStandardError().split('\n')) {
        accepted += line.contains("received") && line.contains("connection.update-secret-ok");
        QVERIFY2(line.isEmpty() || line.startsWith("amqpqt.frame: "), line.constData());
    }
    QCOMPARE(accepted, 2); // by the broker
    QCOMPARE(process.readAllStandardOutput(), QByteArray("fetching a token: FirstConnect\nopen\n"
                                                         "fetching a token: ExpiresSoon\nthe token was renewed\n"
                                                         "fetching a token: ExpiresSoon\nthe token was renewed\n"));
}

// Nobody has this name, so the default password of guest is the wrong token.
void tst_Token::aTokenThatTheBrokerRefusesIsFetchedAgain()
{
    QProcess process;
    process.start(program(u"token"_s), withUrl({u"--user"_s, u"nobody"_s}));
    QByteArray output;
    QVERIFY(waitFor([&] {
        output += process.readAllStandardOutput();
        return output.count("fetching a token: Refused\n") >= 2 || process.state() == QProcess::NotRunning;
    }));
    QVERIFY2(output.startsWith("fetching a token: FirstConnect\nfetching a token: Refused\n"), output.constData());
    QVERIFY(!output.contains("open"));
    process.kill();
    process.waitForFinished();
}

void tst_Token::invalidArgumentsAreRejected_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QByteArray>("errors");
    QTest::newRow("life") << QStringList{u"--life"_s, u"abc"_s}
                          << QByteArray("--life: \"abc\" is not a number of seconds from 1 to 3153600000\n");
    QTest::newRow("no life") << QStringList{u"--life"_s, u"0"_s}
                             << QByteArray("--life: \"0\" is not a number of seconds from 1 to 3153600000\n");
    QTest::newRow("renewals") << QStringList{u"--renewals"_s, u"-1"_s}
                              << QByteArray("--renewals: \"-1\" is not a number from 0 to 2147483647\n");
}

void tst_Token::invalidArgumentsAreRejected()
{
    QFETCH(const QStringList, arguments);
    QFETCH(const QByteArray, errors);
    const ProcessResult result = run(u"token"_s, arguments);
    QCOMPARE(result.errors, errors);
    QCOMPARE(result.exitCode, 1);
    QCOMPARE(result.output, QByteArray());
}

QTEST_GUILESS_MAIN(tst_Token)
#include "tst_token.moc"
