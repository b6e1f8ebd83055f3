// SPDX-License-Identifier: MIT
#include <QtCore/qdir.h>
#include <QtCore/qprocess.h>
#include <QtCore/qtemporarydir.h>
#include <QtCore/qurl.h>
#include <QtNetwork/qtcpsocket.h>
#include <QtTest/qtest.h>

#include <csignal>
#include <memory>

using namespace Qt::StringLiterals;

// Tests that the node of tools/broker ends, whatever happens to the script and the command it runs.
class tst_BrokerTool : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void startsPrintsItsUrlAndStops();
    void endsWithItsOwner();
    void killedNodeComesBackWithItsData();
    void givesTheExitCodeOfTheCommand();
    void givesTheUrlsAndTheCertificates();
    void endsProcessesThatTheCommandLeftBehind();
    void endsWhenSignalled_data();
    void endsWhenSignalled();
    void rejectsBadUsage_data();
    void rejectsBadUsage();

private:
    struct Result {
        int exitCode = 0;
        QString output;
    };
    std::unique_ptr<QProcess> launch(const QStringList &arguments) const;
    Result run(const QStringList &arguments) const;
    QStringList remains() const; // nodes' directories, which are removed when all processes have ended
    QByteArrayList processes(const QByteArray &mark) const;

    QTemporaryDir m_directory;
};

std::unique_ptr<QProcess> tst_BrokerTool::launch(const QStringList &arguments) const
{
    auto process = std::make_unique<QProcess>();
    auto environment = QProcessEnvironment::systemEnvironment();
    environment.insert(u"TMPDIR"_s, m_directory.path());
    environment.remove(u"AMQPQT_BROKER_DIR"_s); // belongs to the node that the other tests use
    environment.remove(u"AMQPQT_TEST_URL"_s);
    process->setProcessEnvironment(environment);
    process->setProcessChannelMode(QProcess::ForwardedErrorChannel);
    process->start(QStringLiteral(AMQPQT_SOURCE_DIR "/tools/broker"), arguments);
    return process;
}

tst_BrokerTool::Result tst_BrokerTool::run(const QStringList &arguments) const
{
    const auto process = launch(arguments);
    if (!process->waitForFinished(90000))
        return {-1, u"it did not end"_s};
    return {process->exitCode(), QString::fromUtf8(process->readAllStandardOutput()).trimmed()};
}

QStringList tst_BrokerTool::remains() const
{
    return QDir(m_directory.path()).entryList(QDir::AllEntries | QDir::NoDotAndDotDot);
}

QByteArrayList tst_BrokerTool::processes(const QByteArray &mark) const
{
    QByteArrayList found;
    for (const QString &pid : QDir(u"/proc"_s).entryList({u"[0-9]*"_s}, QDir::Dirs)) {
        QFile commandLine(u"/proc/"_s + pid + u"/cmdline"_s);
        if (commandLine.open(QFile::ReadOnly)) {
            const QByteArray text = commandLine.readAll().replace('\0', ' ');
            if (text.contains(mark))
                found.append(text);
        }
    }
    return found;
}

void tst_BrokerTool::startsPrintsItsUrlAndStops()
{
    const Result started = run({u"start"_s});
    QCOMPARE(started.exitCode, 0);
    QVERIFY(QUrl(started.output).isValid());
    QCOMPARE(remains().size(), 1);
    QCOMPARE(run({u"url"_s}).output, started.output);
    QVERIFY(run({u"ctl"_s, u"list_vhosts"_s, u"--silent"_s}).output.contains(u'/'));
    QCOMPARE(run({u"start"_s}).exitCode, 1); // a node is already running
    QCOMPARE(run({u"stop"_s}).exitCode, 0);
    QCOMPARE(remains(), QStringList());
    QCOMPARE(processes(m_directory.path().toLocal8Bit()), QByteArrayList());
    QCOMPARE(run({u"stop"_s}).exitCode, 1);
}

void tst_BrokerTool::endsWithItsOwner()
{
    QProcess owner;
    owner.start(u"sleep"_s, {u"1000"_s});
    QVERIFY(owner.waitForStarted());
    QCOMPARE(run({u"start"_s, u"--owner"_s, QString::number(owner.processId())}).exitCode, 0);
    QCOMPARE(remains().size(), 1);
    owner.kill();
    owner.waitForFinished();
    QTRY_COMPARE_WITH_TIMEOUT(remains(), QStringList(), 30000);
    QCOMPARE(processes(m_directory.path().toLocal8Bit()), QByteArrayList());
}

