// SPDX-License-Identifier: MIT
#include "outagenotice.h"

#include <QtCore/qpointer.h>

#include <utility>

namespace AmqpQt
{

using namespace Qt::StringLiterals;
using std::chrono::milliseconds;
using std::chrono::seconds;

OutageNotice::OutageNotice(Connection *connection)
    : m_connection(connection)
{
    m_timer.setSingleShot(true);
    m_timer.setTimerType(Qt::PreciseTimer);
    connect(&m_timer, &QTimer::timeout, this, &OutageNotice::update);
    connect(connection, &Connection::stateChanged, this, &OutageNotice::onStateChanged);
    connect(connection, &Connection::calmStateChanged, this, &OutageNotice::update);
    connect(connection, &Connection::reconnecting, this, &OutageNotice::update);
    connect(connection, &Connection::errorOccurred, this, &OutageNotice::update);
}

void OutageNotice::setWanted(bool wanted)
{
    if (std::exchange(m_isWanted, wanted) != wanted)
        update();
}

void OutageNotice::onStateChanged(Connection::State state)
{
    if (state == Connection::State::Connecting) // a recovery does not enter this state
        m_wasOpen = false;
    else if (state == Connection::State::Open)
        m_wasOpen = true;
    update();
}

void OutageNotice::update()
{
    const QPointer<OutageNotice> self(this);
    countDown();
    if (!self)
        return;
    QString text = currentText();
    if (std::exchange(m_text, text) != text)
        Q_EMIT textChanged();
}

void OutageNotice::countDown()
{
    const milliseconds left = m_connection->nextAttemptIn();
    int secondsLeft = -1;
    m_timer.stop();
    if (left > milliseconds(0)) {
        const seconds roundedUp = std::chrono::ceil<seconds>(left);
        secondsLeft = int(roundedUp.count());
        m_timer.start(left - (roundedUp - seconds(1)));
    }
    if (std::exchange(m_secondsLeft, secondsLeft) != secondsLeft)
        Q_EMIT secondsLeftChanged();
}

QString OutageNotice::currentText() const
{
    const Connection::State state = m_connection->calmState();
    const bool isRecovering = state == Connection::State::Recovering;
    const bool hasEnded = state == Connection::State::Closed && m_connection->error().isError();
    if (!m_isWanted || (!isRecovering && !hasEnded))
        return {};
    const QString host = m_connection->currentEndpoint().host;
    QString text;
    if (m_connection->error().kind() == ErrorKind::Authentication)
        text = tr("%1 refuses the login: %2.");
    else if (m_connection->error().kind() == ErrorKind::InvalidArgument)
        return tr("The settings of the connection are not valid: %1.").arg(reason());
    else if (!m_wasOpen)
        text = tr("There is no connection to %1: %2.");
    else
        text = isRecovering ? tr("The connection to %1 is lost: %2.") : tr("The connection to %1 has ended: %2.");
    text = text.arg(host, reason());
    return isRecovering ? text + u' ' + nextStep() : text;
}

// Errors of a connection begin with the endpoint, which the sentence names as well.
QString OutageNotice::reason() const
{
    QString text = m_connection->error().text();
    const Endpoint endpoint = m_connection->currentEndpoint();
    const QString prefix = u"%1:%2: "_s.arg(endpoint.host).arg(endpoint.effectivePort());
    if (text.startsWith(prefix))
        text.remove(0, prefix.size());
    while (text.endsWith(u'.'))
        text.chop(1);
    return text;
}

QString OutageNotice::nextStep() const
{
    return m_secondsLeft > 0 ? tr("Next attempt in %1 s.").arg(m_secondsLeft) : tr("Connecting again …");
}

} // namespace AmqpQt
