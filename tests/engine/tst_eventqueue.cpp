// SPDX-License-Identifier: MIT
#include "engine/connection/eventqueue_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace AmqpQt::Engine;

class tst_EventQueue : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void eventsAreTakenInOrder();
    void repliesOfOneChannelCanBeTakenFirst();
    void otherEventsOfTheChannelStayInOrder();

private:
    // Only compared, never dereferenced.
    const int m_addresses[2] = {};
    const ChannelEngine *const m_channel = reinterpret_cast<const ChannelEngine *>(&m_addresses[0]);
    const ChannelEngine *const m_otherChannel = reinterpret_cast<const ChannelEngine *>(&m_addresses[1]);
};

void tst_EventQueue::eventsAreTakenInOrder()
{
    EventQueue events;
    QVERIFY(events.isEmpty());
    events.post(Opened{});
    events.post(WritableChanged{true});
    events.post(WritableChanged{false});
    QVERIFY(!events.isEmpty());
    QVERIFY(std::holds_alternative<Opened>(events.takeFirst()));
    QVERIFY(std::get<WritableChanged>(events.takeFirst()).writable);
    QVERIFY(!std::get<WritableChanged>(events.takeFirst()).writable);
    QVERIFY(events.isEmpty());
}

void tst_EventQueue::repliesOfOneChannelCanBeTakenFirst()
{
    EventQueue events;
    events.post(ReplyArrived{.call = 1, .channel = m_channel});
    events.post(ReplyArrived{.call = 2, .channel = m_otherChannel});
    events.post(ReplyArrived{.call = 3});
    events.post(ReplyArrived{.call = 4, .value = QueueEmpty(), .channel = m_channel});

    const std::vector<ReplyArrived> replies = events.takeReplies(m_channel);
    QCOMPARE(replies.size(), size_t(2));
    QCOMPARE(replies.at(0).call, CallId(1));
    QCOMPARE(replies.at(1).call, CallId(4));
    QVERIFY(std::holds_alternative<QueueEmpty>(replies.at(1).value));
    QVERIFY(events.takeReplies(m_channel).empty());

    QCOMPARE(std::get<ReplyArrived>(events.takeFirst()).call, CallId(2));
    QCOMPARE(std::get<ReplyArrived>(events.takeFirst()).call, CallId(3));
    QVERIFY(events.isEmpty());
}

void tst_EventQueue::otherEventsOfTheChannelStayInOrder()
{
    EventQueue events;
    events.post(PublishConfirmed{.first = 1, .last = 1});
    events.post(ReplyArrived{.call = 1, .channel = m_channel});
    events.post(PublishConfirmed{.first = 2, .last = 5});
    QVERIFY(events.takeReplies(m_otherChannel).empty());
    QCOMPARE(events.takeReplies(m_channel).size(), size_t(1));
    QCOMPARE(std::get<PublishConfirmed>(events.takeFirst()).last, quint64(1));
    QCOMPARE(std::get<PublishConfirmed>(events.takeFirst()).last, quint64(5));
    QVERIFY(events.isEmpty());
}

QTEST_GUILESS_MAIN(tst_EventQueue)
#include "tst_eventqueue.moc"
