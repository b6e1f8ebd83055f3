// SPDX-License-Identifier: MIT
#include "qmlelement.h"

#include "jsvalues.h"

#include <QtQml/qqmlinfo.h>

#include <cmath>

namespace AmqpQt
{

QmlElement::QmlElement(QObject *parent)
    : QObject(parent)
{
}

void QmlElement::setConnection(QmlConnection *connection)
{
    m_isExplicit = true;
    use(connection);
}

void QmlElement::resetConnection()
{
    m_isExplicit = false;
    if (m_isComplete)
        findConnection();
    else
        use(nullptr); // componentComplete() looks for a connection
}

void QmlElement::classBegin() {}

void QmlElement::componentComplete()
{
    const QPointer<QmlElement> self(this);
    findConnection();
    if (!self)
        return;
    m_isComplete = true;
    if (!m_connection) {
        const QString text =
            tr("There is no connection; place the element inside a Connection, or set its connection property");
        if (m_isExplicit)
            setErrorString(text); // a connection may be set later
        else
            fail(text);
    }
    if (self)
        start();
}

void QmlElement::findConnection()
{
    if (m_isExplicit)
        return;
    for (QObject *outer = parent(); outer; outer = outer->parent()) {
        if (auto *connection = qobject_cast<QmlConnection *>(outer))
            return use(connection);
        auto *element = qobject_cast<QmlElement *>(outer);
        if (element && element->m_isExplicit)
            return use(element->m_connection);
    }
    use(nullptr);
}

void QmlElement::use(QmlConnection *connection)
{
    if (m_connection == connection)
        return;
    const QPointer<QmlElement> self(this);
    const QPointer<QmlConnection> previous(m_connection);
    const QPointer<QmlConnection> next(connection);
    if (previous)
        previous->disconnect(this);
    stop();
    if (!self || m_connection != previous) // a slot has deleted the element or set another connection
        return;
    m_connection = next;
    if (next) {
        connect(next, &Connection::opened, this, &QmlElement::start);
        connect(next, &Connection::closed, this, &QmlElement::stop);
        connect(next, &Connection::stateChanged, this, [this](Connection::State state) {
            if (isLive() && state == Connection::State::Recovering)
                connectionLost();
        });
        connect(next, &Connection::queueRenamed, this, [this](const QString &oldName, const QString &newName) {
            if (isLive())
                queueRenamed(oldName, newName);
        });
        connect(next, &Connection::recovered, this, &QmlElement::onRecovered);
        connect(next, &QObject::destroyed, this, [this] {
            const QPointer<QmlElement> alive(this);
            stop();
            // Elements look for another connection later, so that they do not find the one that is being
            // destroyed.
            if (alive)
                QMetaObject::invokeMethod(this, &QmlElement::connectionChanged, Qt::QueuedConnection);
        });
    }
    setErrorString({});
    if (self)
        Q_EMIT connectionChanged();
    if (self)
        start();
}

void QmlElement::start()
{
    if (m_isLive || !m_isComplete || !m_connection || !m_connection->isOpen())
        return;
    m_isLive = true;
    connectionOpened();
}

void QmlElement::stop()
{
    if (!std::exchange(m_isLive, false))
        return;
    connectionClosed();
}

void QmlElement::onRecovered(const RecoveryReport &report)
{
    if (isLive())
        connectionRecovered(report);
    else
        start(); // the element was created, or has got the connection, during the outage
}

Error QmlElement::failureOf(const Topology &entity, const RecoveryReport &report)
{
    const QString name = entity.entities().constFirst();
    for (const EntityFailure &failure : report.failed) {
        if (failure.entity == name)
            return failure.error;
    }
    return {};
}

void QmlElement::setErrorString(const QString &text)
{
    if (std::exchange(m_errorString, text) != text)
        Q_EMIT errorStringChanged();
}

void QmlElement::fail(const QString &text)
{
    const QPointer<QmlElement> self(this);
    qmlWarning(this) << text;
    if (self) // a slot of QQmlEngine::warnings() may delete it
        setErrorString(text);
}

bool QmlElement::isInRange(const char *property, qint64 value, qint64 minimum, qint64 maximum) const
{
    if (value >= minimum && value <= maximum)
        return true;
    qmlWarning(this) << property << ": " << value << " is out of range; the range is " << minimum << " to " << maximum;
    return false;
}

bool QmlElement::isCount(const char *property, double value) const
{
    constexpr double maximum = 9007199254740992.0; // 2^53
    if (value == std::trunc(value) && value >= 0 && value <= maximum)
        return true;
    const QString wrong = QString::number(value, 'g', 16);
    if (std::isfinite(value) && value != std::trunc(value))
        qmlWarning(this) << property << ": " << wrong << " is not a whole number";
    else
        qmlWarning(this) << property << ": " << wrong << " is out of range; the range is 0 to 2^53";
    return false;
}

bool QmlElement::setTable(const char *property, QVariantMap &table, const QVariant &value) const
{
    const std::optional<FieldTable> wanted = tableFromScript(value);
    if (!wanted) {
        qmlWarning(this) << property
                         << ": the value is not an object with names and values, such as ({ \"x-priority\": 5 })";
        return false;
    }
    return std::exchange(table, *wanted) != *wanted;
}

} // namespace AmqpQt
