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
};

void tst_Token::theTokenIsRenewedUntilEnough()
{
    const ProcessResult result = run(u"token"_s, {u"--life"_s, u"1"_s, u"--renewals"_s, u"2"_s});
    QCOMPARE(result.errors, QByteArray());
    QCOMPARE(result.exitCode, 0);
    QCOMPARE(result.output, QByteArray("fetching a token: FirstConnect\nopen\n"
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

QTEST_GUILESS_MAIN(tst_Token)
#include "tst_token.moc"
