// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>
#include <AmqpQt/options.h>

#include <QtCore/qobject.h>

#include <memory>
#include <optional>

namespace AmqpQt
{

class ChannelPrivate;

struct GetResult {
    Message message;
    quint32 remaining = 0; // messages left in the queue
};

class Connection;
class Consumer;

// An AMQP channel. Every operation may be called at once after Connection::createChannel(); the order of calls is the
// order on the wire. An empty queue name means the queue last declared on this channel.
class AMQPQT_EXPORT Channel : public QObject
{
    Q_OBJECT
    Q_PROPERTY(int number READ number NOTIFY stateChanged)
    Q_PROPERTY(AmqpQt::Channel::State state READ state NOTIFY stateChanged)
    Q_PROPERTY(bool open READ isOpen NOTIFY stateChanged)
    Q_PROPERTY(AmqpQt::Channel::Mode mode READ mode NOTIFY modeChanged)
    Q_PROPERTY(AmqpQt::Error error READ error NOTIFY errorOccurred)
    Q_PROPERTY(AmqpQt::Error lastCallError READ lastCallError NOTIFY errorOccurred)
    Q_PROPERTY(AmqpQt::BackpressureReasons backpressure READ backpressure NOTIFY backpressureChanged)
    Q_PROPERTY(bool writable READ isWritable NOTIFY writableChanged)
    Q_PROPERTY(int unconfirmedCount READ unconfirmedCount NOTIFY unconfirmedCountChanged)
    Q_DISABLE_COPY_MOVE(Channel)
public:
    enum class State : int { Closed, Opening, Open, Recovering, Closing };
    Q_ENUM(State)
    enum class Mode : int { Plain, Confirm, Transaction };
    Q_ENUM(Mode)
    enum class PublishFlag : int { Mandatory = 1 };
    Q_DECLARE_FLAGS(PublishFlags, PublishFlag)
    Q_FLAG(PublishFlags)
    enum class DeleteFlag : int { IfUnused = 1, IfEmpty = 2 };
    Q_DECLARE_FLAGS(DeleteFlags, DeleteFlag)
    Q_FLAG(DeleteFlags)
    enum class PrefetchScope : int { PerConsumer, PerChannel }; // per consumer: of those that start afterwards
    Q_ENUM(PrefetchScope)

    enum class AccessFlag : int { Exclusive = 1, Passive = 2, Active = 4, Write = 8, Read = 16 };
    Q_DECLARE_FLAGS(AccessFlags, AccessFlag)
    Q_FLAG(AccessFlags)

    ~Channel() override; // closes on the wire, returns at once; pending replies end with Cancelled

    Connection *connection() const; // nullptr once the connection is gone
    quint16 number() const;
    State state() const;
    bool isOpen() const { return state() == State::Open; }
    Reply<void> whenOpen();      // at once if it is
    Error error() const;         // why the channel closed
    Error lastCallError() const; // why a call was refused without being sent, the last time

    // Gives the sequence number of the message, from 1, never repeated during this object's life; 0 if it was refused,
    // see lastCallError(). Before the first open it waits in call order, within ConnectionParameters::bufferLimit();
    // while closed it is refused.
    quint64 publish(const QString &exchange, const QString &routingKey, const Message &message,
                    PublishFlags flags = {});
    // Confirm mode. A value when the broker took it, else an Error: Returned, Nacked, Unconfirmed or a local kind.
    Reply<void> publishWithReply(const QString &exchange, const QString &routingKey, const Message &message,
                                 PublishFlags flags = PublishFlag::Mandatory);
    Reply<void> confirmSelect();
    Reply<void> whenConfirmed(); // all published so far: a value once all are taken, else the first failure
    Mode mode() const;
    int unconfirmedCount() const;
    int confirmWindow() const; // 0: no limit
    void setConfirmWindow(int messages);
    BackpressureReasons backpressure() const;
    bool isWritable() const; // open and free of backpressure

