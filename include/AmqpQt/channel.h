// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>
#include <AmqpQt/options.h>
#include <AmqpQt/topology.h>

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

// An AMQP channel. Every operation may be called right after Connection::createChannel(). The calls go to the wire in
// the order they were made. An empty queue name means the queue last declared on this channel.
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
    enum class PrefetchScope : int { PerConsumer, PerChannel }; // PerConsumer applies to consumers started later
    Q_ENUM(PrefetchScope)

    enum class AccessFlag : int { Exclusive = 1, Passive = 2, Active = 4, Write = 8, Read = 16 };
    Q_DECLARE_FLAGS(AccessFlags, AccessFlag)
    Q_FLAG(AccessFlags)

    ~Channel() override; // closes without waiting; pending replies end with Cancelled

    Connection *connection() const; // nullptr after the connection was destroyed
    quint16 number() const;
    State state() const;
    bool isOpen() const { return state() == State::Open; }
    Reply<void> whenOpen();      // finishes at once if the channel is open
    Error error() const;         // why the channel closed
    Error lastCallError() const; // why the last rejected call was not sent

    // Returns the sequence number of the message, from 1 and never reused by this object, or 0 if the message was
    // rejected, see lastCallError(). Before the first open, messages are queued in call order, within
    // ConnectionParameters::bufferLimit(). A closed channel rejects them.
    quint64 publish(const QString &exchange, const QString &routingKey, const Message &message,
                    PublishFlags flags = {});
    // Confirm mode. Succeeds when the broker confirms the message. Fails with Returned, Nacked, Unconfirmed or a local
    // kind.
    Reply<void> publishWithReply(const QString &exchange, const QString &routingKey, const Message &message,
                                 PublishFlags flags = PublishFlag::Mandatory);
    Reply<void> confirmSelect();
    Reply<void> whenConfirmed(); // succeeds once all messages so far are confirmed, or fails with the first error
    Mode mode() const;
    int unconfirmedCount() const;
    int confirmWindow() const; // 0 means no limit
    void setConfirmWindow(int messages);
    BackpressureReasons backpressure() const;
    bool isWritable() const; // open and free of backpressure

    Reply<QueueInfo> declareTemporaryQueue(); // QueueOptions::temporary(); the broker names it
    Reply<QueueInfo> declareQueue(const QString &name, const QueueOptions &options = {});
    Reply<QueueInfo> inspectQueue(const QString &name); // passive declare; 404 closes the channel
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

    // Declares all of it, and reports what existed, differs or failed.
    Reply<TopologyReport> apply(const Topology &topology);

    Reply<void> setPrefetch(quint16 count, PrefetchScope scope = PrefetchScope::PerConsumer);
    // Never returns nullptr; a local failure emits cancelled(error) later. The consumer is a child of this channel
    // unless a parent is given.
    Consumer *consume(const QString &queue, const ConsumeOptions &options = {}, QObject *parent = nullptr);
    QList<Consumer *> consumers() const;
    Consumer *consumer(const QString &consumerTag) const; // nullptr if there is none
    Reply<std::optional<GetResult>> get(const QString &queue,
                                        AckMode ackMode = AckMode::Manual); // nullopt if the queue is empty
    bool ack(const Message &message);     // false and StaleDelivery in lastCallError() if too late
    bool ackUpTo(const Message &message); // also acks all earlier deliveries of the channel
    bool nack(const Message &message, Requeue requeue = Requeue::Yes);
    bool nackUpTo(const Message &message, Requeue requeue = Requeue::Yes);
    Reply<void> redeliverUnacked(); // basic.recover(requeue); makes all earlier deliveries stale

    Reply<void> txSelect();
    Reply<void> txCommit();
    Reply<void> txRollback();

    Reply<quint16> requestAccess(const QString &realm,
                                 AccessFlags flags); // AMQP 0-8 ticket, used by all later calls of the channel

public Q_SLOTS:
    AmqpQt::Reply<void> reopen(); // restores qos, mode and living consumers after the broker closed the channel
    AmqpQt::Reply<void> close();

Q_SIGNALS:
    void opened();
    void closed(const AmqpQt::Error &reason); // the last signal; NoError after close()
    void stateChanged(AmqpQt::Channel::State state);
    void modeChanged(AmqpQt::Channel::Mode mode);
    void errorOccurred(const AmqpQt::Error &error);
    void settlementFailed(quint64 deliveryTag,
                          const AmqpQt::Error &error); // settled too late or twice; nothing was sent

    void queueDeclared(const AmqpQt::QueueInfo &queue); // queue.declare-ok
    void queueDeleted(const QString &name, quint32 messageCount);
    void exchangeDeclared(const QString &name);

    void publishConfirmed(quint64 first, quint64 last); // a closed range of sequence numbers
    void publishFailed(quint64 first, quint64 last,
                       const AmqpQt::Error &error); // never sent, Nacked, Returned, Unconfirmed
    void messageReturned(quint64 sequence, const AmqpQt::Message &message,
                         const AmqpQt::Error &reason); // 0 without confirm mode
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
