// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"

namespace AmqpQt::Test
{

// The life of a connection, a channel and some consumers that emits each of their signals and makes each call: opened,
// used, blocked, closed by the broker, reopened, closed, opened again, lost. A test acts in one of the signals through
// log.afterEntry and checks the effect on the rest.
class Story : public QObject
{
public:
    enum class Parents { Each, Other }; // each object is the parent of the next, or none is
    explicit Story(Parents parents);
    ~Story() override;

    // Runs until the end, or until stopped is true.
    void run();
    // Ends the remaining objects in the ordinary way.
    void endRemaining();

    SignalLog log;
    bool stopped = false;
    ScriptedPeer peer;
    QPointer<Connection> connection;
    QPointer<Channel> channel;
    QPointer<Consumer> consumer; // this consumer lives as long as the channel
    QList<Message> messages;     // of the deliveries

private:
    template <typename T>
    void call(const Reply<T> &reply, const char *name);
    bool waitFor(const QString &entry, int times = 1); // returns false if the story has been stopped
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
