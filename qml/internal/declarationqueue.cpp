// SPDX-License-Identifier: MIT
#include "declarationqueue.h"

#include <QtCore/qmetaobject.h>

#include <algorithm>

namespace AmqpQt
{

DeclarationQueue::DeclarationQueue(Connection *connection)
    : m_connection(connection)
{
    connect(connection, &Connection::stateChanged, this, &DeclarationQueue::onStateChanged);
    connect(connection, &Connection::queueRenamed, this, [this](const QString &oldName, const QString &newName) {
        if (!m_steps.isEmpty())
            m_newNames.insert(oldName, newName);
        m_bindings.renameQueue(oldName, newName);
    });
}

DeclarationQueue::~DeclarationQueue()
{
    releaseChannel();
}

void DeclarationQueue::whenDeclared(QObject *owner, std::function<void()> use)
{
    append(Phase::WhenDeclared, owner,
           [this, use = std::move(use)](quint64 id) {
               remove(id);
               use();
           },
           {});
}

void DeclarationQueue::deleteUnusedQueue(const QString &name)
{
    add(
        Phase::Deletions, this,
        [this, name](Channel *channel) {
            return std::optional(channel->deleteQueue(currentName(name), Channel::DeleteFlag::IfUnused));
        },
        [](const Result<quint32> &) {});
}

QString DeclarationQueue::currentName(const QString &queue) const
{
    QString name = queue;
    for (auto next = m_newNames.constFind(name); next != m_newNames.cend(); next = m_newNames.constFind(name))
        name = *next;
    return name;
}

void DeclarationQueue::append(Phase phase, QObject *owner, std::function<void(quint64)> run,
                              std::function<void(const Error &)> fail)
{
    m_steps.append({++m_lastId, phase, owner, std::move(run), std::move(fail)});
    schedule();
}

void DeclarationQueue::clear()
{
    m_isBroken = false;
    releaseChannel();
    const QPointer<DeclarationQueue> self(this);
    const QList<Step> steps = std::exchange(m_steps, {});
    const Error closed(ErrorKind::NotOpen, tr("The connection was closed before the broker answered"));
    for (const Step &step : steps) {
        if (self && step.owner && step.fail)
            step.fail(closed);
    }
}

void DeclarationQueue::releaseChannel()
{
    if (m_channel) {
        m_channel->disconnect(this);
        m_channel->deleteLater();
        m_channel = nullptr;
    }
}

void DeclarationQueue::remove(quint64 id)
{
    m_steps.removeIf([id](const Step &step) { return step.id == id; });
    schedule();
}

bool DeclarationQueue::settle(quint64 id, const Error &error)
{
    const auto step = std::find_if(m_steps.begin(), m_steps.end(), [id](const Step &one) { return one.id == id; });
    if (step == m_steps.end())
        return false;
    const ErrorKind kind = error.kind();
    // Replies end in the order of the calls, so the first one that fails is the refused call.
    const bool endsChannel = kind == ErrorKind::ChannelClosed || kind == ErrorKind::Timeout ||
                             kind == ErrorKind::NotOpen ||
                             (kind == ErrorKind::ConnectionClosed && !error.method().isEmpty());
    const bool isRefused = kind == ErrorKind::InvalidArgument || (endsChannel && !m_isBroken);
    // A channel that never had a number may be closed already, and then no closed() follows.
    // After a loss of the connection, it is suspended.
    if (error.isError() && kind != ErrorKind::InvalidArgument && kind != ErrorKind::Network && m_channel)
        m_isBroken = true;
    // The broker ignores all calls after the refused one. After any other error it may have carried out the
    // call.
    const bool isCertainlyUndone = kind == ErrorKind::ChannelClosed || kind == ErrorKind::NotOpen;
    if (error.isError() && !isRefused && (!step->fail || isCertainlyUndone)) {
        step->isSent = false;
        return false;
    }
    remove(id);
    return true;
}

Channel *DeclarationQueue::channel()
{
    if (!m_channel) {
        m_channel = m_connection->createChannel();
        connect(m_channel, &Channel::closed, this, &DeclarationQueue::onChannelClosed);
    }
    return m_channel;
}

void DeclarationQueue::onStateChanged(Connection::State state)
{
    // The broker may have closed the connection because of a call. The channel is suspended then.
    if (state == Connection::State::Recovering)
        m_isBroken = false;
    if (state == Connection::State::Open)
        schedule();
}

void DeclarationQueue::onChannelClosed()
{
    m_channel->deleteLater();
    m_channel = nullptr;
    m_isBroken = false;
    schedule();
}

void DeclarationQueue::schedule()
{
    if (!std::exchange(m_isScheduled, true))
        QMetaObject::invokeMethod(this, &DeclarationQueue::run, Qt::QueuedConnection);
}

// Returns the first step that may be taken now, or null if there is none.
DeclarationQueue::Step *DeclarationQueue::nextStep()
{
    if (m_isBroken || !m_connection->isOpen())
        return nullptr;
    m_steps.removeIf([](const Step &step) { return !step.owner && !step.isSent; });
    const auto byPhase = [](const Step &a, const Step &b) { return a.phase < b.phase; };
    const auto earliest = std::min_element(m_steps.begin(), m_steps.end(), byPhase);
    const auto mayBeMade = [this, earliest](const Step &step) {
        if (step.isSent || (step.phase != earliest->phase && step.phase != Phase::AnyTime))
            return false;
        const auto isEarlier = [&step](const Step &other) { return other.owner == step.owner; };
        const auto first = std::find_if(m_steps.cbegin(), m_steps.cend(), isEarlier);
        return step.owner == this || first->id == step.id;
    };
    const auto next = std::find_if(m_steps.begin(), m_steps.end(), mayBeMade);
    return next == m_steps.end() ? nullptr : &*next;
}

void DeclarationQueue::run()
{
    m_isScheduled = false;
    if (m_steps.isEmpty())
        m_newNames.clear();
    const QPointer<DeclarationQueue> self(this);
    while (Step *step = nextStep()) {
        step->isSent = true;
        const auto run = step->run; // a copy, since the call may change the list
        run(step->id);
        if (!self)
            return;
    }
}

} // namespace AmqpQt