    Reply<QueueInfo> declareTemporaryQueue(); // QueueOptions::temporary(), named by the broker
    Reply<QueueInfo> declareQueue(const QString &name, const QueueOptions &options = {});
    Reply<QueueInfo> inspectQueue(const QString &name); // passive declare: counts, or 404, which closes the channel
    Reply<quint32> deleteQueue(const QString &name, DeleteFlags flags = {});
    Reply<quint32> purgeQueue(const QString &name);
    Reply<void> bindQueue(const QString &queue, const QString &exchange, const QString &routingKey = {},
                          const FieldTable &arguments = {});
    Reply<void> unbindQueue(const QString &queue, const QString &exchange, const QString &routingKey = {},
                            const FieldTable &arguments = {});
    Reply<void> declareExchange(const QString &name, const QString &type, const ExchangeOptions &options = {});
    Reply<void> inspectExchange(const QString &name);
    Reply<void> deleteExchange(const QString &name, DeleteFlags flags = {});
    Reply<void> bindExchange(const QString &destination, const QString &source, const QString &routingKey = {},
                             const FieldTable &arguments = {});
    Reply<void> unbindExchange(const QString &destination, const QString &source, const QString &routingKey = {},
                               const FieldTable &arguments = {});

    Reply<void> setPrefetch(quint16 count, PrefetchScope scope = PrefetchScope::PerConsumer);
    // Never nullptr; a local failure ends it by a queued cancelled(error). A child of this channel unless given a
    // parent.
    Consumer *consume(const QString &queue, const ConsumeOptions &options = {}, QObject *parent = nullptr);
    QList<Consumer *> consumers() const;
    Consumer *consumer(const QString &consumerTag) const;                                         // nullptr: none
    Reply<std::optional<GetResult>> get(const QString &queue, AckMode ackMode = AckMode::Manual); // nullopt: empty
    bool ack(const Message &message);     // false, and StaleDelivery in lastCallError(), if it is too late
    bool ackUpTo(const Message &message); // this and all earlier ones of the channel
    bool nack(const Message &message, Requeue requeue = Requeue::Yes);
    bool nackUpTo(const Message &message, Requeue requeue = Requeue::Yes);
    Reply<void> redeliverUnacked(); // basic.recover(requeue); every older delivery is stale from then on

    Reply<void> txSelect();
    Reply<void> txCommit();
    Reply<void> txRollback();

    Reply<quint16> requestAccess(const QString &realm,
                                 AccessFlags flags); // a ticket of AMQP 0-8, from then on the channel's

public Q_SLOTS:
    AmqpQt::Reply<void> reopen(); // after the broker closed it (404, 406 …): qos, mode and living consumers come back
    AmqpQt::Reply<void> close();

Q_SIGNALS:
    void opened();
    void closed(const AmqpQt::Error &reason); // last; kind NoError: it was close()
    void stateChanged(AmqpQt::Channel::State state);
    void modeChanged(AmqpQt::Channel::Mode mode);
    void errorOccurred(const AmqpQt::Error &error);
    void settlementFailed(quint64 deliveryTag, const AmqpQt::Error &error); // too late, or twice; nothing was sent

    void queueDeclared(const AmqpQt::QueueInfo &queue); // queue.declare-ok
    void queueDeleted(const QString &name, quint32 messageCount);
    void exchangeDeclared(const QString &name);

    void publishConfirmed(quint64 first, quint64 last); // a closed range of sequence numbers
    void publishFailed(quint64 first, quint64 last,
                       const AmqpQt::Error &error); // never sent, Nacked, Returned, Unconfirmed
    void messageReturned(quint64 sequence, const AmqpQt::Message &message,
                         const AmqpQt::Error &reason); // 0: no confirm mode
    void unconfirmedCountChanged(int count);           // at most once per turn of the event loop
    void backpressureChanged(AmqpQt::BackpressureReasons reasons);
    void writableChanged(bool writable);

protected:
    bool event(QEvent *event) override;

private:
    friend class Connection;
    friend class ChannelPrivate;
    friend class ConnectionPrivate;
    Channel(Connection *connection, QObject *parent);
    std::unique_ptr<ChannelPrivate> d;
};

Q_DECLARE_OPERATORS_FOR_FLAGS(Channel::PublishFlags)
Q_DECLARE_OPERATORS_FOR_FLAGS(Channel::DeleteFlags)
Q_DECLARE_OPERATORS_FOR_FLAGS(Channel::AccessFlags)

} // namespace AmqpQt
