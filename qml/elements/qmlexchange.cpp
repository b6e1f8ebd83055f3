// SPDX-License-Identifier: MIT
#include "qmlexchange.h"

#include "declarationqueue.h"

#include <QtQml/qqmlinfo.h>

#include <array>
#include <memory>

namespace AmqpQt
{

namespace
{

constexpr std::array TypeNames = {ExchangeType::Direct, ExchangeType::Fanout, ExchangeType::Topic,
                                  ExchangeType::Headers};

} // namespace

QmlExchange::QmlExchange(QObject *parent)
    : QmlElement(parent)
    , m_type(ExchangeType::Direct)
{
    connect(this, &QmlExchange::changed, this, &QmlExchange::declare);
}

QVariant QmlExchange::type() const
{
    const auto known = std::find(TypeNames.begin(), TypeNames.end(), m_type);
    return known == TypeNames.end() ? QVariant(m_type) : QVariant(int(known - TypeNames.begin()));
}

void QmlExchange::setType(const QVariant &type)
{
    QString name;
    bool isNumber = false;
    const int number = type.toInt(&isNumber);
    if (type.metaType() == QMetaType::fromType<QString>())
        name = type.toString();
    else if (isNumber && number >= 0 && number < int(TypeNames.size()))
        name = TypeNames[std::size_t(number)];
    if (name.isEmpty())
        qmlWarning(this) << "type: the value is neither an Exchange.Type nor the name of a type";
    else if (std::exchange(m_type, name) != name)
        Q_EMIT changed();
}

void QmlExchange::setArguments(const QVariant &arguments)
{
    if (setTable("arguments", m_arguments, arguments))
        Q_EMIT changed();
}

void QmlExchange::connectionOpened()
{
    m_backoff.reset();
    declare();
}

void QmlExchange::connectionClosed()
{
    m_backoff.stop();
    m_isPending = false;
}

void QmlExchange::connectionRecovered(const RecoveryReport &report)
{
    if (m_isPending)
        return;
    if (m_passive)
        return declare();
    if (m_name.isEmpty())
        return;
    if (const Error failure = failureOf(Topology().exchange(m_name, m_type), report); failure.isError())
        onDeclared(failure);
}

void QmlExchange::declare()
{
    ++m_revision;
    if (!isLive() || m_isPending)
        return;
    m_backoff.stop();
    m_isPending = true;
    const auto sent = std::make_shared<quint64>(); // the revision
    declarations()->add(
        DeclarationQueue::Phase::Exchanges, this,
        [this, sent](Channel *channel) -> std::optional<Reply<void>> {
            m_isPending = false;
            *sent = m_revision;
            if (m_name.isEmpty()) {
                fail(tr("An exchange needs a name"));
                return {};
            }
            if (m_passive)
                return channel->inspectExchange(m_name);
            return channel->declareExchange(
                m_name, m_type,
                {.durable = m_durable, .autoDelete = m_autoDelete, .internal = m_internal, .arguments = m_arguments});
        },
        [this, sent](const Result<void> &result) {
            if (*sent == m_revision) // otherwise the element has changed since
                onDeclared(result);
        });
}

void QmlExchange::onDeclared(const Result<void> &result)
{
    constexpr quint16 NotFound = 404;
    if (!result) {
        const Error &error = result.error();
        if (error.replyCode() == NotFound) // the exchange may be declared later
            m_backoff.start(this);
        if (error.text() != errorString()) // one warning for many attempts
            fail(error.text());
        return;
    }
    m_backoff.succeeded();
    const QPointer<QmlExchange> self(this);
    setErrorString({});
    if (self)
        Q_EMIT declared();
}

void QmlExchange::lost(const QString &name, const Error &reason)
{
    if (!isLive() || name != m_name || m_isPending || m_backoff.isActive())
        return;
    m_backoff.start(this);
    setErrorString(reason.text());
}

void QmlExchange::timerEvent(QTimerEvent *)
{
    declare();
}

} // namespace AmqpQt
