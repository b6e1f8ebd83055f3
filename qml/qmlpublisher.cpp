// SPDX-License-Identifier: MIT
#include "qmlpublisher.h"

#include "setup.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qmetaobject.h>
#include <QtQml/qjsengine.h>
#include <QtQml/qqmlengine.h>

#include <limits>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

const QMetaMethod settledSignal = QMetaMethod::fromSignal(&QmlPublisher::settled);

// What the setters of a message only warn of, and not with the element's file and line.
bool isOutOfRange(const QString &option, const QVariant &value)
{
    if (option == "priority"_L1) {
        const double priority = value.toDouble();
        return !(priority >= -1 && priority <= std::numeric_limits<quint8>::max());
    }
    if (option == "timestamp"_L1 && value.isValid()) {
        const QDateTime time = value.toDateTime();
        return !time.isValid() || time.toMSecsSinceEpoch() < 0;
    }
    return false;
}

} // namespace

QmlPublisher::QmlPublisher(QObject *parent)
    : QmlElement(parent)
{
    connect(this, &QmlPublisher::connectionChanged, this, &QmlPublisher::replacePublisher);
}

QmlPublisher::~QmlPublisher()
{
    const Error destroyed(ErrorKind::Unconfirmed, tr("The publisher was destroyed"));
    for (auto &[id, promise] : m_outstanding)
        promise.reject(destroyed);
}

void QmlPublisher::setWindow(int messages)
{
    if (!isInRange("window", messages, 1, std::numeric_limits<int>::max()) ||
        std::exchange(m_window, messages) == messages)
        return;
    if (m_publisher)
        m_publisher->setWindow(messages);
    Q_EMIT changed();
}

void QmlPublisher::setOutboxLimit(int bytes)
{
    if (!isInRange("outboxLimit", bytes, 0, std::numeric_limits<int>::max()) ||
        std::exchange(m_outboxLimit, bytes) == bytes)
        return;
    if (m_publisher)
        m_publisher->setOutboxLimit(bytes);
    Q_EMIT changed();
}

// --- the connection --------------------------------------------------------------------------------------------------

void QmlPublisher::replacePublisher()
{
    m_publisher.reset();        // what was sent is on its way
    if (!m_outstanding.empty()) // told later, not inside of what the application does
        QMetaObject::invokeMethod(
            this, [this, last = m_lastId] { settleUpTo(last); }, Qt::QueuedConnection);
    if (connection()) {
        m_lastIdBefore = m_lastId;
        m_publisher = std::make_unique<Publisher>(connection());
        m_publisher->setPaused(true);
        m_publisher->setWindow(m_window);
        m_publisher->setOutboxLimit(m_outboxLimit);
        const Publisher *publisher = m_publisher.get();
        connect(publisher, &Publisher::writableChanged, this, &QmlPublisher::writableChanged);
        connect(publisher, &Publisher::pressureChanged, this, &QmlPublisher::pressureChanged);
        connect(publisher, &Publisher::outstandingChanged, this, &QmlPublisher::outstandingChanged);
        connect(publisher, &Publisher::drained, this, &QmlPublisher::drained);
        connect(publisher, &Publisher::settled, this,
                [this](quint64 id, const Error &error) { settle(m_lastIdBefore + qint64(id), error); });
        connect(publisher->channel(), &Channel::messageReturned, this,
                [this](quint64, const Message &message, const Error &reason) { Q_EMIT returned(message, reason); });
    }
    const QPointer<QmlPublisher> self(this);
    for (const auto notify :
         {&QmlPublisher::writableChanged, &QmlPublisher::pressureChanged, &QmlPublisher::outstandingChanged}) {
        if (self)
            Q_EMIT(this->*notify)();
    }
}

void QmlPublisher::connectionOpened()
{
    setErrorString({});
    Publisher *publisher = m_publisher.get();
    setUp()->addUse(publisher, [publisher] { publisher->setPaused(false); });
}

void QmlPublisher::connectionClosed()
{
    m_publisher->setPaused(true);
}

// --- messages --------------------------------------------------------------------------------------------------------

double QmlPublisher::publish(const QJSValue &body, const QVariantMap &options)
{
    const Result<qint64> id = submit(body, options);
    if (id)
        return double(*id);
    fail(id.error().text());
    return 0;
}

QJSValue QmlPublisher::publishWithReply(const QJSValue &body, const QVariantMap &options)
{
    JsPromise promise = m_promises.create(qjsEngine(this));
    const QJSValue value = promise.value();
    const Result<qint64> id = submit(body, options);
    if (id)
        m_outstanding[*id] = std::move(promise);
    else
        promise.reject(id.error());
    return value;
}

Result<qint64> QmlPublisher::submit(const QJSValue &body, const QVariantMap &options)
{
    const auto invalid = [](const QString &reason) { return Error(ErrorKind::InvalidArgument, reason); };
    QString reason;
    const std::optional<Message> message = messageFor(body, &reason);
    if (!message)
        return invalid(reason);
    Outgoing outgoing{m_exchange, m_routingKey, *message, m_mandatory};
    outgoing.message.setPersistent(m_persistent);
    if (!m_contentType.isEmpty())
        outgoing.message.setContentType(m_contentType);
    reason = applyOptions(options, outgoing);
    if (!reason.isEmpty())
        return invalid(reason);
    if (!m_publisher)
        return Error(ErrorKind::NotOpen, tr("There is no connection"));
    m_publisher->setMandatory(outgoing.mandatory);
    // Not publish(), which logs what it refuses: that is a warning of this element.
    const Reply<void> reply = m_publisher->publishWithReply(outgoing.exchange, outgoing.routingKey, outgoing.message);
    if (reply.isFinished())
        return reply.result().error();
    m_outstanding.emplace(++m_lastId, JsPromise());
    return m_lastId;
}

// One end of a message is told by its promise, by settled() or, if nobody listens, as every other error is.
void QmlPublisher::settle(qint64 id, const Error &error)
{
    JsPromise promise = std::move(m_outstanding.extract(id).mapped());
    const bool isHeard = promise.exists() || isSignalConnected(settledSignal);
    if (error.isError())
        promise.reject(error);
    else
        promise.resolve();
    if (error.isError() && !isHeard && error.text() != errorString()) // once for many of them
        fail(error.text());
    else
        Q_EMIT settled(double(id), error);
}

void QmlPublisher::settleUpTo(qint64 last)
{
    const Error left(ErrorKind::Unconfirmed, tr("The connection of the publisher was changed or destroyed"));
    const QPointer<QmlPublisher> self(this);
    while (self && !m_outstanding.empty() && m_outstanding.begin()->first <= last)
        settle(m_outstanding.begin()->first, left);
    if (self && m_outstanding.empty())
        Q_EMIT drained();
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
        bool isNumber = false;
        const qint64 milliseconds = value.toLongLong(&isNumber);
        if (name == "exchange"_L1)
            outgoing.exchange = value.toString();
        else if (name == "routingKey"_L1)
            outgoing.routingKey = value.toString();
        else if (name == "mandatory"_L1)
            outgoing.mandatory = value.toBool();
        else if (name == "expiration"_L1 && isNumber && milliseconds >= 0)
            message.setExpiration(std::chrono::milliseconds(milliseconds));
        else if (const int index = Message::staticMetaObject.indexOfProperty(name.toUtf8());
                 index < 0 || isOutOfRange(name, value) ||
                 !Message::staticMetaObject.property(index).writeOnGadget(&message, value))
            return tr("The option %1 is unknown or has a wrong value").arg(name);
    }
    return {};
}

} // namespace AmqpQt
