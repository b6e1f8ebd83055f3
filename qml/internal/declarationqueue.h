// SPDX-License-Identifier: MIT
#pragma once

#include "bindings.h"

#include <AmqpQt/channel.h>
#include <AmqpQt/connection.h>

#include <QtCore/qhash.h>
#include <QtCore/qlist.h>
#include <QtCore/qpointer.h>

#include <functional>
#include <optional>

namespace AmqpQt
{

// Makes the calls of a connection's elements on one channel: exchanges first, then queues, then bindings, regardless of
// the order in which they were requested; steps that use all of them come last. The broker closes the channel when it
// refuses a call. Only the refused call gets the error; later calls, which the broker has not carried out, are repeated
// on the next channel. While the connection recovers, sent calls keep their places and the others wait.
class DeclarationQueue : public QObject
{
    Q_OBJECT
public:
    // AnyTime neither waits for the steps of the phases nor delays them.
    enum class Phase { Deletions, Exchanges, Queues, Bindings, WhenDeclared, AnyTime };

    explicit DeclarationQueue(Connection *connection);
    ~DeclarationQueue() override;

    // Runs call(channel) later, which returns the Reply of a call, or nothing if the call is no longer needed. Calls
    // finished(result) afterwards, unless the owner or the connection is gone. The steps of an owner run one at a time:
    // each starts when the previous result is known, so it may depend on that result. Steps owned by this object are
    // the exception.
    template <typename Call, typename Finished>
    void add(Phase phase, QObject *owner, Call call, Finished finished)
    {
        append(phase, owner, runner(owner, call, finished), {});
    }

    // Adds a call that must not be made twice. If the connection is lost, before or after the call was sent, finished()
    // gets the error.
    template <typename Call, typename Finished>
    void addOnce(QObject *owner, Call call, Finished finished)
    {
        append(Phase::AnyTime, owner, runner(owner, call, finished), finished);
    }

    // Runs use() later, when everything has been declared or has failed.
    void whenDeclared(QObject *owner, std::function<void()> use);

    // Deletes a queue that the recovery restores, although no element wants it any longer. Somebody may use it.
    void deleteUnusedQueue(const QString &name);
    // Returns the name of a queue that the broker may have named again since a step was added.
    QString currentName(const QString &queue) const;

    void clear(); // called when the connection has ended

    Bindings &bindings() { return m_bindings; }

private:
    struct Step {
        quint64 id;
        Phase phase;
        QPointer<QObject> owner;
        std::function<void(quint64 id)> run;
        std::function<void(const Error &error)> fail; // set for calls that must not be made twice
        bool isSent = false;
    };

    template <typename Call, typename Finished>
    auto runner(QObject *owner, Call call, Finished finished)
    {
        return [this, owner = QPointer(owner), call, finished](quint64 id) {
            const QPointer<DeclarationQueue> self(this);
            const auto reply = call(channel());
            if (!self)
                return;
            if (!reply)
                return remove(id);
            reply->then(this, [this, id, owner, finished](const auto &result) {
                if (settle(id, result.error()) && owner)
                    finished(result);
            });
        };
    }
    void append(Phase phase, QObject *owner, std::function<void(quint64 id)> run,
                std::function<void(const Error &error)> fail);
    void remove(quint64 id);
    bool settle(quint64 id, const Error &error); // if false, the step is not finished or unknown
    Channel *channel();
    void onStateChanged(Connection::State state);
    void onChannelClosed();
    void releaseChannel();
    void schedule();
    void run();
    Step *nextStep();

    Connection *const m_connection;
    Bindings m_bindings;
    QPointer<Channel> m_channel;
    QList<Step> m_steps;
    QHash<QString, QString> m_newNames; // of queues, by the name before, while there are steps
    quint64 m_lastId = 0;
    bool m_isScheduled = false;
    bool m_isBroken = false; // the channel is about to be closed
};

} // namespace AmqpQt
