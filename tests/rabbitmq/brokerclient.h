// SPDX-License-Identifier: MIT
#pragma once

#include "support/brokerfixture.h"
#include "support/waiting.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>
#include <AmqpQt/Recovery>

#include <QtCore/qcoreapplication.h>
#include <QtCore/qeventloop.h>
#include <QtCore/qtimer.h>
#include <QtCore/qversionnumber.h>
#include <QtTest/qtest.h>

#include <chrono>

// Shared by the tests against a real broker: a client, and functions that wait for it.
namespace AmqpQt::Test
{

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

// The timeout for events that are certain to come; the machine may be busy.
inline constexpr std::chrono::milliseconds Patience = 120s;

using ::waitFor;

template <typename Condition>
bool waitFor(Condition condition)
{
    return waitFor(condition, Patience);
}

template <typename T>
Result<T> await(const Reply<T> &reply, std::chrono::milliseconds patience = Patience)
{
    if (!waitFor([&] { return reply.isFinished(); }, patience))
        return Error(ErrorKind::Timeout, u"the test has waited for this reply long enough"_s);
    return reply.result();
}

inline QString brief(const Error &error)
{
    if (!error.isError())
        return u"NoError"_s;
    const auto kind = QLatin1StringView(QMetaEnum::fromType<ErrorKind>().valueToKey(int(error.kind())));
    QStringList words = {kind};
    if (error.replyCode())
        words += QString::number(error.replyCode());
    if (!error.method().isEmpty())
        words += error.method();
    return words.join(u' ');
}

// The reply succeeds within Patience.
#define VERIFY_OK(reply)                                                                                               \
    do {                                                                                                               \
        const auto verifiedResult = AmqpQt::Test::await(reply);                                                        \
        QVERIFY2(verifiedResult, qPrintable(verifiedResult.error().toString()));                                       \
    } while (false)

// The reply fails with this error: "ChannelClosed 404 queue.declare".
#define VERIFY_FAILS(reply, briefError) QCOMPARE(AmqpQt::Test::brief(AmqpQt::Test::await(reply).error()), briefError)

// Parameters for the broker under test.
inline ConnectionParameters brokerParameters()
{
    const Result<ConnectionParameters> parameters = ConnectionParameters::fromUrl(brokerUrl());
    return parameters ? *parameters : ConnectionParameters();
}

// For tests in which the connection ends with its first failure.
inline ConnectionParameters withoutRecovery(ConnectionParameters parameters = brokerParameters())
{
    parameters.setRecoveryPolicy(parameters.recoveryPolicy().withEnabled(false));
    return parameters;
}

// The options of a queue that several connections use. Unlike an exclusive queue it outlives its connection, so it
// expires.
inline QueueOptions sharedQueue(FieldTable arguments = {})
{
    arguments.insert(u"x-expires"_s, 120'000);
    return {.arguments = arguments};
}

// The options of an exchange that is deleted with its last binding.
inline ExchangeOptions passingExchange(const FieldTable &arguments = {})
{
    return {.durable = false, .autoDelete = true, .arguments = arguments};
}

// An open connection with one open channel. A test's init() verifies that it is open.
class BrokerClient
{
public:
    BrokerClient()
        : BrokerClient(brokerParameters())
    {
    }
    explicit BrokerClient(const ConnectionParameters &parameters)
        : connection(parameters)
        , channel(connection.createChannel())
    {
        channel->setPrefetch(0); // many tests collect more than 100 deliveries before they settle one
        if (await(connection.open()))
            await(channel->whenOpen());
    }

    bool isOpen() const { return channel->isOpen(); }
    QVersionNumber brokerVersion() const
    {
        return QVersionNumber::fromString(connection.serverProperties().value(u"version"_s).toString());
    }

    // Returns the number of ready messages in a queue, or -1 if there is no such queue. Uses a separate channel, so
    // that a 404 has no other effect. RabbitMQ answers before it has processed earlier publishes and acks, so tests
    // must wait for their effects.
    qint64 messageCount(const QString &queue)
    {
        const std::unique_ptr<Channel> own(connection.createChannel());
        const Result<QueueInfo> info = await(own->inspectQueue(queue));
        return info ? qint64(info->messageCount) : -1;
    }

    // Takes and acknowledges all messages of the queue, in queue order.
    QList<Message> drain(const QString &queue)
    {
        QList<Message> messages;
        const std::unique_ptr<Channel> own(connection.createChannel());
        while (const auto got = await(own->get(queue))) {
            if (!*got)
                break;
            (*got)->message.ack();
            messages.append((*got)->message);
        }
        await(own->close());
        return messages;
    }

    Connection connection;
    Channel *const channel;
};

inline void collect(const Consumer *consumer, QList<Message> *messages)
{
    QObject::connect(consumer, &Consumer::delivered, consumer,
                     [messages](const Message &message) { messages->append(message); });
}

inline QStringList texts(const QList<Message> &messages)
{
    QStringList texts;
    for (const Message &message : messages)
        texts += message.text();
    return texts;
}

} // namespace AmqpQt::Test
