// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/channel.h>

#include <QtCore/qlist.h>
#include <QtCore/qpointer.h>

#include <functional>
#include <optional>

namespace AmqpQt
{

// Makes the calls of a connection's elements, on one channel: those for exchanges before those for queues before those
// for bindings, whatever the order they were asked for; those who use all that come last. An error closes the channel:
// the call that the broker refused gets it, and those behind it are made again on the next channel.
class SetUp : public QObject
{
    Q_OBJECT
public:
    enum class Phase { Exchanges, Queues, Bindings, Use };

    explicit SetUp(Connection *connection);
    ~SetUp() override;

    // Later, call(channel) gives the Reply of a call, or nothing if there is nothing to do any more; then
    // finished(result), unless owner or connection have gone meanwhile.
    template <typename Call, typename Finished>
    void add(Phase phase, QObject *owner, Call call, Finished finished)
    {
        append(phase, owner, [this, owner = QPointer(owner), call, finished](quint64 id) {
            const auto reply = call(channel());
            if (!reply)
                return remove(id);
            reply->then(this, [this, id, owner, finished](const auto &result) {
                if (settle(id, result.error()) && owner)
                    finished(result);
            });
        });
    }

    // Later, when everything is declared or has failed.
    void addUse(QObject *owner, std::function<void()> use);

    void clear(); // when the connection has ended

private:
    struct Step {
        quint64 id;
        Phase phase;
        QPointer<QObject> owner;
        std::function<void(quint64 id)> run;
        bool isSent = false;
    };

    void append(Phase phase, QObject *owner, std::function<void(quint64 id)> run);
    void remove(quint64 id);
    bool settle(quint64 id, const Error &error); // false: the step is not over, or forgotten
    Channel *channel();
    void onChannelClosed();
    void schedule();
    void run();
    Step *nextStep();

    Connection *const m_connection;
    QPointer<Channel> m_channel;
    QList<Step> m_steps;
    quint64 m_lastId = 0;
    bool m_isScheduled = false;
    bool m_isBroken = false; // the channel: it is about to be closed
};

} // namespace AmqpQt
