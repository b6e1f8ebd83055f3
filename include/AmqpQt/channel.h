// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>
#include <AmqpQt/options.h>

#include <QtCore/qobject.h>

#include <memory>
#include <optional>

namespace AmqpQt {

class ChannelPrivate;

struct GetResult
{
    Message message;
    quint32 remaining = 0; // messages left in the queue
};

class Connection;
class Consumer;

// An AMQP channel. Every operation may be called at once after Connection::createChannel(); the order of calls is the order
// on the wire. An empty queue name means the queue last declared on this channel.
class AMQPQT_EXPORT Channel : public QObject
{
    Q_OBJECT
    Q_PROPERTY(int number READ number NOTIFY stateChanged)
    Q_PROPERTY(AmqpQt::Channel::State state READ state NOTIFY stateChanged)
    Q_PROPERTY(bool open READ isOpen NOTIFY stateChanged)
    Q_PROPERTY(AmqpQt::Error error READ error NOTIFY errorOccurred)
    Q_PROPERTY(AmqpQt::BackpressureReasons backpressure READ backpressure NOTIFY backpressureChanged)
    Q_PROPERTY(bool writable READ isWritable NOTIFY writableChanged)
public:
    enum class State : quint8 { Closed, Opening, Open, Closing };
    Q_ENUM(State)
    enum class PublishFlag : quint8 { Mandatory = 1 };
    Q_DECLARE_FLAGS(PublishFlags, PublishFlag)
    Q_FLAG(PublishFlags)
    enum class DeleteFlag : quint8 { IfUnused = 1, IfEmpty = 2 };
    Q_DECLARE_FLAGS(DeleteFlags, DeleteFlag)
    Q_FLAG(DeleteFlags)
    enum class PrefetchScope : quint8 { PerConsumer, PerChannel }; // per consumer: of those that start afterwards
    Q_ENUM(PrefetchScope)

    ~Channel() override; // closes on the wire, returns at once; pending replies end with Cancelled

    Connection *connection() const; // nullptr once the connection is gone
    quint16 number() const;
    State state() const;
    bool isOpen() const { return state() == State::Open; }
    Reply<void> whenOpen(); // at once if it is
    Error error() const;

    // --- publishing -----------------------------------------------------------------------------
    // Gives the sequence number of the message, from 1, never repeated during this object's life; 0 if it was refused, see
    // error(). Before the first open it waits in call order, within ConnectionParameters::bufferLimit(); while closed it is
    // refused.
    quint64 publish(const QString &exchange, const QString &routingKey, const Message &message, PublishFlags flags = {});
    BackpressureReasons backpressure() const;
    bool isWritable() const; // open and free of backpressure

    // --- topology -------------------------------------------------------------------------------
    Reply<QueueInfo> declareQueue(); // QueueOptions::temporary(), named by the broker
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

    // --- consuming ------------------------------------------------------------------------------
    Reply<void> setPrefetch(quint16 count, PrefetchScope scope = PrefetchScope::PerConsumer);
    // Never nullptr; a local failure ends it by a queued cancelled(error). A child of this channel unless given a parent.
    Consumer *consume(const QString &queue, const ConsumeOptions &options = {}, QObject *parent = nullptr);
    QList<Consumer *> consumers() const;
    Consumer *consumer(const QString &consumerTag) const; // nullptr: none
    Reply<std::optional<GetResult>> get(const QString &queue, AckMode ackMode = AckMode::Manual); // nullopt: empty
    bool ack(const Message &message);     // false, and StaleDelivery in error(), if it is too late
    bool ackUpTo(const Message &message); // this and all earlier ones of the channel
    bool nack(const Message &message, Requeue requeue = Requeue::Yes);
    bool nackUpTo(const Message &message, Requeue requeue = Requeue::Yes);

public Q_SLOTS:
    AmqpQt::Reply<void> reopen(); // after the broker closed it (404, 406 …): qos and living consumers come back
    AmqpQt::Reply<void> close();

Q_SIGNALS:
    void opened();
    void closed(const AmqpQt::Error &reason); // last; kind NoError: it was close()
    void stateChanged(AmqpQt::Channel::State state);
    void errorOccurred(const AmqpQt::Error &error);

    void queueDeclared(const AmqpQt::QueueInfo &queue); // queue.declare-ok
    void queueDeleted(const QString &name, quint32 messageCount);
    void exchangeDeclared(const QString &name);

    void publishFailed(quint64 first, quint64 last, const AmqpQt::Error &error);      // a closed range: never sent
    void messageReturned(quint64 sequence, const AmqpQt::Message &message, const AmqpQt::Error &reason); // sequence: 0, no confirms
    void backpressureChanged(AmqpQt::BackpressureReasons reasons);
    void writableChanged(bool writable);

private:
    friend class Connection;
    friend class ChannelPrivate;
    friend class ConnectionPrivate;
    Channel(Connection *connection, QObject *parent);
    std::unique_ptr<ChannelPrivate> d;
};

Q_DECLARE_OPERATORS_FOR_FLAGS(Channel::PublishFlags)
Q_DECLARE_OPERATORS_FOR_FLAGS(Channel::DeleteFlags)

} // namespace AmqpQt
