// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"

#include <AmqpQt/recovery.h>

#include <QtCore/qset.h>

#include <functional>
#include <optional>

// Shared by the tests of what a connection restores after a loss.
namespace AmqpQt::Test
{

inline constexpr std::chrono::milliseconds Shortest = 200ms;

// The reply code with which the peer refuses a command, and the text.
using Refusal = std::optional<std::pair<quint16, QByteArray>>;

// A client of a scripted peer that recovers, with one channel.
class Restoring
{
public:
    explicit Restoring(const RecoveryPolicy &policy = {})
        : connection(parameters(policy.withDelays(Shortest, Shortest, 1.0)))
        , channel(connection.createChannel())
    {
        log.watch(&connection);
        QObject::connect(&connection, &Connection::recovered, &connection, [this](const RecoveryReport &report) {
            log.add(u"recovered"_s);
            reports.append(report);
        });
        QObject::connect(&connection, &Connection::queueRenamed, &connection,
                         [this](const QString &from, const QString &to) { log.add(from + u" is "_s + to); });
        peer.setHook([this](const Command &command) { return refuses(command); });
        connection.open();
        if (!waitUntil([this] { return channel->isOpen(); }))
            qFatal("the connection does not open");
    }

    // Waits until the broker has answered everything so far.
    bool isAnswered()
    {
        const Reply<QueueInfo> last = channel->declareQueue(u"last"_s);
        return waitUntil([&] { return last.isFinished(); }) && last.result();
    }
    void lose()
    {
        peer.forgetReceived();
        log.entries.clear();
        peer.dropConnection();
    }
    bool isRecovered(qsizetype times = 1)
    {
        return waitUntil([&] { return reports.size() >= times; });
    }
    bool recover()
    {
        const qsizetype before = reports.size();
        lose();
        return isRecovered(before + 1);
    }
    // What arrived on all channels since the loss.
    QStringList sent() const
    {
        QStringList commands;
        for (const Command &command : peer.received()) {
            const QString name = QString::fromLatin1(command.name);
            const auto field = [&](const char *key) { return command.fields.value(QLatin1StringView(key)).toString(); };
            if (command.channel == 0 || name == u"channel.close-ok")
                continue;
            if (name == u"exchange.declare")
                commands += u"exchange "_s + field("exchange");
            else if (name == u"queue.declare")
                commands += u"queue "_s + field("queue");
            else if (name == u"queue.bind")
                commands += field("queue") + u'<' + field("exchange");
            else if (name == u"exchange.bind")
                commands += field("destination") + u'<' + field("source");
            else if (name == u"basic.consume")
                commands += u"consume "_s + field("queue");
            else
                commands += name;
        }
        return commands;
    }

    ScriptedPeer peer;
    std::function<Refusal(const Command &)> refusal;
    std::function<bool(const Command &)> hook;
    SignalLog log;
    QList<RecoveryReport> reports;
    Connection connection;
    Channel *channel;

private:
    ConnectionParameters parameters(const RecoveryPolicy &policy) const
    {
        ConnectionParameters result = parametersOf(peer);
        result.setRecoveryPolicy(policy);
        return result;
    }
    // As RabbitMQ does, answers nothing else on a channel that it closes.
    bool refuses(const Command &command)
    {
        const std::pair channelOfConnection(command.connection, command.channel);
        if (command.name == "channel.close-ok")
            m_closing.remove(channelOfConnection);
        if (m_closing.contains(channelOfConnection))
            return true;
        if (const auto refused = refusal ? refusal(command) : std::nullopt) {
            m_closing.insert(channelOfConnection);
            const QByteArray text = refused->second;
            peer.send(command.channel, Wire::ChannelClose{.replyCode = refused->first,
                                                          .replyText = QByteArrayView(text),
                                                          .classId = command.id.classId,
                                                          .methodId = command.id.methodId});
            return true;
        }
        return hook && hook(command);
    }

    QSet<std::pair<int, quint16>> m_closing;
};

inline bool is(const Command &command, const char *name, const char *field, const QString &value)
{
    return command.name == name && command.fields.value(QLatin1StringView(field)).toString() == value;
}

// Declares an exchange, two queues and their bindings, and starts a consumer of each.
inline void setUp(Restoring &client)
{
    client.channel->declareExchange(u"x"_s, ExchangeType::Topic);
    for (const QString &queue : {u"a"_s, u"b"_s}) {
        client.channel->declareQueue(queue);
        client.channel->bindQueue(queue, u"x"_s, queue);
        client.channel->consume(queue);
    }
    QVERIFY(client.isAnswered());
}

} // namespace AmqpQt::Test
