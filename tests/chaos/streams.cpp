// SPDX-License-Identifier: MIT
#include "chaos/streams.h"

#include "chaos/topologymodel.h"
#include "support/waiting.h"

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using LossPolicy = Publisher::LossPolicy;

Streams::Streams(const ConnectionParameters &parameters, const QString &name, quint32 seed)
    : m_connection(parameters)
    , m_watch(&m_connection, name)
{
    const auto add = [&](const QString &kind, LossPolicy policy, qsizetype size, int prefetch) {
        m_streams.push_back(std::make_unique<Stream>(
            &m_connection, &m_watch, Stream::Options{name + u'.' + kind, policy, size, prefetch}, seed++));
    };
    add(u"republished"_s, LossPolicy::Republish, 100, 50);
    add(u"reported"_s, LossPolicy::Report, 100, 100);
    add(u"large"_s, LossPolicy::Republish, 8000, 20);
    add(u"single"_s, LossPolicy::Report, 10, 2);
}

bool Streams::open(std::chrono::milliseconds patience)
{
    m_connection.open();
    return waitFor(
        [&] {
            return std::all_of(m_streams.begin(), m_streams.end(), [](const auto &stream) {
                return stream->consumer()->state() == Consumer::State::Active;
            });
        },
        patience);
}

void Streams::publishUpTo(quint64 number)
{
    for (const auto &stream : m_streams)
        stream->publishUpTo(number);
}

void Streams::stop()
{
    for (const auto &stream : m_streams)
        stream->stop();
}

bool Streams::isQuiet() const
{
    return std::all_of(m_streams.begin(), m_streams.end(), [](const auto &stream) { return stream->isQuiet(); });
}

bool Streams::waitUntilQuiet(std::chrono::milliseconds patience)
{
    const auto eventCount = [this] {
        quint64 count = quint64(m_watch.ledger().lossCount() + m_watch.ledger().recoveryCount());
        for (const auto &stream : m_streams)
            count += stream->eventCount();
        return count;
    };
    for (;;) {
        const quint64 before = eventCount();
        if (waitFor([&] { return isQuiet() && isRecovered(); }, patience))
            return true;
        if (eventCount() == before)
            return false;
    }
}

quint64 Streams::publishedCount() const
{
    quint64 count = 0;
    for (const auto &stream : m_streams)
        count += stream->ledger().publishedCount();
    return count;
}

QStringList Streams::entities() const
{
    QStringList result{TopologyModel::exchange(u"chaos"_s, u"direct"_s, true, false)};
    for (const auto &stream : m_streams) {
        const Consumer *const consumer = stream->consumer();
        const QString queue = consumer->queue();
        result += TopologyModel::queue(queue, true, false, false);
        result += TopologyModel::binding(u"chaos"_s, u"queue"_s, queue, queue);
        result += TopologyModel::consumer(queue, consumer->consumerTag(), stream->prefetch());
    }
    return result;
}

Outcome Streams::finish(const ConnectionParameters &direct, std::chrono::milliseconds patience)
{
    stop();
    if (!waitUntilQuiet(patience))
        m_watch.fail(u"nothing happens any more, but %1"_s.arg(isRecovered() ? "messages are missing"_L1
                                                                             : "the connection is not open"_L1));
    m_watch.end();
    for (const auto &stream : m_streams)
        stream->stopReceiving();
    const auto closing = m_connection.close();
    if (!waitFor([&] { return closing.isFinished(); }, patience))
        m_watch.fail(u"the connection does not close"_s);

    Outcome outcome{m_watch.ledger().verdict(), {}};
    quint64 confirmed = 0, unknown = 0, delivered = 0, redelivered = 0;
    for (const auto &stream : m_streams) {
        if (!stream->collectLeftovers(direct))
            outcome.verdict.add(Violation::Unexpected, u"the queues cannot be read"_s);
        const MessageLedger &ledger = stream->ledger();
        outcome.verdict.add(ledger.verdict());
        confirmed += ledger.confirmedCount();
        unknown += ledger.unknownCount();
        delivered += ledger.deliveredCount();
        redelivered += ledger.redeliveredCount();
    }
    outcome.figures = {{u"published"_s, qint64(publishedCount())},
                       {u"confirmed"_s, qint64(confirmed)},
                       {u"unknown"_s, qint64(unknown)},
                       {u"delivered"_s, qint64(delivered)},
                       {u"redelivered"_s, qint64(redelivered)},
                       {u"losses"_s, lossCount()}};
    return outcome;
}
