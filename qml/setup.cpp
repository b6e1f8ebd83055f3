// SPDX-License-Identifier: MIT
#include "setup.h"

#include <AmqpQt/connection.h>

#include <QtCore/qmetaobject.h>

#include <algorithm>

namespace AmqpQt
{

SetUp::SetUp(Connection *connection)
    : m_connection(connection)
{
}

SetUp::~SetUp()
{
    clear();
}

void SetUp::addUse(QObject *owner, std::function<void()> use)
{
    append(Phase::Use, owner, [this, use = std::move(use)](quint64 id) {
        remove(id);
        use();
    });
}

void SetUp::append(Phase phase, QObject *owner, std::function<void(quint64)> run)
{
    m_steps.append({++m_lastId, phase, owner, std::move(run)});
    schedule();
}

void SetUp::clear()
{
    m_steps.clear();
    m_isBroken = false;
    if (m_channel) {
        m_channel->disconnect(this);
        m_channel->deleteLater();
        m_channel = nullptr;
    }
}

void SetUp::remove(quint64 id)
{
    m_steps.removeIf([id](const Step &step) { return step.id == id; });
    schedule();
}

bool SetUp::settle(quint64 id, const Error &error)
{
    const auto step = std::find_if(m_steps.begin(), m_steps.end(), [id](const Step &one) { return one.id == id; });
    if (step == m_steps.end())
        return false;
    const ErrorKind kind = error.kind();
    // Replies end in the order of the calls, so the first one to fail is the one the broker means.
    const bool endsChannel = kind == ErrorKind::ChannelClosed || kind == ErrorKind::Timeout ||
                             kind == ErrorKind::NotOpen ||
                             (kind == ErrorKind::ConnectionClosed && !error.method().isEmpty());
    const bool isRefused = kind == ErrorKind::InvalidArgument || (endsChannel && !m_isBroken);
    if (error.isError() && kind != ErrorKind::InvalidArgument)
        m_isBroken = true;
    if (error.isError() && !isRefused) {
        step->isSent = false;
        return false;
    }
    remove(id);
    return true;
}

Channel *SetUp::channel()
{
    if (!m_channel) {
        m_channel = m_connection->createChannel();
        connect(m_channel, &Channel::closed, this, &SetUp::onChannelClosed);
    }
    return m_channel;
}

void SetUp::onChannelClosed()
{
    m_channel->deleteLater();
    m_channel = nullptr;
    m_isBroken = false;
    schedule();
}

void SetUp::schedule()
{
    if (!std::exchange(m_isScheduled, true))
        QMetaObject::invokeMethod(this, &SetUp::run, Qt::QueuedConnection);
}

// Of those in the earliest phase; null if there is none that could be made now.
SetUp::Step *SetUp::nextStep()
{
    if (m_isBroken || !m_connection->isOpen())
        return nullptr;
    m_steps.removeIf([](const Step &step) { return !step.owner && !step.isSent; });
    const auto first = std::min_element(m_steps.begin(), m_steps.end(), [](const Step &a, const Step &b) {
        return a.phase != b.phase ? a.phase < b.phase : a.isSent < b.isSent;
    });
    return first == m_steps.end() || first->isSent ? nullptr : &*first;
}

void SetUp::run()
{
    m_isScheduled = false;
    const QPointer<SetUp> self(this);
    while (Step *step = nextStep()) {
        step->isSent = true;
        const auto run = step->run; // it may change the list
        run(step->id);
        if (!self)
            return;
    }
}

} // namespace AmqpQt
