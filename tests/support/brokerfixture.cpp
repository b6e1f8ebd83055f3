// SPDX-License-Identifier: MIT
#include "support/brokerfixture.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qdir.h>
#include <QtCore/qeventloop.h>
#include <QtCore/qfile.h>
#include <QtCore/qtimer.h>
#include <QtCore/quuid.h>
#include <QtTest/qtestcase.h>

#include <chrono>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

const auto urlVariable = "AMQPQT_TEST_URL";
const auto tlsUrlVariable = "AMQPQT_TEST_TLS_URL";
const auto directoryVariable = "AMQPQT_BROKER_DIR"; // tools/broker reads it

QString brokerScript()
{
    return QStringLiteral(AMQPQT_SOURCE_DIR "/tools/broker");
}

ProcessResult finish(QProcess &process, const QByteArray &input = {})
{
    QEventLoop loop;
    QObject::connect(&process, &QProcess::finished, &loop, &QEventLoop::quit);
    QObject::connect(&process, &QProcess::errorOccurred, &loop, &QEventLoop::quit);
    QTimer::singleShot(2min, &loop, &QEventLoop::quit);
    process.write(input);
    process.closeWriteChannel();
    if (process.state() != QProcess::NotRunning)
        loop.exec();

    ProcessResult result;
    if (process.state() != QProcess::NotRunning) {
        process.kill();
        process.waitForFinished();
    } else if (process.error() != QProcess::FailedToStart && process.exitStatus() == QProcess::NormalExit) {
        result.exitCode = process.exitCode();
    }
    result.output = process.readAllStandardOutput();
    result.errors = process.readAllStandardError();
    if (process.error() == QProcess::FailedToStart)
        result.errors = process.errorString().toUtf8();
    return result;
}

ProcessResult run(const QString &program, const QStringList &arguments)
{
    QProcess process;
    process.start(program, arguments);
    return finish(process);
}

void stopNode()
{
    QProcess process;
    process.start(brokerScript(), {u"stop"_s});
    process.waitForFinished();
}

// Passes the location of the node to children and later calls in the environment, as tools/broker run does.
QString startNode()
{
    const qint64 pid = QCoreApplication::applicationPid();
    const QDir directory(QDir::temp().filePath(u"amqpqt-broker.test.%1"_s.arg(pid)));
    qputenv(directoryVariable, directory.path().toLocal8Bit());
    const ProcessResult started =
        run(brokerScript(), {u"start"_s, u"--owner"_s, QString::number(pid)}); // a crash ends the node, too
    if (started.exitCode != 0) {
        qputenv(urlVariable, "none");
        return QString::fromLocal8Bit(started.errors);
    }
    qAddPostRoutine(stopNode);
    qputenv(urlVariable, started.output.trimmed());
    QFile tlsUrl(directory.filePath(u"tls-url"_s));
    if (!tlsUrl.open(QFile::ReadOnly))
        return tlsUrl.errorString();
    qputenv(tlsUrlVariable, tlsUrl.readAll().trimmed());
    qputenv("AMQPQT_TEST_CERTIFICATES", directory.filePath(u"certificates"_s).toLocal8Bit()); // see certificates.h
    return {};
}

} // namespace

QUrl brokerUrl()
{
    QString error;
    if (qEnvironmentVariableIsEmpty(urlVariable))
        error = startNode();
    const QString url = qEnvironmentVariable(urlVariable);
    if (url != u"none"_s)
        return QUrl(url);
    QTest::qFail(qPrintable(u"There is no broker to test against. "_s + error), __FILE__, __LINE__);
    return {};
}

QUrl brokerTlsUrl()
{
    if (brokerUrl().isEmpty())
        return {};
    const QString url = qEnvironmentVariable(tlsUrlVariable);
    if (url.isEmpty())
        QTest::qFail("The broker under test has no listener for TLS.", __FILE__, __LINE__);
    return QUrl(url);
}

ProcessResult brokerControl(const QStringList &arguments)
{
    if (brokerUrl().isEmpty())
        return {};
    QStringList command = QProcess::splitCommand(qEnvironmentVariable("AMQPQT_BROKER_CTL"));
    if (command.isEmpty())
        command = {brokerScript(), u"ctl"_s};
    const QString program = command.takeFirst();
    return run(program, command + arguments);
}

std::unique_ptr<QProcess> startPika(const QString &source, const QStringList &arguments)
{
    auto process = std::make_unique<QProcess>();
    if (brokerUrl().isEmpty())
        return process;
    // Debian's python3-pika may not belong to the first python3 of the PATH.
    process->start(u"/usr/bin/python3"_s, QStringList{u"-c"_s, source} + arguments);
    return process;
}

ProcessResult runPika(const QString &source, const QStringList &arguments, const QByteArray &input)
{
    const auto process = startPika(source, arguments);
    return process->program().isEmpty() ? ProcessResult() : finish(*process, input);
}

QString uniqueName(const QString &prefix)
{
    const QString random = QUuid::createUuid().toString(QUuid::Id128).first(12);
    return u"%1.%2.%3"_s.arg(prefix, QLatin1StringView(QTest::currentTestFunction()), random);
}
