// SPDX-License-Identifier: MIT
#include "qmlpublisher.h"

#include "declarationqueue.h"

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
        m_publisher->setConfirmWindow(messages);
    Q_EMIT changed();
}

void QmlPublisher::setLossPolicy(LossPolicy policy)
{
    if (std::exchange(m_lossPolicy, policy) == policy)
        return;
    if (m_publisher)
        m_publisher->setLossPolicy(Publisher::LossPolicy(policy));
    Q_EMIT changed();
}

void QmlPublisher::setOutboxLimit(double bytes)
{
    if (!isCount("outboxLimit", bytes) || std::exchange(m_outboxLimit, qint64(bytes)) == qint64(bytes))
        return;
    if (m_publisher)
        m_publisher->setOutboxLimit(m_outboxLimit);
    Q_EMIT changed();
}

void QmlPublisher::replacePublisher()
{
    m_publisher.reset();        // messages that were sent are not affected
    if (!m_outstanding.empty()) // reported later, not within a call of the application
        QMetaObject::invokeMethod(
            this, [this, last = m_lastId] { settleUpTo(last); }, Qt::QueuedConnection);
    if (connection()) {
        m_lastIdBefore = m_lastId;
        m_publisher = std::make_unique<Publisher>(connection());
        m_publisher->setPaused(true);
        m_publisher->setConfirmWindow(m_window);
        m_publisher->setLossPolicy(Publisher::LossPolicy(m_lossPolicy));
        m_publisher->setOutboxLimit(m_outboxLimit);
        const Publisher *publisher = m_publisher.get();
        connect(publisher, &Publisher::writableChanged, this, &QmlPublisher::writableChanged);
        connect(publisher, &Publisher::pressureChanged, this, &QmlPublisher::pressureChanged);
        connect(publisher, &Publisher::outstandingCountChanged, this, &QmlPublisher::outstandingChanged);
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
    const QPointer<QmlPublisher> self(this);
    setErrorString({});
    if (self && isLive())
        resumeWhenDeclared();
}

void QmlPublisher::resumeWhenDeclared()
{
    Publisher *publisher = m_publisher.get();
    declarations()->whenDeclared(publisher, [publisher] { publisher->setPaused(false); });
}

void QmlPublisher::connectionClosed()
{
    m_publisher->setPaused(true);
}

void QmlPublisher::connectionLost()
{
    m_publisher->setPaused(true);
}

// Elements that have changed during the outage declare first.
void QmlPublisher::connectionRecovered(const RecoveryReport &)
{
    resumeWhenDeclared();
}

double QmlPublisher::publish(const QJSValue &body, const QJSValue &options)
{
    const Result<qint64> id = submit(body, options);
    if (id)
        return double(*id);
    fail(id.error().text());
    return 0;
}

QJSValue QmlPublisher::publishWithReply(const QJSValue &body, const QJSValue &options)
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

Result<qint64> QmlPublisher::submit(const QJSValue &body, const QJSValue &options)
{
    Outgoing outgoing{.exchange = m_exchange, .routingKey = m_routingKey, .message = {}, .mandatory = m_mandatory};
    QString wrong = outgoing.setBody(body, qjsEngine(this), m_toJson);
    if (!outgoing.isForwarded) {
        outgoing.message.setPersistent(m_persistent);
        if (!m_contentType.isEmpty())
            outgoing.message.setContentType(m_contentType);
    }
    if (wrong.isEmpty())
        wrong = outgoing.setOptions(options);
    if (!wrong.isEmpty())
        return Error(ErrorKind::InvalidArgument, wrong);
    if (!m_publisher)
        return Error(ErrorKind::NotOpen, tr("There is no connection"));
    m_publisher->setMandatory(outgoing.mandatory);
    // publish() would log a rejected message itself, but the warning must come from this element.
    const Reply<void> reply = m_publisher->publishWithReply(outgoing.exchange, outgoing.routingKey, outgoing.message);
    if (reply.isFinished())
        return reply.result().error();
    m_outstanding.emplace(++m_lastId, JsPromise());
    return m_lastId;
}

// The outcome of a message is reported by its promise, by settled() or, without a receiver, as every other error is.
void QmlPublisher::settle(qint64 id, const Error &error)
{
    JsPromise promise = std::move(m_outstanding.extract(id).mapped());
    const bool hasReceiver = promise.exists() || isSignalConnected(settledSignal);
    if (error.isError())
        promise.reject(error);
    else
        promise.resolve();
    if (error.isError() && !hasReceiver && error.text() != errorString()) // one warning for many failures
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

} // namespace AmqpQt
