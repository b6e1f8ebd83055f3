// SPDX-License-Identifier: MIT
#include "qmlexchange.h"

#include "setup.h"

#include <QtQml/qqmlinfo.h>

#include <array>

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
        qmlWarning(this) << "type: neither one of Exchange.Type nor the name of a type";
    else if (std::exchange(m_type, name) != name)
        Q_EMIT changed();
}

void QmlExchange::connectionOpened()
{
    declare();
}

void QmlExchange::connectionClosed()
{
    m_isPending = false;
}

void QmlExchange::declare()
{
    if (!isLive() || m_isPending)
        return;
    if (m_name.isEmpty())
        return fail(tr("An exchange needs a name"));
    m_isPending = true;
    setUp()->add(
        SetUp::Phase::Exchanges, this,
        [this](Channel *channel) {
            m_isPending = false;
            if (m_passive)
                return std::optional(channel->inspectExchange(m_name));
            return std::optional(channel->declareExchange(
                m_name, m_type,
                {.durable = m_durable, .autoDelete = m_autoDelete, .internal = m_internal, .arguments = m_arguments}));
        },
        [this](const Result<void> &result) {
            if (!result)
                return fail(result.error().text());
            setErrorString({});
            Q_EMIT declared();
        });
}

} // namespace AmqpQt
