// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/channel.h>
#include <AmqpQt/connection.h>
#include <AmqpQt/consumer.h>
#include <AmqpQt/publisher.h>

#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qscopedvaluerollback.h>

#include <deque>
#include <functional>
#include <map>
#include <set>

// Watches the objects and replies of a client and checks that
//   - every reply finishes exactly once, even if its objects are deleted
//   - every message gets at most one outcome, and in confirm mode one before the end
//   - no signal is emitted and no reply finishes while the application is in a call
//   - states follow each other in the documented order; opened(), closed(), started() and cancelled() match them
//   - a consumer reports nothing after cancelled()
class ClientObserver : public QObject
{
    Q_OBJECT
public:
    struct ConnectionRecord {
        QPointer<AmqpQt::Connection> object;
        AmqpQt::Connection::State state = AmqpQt::Connection::State::Closed; // the last reported state
        bool isReported = true; // whether opened() or closed() was emitted, if the state has such a signal
        bool wasOpened = false; // since it was closed
    };
    struct ChannelRecord {
        QPointer<AmqpQt::Channel> object;
        AmqpQt::Channel::State state = AmqpQt::Channel::State::Opening;
        bool isReported = true;
        bool wasOpened = false;
        quint64 lastPublished = 0;
        std::map<quint64, bool> published; // without an outcome; true if an outcome is required
    };
    struct ConsumerRecord {
        QPointer<AmqpQt::Consumer> object;
        AmqpQt::Consumer::State state = AmqpQt::Consumer::State::Starting;
        bool isCancelled = false; // reported
    };
    struct PublisherRecord {
        QPointer<AmqpQt::Publisher> object;
        std::set<quint64> outstanding;
    };

    std::function<void(const QByteArray &signal)> inSlot; // called in each slot; may delete anything but this
    std::function<void(const QString &what)> failed;

    std::deque<ConnectionRecord> connections;
    std::deque<ChannelRecord> channels;
    std::deque<ConsumerRecord> consumers;
    std::deque<PublisherRecord> publishers;
    QList<AmqpQt::Message> messages; // received; not all are kept

    void watch(AmqpQt::Connection *connection);
    void watch(AmqpQt::Channel *channel);
    void watch(AmqpQt::Consumer *consumer);
    void watch(AmqpQt::Publisher *publisher);
    void watchDeliveries(ConsumerRecord &record);
    void watchBatches(ConsumerRecord &record);
    template <typename T>
    void watch(const AmqpQt::Reply<T> &reply, const char *name) // a literal
    {
        ReplyRecord &record = m_replies.emplace_back();
        record.name = name;
        called([&] {
            reply.then(this, [this, &record](const AmqpQt::Result<T> &) {
                ++record.finished;
                report(record.name);
            });
        });
    }
    void notePublished(ChannelRecord &record, quint64 sequence, bool needsOutcome);

    // Makes a call of the library, in which nothing may be reported.
    template <typename Call>
    auto called(Call call)
    {
        const QScopedValueRollback<bool> guard(m_isInCall, true);
        return call();
    }

    void checkClosed();  // all connections and channels that still exist
    void checkReplies(); // once all objects are deleted

private:
    struct ReplyRecord {
        const char *name = nullptr;
        int finished = 0;
    };

    void report(const QByteArray &signal);                                            // in a slot
    void reportSignals(const QObject *object, const QList<QMetaMethod> &except = {}); // after the slots that check them
    Q_SLOT void onSignal();
    void checkNotCancelled(const ConsumerRecord &record, const char *signal);
    template <typename Record>
    void watchState(Record &record);
    template <typename Record, typename State>
    void noteState(Record &record, State state);
    void noteOutcome(ChannelRecord &record, quint64 first, quint64 last, bool confirmed);
    void noteReceived(const ConsumerRecord &record, const QList<AmqpQt::Message> &received);

    std::deque<ReplyRecord> m_replies;
    bool m_isInCall = false;
};
