// SPDX-License-Identifier: MIT
#pragma once

#include "support/scriptedpeer.h"

#include <AmqpQt/channel.h>
#include <AmqpQt/connection.h>
#include <AmqpQt/consumer.h>
#include <AmqpQt/recovery.h>

#include <QtCore/qcoreapplication.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qtimer.h>
#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

// Shared by the tests of the client layer.
namespace AmqpQt::Test
{

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

inline ConnectionParameters parametersOf(const ScriptedPeer &peer)
{
    return ConnectionParameters::fromUrl(peer.url()).value();
}

// For tests in which the connection ends with its first failure.
inline ConnectionParameters withoutRecovery(ConnectionParameters parameters = {})
{
    parameters.setRecoveryPolicy(parameters.recoveryPolicy().withEnabled(false));
    return parameters;
}

inline ConnectionParameters withoutRecovery(const ScriptedPeer &peer)
{
    return withoutRecovery(parametersOf(peer));
}

template <typename Enum>
QString nameOf(Enum value)
{
    return QLatin1StringView(QMetaEnum::fromType<Enum>().valueToKey(int(value)));
}

// Runs the event loop until the condition holds. QTest::qWaitFor() checks its condition only every 10 ms.
template <typename Condition>
bool waitUntil(Condition condition, std::chrono::milliseconds timeout = 10s)
{
    QTimer alarm;
    alarm.setSingleShot(true);
    alarm.start(timeout);
    while (!condition()) {
        if (!alarm.isActive())
            return false;
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    }
    return true;
}

// "Timeout", or "ChannelClosed 404" where there is a reply code; "ok" for no error.
inline QString brief(const Error &error)
{
    if (!error.isError())
        return u"ok"_s;
    return nameOf(error.kind()) + (error.replyCode() ? u" %1"_s.arg(error.replyCode()) : QString());
}

// Records the signals of the watched objects and the ends of replies, in the order in which they arrive.
class SignalLog : public QObject
{
public:
    QStringList entries;
    std::function<void(const QString &entry)> afterEntry; // called for each, inside the slot

    void add(const QString &entry)
    {
        entries.append(entry);
        if (afterEntry)
            afterEntry(entry);
    }

    void watch(Connection *connection, const QString &name = u"connection"_s)
    {
        const auto note = [this, name](const QString &text) { add(name + u'.' + text); };
        connect(connection, &Connection::stateChanged, this,
                [note](Connection::State state) { note(u"stateChanged %1"_s.arg(nameOf(state))); });
        connect(connection, &Connection::opened, this, [note] { note(u"opened"_s); });
        connect(connection, &Connection::closed, this,
                [note](const Error &reason) { note(u"closed "_s + brief(reason)); });
        connect(connection, &Connection::errorOccurred, this,
                [note](const Error &error) { note(u"errorOccurred "_s + brief(error)); });
        connect(connection, &Connection::reconnecting, this,
                [note](int attempt) { note(u"reconnecting %1"_s.arg(attempt)); });
        connect(connection, &Connection::settlementFailed, this,
                [note](quint64, const Error &error) { note(u"settlementFailed "_s + brief(error)); });
        connect(connection, &Connection::parametersChanged, this, [note] { note(u"parametersChanged"_s); });
        connect(connection, &Connection::blockedChanged, this,
                [note](bool blocked) { note(u"blockedChanged %1"_s.arg(blocked)); });
        connect(connection, &Connection::writableChanged, this,
                [note](bool writable) { note(u"writableChanged %1"_s.arg(writable)); });
        connect(connection, &Connection::bytesToWriteChanged, this, [note] { note(u"bytesToWriteChanged"_s); });
        connect(connection, &Connection::backpressureDetected, this, [note] { note(u"backpressureDetected"_s); });
    }

    void watch(Channel *channel, const QString &name = u"channel"_s)
    {
        const auto note = [this, name](const QString &text) { add(name + u'.' + text); };
        connect(channel, &Channel::stateChanged, this,
                [note](Channel::State state) { note(u"stateChanged %1"_s.arg(nameOf(state))); });
        connect(channel, &Channel::opened, this, [note] { note(u"opened"_s); });
        connect(channel, &Channel::closed, this, [note](const Error &reason) { note(u"closed "_s + brief(reason)); });
        connect(channel, &Channel::errorOccurred, this,
                [note](const Error &error) { note(u"errorOccurred "_s + brief(error)); });
        connect(channel, &Channel::settlementFailed, this,
                [note](quint64, const Error &error) { note(u"settlementFailed "_s + brief(error)); });
        connect(channel, &Channel::queueDeclared, this, [note] { note(u"queueDeclared"_s); });
        connect(channel, &Channel::queueDeleted, this, [note] { note(u"queueDeleted"_s); });
        connect(channel, &Channel::exchangeDeclared, this, [note] { note(u"exchangeDeclared"_s); });
        connect(channel, &Channel::modeChanged, this, [note] { note(u"modeChanged"_s); });
        connect(channel, &Channel::publishConfirmed, this, [note] { note(u"publishConfirmed"_s); });
        connect(channel, &Channel::unconfirmedCountChanged, this, [note] { note(u"unconfirmedCountChanged"_s); });
        connect(channel, &Channel::publishFailed, this, [note](quint64 first, quint64 last, const Error &error) {
            note(u"publishFailed %1-%2 %3"_s.arg(first).arg(last).arg(brief(error)));
        });
        connect(channel, &Channel::messageReturned, this,
                [note](quint64, const Message &, const Error &reason) { note(u"messageReturned "_s + brief(reason)); });
        connect(channel, &Channel::backpressureChanged, this,
                [note](BackpressureReasons reasons) { note(u"backpressureChanged %1"_s.arg(reasons.toInt())); });
        connect(channel, &Channel::writableChanged, this,
                [note](bool writable) { note(u"writableChanged %1"_s.arg(writable)); });
    }

