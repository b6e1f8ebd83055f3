// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"

namespace AmqpQt::Test
{

// The life of a connection, a channel and some consumers in which every signal of theirs is emitted and every call is
// made: opened, used, blocked, closed by the broker, reopened, closed, opened again, lost. A test lets something happen
// in one of the signals, by log.afterEntry, and looks at what becomes of the rest.
class Story : public QObject
{
public:
    enum class Parents { Each, Other }; // each is the parent of the next, or none of them
    explicit Story(Parents parents);
    ~Story() override;

    // Until the end, or until stopped is true.
    void tell();
    // Ends what is still there in the ordinary way.
    void windUp();

    SignalLog log;
    bool stopped = false;
    ScriptedPeer peer;
    QPointer<Connection> connection;
    QPointer<Channel> channel;
    QPointer<Consumer> consumer; // the one that lives as long as the channel
    QList<Message> messages;     // of the deliveries

private:
    template <typename T>
    void call(const Reply<T> &reply, const char *name);
    bool hear(const QString &entry, int times = 1); // false: stopped
    bool open();
    bool use();
    bool receive();
    bool beBlocked();
    bool loseChannel();
    bool close();
    bool loseConnection();
    bool confirm();
    Consumer *consume(const QString &tag, const QString &queue);

    const Parents m_parents;
    QObject m_otherParent;
};

} // namespace AmqpQt::Test
