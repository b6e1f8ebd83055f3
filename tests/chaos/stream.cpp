// SPDX-License-Identifier: MIT
#include "chaos/stream.h"

#include "support/waiting.h"

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

constexpr int Outstanding = 600; // more than the confirm window, so that the outbox is used as well
constexpr int Backlog = 5000;    // confirmed messages that are not delivered yet, so that the end does not take long

const QString exchange = u"chaos"_s;

} // namespace

Stream::Stream(Connection *connection, ConnectionWatch *watch, const Options &options, quint32 seed)
    : m_options(options)
    , m_watch(watch)
    , m_ledger(options.queue, options.prefetch)
    , m_random(seed)
    , m_publisher(connection)
{
    m_publisher.setExchange(exchange);
    m_publisher.setRoutingKey(options.queue);
    m_publisher.setConfirmWindow(Outstanding / 2);
    m_publisher.setLossPolicy(options.lossPolicy);
    connect(&m_publisher, &Publisher::settled, this, &Stream::end);
    watch->watch(m_publisher.channel());

    Channel *const channel = connection->createChannel(this);
    watch->watch(channel);
    channel->declareExchange(exchange, ExchangeType::Direct);
    channel->declareQueue(options.queue);
    // Channels do not wait for each other, so the publisher's messages might come before the binding.
    channel->bindQueue(options.queue, exchange, options.queue).then(this, [this](const Result<void> &bound) {
        m_isBound = bool(bound);
        publishSome();
    });
    m_consumer = channel->consume(options.queue, {.prefetch = quint16(options.prefetch)});
    watch->watch(m_consumer);
    connect(m_consumer, &Consumer::delivered, this, &Stream::receive);
    connect(watch, &ConnectionWatch::lost, this, [this] { m_ledger.loseConnection(); });
    m_pause.setSingleShot(true);
    m_pause.setInterval(50ms);
    connect(&m_pause, &QTimer::timeout, this, &Stream::settleAll);
}

void Stream::publishUpTo(quint64 number)
{
    m_target = number;
    publishSome();
}

void Stream::publishSome()
{
    while (m_isBound && m_ledger.publishedCount() < m_target && m_publisher.outstandingCount() < Outstanding &&
           m_ledger.missingCount() < Backlog) {
        const quint64 number = m_ledger.publishedCount() + 1;
        Message message(QByteArray(m_random.bounded(int(m_options.bodySize)) + 1, 'x'));
        message.setMessageId(QString::number(number));
        message.setPersistent(true);
        if (m_publisher.publish(message) != number) { // a publisher numbers its messages in the same way
            m_watch->fail("a message was rejected: "_L1 + m_publisher.error().toString());
            m_target = 0;
            return;
        }
        m_ledger.publish();
    }
}

void Stream::end(quint64 number, const Error &error)
{
    auto outcome = MessageLedger::Outcome::Confirmed;
    if (error.kind() == ErrorKind::Unconfirmed || error.kind() == ErrorKind::Network) {
        outcome = MessageLedger::Outcome::Unknown;
    } else if (error.isError()) {
        outcome = MessageLedger::Outcome::Refused;
        m_watch->fail("a message was refused: "_L1 + error.toString());
    }
    m_ledger.end(number, outcome);
    publishSome();
}

void Stream::receive(const Message &message)
{
    m_ledger.deliver(message.messageId().toULongLong());
    m_held.push_back({message, m_ledger.incarnation()});
    if (m_random.bounded(50) == 0) { // several at once
        const int incarnation = m_ledger.incarnation();
        const auto isCurrent = [incarnation](const Held &held) { return held.incarnation == incarnation; };
        m_ledger.acknowledge(incarnation, int(std::count_if(m_held.begin(), m_held.end(), isCurrent)));
        m_consumer->channel()->ackUpTo(message);
        std::erase_if(m_held, isCurrent);
    }
    const auto kept = size_t(m_random.bounded(m_options.prefetch / 2));
    while (m_held.size() > kept)
        settleOldest();
    m_pause.start();
    publishSome();
}

void Stream::settleOldest()
{
    const Held held = m_held.front();
    m_held.pop_front();
    m_ledger.acknowledge(held.incarnation);
    if (m_random.bounded(100) == 0)
        held.message.nack(Requeue::Yes);
    else
        held.message.ack();
}

void Stream::settleAll()
{
    while (!m_held.empty())
        settleOldest();
}

bool Stream::isQuiet() const
{
    return m_ledger.publishedCount() >= m_target && m_ledger.endedCount() == m_ledger.publishedCount() &&
           m_ledger.missingCount() == 0;
}

quint64 Stream::eventCount() const
{
    return m_ledger.endedCount() + m_ledger.deliveredCount() + m_ledger.redeliveredCount();
}

void Stream::stopReceiving()
{
    m_consumer->disconnect(this);
    m_pause.stop();
    settleAll();
}

bool Stream::collectLeftovers(const ConnectionParameters &parameters)
{
    Connection connection(parameters);
    connection.open();
    Channel *const channel = connection.createChannel();
    for (;;) {
        const auto fetching = channel->get(m_options.queue, AckMode::NoAck);
        if (!waitFor([&] { return fetching.isFinished(); }, 1min) || !fetching.result())
            return false;
        if (!*fetching.result())
            return true;
        m_ledger.findInQueue((*fetching.result())->message.messageId().toULongLong());
    }
}
