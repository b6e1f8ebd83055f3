// SPDX-License-Identifier: MIT
#include "engine/acking.h"

#include <QtCore/qrandom.h>
#include <QtTest/qtest.h>

#include <set>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using Wire::BasicAck;
using Wire::BasicNack;
using Wire::BasicReject;

class tst_AckMerging : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void settlesEachDeliveryOnceAsAsked_data();
    void settlesEachDeliveryOnceAsAsked();
};

namespace
{

enum class Fate { Unsettled, Acked, Requeued, Dropped };

// Models RabbitMQ's handling of the deliveries of one channel.
class BrokerModel
{
public:
    void deliver(quint64 tag)
    {
        fates[tag] = Fate::Unsettled;
        m_unacked.insert(tag);
    }
    void take(const Frame &frame)
    {
        const QByteArrayView arguments = QByteArrayView(frame.payload).sliced(4);
        if (frame.is(BasicAck::id)) {
            BasicAck ack;
            Wire::decodeArguments(arguments, ack);
            settle(ack.deliveryTag, ack.multiple, Fate::Acked);
            ++frames;
        } else if (frame.is(BasicNack::id)) {
            BasicNack nack;
            Wire::decodeArguments(arguments, nack);
            settle(nack.deliveryTag, nack.multiple, nack.requeue ? Fate::Requeued : Fate::Dropped);
        } else if (frame.is(BasicReject::id)) {
            BasicReject reject;
            Wire::decodeArguments(arguments, reject);
            settle(reject.deliveryTag, false, reject.requeue ? Fate::Requeued : Fate::Dropped);
        }
    }

    std::map<quint64, Fate> fates;
    QString offence;
    int frames = 0;

private:
    void settle(quint64 tag, bool multiple, Fate fate)
    {
        if (!m_unacked.contains(tag)) {
            offence = u"PRECONDITION_FAILED - unknown delivery tag %1"_s.arg(tag);
            return;
        }
        const auto first = multiple ? m_unacked.begin() : m_unacked.find(tag);
        const auto end = std::next(m_unacked.find(tag));
        std::for_each(first, end, [&](quint64 each) { fates[each] = fate; });
        m_unacked.erase(first, end);
    }
    std::set<quint64> m_unacked;
};

} // namespace

void tst_AckMerging::settlesEachDeliveryOnceAsAsked_data()
{
    QTest::addColumn<bool>("hasNack");
    QTest::addColumn<quint32>("seed");
    for (quint32 seed = 1; seed <= 20; ++seed) {
        QTest::addRow("with basic.nack, %u", seed) << true << seed;
        QTest::addRow("without, %u", seed) << false << seed;
    }
}

void tst_AckMerging::settlesEachDeliveryOnceAsAsked()
{
    QFETCH(bool, hasNack);
    QFETCH(quint32, seed);
    QRandomGenerator random(seed);
    Acking t(hasNack ? encodedServerProperties() : QByteArray());
    t.s.subscribe(*t.channel, u"lossy"_s, {.ackMode = AckMode::NoAck});
    auto leaving = t.s.subscribe(*t.channel, u"leaving"_s);
    BrokerModel broker;
    std::map<quint64, Fate> asked;
    std::vector<quint64> open;
    quint64 lastTag = 0;
    int acks = 0;

    const auto flush = [&] {
        t.s.write();
        for (const Frame &frame : t.s.takeSent())
            broker.take(frame);
    };
    const auto settle = [&](Fate fate, bool upTo) {
        if (open.empty())
            return;
        // Mostly settles in order, as applications do.
        const size_t at = random.bounded(4) ? 0 : size_t(random.bounded(int(open.size())));
        const quint64 tag = open[at];
        const size_t first = upTo ? 0 : at;
        for (size_t i = first; i <= at; ++i)
            asked[open[i]] = fate;
        const size_t count = at + 1 - first;
        open.erase(open.begin() + qsizetype(first), open.begin() + qsizetype(at) + 1);
        if (fate == Fate::Acked) {
            acks += int(count);
            QCOMPARE(upTo ? countOf(t.channel->deliveries().ackUpTo(tag)) : t.channel->deliveries().ack(tag).count,
                     int(count));
        } else {
            const bool requeue = fate == Fate::Requeued;
            QCOMPARE(upTo ? countOf(t.channel->deliveries().nackUpTo(tag, requeue))
                          : t.channel->deliveries().nack(tag, requeue).count,
                     int(count));
        }
        QVERIFY(!t.channel->deliveries().isUnsettled(tag));
    };
    for (int step = 0; step < 3000 && broker.offence.isEmpty(); ++step) {
        const int dice = random.bounded(100);
        if (dice < 40) {
            const int kind = random.bounded(10);
            const bool noAck = kind == 0;
            const bool late = kind == 1; // for a consumer that has ended, so the engine returns the delivery
            if (noAck) {                 // a reply, for example, may have any number
                t.s.deliver("lossy", quint64(random.bounded(int(lastTag) + 2)));
                continue;
            }
            lastTag += random.bounded(20) ? 1 : 3;
            broker.deliver(lastTag);
            if (late && leaving->state == Engine::ConsumerEntry::State::Active)
                t.channel->subscriptions().cancel(*leaving);
            t.s.deliver(late ? "leaving" : "tag", lastTag);
            asked[lastTag] = late ? Fate::Requeued : Fate::Unsettled;
            if (!late)
                open.push_back(lastTag);
        } else if (dice < 80) {
            settle(Fate::Acked, false);
        } else if (dice < 84) {
            settle(Fate::Acked, true);
        } else if (dice < 90) {
            settle(random.bounded(2) ? Fate::Requeued : Fate::Dropped, false);
        } else if (dice < 92) {
            settle(random.bounded(2) ? Fate::Requeued : Fate::Dropped, true);
        } else {
            flush();
            for (const quint64 tag : open)
                QVERIFY(t.channel->deliveries().isUnsettled(tag));
        }
        if (QTest::currentTestFailed())
            return;
    }
    flush();
    QCOMPARE(broker.offence, QString());
    QCOMPARE(broker.fates, asked);
    QVERIFY2(broker.frames < acks, "acks were not merged");
}

QTEST_GUILESS_MAIN(tst_AckMerging)
#include "tst_ackmerging.moc"
