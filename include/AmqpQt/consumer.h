// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>
#include <AmqpQt/options.h>

#include <QtCore/qobject.h>

#include <memory>

namespace AmqpQt
{

class Channel;
class ConsumerPrivate;

// A subscription, created by Channel::consume(). Deleting it ends the subscription; later deliveries are requeued.
class AMQPQT_EXPORT Consumer : public QObject
{
    Q_OBJECT
    Q_PROPERTY(QString queue READ queue NOTIFY queueChanged)
    Q_PROPERTY(QString consumerTag READ consumerTag CONSTANT)
    Q_PROPERTY(AmqpQt::AckMode ackMode READ ackMode CONSTANT)
    Q_PROPERTY(AmqpQt::Consumer::State state READ state NOTIFY stateChanged)
    Q_PROPERTY(double deliveredCount READ deliveredCount NOTIFY deliveredCountChanged)
    Q_PROPERTY(int unackedCount READ unackedCount NOTIFY unackedCountChanged)
    Q_DISABLE_COPY_MOVE(Consumer)
public:
    enum class State : int { Starting, Active, Recovering, Cancelling, Cancelled };
    Q_ENUM(State)

    ~Consumer() override;

    Channel *channel() const;
    QString queue() const;
    QString consumerTag() const;
    AckMode ackMode() const;
    State state() const;
    qint64 deliveredCount() const; // thread-safe
    int unackedCount() const;
    Reply<void> whenStarted(); // finishes with consume-ok or an error

public Q_SLOTS:
    AmqpQt::Reply<int> cancel(); // returns the number of requeued messages
    AmqpQt::Reply<int> drain();  // cancels, but first emits the messages that are already on their way

Q_SIGNALS:
    void delivered(const AmqpQt::Message &message);
    // The same messages in one signal per event loop iteration, for models and for slots in another thread.
    void batchDelivered(const QList<AmqpQt::Message> &messages);
    void started();                              // consume-ok, also after each resubscription
    void cancelled(const AmqpQt::Error &reason); // the last signal; NoError after cancel()
    void stateChanged(AmqpQt::Consumer::State state);
    void queueChanged(const QString &queue);
    // At most once per turn of the event loop:
    void deliveredCountChanged(double count);
    void unackedCountChanged(int count);

protected:
    bool event(QEvent *event) override;
    void connectNotify(const QMetaMethod &signal) override;
    void disconnectNotify(const QMetaMethod &signal) override;

private:
    friend class Channel;
    friend class ChannelPrivate;
    friend class ConsumerPrivate;
    Consumer(Channel *channel, QObject *parent);
    std::unique_ptr<ConsumerPrivate> d;
};

} // namespace AmqpQt