    void watch(Consumer *consumer, const QString &name = u"consumer"_s)
    {
        const auto note = [this, name](const QString &text) { add(name + u'.' + text); };
        connect(consumer, &Consumer::stateChanged, this,
                [note](Consumer::State state) { note(u"stateChanged %1"_s.arg(nameOf(state))); });
        connect(consumer, &Consumer::started, this, [note] { note(u"started"_s); });
        connect(consumer, &Consumer::cancelled, this,
                [note](const Error &reason) { note(u"cancelled "_s + brief(reason)); });
        connect(consumer, &Consumer::queueChanged, this,
                [note](const QString &queue) { note(u"queueChanged "_s + queue); });
        connect(consumer, &Consumer::deliveredCountChanged, this,
                [note](double count) { note(u"deliveredCountChanged %1"_s.arg(count)); });
        connect(consumer, &Consumer::unackedCountChanged, this,
                [note](int count) { note(u"unackedCountChanged %1"_s.arg(count)); });
    }

    void watchDeliveries(Consumer *consumer, const QString &name = u"consumer"_s)
    {
        connect(consumer, &Consumer::delivered, this,
                [this, name](const Message &message) { add(name + u".delivered "_s + message.text()); });
    }

    void watchBatches(Consumer *consumer, const QString &name = u"consumer"_s)
    {
        connect(consumer, &Consumer::batchDelivered, this, [this, name](const QList<Message> &messages) {
            QStringList texts;
            for (const Message &message : messages)
                texts += message.text();
            add(name + u".batchDelivered "_s + texts.join(u' '));
        });
    }

    template <typename T>
    void watch(const Reply<T> &reply, const QString &name)
    {
        replies.append(name);
        reply.then(this, [this, name](const Result<T> &result) {
            ended.append(name);
            add(u"reply."_s + name + u' ' + brief(result.error()));
        });
    }

    QStringList replies; // all replies that were watched
    QStringList ended;   // one entry for each finished reply

    bool has(const QString &entry) const { return entries.contains(entry); }
    qsizetype countOf(const QString &entry) const { return entries.count(entry); }
    // Returns the entries with this prefix, for a log without unrelated entries.
    QStringList only(const QString &prefix) const
    {
        QStringList some;
        for (const QString &entry : entries) {
            if (entry.startsWith(prefix))
                some += entry;
        }
        return some;
    }
};

// The number of these signals and their values depend on where a turn of the event loop ends.
inline bool comesOncePerTurn(const QString &entry)
{
    return entry.contains(u".deliveredCountChanged") || entry.contains(u".unackedCountChanged") ||
           entry.contains(u".unconfirmedCountChanged") || entry.contains(u".bytesToWriteChanged") ||
           entry.contains(u".batchDelivered");
}

// A connection to a scripted peer, with one channel.
class OpenClient
{
public:
    explicit OpenClient(ScriptedPeer &peer)
        : OpenClient(parametersOf(peer))
    {
    }
    explicit OpenClient(const ConnectionParameters &parameters)
        : connection(parameters)
        , channel(connection.createChannel())
    {
        connection.open();
        if (!waitUntil([this] { return channel->isOpen(); }))
            qFatal("the connection does not open");
    }

    // A subscription that has started; its tag is "c1", "c2" …
    Consumer *consume(ConsumeOptions options = {})
    {
        if (options.consumerTag.isEmpty())
            options.consumerTag = u"c%1"_s.arg(++m_consumers);
        Consumer *consumer = channel->consume(u"q"_s, options);
        if (!waitUntil([consumer] { return consumer->state() == Consumer::State::Active; }))
            qFatal("the consumer does not start");
        return consumer;
    }

    Connection connection;
    Channel *channel;

private:
    int m_consumers = 0;
};

// Handles posted events.
inline void settleEvents()
{
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
    QCoreApplication::processEvents();
}

// Runs the event loop until the peer has answered a request on a separate channel. By then everything that was sent and
// posted before has arrived.
inline void settle(Connection &connection)
{
    Channel *channel = connection.createChannel();
    if (!waitUntil([channel] { return channel->isOpen(); }))
        qFatal("no answer");
    delete channel;
    settleEvents();
}

// Returns several deliveries that arrive at once, as bytes for ScriptedPeer::sendRaw().
inline QByteArray deliveries(const QByteArray &consumerTag, quint64 firstTag, const QByteArrayList &bodies,
                             quint16 channel = 1)
{
    QByteArray bytes;
    for (const QByteArray &body : bodies)
        bytes += deliverFrames(consumerTag, firstTag++, {.body = body, .exchange = {}, .routingKey = {}}, channel);
    return bytes;
}

} // namespace AmqpQt::Test
