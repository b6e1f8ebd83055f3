// SPDX-License-Identifier: MIT
#include "chaos/brokernode.h"

#include "chaos/topologymodel.h"
#include "support/waiting.h"

#include <QtCore/qdir.h>
#include <QtCore/qfile.h>
#include <QtCore/qmap.h>
#include <QtCore/qprocess.h>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

QString brokerScript()
{
    return QStringLiteral(AMQPQT_SOURCE_DIR "/tools/broker");
}

bool waitForProcess(const QProcess &process)
{
    return waitFor([&] { return process.state() == QProcess::NotRunning; }, 2min) &&
           process.exitStatus() == QProcess::NormalExit && process.exitCode() == 0 &&
           process.error() == QProcess::UnknownError;
}

} // namespace

BrokerNode::BrokerNode() = default;
BrokerNode::~BrokerNode() = default;

void BrokerNode::launch(const QStringList &arguments)
{
    m_process = std::make_unique<QProcess>();
    m_process->start(brokerScript(), arguments);
}

bool BrokerNode::clear()
{
    const QString all = u".*"_s;
    return run({u"ctl"_s, u"delete_vhost"_s, u"/"_s}) && run({u"ctl"_s, u"add_vhost"_s, u"/"_s}) &&
           run({u"ctl"_s, u"set_permissions"_s, u"-p"_s, u"/"_s, u"guest"_s, all, all, all});
}

void BrokerNode::kill()
{
    m_isKilled = true;
    launch({u"kill"_s});
}

void BrokerNode::stopApplication()
{
    m_isKilled = false;
    launch({u"ctl"_s, u"stop_app"_s});
}

bool BrokerNode::waitForEnd()
{
    if (waitForProcess(*m_process))
        return true;
    m_errors = QString::fromUtf8(m_process->readAllStandardError());
    return false;
}

bool BrokerNode::start()
{
    return waitForEnd() && run(m_isKilled ? QStringList{u"restart"_s} : QStringList{u"ctl"_s, u"start_app"_s});
}

bool BrokerNode::run(const QStringList &arguments)
{
    launch(arguments);
    return waitForEnd();
}

std::optional<QSet<QString>> BrokerNode::entities() const
{
    QByteArrayList outputs;
    for (const QStringList &command : TopologyModel::commands()) {
        QProcess process;
        process.start(brokerScript(), QStringList{u"ctl"_s} + command);
        if (!waitForProcess(process))
            return std::nullopt;
        outputs += process.readAllStandardOutput();
    }
    return TopologyModel::parse(outputs);
}

QStringList BrokerNode::differences(const TopologyModel &model) const
{
    constexpr int Tries = 3; // since rabbitmqctl may fail to reach the node
    for (int i = 0; i < Tries; ++i) {
        if (const auto found = entities())
            return model.differences(*found);
    }
    return {u"rabbitmqctl cannot list it"_s};
}

int BrokerNode::staleAckCount() const
{
    int count = 0;
    const QDir logs(qEnvironmentVariable("AMQPQT_BROKER_DIR") + "/log"_L1);
    for (const QFileInfo &info : logs.entryInfoList(QDir::Files)) {
        QFile file(info.filePath());
        if (!file.open(QFile::ReadOnly))
            continue;
        while (!file.atEnd())
            count += file.readLine().contains("unknown delivery tag");
    }
    return count;
}

QStringList socketsTo(quint16 port)
{
    QSet<QByteArray> ownSockets;
    for (const QFileInfo &file : QDir(u"/proc/self/fd"_s).entryInfoList(QDir::AllEntries | QDir::System)) {
        const QByteArray target = file.symLinkTarget().toLatin1(); // socket:[inode]
        if (const qsizetype at = target.indexOf('['); at > 0)
            ownSockets += target.sliced(at + 1).chopped(1);
    }
    QFile table(u"/proc/net/tcp"_s);
    if (!table.open(QFile::ReadOnly))
        return {};
    const QByteArray peer = "0100007F:" + QByteArray::number(port, 16).rightJustified(4, '0').toUpper();
    QMap<QByteArray, QString> sockets;
    for (const QByteArray &line : table.readAll().split('\n')) {
        const QByteArrayList columns = line.simplified().split(' '); // 1: address, 2: peer, 3: state, 9: inode
        const QByteArray state = columns.value(3), inode = columns.value(9);
        const bool isOpen = state == "01" || state == "08";                   // ESTABLISHED, CLOSE_WAIT
        if (columns.value(2) == peer && isOpen && ownSockets.contains(inode)) // a line may come twice
            sockets.insert(inode,
                           u"%1 in state %2"_s.arg(QLatin1StringView(columns.value(1)), QLatin1StringView(state)));
    }
    return sockets.values();
}
