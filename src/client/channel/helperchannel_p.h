// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/channel.h>

#include <QtCore/qpointer.h>

#include <functional>
#include <map>

namespace AmqpQt
{

class ConnectionPrivate;

// Makes the library's own calls on a channel that the application does not see. They are pipelined. When the broker
// refuses a call it closes the channel, and later calls end with the same error although the broker has not
// processed them. Here only the refused call fails, and the others are repeated on the reopened channel, in order.
//
// When the connection ends, calls that are under way fail with its error. Calls made while it is closed wait for
// open().
class HelperChannel final : public QObject
{
public:
    // A channel that replays declares again what is recorded already, while all other channels are held. Such a channel
    // ends with this object.
    enum class Use : quint8 { Calls, Replay };

    explicit HelperChannel(ConnectionPrivate *connection, Use use = Use::Calls); // a child of it

    // `make` makes the call on a channel that accepts calls; it may be called more than once. `finished` gets the
    // result from the event loop, unless `context` or the connection has been destroyed by then. It may delete either
    // of them.
    template <typename T>
    void call(QObject *context, std::function<Reply<T>(Channel *channel)> make,
              std::function<void(const Result<T> &)> finished)
    {
        add({.context = context,
             .begin =
                 [this, make = std::move(make), finished](Channel *channel, quint64 number) {
                     make(channel).then(this, [this, number, finished](const Result<T> &result) {
                         onEnded(number, result.error(), [&] { finished(result); });
                     });
                 },
             .fail = [finished](const Error &reason) { finished(reason); }});
    }

    // Called when no call is left. The next call creates another channel.
    void endChannel();

private:
    struct Call {
        QPointer<QObject> context;
        std::function<void(Channel *channel, quint64 number)> begin;
        std::function<void(const Error &reason)> fail;
        bool isOutstanding = false;
    };

    void add(Call call);
    void sendCalls();
    bool prepareChannel(); // false if closed() is still to come
    void createChannel();
    void onEnded(quint64 number, const Error &failure, const std::function<void()> &report);
    void onClosed(const Error &reason);

    ConnectionPrivate *const m_connection;
    const Use m_use;
    QPointer<Channel> m_channel;
    std::map<quint64, Call> m_calls; // unfinished calls, in order
    quint64 m_lastNumber = 0;
    int m_outstanding = 0;
    bool m_awaitsClosed = false; // a call has ended this incarnation of the channel, and closed() is still to come
};

} // namespace AmqpQt
