// SPDX-License-Identifier: MIT
#include "support/clientobserver.h"

#include <QtCore/qmetaobject.h>

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

namespace
{

template <typename State>
QString nameOf(State state)
{
    const QMetaEnum names = QMetaEnum::fromType<State>();
    return u"%1::%2"_s.arg(QLatin1StringView(names.scope()), QLatin1StringView(names.valueToKey(int(state))));
}

template <typename State>
bool isOneOf(State state, std::initializer_list<State> states)
{
    return std::find(states.begin(), states.end(), state) != states.end();
}

bool mayFollow(Connection::State before, Connection::State after)
{
    using S = Connection::State;
    switch (before) {
    case S::Closed:
        return after == S::Connecting;
    case S::Connecting:
        return isOneOf(after, {S::Handshaking, S::Closing, S::Closed, S::Recovering});
    case S::Handshaking:
        return isOneOf(after, {S::Open, S::Connecting, S::Closing, S::Closed, S::Recovering});
    case S::Open:
        return isOneOf(after, {S::Closing, S::Closed, S::Recovering});
    case S::Closing:
        return after == S::Closed;
    case S::Recovering:
        return isOneOf(after, {S::Open, S::Closing, S::Closed});
    }
    return false;
}

bool mayFollow(Channel::State before, Channel::State after)
{
    using S = Channel::State;
    switch (before) {
    case S::Closed:
        return after == S::Opening;
    case S::Opening:
        return isOneOf(after, {S::Open, S::Closing, S::Closed});
    case S::Open:
        return isOneOf(after, {S::Closing, S::Closed, S::Recovering});
    case S::Closing:
        return after == S::Closed;
    case S::Recovering:
        return isOneOf(after, {S::Open, S::Closing, S::Closed});
    }
    return false;
}

bool mayFollow(Consumer::State before, Consumer::State after)
{
    using S = Consumer::State;
    switch (before) {
    case S::Starting:
        return after != S::Starting;
    case S::Active:
    case S::Recovering:
        return after != before;
    case S::Cancelling:
        return after == S::Cancelled;
    case S::Cancelled:
        break;
    }
    return false;
}

} // namespace

void ClientObserver::report(const QByteArray &signal)
{
    if (m_isInCall)
        failed(u"%1 was reported within a call"_s.arg(QLatin1StringView(signal)));
    inSlot(signal);
}

void ClientObserver::reportSignals(const QObject *object, const QList<QMetaMethod> &except)
{
    const QMetaObject *type = object->metaObject();
    const QMetaMethod slot = staticMetaObject.method(staticMetaObject.indexOfSlot("onSignal()"));
    for (int i = type->methodOffset(); i < type->methodCount(); ++i) {
        const QMetaMethod method = type->method(i);
        if (method.methodType() == QMetaMethod::Signal && !except.contains(method))
            connect(object, method, this, slot);
    }
}

void ClientObserver::onSignal()
{
    const QMetaObject *type = sender()->metaObject();
    report(type->className() + "::"_ba + type->method(senderSignalIndex()).name());
}

void ClientObserver::checkNotCancelled(const ConsumerRecord &record, const char *signal)
{
    if (record.isCancelled)
        failed(u"%1 came after cancelled()"_s.arg(QLatin1StringView(signal)));
}

template <typename Record, typename State>
void ClientObserver::noteState(Record &record, State state)
{
    if (!mayFollow(record.state, state))
        failed(u"%1 followed %2"_s.arg(nameOf(state), nameOf(record.state)));
    if constexpr (!std::is_same_v<Record, ConsumerRecord>) {
        if (!record.isReported)
            failed(u"opened() or closed() is missing after %1"_s.arg(nameOf(record.state)));
        // After a recovery, opened() is not emitted again.
        record.isReported = state == State::Open ? record.wasOpened : state != State::Closed;
        record.wasOpened = state != State::Closed && (record.wasOpened || state == State::Open);
    }
    record.state = state;
}

// For a connection or a channel.
template <typename Record>
void ClientObserver::watchState(Record &record)
{
    using Object = std::remove_pointer_t<decltype(record.object.data())>;
    const auto noteEnd = [this, &record](typename Object::State expected, const char *signal) {
        if (record.state != expected || std::exchange(record.isReported, true))
            failed(u"%1 came in %2"_s.arg(QLatin1StringView(signal), nameOf(record.state)));
    };
    Object *const object = record.object;
    connect(object, &Object::stateChanged, this,
            [this, &record](typename Object::State state) { noteState(record, state); });
    connect(object, &Object::opened, this, [noteEnd] { noteEnd(Object::State::Open, "opened()"); });
    connect(object, &Object::closed, this, [noteEnd] { noteEnd(Object::State::Closed, "closed()"); });
}

void ClientObserver::watch(Connection *connection)
{
    ConnectionRecord &record = connections.emplace_back();
    record.object = connection;
    watchState(record);
    // Only a connection that is to ask for credentials has a slot for the request; it would wait for the answer.
    reportSignals(connection, {QMetaMethod::fromSignal(&Connection::credentialsRequested)});
}