void tst_BrokerTool::killedNodeComesBackWithItsData()
{
    QCOMPARE(run({u"kill"_s}).exitCode, 1); // there is no node
    const Result started = run({u"start"_s});
    QCOMPARE(started.exitCode, 0);
    const auto refuses = [port = quint16(QUrl(started.output).port())] {
        QTcpSocket socket;
        socket.connectToHost(QHostAddress::LocalHost, port);
        return !socket.waitForConnected();
    };
    QCOMPARE(run({u"ctl"_s, u"add_vhost"_s, u"kept"_s}).exitCode, 0);
    for (int i = 0; i < 2; ++i) {
        QVERIFY(!refuses());
        QCOMPARE(run({u"kill"_s}).exitCode, 0);
        QVERIFY(refuses());
        QCOMPARE(run({u"kill"_s}).exitCode, 0);
        const Result restarted = run({u"restart"_s});
        QCOMPARE(restarted.exitCode, 0);
        QCOMPARE(restarted.output, started.output);
        QVERIFY(run({u"ctl"_s, u"list_vhosts"_s, u"--silent"_s}).output.contains(u"kept"_s));
    }
    const auto node = [this] {
        QFile file(m_directory.path() + u'/' + remains().constFirst() + u"/node"_s);
        return file.open(QFile::ReadOnly) ? file.readAll().trimmed() : QByteArray();
    };
    const QByteArray before = node();
    QCOMPARE(run({u"restart"_s}).exitCode, 0); // of a running node
    QVERIFY(!before.isEmpty() && node() != before);
    QCOMPARE(run({u"kill"_s}).exitCode, 0);
    QCOMPARE(run({u"stop"_s}).exitCode, 0);
    QCOMPARE(remains(), QStringList());
    QCOMPARE(processes(m_directory.path().toLocal8Bit()), QByteArrayList());
}

void tst_BrokerTool::givesTheExitCodeOfTheCommand()
{
    const Result result = run({u"run"_s, u"sh"_s, u"-c"_s, u"echo $AMQPQT_TEST_URL $AMQPQT_BROKER_DIR; exit 7"_s});
    QCOMPARE(result.exitCode, 7);
    QVERIFY(result.output.startsWith(u"amqp://"_s));
    QVERIFY(result.output.contains(m_directory.path()));
    QCOMPARE(remains(), QStringList());
}

void tst_BrokerTool::givesTheUrlsAndTheCertificates()
{
    // openssl fails if the server does not speak TLS, or has no certificate that ca.pem has issued.
    const Result result = run({u"run"_s, u"sh"_s, u"-c"_s,
                               u"echo $AMQPQT_TEST_URL; cat $AMQPQT_BROKER_DIR/url;"
                               "echo $AMQPQT_TEST_TLS_URL; cat $AMQPQT_BROKER_DIR/tls-url;"
                               "authority=${AMQPQT_TEST_TLS_URL##*@};"
                               "openssl s_client -connect ${authority%%/*} -verify_return_error"
                               " -CAfile $AMQPQT_TEST_CERTIFICATES/ca.pem -verify_ip 127.0.0.1 < /dev/null >&2"_s});
    QCOMPARE(result.exitCode, 0);
    const QStringList urls = result.output.split(u'\n');
    QCOMPARE(urls.size(), 4);
    QVERIFY(urls.at(0).startsWith(u"amqp://"_s));
    QCOMPARE(urls.at(1), urls.at(0));
    QVERIFY(urls.at(2).startsWith(u"amqps://"_s));
    QCOMPARE(urls.at(3), urls.at(2));
}

void tst_BrokerTool::endsProcessesThatTheCommandLeftBehind()
{
    const QString mark = u"10%1"_s.arg(QCoreApplication::applicationPid());
    QCOMPARE(run({u"run"_s, u"sh"_s, u"-c"_s, u"setsid sleep %1 &"_s.arg(mark)}).exitCode, 0);
    QTRY_COMPARE(processes("sleep " + mark.toLatin1()), QByteArrayList());
    QCOMPARE(remains(), QStringList());
}

void tst_BrokerTool::endsWhenSignalled_data()
{
    QTest::addColumn<int>("signal");
    QTest::addColumn<int>("exitCode");
    QTest::newRow("SIGINT") << SIGINT << 130;
    QTest::newRow("SIGTERM") << SIGTERM << 143;
    QTest::newRow("SIGHUP") << SIGHUP << 129;
    QTest::newRow("SIGKILL") << SIGKILL << -1;
}

void tst_BrokerTool::endsWhenSignalled()
{
    QFETCH(int, signal);
    QFETCH(int, exitCode);
    const QString mark = u"20%1"_s.arg(QCoreApplication::applicationPid());
    const auto process = launch({u"run"_s, u"sh"_s, u"-c"_s, u"echo up; sleep %1"_s.arg(mark)});
    QTRY_VERIFY_WITH_TIMEOUT(process->canReadLine(), 90000);
    ::kill(pid_t(process->processId()), signal);
    QVERIFY(process->waitForFinished());
    if (exitCode >= 0)
        QCOMPARE(process->exitCode(), exitCode);
    QTRY_COMPARE_WITH_TIMEOUT(remains(), QStringList(), 30000);
    QTRY_COMPARE(processes("sleep " + mark.toLatin1()), QByteArrayList());
    QCOMPARE(processes(m_directory.path().toLocal8Bit()), QByteArrayList());
}

void tst_BrokerTool::rejectsBadUsage_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::newRow("nothing") << QStringList();
    QTest::newRow("unknown command") << QStringList{u"revive"_s};
    QTest::newRow("unknown option") << QStringList{u"start"_s, u"--port"_s};
    QTest::newRow("extra argument") << QStringList{u"start"_s, u"5672"_s};
    QTest::newRow("run without command") << QStringList{u"run"_s};
    QTest::newRow("option without value") << QStringList{u"start"_s, u"--dir"_s};
}

void tst_BrokerTool::rejectsBadUsage()
{
    QFETCH(QStringList, arguments);
    QCOMPARE(run(arguments).exitCode, 2);
    QCOMPARE(remains(), QStringList());
}

QTEST_GUILESS_MAIN(tst_BrokerTool)

#include "tst_brokertool.moc"
