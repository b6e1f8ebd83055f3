// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

using Engine::CallId;
using Engine::CallQueue;
using Engine::ChannelCall;
using Engine::HeldPublish;

class tst_CallQueue : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void repliesMatchSentCallsInOrder();
    void aReplyToAnotherCallEndsTheConnection();
    void heldOperationsKeepTheirOrder();
    void heldMessagesAreCounted();
    void aConsumeThatWaitsForItsTagIsFound();
    void waitingConsumesAreCancelledOneByOneOrTogether();
    void aForgottenCallHasNoAnswer();
    void theEndAnswersAllCalls();
    void theEndReportsHeldMessagesAsOneRange();
};

namespace
{

// A separate queue that belongs to an open channel.
struct Queue {
    Queue()
    {
        s.open();
        channel = &s.openChannel();
        queue.emplace(*channel);
    }
    template <typename Method>
    ChannelCall call(const Method &method = {})
    {
        return ChannelCall::of(++lastId, method);
    }
    ChannelCall consume(const QByteArray &tag)
    {
        ChannelCall call = this->call(Wire::BasicConsume{.consumerTag = tag});
        call.consumer = std::make_shared<Engine::ConsumerEntry>();
        call.consumer->tag = tag;
        call.consumer->startCall = call.id;
        call.consumer->waitsForTag = true;
        return call;
    }
    static HeldPublish publish(quint64 sequence, bool confirm = false)
    {
        return {.payload = "123", .properties = "45", .body = "6789", .sequence = sequence, .confirm = confirm};
    }
    Script s;
    Engine::ChannelEngine *channel = nullptr;
    std::optional<CallQueue> queue;
    CallId lastId = 1'000'000;
};

const Error failure(ErrorKind::ChannelClosed, u"gone"_s);

} // namespace

void tst_CallQueue::repliesMatchSentCallsInOrder()
{
    Queue t;
    const ChannelCall purge = t.call<Wire::QueuePurge>();
    const ChannelCall qos = t.call<Wire::BasicQos>();
    t.queue->sent(purge);
    t.queue->sent(qos);
    QVERIFY(t.queue->awaits<Wire::BasicQosOk>());
    QVERIFY(!t.queue->awaits<Wire::BasicRecoverOk>());
    QCOMPARE(t.queue->take<Wire::QueuePurgeOk>()->id, purge.id);
    QCOMPARE(t.queue->take<Wire::BasicQosOk>()->id, qos.id);
    QVERIFY(!t.queue->awaits<Wire::BasicQosOk>());
    t.s.expectNoEvent();
}

void tst_CallQueue::aReplyToAnotherCallEndsTheConnection()
{
    Queue t;
    t.queue->sent(t.call<Wire::QueuePurge>());
    t.queue->sent(t.call<Wire::BasicQos>());
    QVERIFY(!t.queue->take<Wire::BasicQosOk>());
    QCOMPARE(t.s.takeConnectionClosed().kind(), ErrorKind::ProtocolViolation);
}

void tst_CallQueue::heldOperationsKeepTheirOrder()
{
    Queue t;
    QVERIFY(!t.queue->isHolding());
    const ChannelCall purge = t.call<Wire::QueuePurge>();
    t.queue->hold(purge);
    t.queue->hold(Queue::publish(1));
    const ChannelCall qos = t.call<Wire::BasicQos>();
    t.queue->hold(qos);
    QVERIFY(t.queue->isHolding());
    QCOMPARE(t.queue->firstCall()->id, purge.id);
    QCOMPARE(t.queue->takeFirstCall().payload, Wire::encodePayload(Wire::QueuePurge{}));
    QVERIFY(!t.queue->firstCall());
    QCOMPARE(t.queue->takeFirstPublish().sequence, quint64(1));
    QCOMPARE(t.queue->takeFirstCall().id, qos.id);
    QVERIFY(!t.queue->isHolding());
}

void tst_CallQueue::heldMessagesAreCounted()
{
    Queue t;
    t.s.write();
    const qint64 before = t.s.engine.flow().queuedBytes();
    t.queue->hold(Queue::publish(1));
    t.queue->hold(Queue::publish(2, true));
    QCOMPARE(t.s.engine.flow().queuedBytes(), before + 18);
    QCOMPARE(t.queue->unconfirmed(), 1);
    t.queue->takeFirstPublish();
    QCOMPARE(t.queue->unconfirmed(), 1);
    QCOMPARE(t.s.engine.flow().queuedBytes(), before + 18); // until the message is in the output
    t.queue->endHeld(failure, 0, {});
    QCOMPARE(t.queue->unconfirmed(), 0);
    QCOMPARE(t.s.engine.flow().queuedBytes(), before + 9);
}

