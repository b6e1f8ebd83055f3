// SPDX-License-Identifier: MIT
#pragma once

#include "rabbitmq/brokerclient.h"

#include <csignal>

// Runs the programs of examples/ as a reader runs them.
namespace AmqpQt::Test
{

inline QString program(const QString &name)
{
    return QStringLiteral(AMQPQT_EXAMPLES) + u'/' + name;
}

inline QStringList withUrl(const QStringList &arguments)
{
    return QStringList{u"--url"_s, brokerUrl().toString()} + arguments;
}

// Runs the program until it ends.
inline ProcessResult run(const QString &name, const QStringList &arguments)
{
    QProcess process;
    process.start(program(name), withUrl(arguments));
    if (!waitFor([&] { return process.state() == QProcess::NotRunning; }))
        process.kill();
    return {process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -1, process.readAllStandardOutput(),
            process.readAllStandardError()};
}

// A program that runs until Ctrl-C.
class Receiver
{
public:
    Receiver(const QString &name, const QStringList &arguments) { m_process.start(program(name), withUrl(arguments)); }
    ~Receiver()
    {
        m_process.kill();
        m_process.waitForFinished();
    }

    bool prints(const QByteArray &lines)
    {
        return waitFor([&] {
                   m_output += m_process.readAllStandardOutput();
                   return m_output == lines || m_process.state() == QProcess::NotRunning;
               }) &&
               m_output == lines;
    }
    QByteArray output() const { return m_output; }

    bool endsWell()
    {
        ::kill(pid_t(m_process.processId()), SIGINT);
        return endsByItself();
    }
    bool endsByItself()
    {
        const bool ended = waitFor([&] { return m_process.state() == QProcess::NotRunning; });
        m_output += m_process.readAllStandardOutput();
        return ended && m_process.exitStatus() == QProcess::NormalExit && m_process.exitCode() == 0 &&
               m_process.readAllStandardError().isEmpty();
    }

private:
    QProcess m_process;
    QByteArray m_output;
};

#define VERIFY_PRINTS(receiver, lines) QVERIFY2((receiver).prints(lines), (receiver).output().constData())

#define VERIFY_RUNS(name, ...)                                                                                         \
    do {                                                                                                               \
        const ProcessResult verified = run(name, __VA_ARGS__);                                                         \
        QCOMPARE(verified.errors, QByteArray());                                                                       \
        QCOMPARE(verified.exitCode, 0);                                                                                \
    } while (false)

} // namespace AmqpQt::Test