void ClientObserver::watch(Channel *channel)
{
    ChannelRecord &record = channels.emplace_back();
    record.object = channel;
    record.state = channel->state();
    record.isReported = record.state != Channel::State::Closed; // it could not be opened, and closed() follows
    watchState(record);
    connect(channel, &Channel::publishConfirmed, this,
            [this, &record](quint64 first, quint64 last) { noteOutcome(record, first, last, true); });
    connect(channel, &Channel::publishFailed, this,
            [this, &record](quint64 first, quint64 last) { noteOutcome(record, first, last, false); });
    connect(channel, &Channel::unconfirmedCountChanged, this, [this](int count) {
        if (count < 0)
            failed(u"%1 messages are unconfirmed"_s.arg(count));
    });
    reportSignals(channel);
}

void ClientObserver::notePublished(ChannelRecord &record, quint64 sequence, bool needsOutcome)
{
    if (sequence != ++record.lastPublished)
        failed(u"a message got the number %1 instead of %2"_s.arg(sequence).arg(record.lastPublished));
    record.published.emplace(sequence, needsOutcome);
}

void ClientObserver::noteOutcome(ChannelRecord &record, quint64 first, quint64 last, bool confirmed)
{
    if (first > last || last > record.lastPublished)
        return failed(
            u"messages %1 to %2 got an outcome, the last one is %3"_s.arg(first).arg(last).arg(record.lastPublished));
    for (quint64 sequence = first; sequence <= last; ++sequence) {
        const auto at = record.published.find(sequence);
        if (at == record.published.end())
            return failed(u"message %1 got a second outcome"_s.arg(sequence));
        if (confirmed && !at->second)
            failed(u"message %1 was confirmed without confirm mode"_s.arg(sequence));
        record.published.erase(at);
    }
}

void ClientObserver::watch(Consumer *consumer)
{
    ConsumerRecord &record = consumers.emplace_back();
    record.object = consumer;
    connect(consumer, &Consumer::stateChanged, this, [this, &record](Consumer::State state) {
        noteState(record, state);
        checkNotCancelled(record, "stateChanged()");
    });
    connect(consumer, &Consumer::started, this, [this, &record] {
        if (record.state != Consumer::State::Active)
            failed(u"started() came in %1"_s.arg(nameOf(record.state)));
        checkNotCancelled(record, "started()");
    });
    connect(consumer, &Consumer::cancelled, this, [this, &record] {
        if (record.state != Consumer::State::Cancelled || std::exchange(record.isCancelled, true))
            failed(u"cancelled() came in %1"_s.arg(nameOf(record.state)));
    });
    connect(consumer, &Consumer::unackedCountChanged, this, [this](int count) {
        if (count < 0)
            failed(u"%1 deliveries are unacked"_s.arg(count));
    });
    // Only a consumer whose deliveries are watched has a slot for them.
    reportSignals(consumer,
                  {QMetaMethod::fromSignal(&Consumer::delivered), QMetaMethod::fromSignal(&Consumer::batchDelivered)});
}

void ClientObserver::watchDeliveries(ConsumerRecord &record)
{
    connect(record.object, &Consumer::delivered, this, [this, &record](const Message &message) {
        noteReceived(record, {message});
        report("Consumer::delivered");
    });
}

void ClientObserver::watchBatches(ConsumerRecord &record)
{
    connect(record.object, &Consumer::batchDelivered, this, [this, &record](const QList<Message> &received) {
        noteReceived(record, received);
        report("Consumer::batchDelivered");
    });
}

void ClientObserver::noteReceived(const ConsumerRecord &record, const QList<Message> &received)
{
    checkNotCancelled(record, "a message");
    constexpr qsizetype Enough = 64;
    if (messages.size() < Enough)
        messages += received;
}

void ClientObserver::watch(Publisher *publisher)
{
    PublisherRecord &record = publishers.emplace_back();
    record.object = publisher;
    connect(publisher, &Publisher::settled, this, [this, &record](quint64 id) {
        if (record.outstanding.erase(id) == 0)
            failed(u"message %1 of a publisher got an outcome, but was not outstanding"_s.arg(id));
    });
    reportSignals(publisher);
}

void ClientObserver::checkClosed()
{
    for (const ConnectionRecord &record : connections) {
        if (record.object && (record.object->state() != Connection::State::Closed || !record.isReported))
            failed(u"a connection stays in %1"_s.arg(nameOf(record.object->state())));
    }
    for (const ChannelRecord &record : channels) {
        if (!record.object)
            continue;
        if (record.object->state() != Channel::State::Closed || !record.isReported)
            failed(u"a channel stays in %1"_s.arg(nameOf(record.object->state())));
        for (const auto &[sequence, needsOutcome] : record.published) {
            if (needsOutcome)
                failed(u"message %1 got no outcome"_s.arg(sequence));
        }
    }
}

void ClientObserver::checkReplies()
{
    for (const ReplyRecord &record : m_replies) {
        if (record.finished != 1)
            failed(u"a reply of %1 finished %2 times"_s.arg(QLatin1StringView(record.name)).arg(record.finished));
    }
}