void tst_CallQueue::aConsumeThatWaitsForItsTagIsFound()
{
    Queue t;
    t.queue->hold(t.call<Wire::QueuePurge>());
    const ChannelCall consume = t.consume("tag");
    t.queue->hold(consume);
    QCOMPARE(t.queue->consumeWaitingFor("tag")->id, consume.id);
    QVERIFY(!t.queue->consumeWaitingFor("other"));
    QVERIFY(!t.queue->holdsDirectReplyTo());
    consume.consumer->isForReplies = true;
    QVERIFY(t.queue->holdsDirectReplyTo());
    consume.consumer->cancelHeld = true;
    QVERIFY(!t.queue->holdsDirectReplyTo());
    consume.consumer->waitsForTag = false;
    QVERIFY(!t.queue->consumeWaitingFor("tag"));
}

void tst_CallQueue::waitingConsumesAreCancelledOneByOneOrTogether()
{
    Queue t;
    const ChannelCall first = t.consume("1");
    const ChannelCall second = t.consume("2");
    const ChannelCall third = t.consume("3");
    second.consumer->cancelCall = ++t.lastId;
    for (const ChannelCall &call : {first, second, third})
        t.queue->hold(call);
    const ChannelCall purge = t.call<Wire::QueuePurge>();
    t.queue->hold(purge);
    t.queue->cancelWaitingConsumes(second.consumer.get());
    t.s.expectReply(second.id, ErrorKind::Cancelled).expectReply(second.consumer->cancelCall).expectNoEvent();
    QCOMPARE(second.consumer->state, Engine::ConsumerEntry::State::Gone);
    QCOMPARE(first.consumer->state, Engine::ConsumerEntry::State::Starting);
    t.queue->cancelWaitingConsumes(nullptr);
    t.s.expectReply(first.id, ErrorKind::Cancelled).expectReply(third.id, ErrorKind::Cancelled).expectNoEvent();
    QCOMPARE(t.queue->firstCall()->id, purge.id);
}

void tst_CallQueue::aForgottenCallHasNoAnswer()
{
    Queue t;
    const ChannelCall sent = t.call<Wire::ChannelClose>();
    const ChannelCall held = t.call<Wire::ChannelClose>();
    t.queue->sent(sent);
    t.queue->hold(held);
    t.queue->forget(held.id);
    QVERIFY(!t.queue->isHolding());
    QVERIFY(t.queue->awaits<Wire::ChannelCloseOk>());
    t.queue->forget(sent.id);
    QVERIFY(!t.queue->awaits<Wire::ChannelCloseOk>());
    t.queue->endSent(failure, 0, {});
    t.queue->endHeld(failure, 0, {});
    t.s.expectNoEvent();
}

void tst_CallQueue::theEndAnswersAllCalls()
{
    Queue t;
    const ChannelCall purge = t.call<Wire::QueuePurge>();
    const ChannelCall qos = t.call<Wire::BasicQos>();
    const ChannelCall consume = t.consume("tag");
    const ChannelCall close = t.call<Wire::ChannelClose>();
    t.queue->sent(purge);
    for (const ChannelCall &call : {qos, consume, close})
        t.queue->hold(call);
    t.queue->endSent(failure, close.id, {});
    t.s.expectReply(purge.id, ErrorKind::ChannelClosed).expectNoEvent();
    t.queue->endHeld(failure, close.id, {});
    t.s.expectReply(qos.id, ErrorKind::ChannelClosed).expectReply(consume.id, ErrorKind::ChannelClosed);
    t.s.expectReply(close.id).expectNoEvent();
    QCOMPARE(consume.consumer->state, Engine::ConsumerEntry::State::Gone);
    QVERIFY(!t.queue->isHolding());
}

void tst_CallQueue::theEndReportsHeldMessagesAsOneRange()
{
    Queue t;
    t.queue->hold(Queue::publish(7));
    const ChannelCall purge = t.call<Wire::QueuePurge>();
    t.queue->hold(purge);
    t.queue->hold(Queue::publish(8));
    t.queue->endHeld(failure, 0, {});
    t.s.expectReply(purge.id, ErrorKind::ChannelClosed);
    t.s.expectEvent<Engine::PublishFailed>([&](const Engine::PublishFailed &failed) {
        QCOMPARE(failed.channel.get(), t.channel);
        QCOMPARE(failed.first, quint64(7));
        QCOMPARE(failed.last, quint64(8));
        QCOMPARE(failed.reason, failure);
    });
    t.s.expectNoEvent();
}

QTEST_APPLESS_MAIN(tst_CallQueue)
#include "tst_callqueue.moc"
