// SPDX-License-Identifier: MIT
#include "qmlpublisher.h"

#include "setup.h"

#include <QtQml/qjsengine.h>
#include <QtQml/qqmlengine.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

QmlPublisher::QmlPublisher(QObject *parent)
    : QmlElement(parent)
{
}

QmlPublisher::~QmlPublisher()
{
    delete m_channel; // what was published is still sent
}

// --- the channel
// ----------------------------------------------------------------------------------------------------------

void QmlPublisher::connectionOpened()
{
    setErrorString({});
    setUp()->addUse(this, [this] { openChannel(); });
}

void QmlPublisher::openChannel()
{
    m_channel = connection()->createChannel();
    connect(m_channel, &Channel::writableChanged, this, &QmlPublisher::writableChanged);
    connect(m_channel, &Channel::messageReturned, this,
            [this](quint64, const Message &message, const Error &reason) { Q_EMIT returned(message, reason); });
    connect(m_channel, &Channel::closed, this, &QmlPublisher::onChannelClosed);
    m_waitingBytes = 0;
    for (const Outgoing &outgoing : std::exchange(m_waiting, {}))
        send(outgoing);
}

void QmlPublisher::onChannelClosed(const Error &reason)
{
    m_channel->deleteLater();
    m_channel = nullptr;
    if (isLive() && reason.kind() == ErrorKind::ChannelClosed) {
        setUp()->addUse(this, [this] { openChannel(); });
        fail(reason.text());
    }
}

void QmlPublisher::connectionClosed()
{
    if (!m_channel)
        return;
    m_channel->disconnect(this);
    m_channel->deleteLater();
    m_channel = nullptr;
    Q_EMIT writableChanged();
}

// --- messages
// -------------------------------------------------------------------------------------------------------------

int QmlPublisher::publish(const QJSValue &body, const QVariantMap &options)
{
    QString reason;
    const std::optional<Message> message = messageFor(body, &reason);
    if (!message)
        return refuse(reason);
    Outgoing outgoing{m_exchange, m_routingKey, *message, m_mandatory};
    outgoing.message.setPersistent(m_persistent);
    if (!m_contentType.isEmpty())
        outgoing.message.setContentType(m_contentType);
    reason = applyOptions(options, outgoing);
    if (!reason.isEmpty())
        return refuse(reason);
    if (!connection() || !connection()->isAttempting())
        return refuse(tr("There is no connection"));
    if (m_channel && connection()->isOpen())
        return send(outgoing) ? ++m_lastId : 0;
    const qint64 size = outgoing.message.body().size() + 1;
    if (m_waitingBytes + size > connection()->parameters().bufferLimit())
        return refuse(tr("Too much waits for the connection"));
    m_waitingBytes += size;
    m_waiting.append(outgoing);
    return ++m_lastId;
}

int QmlPublisher::refuse(const QString &reason)
{
    fail(reason);
    return 0;
}

bool QmlPublisher::send(const Outgoing &outgoing)
{
    if (m_channel->publish(outgoing.exchange, outgoing.routingKey, outgoing.message,
                           outgoing.mandatory ? Channel::PublishFlag::Mandatory : Channel::PublishFlags()))
        return true;
    fail(m_channel->error().text());
    return false;
}

std::optional<Message> QmlPublisher::messageFor(const QJSValue &body, QString *reason) const
{
    if (body.isString())
        return Message::fromText(body.toString());
    const QVariant variant = body.toVariant(QJSValue::RetainJSObjects);
    if (variant.metaType() == QMetaType::fromType<QByteArray>())
        return Message(variant.toByteArray());
    QJSEngine *engine = qjsEngine(this);
    const QJSValue json =
        engine ? engine->globalObject().property(u"JSON"_s).property(u"stringify"_s).call({body}) : QJSValue();
    if (json.isString())
        return Message(json.toString().toUtf8(), u"application/json"_s);
    *reason = json.isError() ? tr("The body cannot be sent: %1").arg(json.toString())
                             : tr("The body cannot be sent: it is neither text nor an ArrayBuffer nor JSON");
    return {};
}

// Returns what is wrong.
QString QmlPublisher::applyOptions(const QVariantMap &options, Outgoing &outgoing)
{
    Message &message = outgoing.message;
    for (auto option = options.begin(); option != options.end(); ++option) {
        const QString &name = option.key();
        const QVariant &value = option.value();
        if (name == "exchange"_L1)
            outgoing.exchange = value.toString();
        else if (name == "routingKey"_L1)
            outgoing.routingKey = value.toString();
        else if (name == "mandatory"_L1)
            outgoing.mandatory = value.toBool();
        else if (name == "expiration"_L1 && value.toLongLong() >= 0)
            message.setExpiration(std::chrono::milliseconds(value.toLongLong()));
        else if (const int index = Message::staticMetaObject.indexOfProperty(name.toUtf8());
                 index < 0 || !Message::staticMetaObject.property(index).writeOnGadget(&message, value))
            return tr("The option %1 is unknown or has a wrong value").arg(name);
    }
    return {};
}

} // namespace AmqpQt
